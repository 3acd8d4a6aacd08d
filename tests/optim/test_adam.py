from __future__ import annotations

import copy
import io
import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from adam_tutorial import reference
from adam_tutorial.optim import Adam, AdamW

SHAPES = ((3, 4), (5,), (), (2, 0))
Pair = tuple[type[Adam], type[Optimizer]]

both_rules = pytest.mark.parametrize("rule", [Adam, AdamW])
beside_torch = pytest.mark.parametrize(
    "pair",
    [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)],
    ids=["Adam", "AdamW"],
)


def new_parameters(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype))
        for shape in SHAPES
    ]


def set_gradients(parameters: list[nn.Parameter], step: int) -> None:
    """Random gradients whose size changes over the steps by factors of ten."""
    generator = torch.Generator().manual_seed(1000 + step)
    for parameter in parameters:
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = (noise * 10 ** math.sin(step / 7) + 0.2).to(parameter.dtype)


def take_steps(
    optimizer: Optimizer,
    parameters: list[nn.Parameter],
    steps: range,
    scheduler: Any = None,
) -> None:
    for step in steps:
        set_gradients(parameters, step)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def assert_same(first: list[nn.Parameter], second: list[nn.Parameter]) -> None:
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def assert_close(
    ours: list[nn.Parameter], theirs: list[nn.Parameter], *, rtol: float = 1e-10
) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=1e-13)


def snapshot(optimizer: Optimizer) -> tuple[Any, ...]:
    """Everything an optimizer and its parameters hold, to be compared before and after."""
    groups = [
        {key: value for key, value in group.items() if key != "params"}
        | {"params": [id(parameter) for parameter in group["params"]]}
        for group in optimizer.param_groups
    ]
    values = [
        p.detach().tolist() for group in optimizer.param_groups for p in group["params"]
    ]
    state = {
        id(parameter): {key: value.tolist() for key, value in entry.items()}
        for parameter, entry in optimizer.state.items()
    }
    return groups, values, state


# The rule


@given(
    beta1=st.floats(0, 0.99),
    beta2=st.floats(0, 0.9999),
    lr=st.floats(1e-5, 1),
    eps=st.sampled_from([1e-12, 1e-8, 1e-3, 1.0]),
)
def test_first_step_is_lr_times_sign_of_gradient(
    beta1: float, beta2: float, lr: float, eps: float
) -> None:
    gradient = torch.tensor([1e6, -3.0, 1e-2, -1e-2, 0.0], dtype=torch.float64)
    theta = nn.Parameter(torch.zeros(5, dtype=torch.float64))
    theta.grad = gradient.clone()
    Adam([theta], lr=lr, betas=(beta1, beta2), eps=eps).step()
    expected = -lr * gradient.sign() * gradient.abs() / (gradient.abs() + eps)
    torch.testing.assert_close(theta.data, expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize(
    ("lr", "beta1", "beta2", "eps"),
    [
        (1e-3, 0.9, 0.999, 1e-8),
        (0.1, 0.0, 0.9, 1e-3),
        (0.01, 0.6, 0.0, 1e-8),
        (0.5, 0.99, 0.5, 1),
    ],
)
def test_adam_follows_algorithm_1_of_the_paper(
    lr: float, beta1: float, beta2: float, eps: float
) -> None:
    generator = np.random.default_rng(0)
    start = generator.standard_normal((3, 4))
    parameter = nn.Parameter(torch.tensor(start))
    optimizer = Adam([parameter], lr=lr, betas=(beta1, beta2), eps=eps)
    theta, state = start, None
    for _ in range(200):
        g = generator.standard_normal((3, 4)) * 10 ** generator.uniform(-3, 3)
        parameter.grad = torch.tensor(g)
        optimizer.step()
        state, update = reference.adam(
            state, g, lr=lr, beta1=beta1, beta2=beta2, eps=eps
        )
        theta = theta + update
        np.testing.assert_allclose(
            parameter.detach().numpy(), theta, rtol=2e-12, atol=1e-14
        )
    assert state is not None
    assert optimizer.state[parameter]["step"] == state.t == 200
    np.testing.assert_allclose(
        optimizer.state[parameter]["exp_avg"], state.m, rtol=1e-9
    )
    np.testing.assert_allclose(
        optimizer.state[parameter]["exp_avg_sq"], state.v, rtol=1e-9
    )


@beside_torch
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_optimizer_agrees_with_that_of_torch_over_a_thousand_steps(
    pair: Pair, maximize: bool, weight_decay: float
) -> None:
    parameters = [new_parameters(), new_parameters()]
    for rule, params in zip(pair, parameters, strict=True):
        make: Any = rule
        options = {"weight_decay": weight_decay, "maximize": maximize}
        take_steps(
            make(params, lr=0.01, betas=(0.8, 0.99), **options), params, range(1000)
        )
    assert_close(*parameters)


@beside_torch
def test_defaults_are_those_of_torch(pair: Pair) -> None:
    ours, theirs = (rule([nn.Parameter(torch.zeros(1))]) for rule in pair)  # type: ignore[call-arg]
    # The flag is younger than torch 2.6; what AdamW does is older.
    expected = {"decoupled_weight_decay": pair[0] is AdamW, **theirs.defaults}
    assert ours.defaults == {**expected, "nonfinite": "pass"}


@beside_torch
def test_groups_follow_their_own_hyper_parameters(pair: Pair) -> None:
    parameters = [new_parameters(), new_parameters()]
    for rule, params in zip(pair, parameters, strict=True):
        make: Any = rule
        groups = [
            {"params": params[:1], "lr": 0.1, "weight_decay": 0.3},
            {"params": params[1:2], "betas": (0.5, 0.7), "eps": 0.1},
            {"params": params[2:], "maximize": True},
        ]
        take_steps(make(groups, lr=0.01), params, range(300))
    assert_close(*parameters)


@beside_torch
def test_single_precision_agrees_with_torch_to_single_precision(pair: Pair) -> None:
    parameters = [new_parameters(torch.float32), new_parameters(torch.float32)]
    for rule, params in zip(pair, parameters, strict=True):
        make: Any = rule
        take_steps(make(params, lr=0.01), params, range(100))
    for one, other in zip(*parameters, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@beside_torch
def test_network_trains_as_with_torch(pair: Pair) -> None:
    losses: list[list[float]] = []
    for rule in pair:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
        x = torch.randn(32, 4, dtype=torch.float64)
        make: Any = rule
        optimizer = make(model.parameters(), lr=0.02)
        losses.append([])
        for _ in range(100):
            optimizer.zero_grad()
            loss = (model(x) - x.prod(dim=1, keepdim=True)).square().mean()
            torch.autograd.backward(loss)
            optimizer.step()
            losses[-1].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert losses[0][-1] < 0.7 * losses[0][0]


def test_maximize_climbs_as_far_as_the_other_falls() -> None:
    down, up = new_parameters(), new_parameters()
    take_steps(Adam(down, lr=0.01), down, range(20))
    take_steps(Adam(up, lr=0.01, maximize=True), up, range(20))
    for start, one, other in zip(new_parameters(), down, up, strict=True):
        torch.testing.assert_close(one - start, start - other, rtol=1e-10, atol=1e-13)


# Weight decay


def test_adamw_with_zero_gradients_shrinks_by_exactly_one_minus_lr_times_decay() -> (
    None
):
    theta = nn.Parameter(torch.tensor([3.0, -2.0, 0.0], dtype=torch.float64))
    optimizer = AdamW([theta], lr=0.1, weight_decay=0.5)
    expected = theta.detach().clone()
    for _ in range(30):
        theta.grad = torch.zeros(3, dtype=torch.float64)
        optimizer.step()
        expected *= 1 - 0.1 * 0.5
    assert torch.equal(theta.data, expected)
    torch.testing.assert_close(
        theta.data,
        torch.tensor([3.0, -2.0, 0.0]).double() * 0.95**30,
        rtol=1e-13,
        atol=0,
    )


def test_decay_of_adam_moves_by_lr_times_sign_of_the_parameter_when_the_loss_is_flat() -> (
    None
):
    theta = nn.Parameter(torch.tensor([300.0, -0.02, 0.0], dtype=torch.float64))
    optimizer = Adam([theta], lr=1e-3, weight_decay=0.5, eps=1e-12)
    before = theta.detach().clone()
    theta.grad = torch.zeros(3, dtype=torch.float64)
    optimizer.step()
    torch.testing.assert_close(
        theta.data, before - 1e-3 * before.sign(), rtol=1e-9, atol=0
    )


def test_moments_of_adamw_know_nothing_of_the_decay() -> None:
    plain, decayed = new_parameters(), new_parameters()
    first, second = Adam(plain), AdamW(decayed, weight_decay=0.9)
    take_steps(first, plain, range(5))
    take_steps(second, decayed, range(5))
    for one, other in zip(plain, decayed, strict=True):
        for name in ("step", "exp_avg", "exp_avg_sq"):
            assert torch.equal(first.state[one][name], second.state[other][name])


def test_adamw_without_decay_is_adam() -> None:
    plain, decayed = new_parameters(), new_parameters()
    take_steps(Adam(plain, lr=0.1), plain, range(20))
    take_steps(AdamW(decayed, lr=0.1, weight_decay=0), decayed, range(20))
    assert_same(plain, decayed)


@both_rules
@pytest.mark.parametrize("maximize", [False, True])
def test_step_leaves_the_gradient_of_the_parameter_alone(
    rule: type[Adam], maximize: bool
) -> None:
    parameters = new_parameters()
    set_gradients(parameters, 0)
    before = [copy.deepcopy(parameter.grad) for parameter in parameters]
    rule(parameters, weight_decay=0.5, maximize=maximize).step()
    for parameter, gradient in zip(parameters, before, strict=True):
        assert parameter.grad is not None
        assert gradient is not None
        assert torch.equal(parameter.grad, gradient)


# Which parameters move


@both_rules
def test_parameter_without_a_gradient_is_skipped(rule: type[Adam]) -> None:
    parameters = new_parameters()
    optimizer = rule(parameters, lr=0.1, weight_decay=0.5)
    set_gradients(parameters, 0)
    parameters[1].grad = None
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer.step()
    assert not torch.equal(parameters[0], before[0])
    assert torch.equal(parameters[1], before[1])
    assert parameters[1] not in optimizer.state


@both_rules
def test_step_without_any_gradient_changes_nothing(rule: type[Adam]) -> None:
    optimizer = rule(new_parameters(), lr=0.1, weight_decay=0.5)
    before = snapshot(optimizer)
    optimizer.step()
    assert snapshot(optimizer) == before


@both_rules
def test_parameter_that_gets_its_first_gradient_later_starts_its_own_count(
    rule: type[Adam],
) -> None:
    early, late, alone = (
        nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(3)
    )
    both, single = rule([early, late], lr=0.1), rule([alone], lr=0.1)
    early.grad = torch.ones(3, dtype=torch.float64)
    both.step()
    both.step()
    late.grad = alone.grad = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    both.step()
    single.step()
    assert torch.equal(late, alone)
    assert both.state[early]["step"] == 3
    assert both.state[late]["step"] == 1


@both_rules
def test_parameter_that_is_not_contiguous_moves_as_a_contiguous_one(
    rule: type[Adam],
) -> None:
    start = torch.randn(
        4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    plain = nn.Parameter(start.clone())
    turned = nn.Parameter(start.T.contiguous().T)
    sliced = nn.Parameter(torch.stack([start, start], dim=2)[..., 0])
    assert plain.is_contiguous()
    assert not turned.is_contiguous()
    assert not sliced.is_contiguous()
    optimizer = rule([plain, turned, sliced], lr=0.1, weight_decay=0.1)
    for step in range(5):
        gradient = torch.randn(
            4, 6, generator=torch.Generator().manual_seed(step)
        ).double()
        for parameter in (plain, turned, sliced):
            parameter.grad = gradient.clone()
        optimizer.step()
    assert torch.equal(turned, plain)
    assert torch.equal(sliced, plain)
    assert not torch.equal(plain, start)


@both_rules
def test_parameters_without_elements_and_without_dimensions_are_stepped(
    rule: type[Adam],
) -> None:
    empty = nn.Parameter(torch.zeros(0, 3))
    number = nn.Parameter(torch.tensor(1.0))
    empty.grad, number.grad = torch.zeros(0, 3), torch.tensor(2.0)
    optimizer = rule([empty, number], lr=0.25, weight_decay=0)
    optimizer.step()
    assert empty.shape == (0, 3)
    assert number.shape == ()
    assert number.item() == 0.75
    assert optimizer.state[empty]["step"] == 1


@both_rules
def test_step_is_noticed_by_autograd(rule: type[Adam]) -> None:
    theta = nn.Parameter(torch.ones(3))
    theta.grad = torch.ones(3)
    loss = (theta**3).sum()
    before = theta._version
    rule([theta]).step()
    assert theta._version > before
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(loss)


@both_rules
def test_step_moves_the_tensor_in_place(rule: type[Adam]) -> None:
    theta = nn.Parameter(torch.ones(3))
    theta.grad = torch.ones(3)
    view = theta.detach()
    rule([theta], lr=0.5, weight_decay=0).step()
    assert view.tolist() == [0.5] * 3
    assert theta.requires_grad


# Closures and hooks


@both_rules
def test_closure_is_called_once_with_gradients_on_and_its_loss_returned(
    rule: type[Adam],
) -> None:
    theta = nn.Parameter(torch.tensor([2.0]))
    optimizer = rule([theta], lr=0.5, weight_decay=0)
    calls: list[bool] = []

    def closure() -> float:
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = (theta**2).sum()
        torch.autograd.backward(loss)
        return loss.item()

    assert optimizer.step(closure) == 4.0
    assert calls == [True]
    assert theta.item() == pytest.approx(1.5)


@both_rules
def test_step_without_a_closure_returns_nothing(rule: type[Adam]) -> None:
    parameters = new_parameters()
    set_gradients(parameters, 0)
    returned: Any = rule(parameters).step
    assert returned() is None


def test_hooks_before_and_after_the_step_are_called() -> None:
    parameters = new_parameters()
    set_gradients(parameters, 0)
    optimizer = Adam(parameters)
    seen: list[Any] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append(len(optimizer.state)))
    optimizer.register_step_post_hook(lambda *_: seen.append(len(optimizer.state)))
    optimizer.step()
    assert seen == [0, len(SHAPES)]


# Schedulers


@beside_torch
@pytest.mark.parametrize(
    "schedule",
    [
        lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.3),
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=40),
        lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.1, total_steps=60, cycle_momentum=False
        ),
        lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.1, total_steps=60
        ),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + t)),
    ],
    ids=[
        "StepLR",
        "CosineAnnealingLR",
        "OneCycleLR",
        "OneCycleLR with momentum",
        "LambdaLR",
    ],
)
def test_scheduler_acts_as_on_the_optimizer_of_torch(
    pair: Pair, schedule: Callable[[Optimizer], Any]
) -> None:
    parameters = [new_parameters(), new_parameters()]
    rates = []
    for rule, params in zip(pair, parameters, strict=True):
        make: Any = rule
        optimizer = make(params, lr=0.05)
        take_steps(optimizer, params, range(50), schedule(optimizer))
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] == rates[1] != 0.05
    assert_close(*parameters)


# Saving, loading, copying


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    return loaded


@both_rules
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_run_resumed_from_a_checkpoint_is_the_same_to_the_last_bit(
    rule: type[Adam], dtype: torch.dtype
) -> None:
    parameters = new_parameters(dtype)
    optimizer = rule(parameters, lr=0.03, betas=(0.7, 0.9), weight_decay=0.1)
    take_steps(optimizer, parameters, range(20))
    saved = through_a_file(optimizer.state_dict())
    resumed = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    fresh = rule(resumed, lr=99)
    fresh.load_state_dict(saved)
    assert fresh.param_groups[0]["lr"] == 0.03
    take_steps(optimizer, parameters, range(20, 40))
    take_steps(fresh, resumed, range(20, 40))
    assert_same(parameters, resumed)
    assert [entry["step"].item() for entry in fresh.state.values()] == [40] * len(
        SHAPES
    )


@beside_torch
@pytest.mark.parametrize("direction", ["to torch", "from torch"])
def test_checkpoint_can_be_exchanged_with_torch_in_mid_training(
    pair: Pair, direction: str
) -> None:
    before: Any
    after: Any
    before, after = pair if direction == "to torch" else pair[::-1]
    parameters = new_parameters()
    optimizer = before(
        parameters, lr=0.03, betas=(0.7, 0.9), weight_decay=0.1, maximize=True
    )
    take_steps(optimizer, parameters, range(20))
    continued = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    fresh = after(continued)
    fresh.load_state_dict(through_a_file(optimizer.state_dict()))
    take_steps(optimizer, parameters, range(20, 40))
    take_steps(fresh, continued, range(20, 40))
    assert_close(continued, parameters, rtol=1e-12)


@beside_torch
@pytest.mark.parametrize("amsgrad", [False, True])
def test_state_has_the_names_shapes_and_types_of_that_of_torch(
    pair: Pair, amsgrad: bool
) -> None:
    states = []
    for rule in pair:
        parameters = new_parameters()
        make: Any = rule
        optimizer = make(parameters, amsgrad=amsgrad)
        take_steps(optimizer, parameters, range(1))
        states.append(
            [
                {key: (value.shape, value.dtype) for key, value in entry.items()}
                for entry in optimizer.state_dict()["state"].values()
            ]
        )
    # But for the counter: torch's float32 ends at 2**24.
    assert {entry["step"] for entry in states[0]} == {((), torch.float64)}
    assert [{**entry, "step": ((), torch.float32)} for entry in states[0]] == states[1]


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    return [
        parameter for group in optimizer.param_groups for parameter in group["params"]
    ]


@both_rules
@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda optimizer: pickle.loads(pickle.dumps(optimizer)),
    ],
    ids=["deepcopy", "pickle"],
)
def test_copy_continues_on_the_same_path_and_apart_from_the_original(
    rule: type[Adam], copied: Callable[[Adam], Adam]
) -> None:
    parameters = new_parameters()
    optimizer = rule(parameters, lr=0.03, weight_decay=0.1)
    take_steps(optimizer, parameters, range(10))
    twin = copied(optimizer)
    assert type(twin) is rule
    assert twin.defaults.items() >= optimizer.defaults.items()
    middle = snapshot(optimizer)
    take_steps(twin, parameters_of(twin), range(10, 20))
    assert snapshot(optimizer) == middle
    take_steps(optimizer, parameters, range(10, 20))
    assert_same(parameters, parameters_of(twin))


# Giving parameters


@both_rules
def test_group_added_later_starts_fresh_and_takes_the_defaults(
    rule: type[Adam],
) -> None:
    parameters = new_parameters()
    optimizer = rule(parameters[:2], lr=0.2, weight_decay=0.1)
    take_steps(optimizer, parameters, range(3))
    optimizer.add_param_group({"params": parameters[2:], "eps": 0.5})
    added = optimizer.param_groups[1]
    assert (added["lr"], added["weight_decay"], added["eps"]) == (0.2, 0.1, 0.5)
    take_steps(optimizer, parameters, range(3, 5))
    steps = [optimizer.state[parameter]["step"].item() for parameter in parameters]
    assert steps == [5, 5, 2, 2]


@both_rules
def test_generator_of_parameters_is_not_used_up_by_the_checks(rule: type[Adam]) -> None:
    first, second, third = nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 5)
    optimizer = rule(first.parameters())
    optimizer.add_param_group({"params": second.parameters()})
    optimizer.add_param_group(
        {"params": filter(lambda p: p.ndim == 2, third.parameters())}
    )
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    assert sizes == [2, 2, 1]
    assert optimizer.param_groups[1]["params"][0] is second.weight


def test_generators_of_parameters_may_be_given_in_groups() -> None:
    model = nn.Linear(2, 3)
    optimizer = Adam([{"params": model.parameters(), "lr": 0.5}])
    assert [
        p is q
        for p, q in zip(parameters_of(optimizer), model.parameters(), strict=True)
    ]
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_group_given_is_not_changed() -> None:
    parameters = new_parameters()
    group: dict[str, Any] = {"params": parameters, "lr": 0.5}
    Adam([group])
    assert group == {"params": parameters, "lr": 0.5}


@both_rules
def test_named_parameters_keep_their_names(rule: type[Adam]) -> None:
    model = nn.Linear(2, 3)
    optimizer = rule(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == [
        "weight",
        "bias",
    ]
    torch.autograd.backward(model(torch.ones(1, 2)).sum())
    before = model.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(model.weight, before)


def test_printed_optimizer_shows_its_hyper_parameters() -> None:
    shown = repr(AdamW(new_parameters(), lr=0.25))
    assert shown.startswith("AdamW (")
    assert "lr: 0.25" in shown
    assert "weight_decay: 0.01" in shown


# What is refused

NOT_NEGATIVE = "must be finite and not negative"
INVALID: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"lr": -0.1}, ValueError, f"Invalid learning rate: -0.1; lr {NOT_NEGATIVE}"),
    ({"lr": math.nan}, ValueError, f"Invalid learning rate: nan; lr {NOT_NEGATIVE}"),
    ({"lr": math.inf}, ValueError, f"Invalid learning rate: inf; lr {NOT_NEGATIVE}"),
    ({"lr": "0.1"}, TypeError, "lr must be a number, got '0.1'"),
    ({"eps": -1e-8}, ValueError, f"Invalid epsilon value: -1e-08; eps {NOT_NEGATIVE}"),
    (
        {"weight_decay": -1},
        ValueError,
        f"Invalid weight_decay value: -1; weight_decay {NOT_NEGATIVE}",
    ),
    (
        {"betas": (1.0, 0.9)},
        ValueError,
        "Invalid beta parameter at index 0: 1.0; betas[0] must be in [0, 1)",
    ),
    (
        {"betas": (0.9, -0.1)},
        ValueError,
        "Invalid beta parameter at index 1: -0.1; betas[1] must be in [0, 1)",
    ),
    ({"betas": 0.9}, TypeError, "betas must be a pair of numbers, got 0.9"),
    ({"amsgrad": 1}, TypeError, "amsgrad must be True or False, got 1"),
    ({"fused": "yes"}, TypeError, "fused must be True, False or None, got 'yes'"),
    (
        {"nonfinite": "stop"},
        ValueError,
        "nonfinite must be one of ('pass', 'skip', 'raise'), got 'stop'",
    ),
    (
        {"fused": True, "foreach": True},
        ValueError,
        "`fused` and `foreach` cannot be `True` together",
    ),
]
invalid_hyper_parameters = pytest.mark.parametrize(
    ("invalid", "error", "message"), INVALID, ids=[str(row[0]) for row in INVALID]
)


@both_rules
@invalid_hyper_parameters
def test_invalid_hyper_parameter_is_refused_by_the_constructor(
    rule: type[Adam], invalid: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        rule(new_parameters(), **invalid)


def used_optimizer(rule: type[Adam]) -> tuple[Adam, list[nn.Parameter]]:
    parameters = new_parameters()
    optimizer = rule(parameters, lr=0.1)
    take_steps(optimizer, parameters, range(2))
    return optimizer, parameters


@both_rules
@invalid_hyper_parameters
def test_group_with_an_invalid_hyper_parameter_is_refused_before_anything_changes(
    rule: type[Adam], invalid: dict[str, Any], error: type[Exception], message: str
) -> None:
    optimizer, _ = used_optimizer(rule)
    before = snapshot(optimizer)
    with pytest.raises(error, match=re.escape(message)):
        optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(2))], **invalid})
    assert snapshot(optimizer) == before


WRONG_PARAMETERS: dict[str, tuple[Any, type[Exception], str]] = {
    "eight bits": (
        [torch.zeros(2).to(torch.float8_e5m2)],
        TypeError,
        "must be float64, float32, bf",
    ),
    "integers": (
        [torch.zeros(2, dtype=torch.int64)],
        TypeError,
        "must be float64, float32, bfloat16",
    ),
    "expanded": (
        [torch.zeros(1).expand(3)],
        ValueError,
        "give the tensor before expand",
    ),
    "twice": (
        [torch.zeros(())] * 2,
        ValueError,
        "a parameter group with duplicate parameters",
    ),
    "not a tensor": (["theta"], TypeError, "optimizer can only optimize Tensors"),
    "a set": ({torch.zeros(2)}, TypeError, "ordered"),
    "not a leaf": ([torch.ones(2, requires_grad=True) * 2], ValueError, "non-leaf"),
    "names for some": (
        [("a", torch.zeros(2)), torch.zeros(2)],
        ValueError,
        "without names",
    ),
}


@both_rules
@pytest.mark.parametrize("case", WRONG_PARAMETERS)
def test_group_of_wrong_parameters_is_refused_before_anything_changes(
    rule: type[Adam], case: str
) -> None:
    params, error, message = WRONG_PARAMETERS[case]
    optimizer, _ = used_optimizer(rule)
    before = snapshot(optimizer)
    with pytest.raises(error, match=message):
        optimizer.add_param_group({"params": params})
    assert snapshot(optimizer) == before


def test_group_without_parameters_is_refused_before_anything_changes() -> None:
    optimizer, _ = used_optimizer(Adam)
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match="needs the key 'params'"):
        optimizer.add_param_group({"lr": 0.1})
    assert snapshot(optimizer) == before


def test_misspelt_hyper_parameter_in_a_group_is_refused_before_anything_changes() -> (
    None
):
    optimizer, _ = used_optimizer(Adam)
    before = snapshot(optimizer)
    with pytest.raises(
        TypeError, match="'weight_decya' in a group; meant 'weight_decay'"
    ):
        optimizer.add_param_group({"params": [torch.zeros(2)], "weight_decya": 0.1})
    assert snapshot(optimizer) == before


def test_parameter_that_is_already_in_a_group_is_refused_before_anything_changes() -> (
    None
):
    optimizer, parameters = used_optimizer(Adam)
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": parameters[:1]})
    assert snapshot(optimizer) == before


def test_no_parameters_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="empty parameter list"):
        Adam([])


@both_rules
def test_sparse_gradient_is_refused_before_any_parameter_moves(
    rule: type[Adam],
) -> None:
    dense = nn.Parameter(torch.ones(3))
    embedding = nn.Embedding(4, 2, sparse=True)
    optimizer = rule([dense, embedding.weight], lr=0.1)
    dense.grad = torch.ones(3)
    torch.autograd.backward(embedding(torch.tensor([1])).sum())
    before = snapshot(optimizer)
    with pytest.raises(TypeError) as caught:
        optimizer.step()
    assert snapshot(optimizer) == before
    message = str(caught.value)
    assert (
        f"{rule.__name__} needs dense gradients, got one of layout torch.sparse_coo"
        in message
    )
    assert "for parameter 1 of group 0, of shape (4, 2)" in message
    assert "torch.optim.SparseAdam" in message


def test_misspelt_argument_of_the_constructor_is_refused() -> None:
    make: Any = Adam
    with pytest.raises(TypeError, match="beta"):
        make(new_parameters(), beta=(0.9, 0.999))


def test_tensor_that_is_no_parameter_can_be_trained() -> None:
    theta = torch.ones(2, requires_grad=True)
    optimizer = Adam([theta], lr=0.5)
    torch.autograd.backward(theta.sum())
    optimizer.step()
    assert theta.tolist() == [0.5, 0.5]


def trained(
    rule: Callable[..., torch.optim.Optimizer], **settings: Any
) -> torch.optim.Optimizer:
    theta = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = rule([theta], **settings)
    theta.grad = torch.ones_like(theta)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("theirs", "settings", "ours", "message"),
    [
        (torch.optim.SGD, {"momentum": 0.9}, Adam, "it was not made by Adam"),
        (
            AdamW,
            {"weight_decay": 0.1},
            Adam,
            (
                "decoupled_weight_decay=True, AdamW's decay of the weights, "
                "but the optimizer computes Adam's L2 penalty"
            ),
        ),
        (
            Adam,
            {"weight_decay": 0.1},
            AdamW,
            (
                "decoupled_weight_decay=False, Adam's L2 penalty, "
                "but the optimizer computes AdamW's decay of the weights"
            ),
        ),
    ],
)
def test_checkpoint_of_another_rule_is_refused_before_anything_changes(
    theirs: Callable[..., torch.optim.Optimizer],
    settings: dict[str, Any],
    ours: type[Adam],
    message: str,
) -> None:
    checkpoint = trained(theirs, **settings).state_dict()
    optimizer = trained(ours)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises((ValueError, TypeError), match=message):
        optimizer.load_state_dict(checkpoint)
    assert str(optimizer.state_dict()) == str(before)


def test_two_optimizers_that_loaded_one_checkpoint_do_not_share_their_averages() -> (
    None
):
    checkpoint = trained(Adam).state_dict()
    kept = copy.deepcopy(checkpoint)
    optimizer = trained(Adam)
    optimizer.load_state_dict(checkpoint)
    optimizer.step()
    assert str(checkpoint) == str(kept)
