from __future__ import annotations

import inspect
import io
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adam_tutorial import optim, reference
from adam_tutorial.optim import Adam

RULES: list[Any] = [getattr(optim, name) for name in optim.__all__]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)

HALF = (torch.float16, torch.bfloat16)
DTYPES = (*HALF, torch.float32, torch.float64, torch.complex64, torch.complex128)
each_half = pytest.mark.parametrize("dtype", HALF, ids=str)


def numbers(
    seed: int, dtype: torch.dtype = torch.float64, shape: tuple[int, ...] = (5, 3)
) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=dtype
    )


def settings_of(rule: Any, **wanted: Any) -> dict[str, Any]:
    """Those of the wanted settings that the rule has."""
    return {k: v for k, v in wanted.items() if k in inspect.signature(rule).parameters}


# Half precision


@each_rule
@each_half
def test_zero_gradient_leaves_a_half_precision_weight_where_it_is(
    rule: Any, dtype: torch.dtype
) -> None:
    weight = nn.Parameter(numbers(0, dtype))
    before = weight.detach().clone()
    optimizer = rule([weight], **settings_of(rule, weight_decay=0))
    for _ in range(3):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert torch.equal(weight, before)


def test_zero_gradient_ruins_a_float16_weight_in_torch() -> None:
    """The reason for the test above: 1e-8 is zero in float16, and 0 / 0 is not a number."""
    weight = nn.Parameter(torch.ones(3, dtype=torch.float16))
    weight.grad = torch.zeros_like(weight)
    torch.optim.Adam([weight]).step()
    assert weight.isnan().all()


@each_half
def test_smallest_float16_gradient_moves_the_weight_as_far_as_a_large_one(
    dtype: torch.dtype,
) -> None:
    small = 2.0**-24  # 6e-8; its square is far below what float16 can hold
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=dtype))
    weight.grad = torch.tensor([small, -small], dtype=dtype)
    assert weight.grad.count_nonzero() == 2
    optimizer = Adam([weight], lr=0.25, eps=1e-15)
    optimizer.step()
    assert weight.tolist() == [0.75, -1.75]
    v = optimizer.state[weight]["exp_avg_sq"]
    torch.testing.assert_close(v, torch.full((2,), small**2 * 1e-3), rtol=1e-6, atol=0)


@each_half
def test_second_moment_of_a_half_precision_weight_decays_and_grows(
    dtype: torch.dtype,
) -> None:
    weight = nn.Parameter(torch.ones(1, dtype=dtype))
    optimizer = Adam([weight], lr=0.0)

    def steps(count: int, gradient: float) -> float:
        for _ in range(count):
            weight.grad = torch.full((1,), gradient, dtype=dtype)
            optimizer.step()
        return float(optimizer.state[weight]["exp_avg_sq"])

    assert steps(500, 1.0) == pytest.approx(1 - 0.999**500, rel=1e-4)
    assert steps(500, 0.0) == pytest.approx((1 - 0.999**500) * 0.999**500, rel=1e-4)
    # Beside a large second moment, one small step of growth is not rounded away either.
    assert steps(1, 1.0) == pytest.approx(
        (1 - 0.999**500) * 0.999**501 + 1e-3, rel=1e-4
    )


def test_second_moment_of_a_bfloat16_weight_cannot_decay_in_torch() -> None:
    weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    optimizer = torch.optim.Adam([weight], lr=0.0)
    history = []
    for gradient in (30.0, *[0.0] * 100):
        weight.grad = torch.full((1,), gradient, dtype=torch.bfloat16)
        optimizer.step()
        history.append(optimizer.state[weight]["exp_avg_sq"].item())
    assert history[0] == history[100] > 0


@each_rule
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_moments_are_as_precise_as_the_parameter_and_float32_at_least(
    rule: Any, dtype: torch.dtype
) -> None:
    weight = nn.Parameter(numbers(0, dtype))
    weight.grad = numbers(1, dtype)
    optimizer = rule([weight], **settings_of(rule, amsgrad=True))
    optimizer.step()
    expected = torch.float32 if dtype in HALF else dtype
    state = dict(optimizer.state[weight])
    assert state.pop("step").dtype == torch.float64
    assert (
        state.pop("mu_product", torch.ones((), dtype=torch.float64)).dtype
        == torch.float64
    )
    assert len(state) >= 1
    assert {value.dtype for value in state.values()} == {expected}
    assert weight.dtype == weight.grad.dtype == dtype


@each_rule
@each_half
@pytest.mark.parametrize("maximize", [False, True])
def test_step_of_a_half_precision_weight_is_that_of_float32_rounded(
    rule: Any, dtype: torch.dtype, maximize: bool
) -> None:
    options = settings_of(rule, lr=0.01, weight_decay=0.1, maximize=maximize)
    half, single = nn.Parameter(numbers(0, dtype)), nn.Parameter(torch.zeros(5, 3))
    first, second = rule([half], **options), rule([single], **options)
    for seed in range(1, 30):
        half.grad = numbers(seed, dtype)
        single.data = half.data.float()
        single.grad = half.grad.float()
        first.step()
        second.step()
        assert torch.equal(half, single.to(dtype))
    for name in first.moments:
        assert torch.equal(first.state[half][name], second.state[single][name])


# Complex numbers


@each_rule
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize(
    "flags", [{}, {"amsgrad": True}, {"maximize": True}, {"capturable": True}]
)
def test_complex_parameter_is_its_real_and_its_imaginary_part(
    rule: Any, dtype: torch.dtype, flags: dict[str, bool]
) -> None:
    options = settings_of(rule, lr=0.05, weight_decay=0.1, **flags)
    one = nn.Parameter(numbers(0, dtype))
    two = nn.Parameter(torch.view_as_real(one.detach().clone()))
    first, second = rule([one], **options), rule([two], **options)
    for seed in range(1, 20):
        one.grad = numbers(seed, dtype)
        two.grad = torch.view_as_real(one.grad.clone())
        first.step()
        second.step()
    assert torch.equal(torch.view_as_real(one.detach()), two)
    for name in first.moments:
        moment = first.state[one][name]
        assert moment.dtype == dtype
        assert torch.equal(torch.view_as_real(moment), second.state[two][name])


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_complex_parameter_moves_as_in_torch(name: str, amsgrad: bool) -> None:
    weights = [nn.Parameter(numbers(0, torch.complex128)) for _ in range(2)]
    for module, weight in zip((optim, torch.optim), weights, strict=True):
        optimizer = getattr(module, name)(
            [weight], lr=0.05, weight_decay=0.1, amsgrad=amsgrad
        )
        for seed in range(1, 200):
            weight.grad = numbers(seed, torch.complex128)
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-10, atol=1e-13)


def test_conjugated_gradient_counts_as_the_number_it_stands_for() -> None:
    lazy, plain = (nn.Parameter(numbers(0, torch.complex64)) for _ in range(2))
    lazy.grad = numbers(1, torch.complex64).conj()
    assert lazy.grad.is_conj()
    plain.grad = lazy.grad.resolve_conj()
    Adam([lazy]).step()
    Adam([plain]).step()
    assert torch.equal(lazy, plain)


# Together


@each_rule
def test_parameters_of_all_dtypes_in_one_group_move_as_each_alone(rule: Any) -> None:
    together = [nn.Parameter(numbers(0, dtype)) for dtype in DTYPES]
    alone = [nn.Parameter(numbers(0, dtype)) for dtype in DTYPES]
    options = settings_of(rule, lr=0.01, weight_decay=0.1)
    optimizers = [
        rule(together, **options),
        *(rule([weight], **options) for weight in alone),
    ]
    for seed in range(1, 6):
        for weight in (*together, *alone):
            weight.grad = numbers(seed, weight.dtype)
        for optimizer in optimizers:
            optimizer.step()
    for one, other, dtype in zip(together, alone, DTYPES, strict=True):
        assert one.dtype == dtype
        assert torch.equal(one, other)
        assert not torch.equal(one, numbers(0, dtype))


def test_default_dtype_of_torch_has_no_influence(
    float64: None,
) -> None:
    weight = nn.Parameter(torch.ones(3, dtype=torch.float32))
    weight.grad = torch.ones(3, dtype=torch.float32)
    optimizer = Adam([weight], lr=0.5)
    optimizer.step()
    assert optimizer.state[weight]["exp_avg"].dtype == weight.dtype == torch.float32
    assert weight.tolist() == [0.5] * 3


# Hyper-parameters of every kind


KINDS: dict[str, dict[str, Any]] = {
    "int": {"lr": 1, "betas": (0, 0), "eps": 1, "weight_decay": 0},
    "numpy": {
        "lr": np.float64(0.125),
        "betas": (np.float64(0.5), np.float32(0.75)),
        "eps": np.float32(0.5),
        "weight_decay": np.int64(1),
    },
    "Fraction": {
        "lr": Fraction(1, 8),
        "betas": [Fraction(1, 2), Fraction(3, 4)],
        "eps": Fraction(1, 1024),
        "weight_decay": Fraction(1, 10),
    },
    "0-dim tensor": {
        "lr": torch.tensor(0.125, dtype=torch.float64),
        "betas": (torch.tensor(0.5), torch.tensor(0.75)),
    },
    "1-element tensor": {
        "lr": torch.tensor([0.125]),
        "betas": (torch.tensor([[0.5]]), torch.tensor([0.75])),
    },
}


def as_floats(settings: dict[str, Any]) -> dict[str, Any]:
    floats: dict[str, Any] = {k: float(v) for k, v in settings.items() if k != "betas"}
    return {**floats, "betas": tuple(float(beta) for beta in settings["betas"])}


@each_rule
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str
)
@pytest.mark.parametrize("place", ["constructor", "group"])
def test_hyper_parameter_of_any_kind_acts_as_its_float_and_survives_a_safe_checkpoint(
    rule: Any, kind: str, dtype: torch.dtype, place: str
) -> None:
    given = settings_of(rule, **KINDS[kind])
    one, other = nn.Parameter(numbers(0, dtype)), nn.Parameter(numbers(0, dtype))
    first = (
        rule([one], **given)
        if place == "constructor"
        else rule([{"params": [one], **given}])
    )
    second = rule([other], **as_floats(given))
    for seed in range(1, 8):
        one.grad = other.grad = numbers(seed, dtype)
        first.step()
        second.step()
    assert torch.equal(one, other)
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    resumed = nn.Parameter(one.detach().clone())
    third = rule([resumed])
    third.load_state_dict(torch.load(buffer, weights_only=True))
    for seed in range(8, 12):
        one.grad = resumed.grad = numbers(seed, dtype)
        first.step()
        third.step()
    assert torch.equal(one, resumed)


@each_rule
def test_learning_rate_in_a_tensor_stays_that_tensor_and_is_read_at_each_step(
    rule: Any,
) -> None:
    rate = torch.tensor(0.5, dtype=torch.float64)
    weight, other = nn.Parameter(numbers(0)), nn.Parameter(numbers(0))
    first, second = rule([weight], lr=rate), rule([other], lr=0.5)
    assert first.param_groups[0]["lr"] is rate
    for seed in range(1, 6):
        rate.fill_(seed / 10)
        second.param_groups[0]["lr"] = seed / 10
        weight.grad = other.grad = numbers(seed)
        first.step()
        second.step()
    assert torch.equal(weight, other)
    assert rate.item() == 0.5  # and is not written to


CHANGES: list[dict[str, Any]] = [
    {"lr": 0.2},
    {"betas": (0.5, 0.7)},
    {"eps": 0.1},
    {"weight_decay": 0.3},
    {"maximize": True},
    {"weight_decay": 0.0, "maximize": False, "lr": 0.01},
]


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_every_hyper_parameter_is_read_anew_at_each_step(name: str) -> None:
    weights = [nn.Parameter(numbers(0)) for _ in range(2)]
    ours, theirs = (
        getattr(module, name)([weight], lr=0.1)
        for module, weight in zip((optim, torch.optim), weights, strict=True)
    )
    for seed, change in enumerate(change for change in CHANGES for _ in range(5)):
        for optimizer, weight in zip((ours, theirs), weights, strict=True):
            optimizer.param_groups[0].update(change)
            weight.grad = numbers(seed)
            optimizer.step()
        torch.testing.assert_close(*weights, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("capturable", [False, True])
def test_amsgrad_switched_on_in_mid_run_begins_with_the_second_moment_of_that_step(
    capturable: bool,
) -> None:
    generator = np.random.default_rng(0)
    theta = generator.standard_normal(4)
    weight = nn.Parameter(torch.tensor(theta))
    optimizer = Adam([weight], lr=0.1, betas=(0.9, 0.95), capturable=capturable)
    options: dict[str, Any] = {"lr": 0.1, "beta1": 0.9, "beta2": 0.95}
    adam_state: Any = None
    state: Any = None
    for t in range(40):
        g = generator.standard_normal(4) * (10.0 if t == 12 else 1.0)
        if t == 10:
            optimizer.param_groups[0]["amsgrad"] = True
            count, m, v = adam_state
            state = reference.AMSGradState(count, m, v, np.zeros(4))
        if t < 10:
            adam_state, update = reference.adam(adam_state, g, **options)
        else:
            state, update = reference.amsgrad(state, g, **options)
        theta = theta + update
        weight.grad = torch.tensor(g)
        optimizer.step()
        np.testing.assert_allclose(
            weight.detach().numpy(), theta, rtol=1e-11, atol=1e-13
        )
    assert (state.v_max > state.v).all()
    np.testing.assert_allclose(
        optimizer.state[weight]["max_exp_avg_sq"], state.v_max, rtol=1e-11
    )


@each_rule
@pytest.mark.parametrize("capturable", [False, True])
def test_count_goes_on_beyond_what_float32_can_count(
    rule: Any, capturable: bool
) -> None:
    weight = nn.Parameter(numbers(0))
    weight.grad = numbers(1)
    optimizer = rule([weight], capturable=capturable)
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0]["step"] = torch.tensor(2.0**24)  # torch's counter ends here
    optimizer.load_state_dict(state)
    for _ in range(3):
        optimizer.step()
    assert optimizer.state[weight]["step"].item() == 2**24 + 3
    assert weight.isfinite().all()


@each_rule
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("tensors", [False, True], ids=["floats", "tensors"])
def test_capturable_step_equals_the_plain_one(
    rule: Any, dtype: torch.dtype, tensors: bool
) -> None:
    options = settings_of(
        rule, lr=0.05, betas=(0.8, 0.95), weight_decay=0.1, amsgrad=True
    )
    recorded = dict(options)
    if tensors:
        recorded["lr"] = torch.tensor(0.05, dtype=torch.float64)
        recorded["betas"] = tuple(
            torch.tensor(b, dtype=torch.float64) for b in (0.8, 0.95)
        )
    one, other = nn.Parameter(numbers(0, dtype)), nn.Parameter(numbers(0, dtype))
    first, second = rule([one], **options), rule([other], capturable=True, **recorded)
    for seed in range(1, 60):
        one.grad = other.grad = numbers(seed, dtype)
        first.step()
        second.step()
    digits = torch.finfo(dtype).eps
    torch.testing.assert_close(one, other, rtol=30 * digits, atol=30 * digits)


def test_capturable_step_never_reads_a_tensor_back() -> None:
    weight = nn.Parameter(torch.ones(3, device="meta"))
    weight.grad = torch.ones(3, device="meta")
    for rule in RULES:
        # A tensor on the device "meta" has no value: reading it would raise.
        optimizer = rule([weight], capturable=True)
        optimizer.step()
        assert optimizer.state[weight]["step"].device.type == "meta"
