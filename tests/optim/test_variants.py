from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from adam_tutorial import optim, reference
from adam_tutorial.optim import AdaBelief, Adamax, Lion, NAdam, RAdam

IN_TORCH = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]
each_in_torch = pytest.mark.parametrize("name", IN_TORCH)
RULES: list[Any] = [getattr(optim, name) for name in optim.__all__]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)

# Where the reference gives a decoupled decay no place, it is made here: theta shrinks
# first.
REFERENCES: dict[Any, Callable[..., Any]] = {
    Adamax: reference.adamax,
    NAdam: reference.nadam,
    RAdam: reference.radam,
    AdaBelief: reference.adabelief,
    Lion: reference.lion,
}
each_variant = pytest.mark.parametrize(
    "rule", REFERENCES, ids=lambda rule: rule.__name__
)


def gradients_of(seed: int, steps: int) -> list[np.ndarray[Any, Any]]:
    """Random gradients whose sizes differ by factors of ten."""
    generator = np.random.default_rng(seed)
    return [
        generator.standard_normal(5) * 10 ** generator.uniform(-2, 2) + 0.1
        for _ in range(steps)
    ]


def follow(
    rule: Any, theta: np.ndarray[Any, Any], gradients: Any, **settings: Any
) -> nn.Parameter:
    parameter = nn.Parameter(torch.tensor(theta))
    optimizer = rule([parameter], **settings)
    for g in gradients:
        parameter.grad = torch.tensor(g)
        optimizer.step()
    return parameter


@each_variant
@given(
    beta1=st.floats(0, 0.99),
    beta2=st.floats(0.1, 0.9999),
    lr=st.floats(1e-5, 1),
    eps=st.sampled_from([1e-10, 1e-8, 1e-3, 0.5]),
    decay=st.sampled_from([0.0, 0.1, 0.7]),
    maximize=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_optimizer_follows_its_reference(
    rule: Any,
    beta1: float,
    beta2: float,
    lr: float,
    eps: float,
    decay: float,
    maximize: bool,
    seed: int,
) -> None:
    known = inspect.signature(rule).parameters
    formula = REFERENCES[rule]
    numbers: dict[str, Any] = {"lr": lr, "beta1": beta1, "beta2": beta2}
    options: dict[str, Any] = {"lr": lr, "betas": (beta1, beta2)}
    if "eps" in known:
        numbers["eps"] = options["eps"] = eps
    if "momentum_decay" in known:
        numbers["momentum_decay"] = options["momentum_decay"] = eps / 10
    decoupled = rule in (AdaBelief, Lion) or (seed % 2 == 1 and rule is not Adamax)
    if "decoupled_weight_decay" in known:
        options["decoupled_weight_decay"] = decoupled
    theta = np.random.default_rng(seed).standard_normal(5)
    gradients = gradients_of(seed, 25)
    parameter = follow(
        rule, theta, gradients, weight_decay=decay, maximize=maximize, **options
    )
    state = None
    for gradient in gradients:
        g = -gradient if maximize else gradient
        if decoupled and rule is not Lion:
            theta = theta * (1 - lr * decay)
        elif rule is not Lion:
            g = g + decay * theta
        extra = {"theta": theta, "weight_decay": decay} if rule is Lion else {}
        state, update = formula(state, g, **numbers, **extra)
        theta = theta + update
    np.testing.assert_allclose(parameter.detach().numpy(), theta, rtol=1e-9, atol=1e-10)


BESIDE_TORCH = [
    (name, flags)
    for name in IN_TORCH
    for flags in ({}, {"decoupled_weight_decay": True}, {"amsgrad": True})
    if set(flags) <= set(inspect.signature(getattr(torch.optim, name)).parameters)
]


@pytest.mark.parametrize(("name", "flags"), BESIDE_TORCH, ids=str)
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_optimizer_agrees_with_torch_over_a_thousand_steps(
    name: str, flags: dict[str, bool], maximize: bool, weight_decay: float
) -> None:
    ours, theirs = getattr(optim, name), getattr(torch.optim, name)
    options: dict[str, Any] = {
        "weight_decay": weight_decay,
        "maximize": maximize,
        **flags,
    }
    theta, gradients = (
        np.random.default_rng(0).standard_normal(5),
        gradients_of(1, 1000),
    )
    # torch keeps NAdam's product of momenta in its default dtype.
    torch.set_default_dtype(torch.float64)
    one, other = (
        follow(rule, theta, gradients, lr=0.01, betas=(0.8, 0.99), **options)
        for rule in (ours, theirs)
    )
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    assert (one - torch.tensor(theta)).abs().min() > 1e-3


@each_in_torch
def test_signature_is_that_of_torch_and_nonfinite(name: str) -> None:
    ours = inspect.signature(getattr(optim, name)).parameters
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    # `decoupled_weight_decay` of Adam is younger than torch 2.6.
    added = set(ours) - set(theirs)
    assert added == {"nonfinite"} | (
        {"decoupled_weight_decay"} - set(theirs) if name == "Adam" else set()
    )
    assert [key for key in ours if key not in added] == list(theirs)
    for key, parameter in theirs.items():
        assert (ours[key].kind, ours[key].default) == (
            parameter.kind,
            parameter.default,
        )
    assert ours["nonfinite"].kind is inspect.Parameter.KEYWORD_ONLY
    assert ours["nonfinite"].default == "pass"


@each_in_torch
def test_defaults_are_those_of_torch_and_nonfinite(name: str) -> None:
    ours, theirs = (
        getattr(module, name)([nn.Parameter(torch.zeros(1))])
        for module in (optim, torch.optim)
    )
    younger = (
        {"decoupled_weight_decay": name == "AdamW"} if name in ("Adam", "AdamW") else {}
    )
    assert ours.defaults == {**younger, **theirs.defaults, "nonfinite": "pass"}


@pytest.mark.parametrize(
    ("rule", "formula", "renamed"),
    [
        (AdaBelief, reference.adabelief, {"weight_decay": 0}),
        (Lion, reference.lion, {"weight_decay": 0}),
        (Adamax, reference.adamax, {"weight_decay": 0}),
        (NAdam, reference.nadam, {"weight_decay": 0}),
        (RAdam, reference.radam, {"weight_decay": 0}),
        (optim.Adam, reference.adam, {"weight_decay": 0}),
        (optim.AdamW, reference.adamw, {}),
    ],
)
def test_defaults_are_those_of_the_reference(
    rule: Any, formula: Callable[..., Any], renamed: dict[str, Any]
) -> None:
    numbers = {
        key: value.default
        for key, value in inspect.signature(formula).parameters.items()
        if isinstance(value.default, float) and key != "threshold"
    }
    defaults = dict(rule([nn.Parameter(torch.zeros(1))]).defaults)
    defaults["beta1"], defaults["beta2"] = defaults["betas"]
    assert {key: defaults[key] for key in numbers} == numbers
    assert {key: defaults[key] for key in renamed} == renamed


@each_rule
@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.1, "maximize": True}], ids=str
)
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5), (0.5, 0.0)], ids=str)
def test_capturable_and_foreach_steps_equal_plain_ones(
    rule: Any, options: dict[str, Any], betas: tuple[float, float]
) -> None:
    theta, gradients = np.random.default_rng(0).standard_normal(5), gradients_of(1, 100)
    plain = follow(rule, theta, gradients, lr=0.01, betas=betas, **options)
    for flag in ("capturable", "foreach", "fused"):
        if flag in inspect.signature(rule).parameters:
            other = follow(
                rule, theta, gradients, lr=0.01, betas=betas, **options, **{flag: True}
            )
            rtol = 1e-11 if flag == "capturable" else 0
            torch.testing.assert_close(other, plain, rtol=rtol, atol=rtol / 100)
    assert plain.isfinite().all()


# What makes each of them what it is


def test_first_steps_of_radam_are_plain_momentum_and_the_sixth_is_not() -> None:
    gradients = [np.array([1.0, 100.0])] * 6
    points = [follow(RAdam, np.zeros(2), gradients[:count]) for count in range(7)]
    moves = [(after - before).detach() for before, after in itertools.pairwise(points)]
    for move in moves[:5]:
        assert (move[1] / move[0]).item() == pytest.approx(100)
        assert move[0].item() == pytest.approx(-1e-3)
    assert (moves[5][1] / moves[5][0]).item() == pytest.approx(1, rel=1e-5)


def test_lion_moves_every_coordinate_by_the_learning_rate() -> None:
    theta = follow(Lion, np.zeros(3), [np.array([1e-9, -1e9, 0.0])] * 4, lr=0.5)
    assert theta.tolist() == [-2.0, 2.0, 0.0]


def test_adabelief_steps_further_where_gradients_agree_than_where_they_change() -> None:
    gradients = [np.array([1.0, 3.0 if step % 2 else -1.0]) for step in range(200)]
    theta = follow(AdaBelief, np.zeros(2), gradients, lr=1e-3, betas=(0.9, 0.999))
    assert theta[0] < 3 * theta[1] < 0


def test_adamax_divides_by_a_maximum_that_decays() -> None:
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Adamax([theta], betas=(0.9, 0.5), eps=0)
    for size, largest in ((8.0, 8.0), (1.0, 4.0), (1.0, 2.0), (1.0, 1.0), (1.0, 1.0)):
        theta.grad = torch.tensor([size], dtype=torch.float64)
        optimizer.step()
        assert optimizer.state[theta]["exp_inf"].item() == largest


def test_nadam_looks_ahead_of_adam() -> None:
    turned = [np.array([1.0])] * 20 + [np.array([-1.0])] * 3
    momenta = [
        follow(rule, np.zeros(1), turned, lr=0.01, **options)
        for rule, options in ((NAdam, {"momentum_decay": 0.1}), (optim.Adam, {}))
    ]
    # After the slope has turned, the one that looks ahead has gone back further.
    assert momenta[0].item() > momenta[1].item()


def test_weight_decay_is_an_l2_penalty_or_decoupled_as_the_optimizer_says() -> None:
    def after_a_step_without_gradient(rule: Any, **options: Any) -> Tensor:
        return follow(
            rule, np.array([2.0]), [np.zeros(1)], lr=0.1, weight_decay=0.5, **options
        )

    rule: Any
    for rule in (optim.AdamW, AdaBelief, Lion):
        assert after_a_step_without_gradient(rule).item() == 2 * (1 - 0.1 * 0.5)
    for rule in (NAdam, RAdam):
        shrunk = after_a_step_without_gradient(rule, decoupled_weight_decay=True)
        assert shrunk.item() == 2 * (1 - 0.1 * 0.5)
    for rule in (optim.Adam, Adamax):
        # The penalty's gradient is as good as any: its size does not matter.
        assert after_a_step_without_gradient(rule).item() == pytest.approx(2 - 0.1)
    assert math.isclose(after_a_step_without_gradient(RAdam).item(), 2 - 0.1 * 0.5 * 2)
