"""Optimizers whose state is stored in 16 or 8 bits."""

from __future__ import annotations

import copy
import functools
import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial import optim
from adam_tutorial.optim import Adafactor, Adam
from adam_tutorial.optim.backends import fused
from adam_tutorial.optim.low_precision import BLOCK, decoded
from adam_tutorial.optim.state import Slot
from tests.optim.steps import (
    copies,
    frozen,
    new_parameters,
    numbers,
    parameters_of,
    snapshot,
    take_steps,
    through_a_file,
    trained,
)
from tests.optim.test_copies import pickled
from tests.optim.test_memory import SIZE, watched_step
from tests.optimizers import ADAM, AMSGRAD, BACKENDS, Case, each_optimizer

DTYPES = (torch.float32, torch.bfloat16, torch.uint8)
SMALL = (torch.bfloat16, torch.uint8)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
each_small = pytest.mark.parametrize("dtype", SMALL, ids=str)

# All that store a number for each element.
RULES: dict[str, Any] = {
    name: getattr(optim, name) for name in optim.__all__ if name != "Adafactor"
}
RULES["AMSGrad"] = functools.partial(Adam, amsgrad=True)
each_rule = pytest.mark.parametrize("rule", RULES)

SHAPES = ((3, 100), (5,), (), (0,), (BLOCK,), (2, 3, 7, 11))
CHANNELS_LAST: Any = torch.channels_last
KINDS = (torch.float32, torch.bfloat16, torch.float16, torch.complex64)


def moments_of(optimizer: Any, parameter: Tensor) -> dict[str, Tensor]:
    """Return a parameter's moments as numbers."""
    slots: tuple[Slot, ...] = optimizer.state_slots
    state = optimizer.state[parameter]
    return {
        slot.name: decoded(state, slot.name, torch.float32, signed=slot.signed)
        for slot in slots
        if not slot.number and any(name.startswith(slot.name) for name in state)
    }


def parameters_of_many_kinds() -> list[nn.Parameter]:
    parameters = [
        nn.Parameter(numbers(seed, shape, dtype))
        for seed, shape in enumerate(SHAPES)
        for dtype in KINDS
    ]
    room = numbers(9, (40, 60), torch.float32)
    return [
        *parameters,
        nn.Parameter(room.clone().T),
        nn.Parameter(room.clone()[::2, 1::3]),
        nn.Parameter(numbers(8, (8, 3, 5, 5)).float().to(memory_format=CHANNELS_LAST)),
        nn.Parameter(numbers(7, (40,), torch.float64)),
    ]


def in_groups(parameters: list[nn.Parameter], settings: Any) -> list[dict[str, Any]]:
    return [
        {"params": parameters[::2], **settings},
        {"params": parameters[1::2], "lr": 0.03, "maximize": True},
    ]


def followed(make: Any, **flags: Any) -> tuple[list[nn.Parameter], Any]:
    """Take steps with gradients of many sizes; some parameters have none at times."""
    parameters = parameters_of_many_kinds()
    optimizer = make(in_groups(parameters, {"weight_decay": 0.1}), lr=0.01, **flags)
    for step in range(7):
        for place, parameter in enumerate(parameters):
            size = 10.0 ** ((place + step) % 9 - 4)
            noise = numbers(100 * step + place, parameter.shape, torch.float64) * size
            parameter.grad = (
                None if (place + step) % 5 == 0 else noise.to(parameter.dtype)
            )
        optimizer.step()
    return parameters, optimizer


# Backends


@each_rule
@each_small
def test_foreach_stores_the_same_bits_as_the_plain_step(
    rule: str, dtype: torch.dtype
) -> None:
    one, first = followed(RULES[rule], state_dtype=dtype, foreach=False)
    other, second = followed(RULES[rule], state_dtype=dtype, foreach=True)
    assert frozen(other) == frozen(one)
    assert frozen(second.state_dict()["state"]) == frozen(first.state_dict()["state"])


@pytest.mark.parametrize("rule", ["Adam", "AdamW", "AMSGrad"])
@each_small
def test_kernel_stores_the_same_bits_as_the_plain_step(
    rule: str, dtype: torch.dtype
) -> None:
    pytest.importorskip("numba")
    one, first = followed(RULES[rule], state_dtype=dtype, foreach=False)
    other, second = followed(RULES[rule], state_dtype=dtype, fused=True)
    assert frozen(second.state_dict()["state"]) == frozen(first.state_dict()["state"])
    for theirs, ours in zip(one, other, strict=True):
        # The root is rounded otherwise on some CPUs.
        eps = torch.finfo(ours.dtype).eps
        torch.testing.assert_close(ours, theirs, rtol=4 * eps, atol=4 * eps)


def test_what_the_kernel_takes_and_what_goes_the_plain_way() -> None:
    pytest.importorskip("numba")
    for dtype in SMALL:
        parameters, optimizer = followed(Adam, state_dtype=dtype)
        taken = set(map(id, optimizer._fused.parameters))
        left = [p for p in parameters if id(p) not in taken and p.grad is not None]
        # That with gaps between its elements, and that in float64.
        assert [tuple(parameter.shape) for parameter in left] == [(20, 20), (40,)]
        weight = nn.Parameter(torch.ones(2, dtype=torch.float64))
        assert (
            fused.why_not(weight, None, {"state_dtype": dtype})
            == "torch.float64 with a state_dtype"
        )
        assert fused.why_not(weight, None, {}) == ""


def test_without_numba_it_goes_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_numba_is_installed", lambda: False)
    weight = nn.Parameter(torch.ones(2))
    for dtype in SMALL:
        assert "without Numba (pip install" in fused.why_not(
            weight, None, {"state_dtype": dtype}
        )
    assert fused.why_not(weight, None, {"state_dtype": torch.float32}) == ""
    one, first = followed(Adam, state_dtype=torch.uint8)
    other, second = followed(Adam, state_dtype=torch.uint8, foreach=False)
    assert frozen(one) == frozen(other)
    assert frozen(first.state_dict()["state"]) == frozen(second.state_dict()["state"])


@each_small
@pytest.mark.parametrize("case", [ADAM, AMSGRAD], ids=str)
def test_result_does_not_depend_on_the_number_of_threads(
    case: Any, dtype: torch.dtype
) -> None:
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            parameters = [
                nn.Parameter(numbers(seed, (size,), torch.float32))
                for seed, size in enumerate((fused.ALONE + 77, 3, 0, 5000))
            ]
            optimizer = case.on("fused").new(parameters, state_dtype=dtype)
            take_steps(optimizer, parameters, range(3))
            results.append(optimizer.state_dict()["state"])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for place, entry in results[0].items():
            for name, value in entry.items():
                assert torch.equal(other[place][name], value)


@each_small
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.0)])
def test_largest_numbers_of_float32_are_stored_alike_by_all(
    dtype: torch.dtype, amsgrad: bool, betas: tuple[float, float]
) -> None:
    def run(backend: str, dtype: torch.dtype | None) -> tuple[Any, Tensor]:
        theta = nn.Parameter(torch.zeros(4, BLOCK))
        optimizer = ADAM.on(backend).new(
            [theta], state_dtype=dtype, amsgrad=amsgrad, betas=betas
        )
        for seed in range(6):
            gradient = numbers(seed, (4, BLOCK), torch.float32)
            # Without averages, the first two are the last numbers before infinity.
            gradient[0, :4] = torch.tensor([1.8446e19, 3.4e38, -3e38, 3e-39])
            gradient[1, 7], gradient[2, 7], gradient[3] = math.inf, math.nan, 0
            theta.grad = gradient
            optimizer.step()
        return frozen(optimizer.state[theta]), theta.detach()

    ends = [run(backend, dtype) for backend in BACKENDS]
    assert all(state == ends[0][0] for state, _ in ends)
    _, exact = run("plain", None)
    assert exact.isnan().sum() in (2, 4)
    for _, end in ends:
        # The same elements are lost as in float32, and no other.
        assert torch.equal(end.isnan(), exact.isnan())
        assert end[3].eq(0).all()


def test_as_many_elements_are_ruined_by_nan_and_infinity_as_in_float32() -> None:
    ends = []
    for dtype in (None, *SMALL):
        theta = nn.Parameter(torch.zeros(3 * BLOCK))
        optimizer = Adam([theta], lr=0.1, state_dtype=dtype)
        for step in range(5):
            theta.grad = torch.ones(3 * BLOCK)
            if step == 1:
                theta.grad[5], theta.grad[300] = math.nan, -math.inf
            optimizer.step()
        ends.append(theta.detach())
    for end in ends:
        assert end.isnan().nonzero().flatten().tolist() == [5, 300]
        assert torch.allclose(end[2 * BLOCK :], ends[0][2 * BLOCK :], rtol=0.1)


# What is stored


@each_rule
@each_dtype
def test_state_needs_the_bytes_that_it_is_chosen_for(
    rule: str, dtype: torch.dtype
) -> None:
    elements = 4 * BLOCK
    theta = nn.Parameter(torch.zeros(elements))
    theta.grad = torch.ones(elements)
    optimizer = RULES[rule]([theta], state_dtype=dtype)
    optimizer.step()
    moments = [value for value in optimizer.state[theta].values() if value.ndim]
    count = len(moments_of(optimizer, theta))
    exact = {torch.float32: 4, torch.bfloat16: 2, torch.uint8: 1 + 4 / BLOCK}[dtype]
    assert sum(value.nbytes for value in moments) == count * exact * elements
    if rule == "Adam" and dtype == torch.uint8:
        assert count * exact <= 2.05


@each_dtype
def test_float32_state_of_float64_parameters_is_rounded_to_the_nearest(
    dtype: torch.dtype,
) -> None:
    theta = nn.Parameter(numbers(0))
    theta.grad = numbers(1)
    optimizer = Adam([theta], state_dtype=dtype)
    optimizer.step()
    m = moments_of(optimizer, theta)["exp_avg"]
    expected = theta.grad * (1 - 0.9)
    error = {torch.float32: 2**-24, torch.bfloat16: 2**-7, torch.uint8: 2**-2}[dtype]
    assert ((m - expected).abs() <= error * expected.abs()).all()


def test_float32_is_what_float32_and_half_precision_have_by_default() -> None:
    for dtype in KINDS:
        one, other = new_parameters(dtype), new_parameters(dtype)
        first, second = (
            trained(Adam, one),
            trained(Adam, other, state_dtype=torch.float32),
        )
        assert frozen(first.state_dict()["state"]) == frozen(
            second.state_dict()["state"]
        )
        assert frozen(one) == frozen(other)


@each_small
def test_a_step_is_taken_with_moments_that_are_not_rounded_yet(
    dtype: torch.dtype,
) -> None:
    one, other = (nn.Parameter(numbers(0, dtype=torch.float32)) for _ in range(2))
    one.grad = other.grad = numbers(1, dtype=torch.float32)
    Adam([one], lr=0.1).step()
    Adam([other], lr=0.1, state_dtype=dtype).step()
    assert torch.equal(one, other)


def test_seed_chooses_the_bits_and_a_copy_has_it() -> None:
    def run(seed: int | None, *, copied: Any = None) -> Any:
        optimizer = Adam(new_parameters(), state_dtype=torch.uint8)
        if seed is not None:
            optimizer.rounding_seed = seed
        if copied:
            optimizer = copied(optimizer)
        take_steps(optimizer, parameters_of(optimizer), range(10))
        return frozen(optimizer.state_dict()["state"])

    assert Adam(new_parameters()).rounding_seed == 0
    assert run(None) == run(0)
    assert run(3) == run(3) != run(0)
    assert run(-1) != run(0)
    for copied in (copy.deepcopy, pickled):
        assert run(3, copied=copied) == run(3)
    for wrong in (0.5, "1", None):
        with pytest.raises(TypeError, match="rounding_seed must be an integer, got"):
            Adam(new_parameters()).rounding_seed = wrong  # type: ignore[assignment]


def test_seed_is_that_of_the_kernel_too() -> None:
    for dtype in SMALL:
        states = []
        for backend in ("plain", "fused"):
            theta = nn.Parameter(numbers(0, (1000,), torch.float32))
            optimizer = ADAM.on(backend).new([theta], state_dtype=dtype)
            optimizer.rounding_seed = 2**40 + 5
            for seed in range(3):
                theta.grad = numbers(seed, (1000,), torch.float32)
                optimizer.step()
            states.append(frozen(optimizer.state[theta]))
        assert states[0] == states[1]


# Settings


def test_groups_may_have_different_ones() -> None:
    parameters = [nn.Parameter(torch.ones(600)) for _ in range(4)]
    groups = [
        {"params": [parameter], "state_dtype": dtype}
        for parameter, dtype in zip(parameters, (None, *DTYPES), strict=True)
    ]
    together = Adam(groups, lr=0.1)
    for seed in range(5):
        for parameter in parameters:
            parameter.grad = numbers(seed, (600,), torch.float32)
        together.step()
    assert [group["state_dtype"] for group in together.param_groups] == [None, *DTYPES]
    for parameter, dtype in zip(parameters, (None, *DTYPES), strict=True):
        names = set(together.state[parameter])
        assert ("exp_avg_code" in names) == (dtype == torch.uint8)
    assert torch.equal(parameters[0], parameters[1])
    torch.testing.assert_close(parameters[3], parameters[0], rtol=0, atol=0.1)


@pytest.mark.parametrize(
    "wrong", ["uint8", torch.int8, torch.float16, 8, True, torch.ones(1)], ids=str
)
def test_other_types_are_refused_in_the_constructor_and_in_a_group(wrong: Any) -> None:
    message = (
        "state_dtype must be None or one of torch.float32, torch.bfloat16, torch.uint8;"
        " got "
    )
    with pytest.raises(TypeError, match=message):
        Adam(new_parameters(), state_dtype=wrong)
    optimizer = Adam(new_parameters())
    before = snapshot(optimizer)
    with pytest.raises(TypeError, match=message):
        optimizer.add_param_group({"params": new_parameters(), "state_dtype": wrong})
    assert snapshot(optimizer) == before


def test_differentiable_step_is_refused() -> None:
    with pytest.raises(ValueError, match="`state_dtype` does not support `diff"):
        Adam(new_parameters(), state_dtype=torch.uint8, differentiable=True)


def test_adafactor_has_no_such_argument_and_says_why() -> None:
    message = "Adafactor has no argument 'state_dtype': it has a number for each row"
    with pytest.raises(TypeError, match=message):
        Adafactor(new_parameters(), state_dtype=torch.uint8)
    with pytest.raises(TypeError, match=message):
        Adafactor([{"params": new_parameters(), "state_dtype": torch.uint8}])
    assert "state_dtype" not in inspect.signature(Adafactor).parameters
    assert "state_dtype" not in Adafactor(new_parameters()).param_groups[0]
    Adafactor([{"params": new_parameters(), "state_dtype": None}])


@pytest.mark.parametrize("before", [None, *DTYPES], ids=str)
@pytest.mark.parametrize("after", [None, *DTYPES], ids=str)
def test_change_in_mid_run_is_refused_until_the_state_is_converted(
    before: Any, after: Any
) -> None:
    parameters = new_parameters()  # of float64, so that all four differ
    optimizer = Adam(parameters, lr=0.01, state_dtype=before)
    take_steps(optimizer, parameters, range(5))
    expected = moments_of(optimizer, parameters[0])
    optimizer.param_groups[0]["state_dtype"] = after
    if before != after:
        unchanged = frozen([list(optimizer.state.values()), parameters])
        message = r"convert the state as well, with `optimizer.load_state_dict\("
        with pytest.raises(ValueError, match=message):
            optimizer.step()
        assert frozen([list(optimizer.state.values()), parameters]) == unchanged
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0]["state_dtype"] == after
    found = moments_of(optimizer, parameters[0])
    error = {torch.bfloat16: 2**-8, torch.uint8: 2**-3}.get(after, 2**-24)
    for name, value in expected.items():
        assert ((found[name] - value).abs() <= error * value.abs()).all()
    take_steps(optimizer, parameters, range(5, 10))


# Checkpoints


@pytest.mark.parametrize("saved", [None, *DTYPES], ids=str)
@pytest.mark.parametrize("wanted", [None, *DTYPES], ids=str)
@pytest.mark.parametrize(
    "kind", [torch.float32, torch.bfloat16, torch.complex64], ids=str
)
def test_checkpoint_of_any_precision_loads_into_any_other(
    saved: Any, wanted: Any, kind: torch.dtype
) -> None:
    first = trained(Adam, new_parameters(kind), amsgrad=True, state_dtype=saved)
    second = Adam(copies(parameters_of(first)), amsgrad=True, state_dtype=wanted)
    second.load_state_dict(through_a_file(first.state_dict()))
    assert second.param_groups[0]["state_dtype"] == wanted
    error = {torch.bfloat16: 2**-8, torch.uint8: 2**-3}.get(wanted, 0)
    for one, other in zip(parameters_of(first), parameters_of(second), strict=True):
        assert first.state[one]["step"] == second.state[other]["step"] == 20
        found = moments_of(second, other)
        assert len(found) == 3
        for name, value in moments_of(first, one).items():
            assert ((found[name] - value).abs() <= error * value.abs()).all()
            if saved == wanted:
                assert torch.equal(found[name], value)
    take_steps(second, parameters_of(second), range(20, 23))
    assert all(parameter.isfinite().all() for parameter in parameters_of(second))


@pytest.mark.parametrize("rule", [name for name in RULES if name in dir(torch.optim)])
@each_small
def test_checkpoint_of_torch_is_loaded_and_goes_on(
    rule: str, dtype: torch.dtype
) -> None:
    first = trained(getattr(torch.optim, rule), new_parameters(torch.float32))
    second = RULES[rule](copies(parameters_of(first)), state_dtype=dtype)
    second.load_state_dict(through_a_file(first.state_dict()))
    assert second.param_groups[0]["state_dtype"] == dtype
    take_steps(first, parameters_of(first), range(20, 25))
    take_steps(second, parameters_of(second), range(20, 25))
    for one, other in zip(parameters_of(first), parameters_of(second), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=2e-3)


def test_setting_of_a_checkpoint_is_left_aside() -> None:
    # ZeroRedundancyOptimizer writes it there.
    checkpoint = trained(Adam, state_dtype=torch.uint8).state_dict()
    assert "state_dtype" not in checkpoint["param_groups"][0]
    checkpoint["param_groups"][0]["state_dtype"] = torch.uint8
    optimizer = Adam(new_parameters(), state_dtype=torch.bfloat16)
    optimizer.load_state_dict(checkpoint)
    assert optimizer.param_groups[0]["state_dtype"] == torch.bfloat16
    take_steps(optimizer, parameters_of(optimizer), range(20, 22))


def test_torch_does_not_take_codes_for_moments() -> None:
    first = trained(Adam, state_dtype=torch.uint8)
    second = torch.optim.Adam(copies(parameters_of(first)))
    second.load_state_dict(first.state_dict())
    with pytest.raises(KeyError, match="exp_avg"):
        take_steps(second, parameters_of(second), range(1))


@each_small
def test_checkpoint_of_another_order_in_memory_means_the_same_numbers(
    dtype: torch.dtype,
) -> None:
    shape = (8, 3, 20, 20)
    first = trained(Adam, [nn.Parameter(numbers(0, shape).float())], state_dtype=dtype)
    (one,) = parameters_of(first)
    other = nn.Parameter(one.detach().to(memory_format=CHANNELS_LAST))
    second = Adam([other], state_dtype=dtype)
    second.load_state_dict(first.state_dict())
    for name, value in moments_of(first, one).items():
        assert torch.equal(moments_of(second, other)[name], value)
    code = "exp_avg_code" if dtype == torch.uint8 else "exp_avg"
    if dtype == torch.uint8:
        assert second.state[other][code].stride() == other.stride()


@each_small
@pytest.mark.parametrize("backend", ["plain", "fused"])
def test_parameter_may_change_its_order_in_memory_between_steps(
    dtype: torch.dtype, backend: str
) -> None:
    theta = nn.Parameter(numbers(0, (8, 3, 20, 20)).float())
    optimizer = ADAM.on(backend).new([theta], lr=0.1, state_dtype=dtype)
    take_steps(optimizer, [theta], range(4))
    before, start = moments_of(optimizer, theta), theta.detach().clone()
    theta.data = theta.data.to(memory_format=CHANNELS_LAST)
    theta.grad = torch.zeros_like(theta)
    optimizer.param_groups[0]["betas"] = (0.5, 0.5)
    optimizer.step()
    # Each parameter has its own moments still.
    assert torch.equal((start - theta).sign(), before["exp_avg"].sign())
    for name, value in moments_of(optimizer, theta).items():
        level = {torch.bfloat16: 2**-7, torch.uint8: 2**-2}[dtype]
        expected = before[name] / 2
        # The least are below the range of the new block.
        assert ((value - expected).abs() <= level * expected.abs() + 1e-8).all()


UNFIT: dict[str, tuple[str, Any, type[Exception], str]] = {
    "codes of another type": (
        "exp_avg_code",
        torch.zeros(5, dtype=torch.int32),
        TypeError,
        "exp_avg_code of parameter 1 must be a tensor of torch.uint8, got torch.int32",
    ),
    "codes that are no tensor": (
        "exp_avg_code",
        [0] * 5,
        TypeError,
        "exp_avg_code of parameter 1 must be a tensor of torch.uint8, got",
    ),
    "codes of another shape": (
        "exp_avg_sq_code",
        torch.zeros(1, 5, dtype=torch.uint8),
        ValueError,
        r"exp_avg_sq_code of parameter 1 has the shape \(1, 5\), but \(5,\) is right",
    ),
    "too many scales": (
        "exp_avg_scale",
        torch.zeros(2),
        ValueError,
        r"exp_avg_scale of parameter 1 has the shape \(2,\), but \(1,\) is right for a",
    ),
    "no scale": (
        "exp_avg_scale",
        None,
        TypeError,
        "exp_avg_scale of parameter 1 must be a tensor of torch.float32, got None",
    ),
}


@pytest.mark.parametrize("unfit", UNFIT)
@pytest.mark.parametrize("dtype", [None, torch.uint8], ids=str)
def test_checkpoint_with_codes_that_do_not_fit_is_refused_and_nothing_has_changed(
    unfit: str, dtype: Any
) -> None:
    name, value, error, message = UNFIT[unfit]
    checkpoint = copy.deepcopy(trained(Adam, state_dtype=torch.uint8).state_dict())
    checkpoint["state"][1][name] = value
    if value is None:
        del checkpoint["state"][1][name]
    optimizer = trained(Adam, lr=0.5, state_dtype=dtype)
    before = snapshot(optimizer)
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(checkpoint)
    assert snapshot(optimizer) == before


def test_checkpoint_without_a_moment_in_any_form_is_refused() -> None:
    checkpoint = copy.deepcopy(trained(Adam, state_dtype=torch.uint8).state_dict())
    del checkpoint["state"][0]["exp_avg_code"]
    optimizer = trained(Adam, state_dtype=torch.uint8)
    with pytest.raises(ValueError, match="the state of parameter 0 has no 'exp_avg'"):
        optimizer.load_state_dict(checkpoint)


# Around the rule


@each_small
def test_kernel_clips_as_the_plain_step_does(dtype: torch.dtype) -> None:
    states = []
    for backend in ("plain", "fused"):
        parameters = new_parameters(torch.float32)
        case = ADAM.on(backend)
        optimizer = case.new(parameters, state_dtype=dtype, max_grad_norm=0.5)
        take_steps(optimizer, parameters, range(5))
        states.append([moments_of(optimizer, parameter) for parameter in parameters])
    for one, other in zip(*states, strict=True):
        for name, value in one.items():
            # The norms differ in their last bits, and may round a number otherwise.
            torch.testing.assert_close(other[name], value, rtol=2**-2, atol=0)


@each_small
def test_capturable_step_stores_the_same_bits(dtype: torch.dtype) -> None:
    states = []
    for recorded in (False, True):
        parameters = new_parameters(torch.float32)
        optimizer = Adam(
            parameters,
            lr=torch.tensor(0.01) if recorded else 0.01,
            capturable=recorded,
            state_dtype=dtype,
        )
        take_steps(optimizer, parameters, range(10))
        states.append(frozen(optimizer.state_dict()["state"]))
    assert states[0] == states[1]


@each_small
def test_plain_step_needs_float32_copies_of_one_parameter_only(
    dtype: torch.dtype,
) -> None:
    elements = SIZE // 4
    parameters = [nn.Parameter(torch.ones(elements)) for _ in range(4)]
    optimizer = Adam(parameters, state_dtype=dtype, foreach=False)
    watched_step(optimizer, parameters)
    # Moments, what the rule needs, and what rounds a piece: of a tensor no larger than
    # a piece, as much as it has elements.
    assert watched_step(optimizer, parameters).peak <= 15 * SIZE
    assert watched_step(optimizer, parameters).alive() == 0


# Training


def losses(dtype: Any, seed: int) -> float:
    """Return the loss of a small network after some hundred noisy steps."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(256, 8, generator=generator)
    y = (x[:, :2].prod(dim=1) + 0.5 * x[:, 2].sin()).unsqueeze(1)
    model = nn.Sequential(nn.Linear(8, 40), nn.Tanh(), nn.Linear(40, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    optimizer = Adam(model.parameters(), lr=0.01, state_dtype=dtype)
    for _ in range(300):
        batch = torch.randint(256, (32,), generator=generator)
        optimizer.zero_grad()
        (model(x[batch]) - y[batch]).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        return float((model(x) - y).square().mean())


def test_training_reaches_the_loss_of_float32() -> None:
    seeds = range(6)
    exact = torch.tensor([losses(None, seed) for seed in seeds])
    for dtype in SMALL:
        found = torch.tensor([losses(dtype, seed) for seed in seeds])
        # Less than a third of what the seed makes.
        assert (found.mean() - exact.mean()).abs() < exact.std() / 3
        assert ((found - exact).abs() < exact.std()).all()


@each_optimizer
def test_what_is_a_size_has_codes_without_a_sign(case: Case) -> None:
    """An average of squares in codes with a sign would be twice as coarse."""
    optimizer = case.new([nn.Parameter(torch.zeros(2, 3))])
    (parameter,) = optimizer.param_groups[0]["params"]
    sizes = {"exp_avg_sq", "max_exp_avg_sq", "exp_avg_var", "exp_inf"}
    slots = {slot.name: slot.signed for slot in optimizer.slots(parameter)}
    assert not any(slots[name] for name in sizes & set(slots))
    assert slots.get("exp_avg", True)
