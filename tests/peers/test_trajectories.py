"""A thousand steps of each peer beside ours, over random problems and hyper-parameters.

The arguments of a peer come from ``adam_tutorial.conventions``, so what it says is proved here:
where it names no difference there must be none, and where it names one it must be there.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adam_tutorial import reference
from adam_tutorial.conventions import TABLE, translate
from adam_tutorial.theory import bias_correction
from tests.peers.paths import FOLLOW, Array, Gradient, difference, find

pytest.importorskip("optax")
pytest.importorskip("keras")

STEPS = 1000
SAME = 1e-12


def problem(kind: str, seed: int) -> tuple[Gradient, Array]:
    """A gradient as a function of point and step, and a starting point."""
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(4)
    noise = rng.standard_normal((STEPS, 4))
    if kind == "wild":
        sizes = 10.0 ** rng.uniform(-6, 6, (STEPS, 1))
        return (lambda _, t: sizes[t - 1] * noise[t - 1]), start
    curvature = 10.0 ** rng.uniform(-2, 2, 4)
    # Without noise the path ends where rounding decides on the sign of the gradient.
    return (lambda x, t: curvature * (x + 0.3 * noise[t - 1])), start


problems = st.builds(problem, st.sampled_from(["wild", "noisy bowl"]), st.integers(0, 10**6))
wild = st.builds(problem, st.just("wild"), st.integers(0, 10**6))
rates = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-4, 0.1),
        # Keras refuses a Lion with beta_1 = 0.
        "betas": st.tuples(st.floats(0.05, 0.99), st.floats(0.8, 0.9999)),
        "eps": st.sampled_from([1e-12, 1e-8, 1e-3]),
    }
)
# No search for the smallest failure: each example is a thousand steps.
few = settings(max_examples=6, phases=[Phase.generate])


def numpy_path(
    rule: str, given_: tuple[Gradient, Array], eps_power: float = 0.0, **h: Any
) -> Array:
    """The reference's path; at step t its eps is multiplied by ``(1 - beta2**t)**eps_power``."""
    gradient, start = given_
    theta, state, points = start, None, [start]
    for t in range(1, STEPS + 1):
        now = dict(h)
        if eps_power:
            now["eps"] = h["eps"] * bias_correction(h["beta2"], t) ** eps_power
        if rule in ("adamw", "adam_l2", "lion"):
            now["theta"] = theta
        state, update = getattr(reference, rule)(state, gradient(theta, t), **now)
        theta = theta + update
        points.append(theta)
    return np.array(points)


def spelt(settings_: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Our optimizer's settings as the reference spells them."""
    rest = {key: value for key, value in settings_.items() if key != "betas"}
    beta1, beta2 = settings_["betas"]
    return {**rest, "beta1": beta1, "beta2": beta2, **more}


def peer_path(
    library: str, optimizer: str, settings_: dict[str, Any], given_: tuple[Gradient, Array]
) -> tuple[Array, tuple[str, ...]]:
    """The peer's path with our settings translated, and the differences that are named."""
    moved = translate(settings_, source="adam_tutorial", target=library, optimizer=optimizer)
    path = FOLLOW[library](find(moved.name), moved.arguments, *given_, STEPS)
    return path, moved.differences


def our_path(optimizer: str, settings_: dict[str, Any], given_: tuple[Gradient, Array]) -> Array:
    return peer_path("adam_tutorial", optimizer, settings_, given_)[0]


SAME_FORMULA = [
    *(("torch", name) for name in ("adam", "adamw", "amsgrad", "adamax", "nadam", "radam")),
    *(("optax", name) for name in ("adam", "adamw", "adamax", "lion")),
    ("keras", "lion"),
]
RULES = {"adam": "adam_l2", "lion": "lion", "adamw": "adamw"}


@pytest.mark.parametrize(("library", "optimizer"), SAME_FORMULA)
@few
@given(rates, st.sampled_from([0.0, 0.1]), problems)
def test_peer_with_the_same_formula_walks_the_same_thousand_steps(
    library: str, optimizer: str, rates: dict[str, Any], decay: float, given_: Any
) -> None:
    chosen = dict(rates)
    if optimizer == "lion":
        del chosen["eps"]
    if library == "torch" or optimizer in ("adamw", "lion"):
        chosen["weight_decay"] = decay
    if optimizer == "nadam":
        # torch keeps NAdam's product of momenta in the default dtype; ours is always float64.
        torch.set_default_dtype(torch.float64)
    theirs, differences = peer_path(library, optimizer, chosen, given_)
    assert differences == ()
    ours = our_path(optimizer, chosen, given_)
    assert difference(ours, theirs) < SAME
    if decay == 0 or optimizer in RULES:
        name = RULES.get(optimizer, optimizer) if decay else optimizer
        plain = spelt(chosen)
        if not decay:
            plain.pop("weight_decay", None)
        extra = {"weight_decay": 0.0} if name == "adamw" and not decay else {}
        assert difference(numpy_path(name, given_, **plain, **extra), theirs) < SAME


def test_nadam_of_torch_loses_digits_where_the_default_dtype_is_float32() -> None:
    chosen, given_ = {"lr": 0.05, "betas": (0.9, 0.99)}, problem("wild", 1)
    theirs, _ = peer_path("torch", "nadam", chosen, given_)
    assert 1e-11 < difference(our_path("nadam", chosen, given_), theirs) < 1e-9


CLASSIC: dict[str, tuple[Any, dict[str, Any], str, dict[str, Any]]] = {
    "momentum": (torch.optim.SGD, {"momentum": 0.8}, "momentum", {"beta": 0.8}),
    "nesterov": (
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True},
        "momentum",
        {"beta": 0.8, "nesterov": True},
    ),
    "adagrad": (torch.optim.Adagrad, {"eps": 1e-6}, "adagrad", {"eps": 1e-6}),
    "rmsprop": (
        torch.optim.RMSprop,
        {"alpha": 0.9, "eps": 1e-6},
        "rmsprop",
        {"beta": 0.9, "eps": 1e-6},
    ),
    "centred rmsprop": (
        torch.optim.RMSprop,
        {"alpha": 0.9, "eps": 1e-3, "centered": True},
        "rmsprop",
        {"beta": 0.9, "eps": 1e-3, "centered": True},
    ),
    "adadelta": (torch.optim.Adadelta, {"rho": 0.9}, "adadelta", {"rho": 0.9}),
}


@pytest.mark.parametrize("name", CLASSIC)
@few
@given(st.floats(1e-4, 0.01), problems)
def test_classic_rules_walk_the_steps_of_torch(name: str, lr: float, given_: Any) -> None:
    kind, in_torch, rule, ours = CLASSIC[name]
    theirs = FOLLOW["torch"](kind, {"lr": lr, **in_torch}, *given_, STEPS)
    # v - mean**2 cancels: the centred form keeps fewer digits, in both.
    limit = 1e-9 if "centred" in name else SAME
    assert difference(numpy_path(rule, given_, lr=lr, **ours), theirs) < limit


# Other formulas: the difference is named, it is there, and it is understood to the last digits.


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "amsgrad"])
@few
@given(rates, problems)
def test_keras_is_ours_with_an_eps_that_changes_with_t(
    optimizer: str, rates: dict[str, Any], given_: Any
) -> None:
    chosen = {**rates, "eps": 1e-3}
    theirs, differences = peer_path("keras", optimizer, chosen, given_)
    assert "adds eps=0.001 to the root of v_hat, keras to the root of v" in differences[0]
    bridge = numpy_path(
        optimizer,
        given_,
        -0.5,
        **spelt(chosen),
        **({"weight_decay": 1e-2} if optimizer == "adamw" else {}),
    )
    assert difference(bridge, theirs) < SAME
    assert not np.array_equal(our_path(optimizer, chosen, given_), theirs)


@few
@given(rates, problems)
def test_weight_decay_of_adam_in_keras_is_that_of_our_adamw(
    rates: dict[str, Any], given_: Any
) -> None:
    in_keras = translate(
        {**rates, "eps": 1e-9, "weight_decay": 0.1},
        source="adam_tutorial",
        target="keras",
        optimizer="adamw",
    )
    import keras

    theirs = FOLLOW["keras"](keras.optimizers.Adam, in_keras.arguments, *given_, STEPS)
    bridge = numpy_path("adamw", given_, -0.5, **spelt({**rates, "eps": 1e-9}), weight_decay=0.1)
    assert difference(bridge, theirs) < SAME
    left_out = translate({"weight_decay": 0.1}, source="adam_tutorial", target="keras")
    assert left_out.arguments["weight_decay"] == 0
    assert "weight_decay=0.1 is left out" in left_out.differences[-1]


@few
@given(rates, problems)
def test_amsgrad_of_optax_takes_the_maximum_of_v_hat(rates: dict[str, Any], given_: Any) -> None:
    theirs, differences = peer_path("optax", "amsgrad", rates, given_)
    assert differences == (
        "the maximum is taken of v, corrected afterwards in adam_tutorial, of the corrected v_hat "
        "in optax",
    )
    exact = numpy_path("amsgrad", given_, **spelt(rates), maximum_of="v_hat")
    assert difference(exact, theirs) < SAME


def test_the_two_amsgrads_part_at_the_second_step() -> None:
    gradients = np.array([[3.0], [0.1], [0.1]])
    given_ = (lambda _, t: gradients[min(t, 3) - 1]), np.zeros(1)
    in_torch, in_optax = (
        peer_path(library, "amsgrad", {"lr": 1.0}, given_)[0][:3, 0]
        for library in ("torch", "optax")
    )
    assert in_torch[1] == pytest.approx(in_optax[1], rel=1e-7)
    # m_hat over the root of 4.5 (the maximum corrected for t = 2), and over 9 (that of t = 1).
    steps = -np.diff(in_torch)[1], -np.diff(in_optax)[1]
    assert steps[1] / steps[0] == pytest.approx(math.sqrt(4.5 / 9), rel=2e-3)


@few
@given(rates, problems)
def test_nadam_of_optax_has_a_constant_momentum_and_that_of_keras_warms_up_sooner(
    rates: dict[str, Any], given_: Any
) -> None:
    for library, decay in (("optax", 1e9), ("keras", 1.0)):
        theirs, differences = peer_path(library, "nadam", rates, given_)
        assert "momentum_decay=0.004 has no counterpart" in differences[-1]
        assert difference(
            numpy_path("nadam", given_, **spelt(rates), momentum_decay=decay), theirs
        ) < (SAME)
        assert difference(our_path("nadam", rates, given_), theirs) > 1e-9


@few
@given(rates, problems)
def test_radam_of_optax_has_eps_beside_the_root_of_v_hat(
    rates: dict[str, Any], given_: Any
) -> None:
    chosen = {**rates, "eps": 1e-3}
    theirs, differences = peer_path("optax", "radam", chosen, given_)
    assert "adds eps=0.001 to the root of v, optax to the root of v_hat" in differences[0]
    assert difference(numpy_path("radam", given_, 0.5, **spelt(chosen)), theirs) < SAME


@few
@given(rates, problems)
def test_adamax_of_keras_adds_eps_to_the_maximum(rates: dict[str, Any], given_: Any) -> None:
    theirs, differences = peer_path("keras", "adamax", {**rates, "eps": 1e-3}, given_)
    assert "to the |g|, keras to the u" in differences[0]
    # With an eps that is nothing beside the gradients, the two are one.
    small, _ = peer_path("keras", "adamax", {**rates, "eps": 1e-30}, given_)
    assert difference(our_path("adamax", {**rates, "eps": 1e-30}, given_), small) < SAME
    assert difference(our_path("adamax", {**rates, "eps": 1e-3}, given_), theirs) > 1e-12


@few
@given(rates, wild)
def test_adabelief_of_optax_is_ours(rates: dict[str, Any], given_: Any) -> None:
    import optax

    beta1, beta2 = rates["betas"]
    theirs = FOLLOW["optax"](
        optax.adabelief,
        {"learning_rate": rates["lr"], "b1": beta1, "b2": beta2, "eps": 1e-8, "eps_root": 1e-8},
        *given_,
        STEPS,
    )
    from adam_tutorial.optim import AdaBelief

    ours = FOLLOW["torch"](AdaBelief, {**rates, "eps": 1e-8}, *given_, STEPS)
    assert difference(ours, theirs) < SAME
    exact = numpy_path("adabelief", given_, **spelt({**rates, "eps": 1e-8}))
    assert difference(exact, theirs) < SAME


def test_paper_form_of_adamw_is_ours_with_lambda_over_lr() -> None:
    given_ = problem("noisy bowl", 0)
    moved = translate(
        {"alpha": 0.01, "lambda": 2e-3}, source="paper", target="adam_tutorial", optimizer="adamw"
    )
    assert moved.arguments["weight_decay"] == pytest.approx(0.2)
    ours = FOLLOW["adam_tutorial"](find(moved.name), moved.arguments, *given_, STEPS)
    exact = numpy_path("adamw", given_, lr=0.01, eps=1e-8, weight_decay=2e-3, decay_times_lr=False)
    assert difference(exact, ours) < SAME


def test_complex_parameters_are_two_reals_in_torch_and_ours_and_share_v_in_optax() -> None:
    import jax
    import optax

    z = 3.0 + 0.1j
    steps = []
    for make in (torch.optim.Adam, find("adam_tutorial.optim.Adam")):
        theta = torch.nn.Parameter(torch.zeros((), dtype=torch.complex128))
        optimizer = make([theta], lr=1.0)
        theta.grad = torch.tensor(z, dtype=torch.complex128)
        optimizer.step()
        steps.append(theta.item())
    with jax.enable_x64(True):
        transformation = optax.adam(1.0)
        zero = jax.numpy.zeros((), dtype="complex128")
        update, _ = transformation.update(zero + z, transformation.init(zero))
    assert steps == pytest.approx([-1 - 1j] * 2, rel=1e-6)
    assert complex(update) == pytest.approx(-z / abs(z), rel=1e-6)


def test_defaults_of_the_table_are_those_of_optax_and_keras() -> None:
    import keras
    import optax

    for library, module in (("optax", optax), ("keras", keras.optimizers)):
        for convention in TABLE[library].values():
            kind = getattr(module, convention.name.rpartition(".")[2])
            parameters = inspect.signature(kind).parameters
            for name, called in convention.arguments.items():
                default = parameters[called].default
                if default is not inspect.Parameter.empty:
                    assert (default or 0.0) == convention.defaults[name], (convention.name, name)
