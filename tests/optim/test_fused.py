"""The native step: what it takes, and what it finds out by itself."""

# A change is handed all, whatever it changes; a fixture is named where it is at work.
# ruff: noqa: ARG001

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adam_tutorial.optim import Adam, AdamW, Lion
from adam_tutorial.optim.backends import fused, threads
from tests.optim.steps import copies, set_gradients

kernels = pytest.importorskip("adam_tutorial.optim.backends.kernels")
KINDS = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64]


FUSED_AND_PLAIN: list[dict[str, Any]] = [{"fused": True}, {"foreach": False}]
DEFAULT_AND_PLAIN: list[dict[str, Any]] = [{}, {"foreach": False}]


@pytest.fixture(params=["Numba", "PyTorch"])
def compiler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Step by each of the two native calls."""
    with_numba = request.param == "Numba"
    monkeypatch.setattr(fused, "_numba_is_installed", lambda: with_numba)
    return str(request.param)


def trained(steps: int = 3, **settings: Any) -> tuple[Adam, list[nn.Parameter]]:
    parameters = [
        nn.Parameter(torch.linspace(-1, 1, size).view(shape))
        for size, shape in ((12, (3, 4)), (5, (5,)), (1, ()))
    ]
    optimizer = Adam(parameters, lr=0.1, **settings)
    for step in range(steps):
        set_gradients(parameters, step)
        optimizer.step()
    return optimizer, parameters


def assert_close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


# Each changes something under the optimizer's feet, after some steps.
def with_other_data(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    parameters[0].data = parameters[0].data.clone() + 1


def with_turned_data(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    # The same memory, in another order.
    turned = parameters[0].data.view(4, 3).T
    parameters[0].data = turned
    parameters[0].grad = None


def with_another_moment(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    optimizer.state[parameters[0]]["exp_avg"] = torch.full((3, 4), 0.5)


def with_other_memory_for_a_moment(
    optimizer: Adam, parameters: list[nn.Parameter]
) -> None:
    moment = optimizer.state[parameters[1]]["exp_avg_sq"]
    moment.data = torch.full((5,), 0.25)


def with_shared_memory(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    # As programs do that step one model from several processes.
    for entry in optimizer.state.values():
        for value in entry.values():
            value.share_memory_()


def with_a_fresh_state(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    del optimizer.state[parameters[0]]


def with_another_count(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    optimizer.state[parameters[0]]["step"].fill_(100)


def with_a_checkpoint(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    other, _ = trained(7)
    optimizer.load_state_dict(other.state_dict())


def without_a_parameter(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    del optimizer.param_groups[0]["params"][1]


def with_another_parameter(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    parameters.append(nn.Parameter(torch.ones(3)))
    optimizer.param_groups[0]["params"].append(parameters[-1])


def with_another_group(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    parameters.append(nn.Parameter(torch.ones(2, 2)))
    optimizer.add_param_group({"params": parameters[-1:], "lr": 0.5})


def with_other_numbers(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    optimizer.param_groups[0].update(lr=0.01, betas=(0.5, 0.6), eps=0.1)
    optimizer.param_groups[0]["weight_decay"] = 0.3


def with_other_choices(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    optimizer.param_groups[0].update(maximize=True, decoupled_weight_decay=True)
    optimizer.param_groups[0]["weight_decay"] = 0.3


def with_amsgrad(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    optimizer.param_groups[0]["amsgrad"] = True


def with_a_rate_in_a_tensor(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    optimizer.param_groups[0]["lr"] = torch.tensor(0.7)


def with_another_type(optimizer: Adam, parameters: list[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.data = parameter.data.double()
        parameter.grad = None
    optimizer.load_state_dict(optimizer.state_dict())


CHANGES = [
    with_other_data,
    with_turned_data,
    with_another_moment,
    with_other_memory_for_a_moment,
    with_shared_memory,
    with_a_fresh_state,
    with_another_count,
    with_a_checkpoint,
    without_a_parameter,
    with_another_parameter,
    with_another_group,
    with_other_numbers,
    with_other_choices,
    with_amsgrad,
    with_a_rate_in_a_tensor,
    with_another_type,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_of_a_program_are_found_out(
    compiler: str, change: Callable[[Adam, list[nn.Parameter]], None]
) -> None:
    runs = []
    for settings in FUSED_AND_PLAIN:
        optimizer, parameters = trained(**settings)
        change(optimizer, parameters)
        for step in range(3, 6):
            set_gradients(parameters, step)
            optimizer.step()
        runs.append((optimizer.state_dict()["state"], parameters))
    (state, parameters), (expected_state, expected) = runs
    assert_close([p.detach() for p in parameters], [p.detach() for p in expected])
    assert_close(state, expected_state)


def test_rate_in_a_tensor_is_read_at_each_step(compiler: str) -> None:
    runs = []
    for settings in FUSED_AND_PLAIN:
        parameters = [nn.Parameter(torch.ones(4))]
        rate = torch.tensor(0.1)
        optimizer = Adam(parameters, lr=rate, **settings)
        for step in range(4):
            set_gradients(parameters, step)
            rate.fill_(0.1 * (step + 1))
            optimizer.step()
        runs.append(parameters[0].detach())
    assert_close(*runs)


def test_gradient_now_and_then(compiler: str) -> None:
    runs = []
    for settings in FUSED_AND_PLAIN:
        optimizer, parameters = trained(0, **settings)
        for step in range(9):
            set_gradients(parameters, step)
            parameters[step % 3].grad = None
            optimizer.step()
        runs.append([p.detach() for p in parameters])
        assert [int(optimizer.state[p]["step"]) for p in parameters] == [6, 6, 6]
    assert_close(*runs)


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("amsgrad", [False, True])
def test_moments_have_the_bits_of_the_plain_step(
    dtype: torch.dtype, amsgrad: bool
) -> None:
    first = [nn.Parameter(torch.linspace(-2, 2, 301).to(dtype))]
    second = copies(first)
    optimizers = [
        Adam(first, fused=True, amsgrad=amsgrad),
        Adam(second, foreach=False, amsgrad=amsgrad),
    ]
    for step in range(5):
        set_gradients(first, step)
        second[0].grad = first[0].grad
        for optimizer in optimizers:
            optimizer.step()
    entries = [
        optimizer.state[parameters[0]]
        for optimizer, parameters in zip(optimizers, (first, second), strict=True)
    ]
    for name, value in entries[1].items():
        assert torch.equal(entries[0][name], value), name
    # PyTorch's square root may differ from the nearest number in the last bit.
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(first[0], second[0], rtol=2 * eps, atol=2 * eps * 0.005)


@pytest.mark.parametrize(
    ("dtype", "stored"), [(torch.bfloat16, np.uint16), (torch.float16, np.int16)]
)
def test_every_half_is_read_and_written_as_by_torch(
    dtype: torch.dtype, stored: Any
) -> None:
    every = np.arange(2**16, dtype=np.uint16)
    as_halves = torch.from_numpy(every.view(np.int16)).view(dtype)
    read = _loop(kernels.widened)(every.view(stored), np.empty(2**16, np.float32))
    torch.testing.assert_close(
        torch.from_numpy(read), as_halves.float(), rtol=0, atol=0, equal_nan=True
    )
    # All halves, the ties between neighbours, and what lies next to the ties.
    exact = as_halves[as_halves.isfinite()].float()
    ordered = exact.sort().values
    ties = (ordered[1:] + ordered[:-1]) / 2
    numbers = torch.cat(
        [
            ordered,
            ties,
            torch.nextafter(ties, torch.tensor(torch.inf)),
            torch.nextafter(ties, torch.tensor(-torch.inf)),
            torch.tensor([torch.inf, -torch.inf, torch.nan, 3.4e38, -3.4e38, 1e-45]),
            torch.tensor([65519.99, 65520.0, 65536.0, 2.0**-25, 2.0**-24, 2.0**-14]),
        ]
    )
    written = _loop_back(kernels.narrowed)(
        numbers.numpy(), np.empty(len(numbers), stored)
    )
    found = torch.from_numpy(written.view(np.int16)).view(dtype)
    torch.testing.assert_close(
        found.float(), numbers.to(dtype).float(), rtol=0, atol=0, equal_nan=True
    )


def _loop(function: Any) -> Any:
    @kernels.njit  # type: ignore[untyped-decorator]
    def apply(numbers: Any, results: Any) -> Any:
        for i in range(len(numbers)):
            results[i] = function(numbers[i])
        return results

    return apply


def _loop_back(function: Any) -> Any:
    @kernels.njit  # type: ignore[untyped-decorator]
    def apply(numbers: Any, results: Any) -> Any:
        for i in range(len(numbers)):
            results[i] = function(numbers[i], results[i])
        return results

    return apply


def with_gradients(shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    parameters = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    set_gradients(parameters, 0)
    return parameters


def test_path_says_who_takes_the_step(compiler: str) -> None:
    parameters = with_gradients([(2, 3), (4,)])
    assert Adam(parameters).path() == f"fused by {compiler}: 2 parameters"
    assert Adam(parameters, fused=True).path() == f"fused by {compiler}: 2 parameters"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"foreach": False}, "plain: 2 parameters (foreach=False)"),
        ({"foreach": True}, "foreach: 2 parameters (foreach=True)"),
        ({"fused": False}, "plain: 2 parameters (fused=False)"),
        ({"capturable": True}, "plain: 2 parameters (capturable=True)"),
        (
            {"foreach": True, "capturable": True},
            "plain: 2 parameters (capturable=True)",
        ),
        ({"differentiable": True}, "plain: 2 parameters (differentiable=True)"),
    ],
)
def test_path_says_what_was_asked_for(settings: dict[str, Any], expected: str) -> None:
    assert Adam(with_gradients([(2,), (3,)]), **settings).path() == expected


def test_path_of_an_optimizer_without_a_kernel() -> None:
    assert Lion(with_gradients([(2,)])).path() == (
        "plain: 1 parameter (no kernel for Lion)"
    )


class Special(Tensor):
    """A class of tensors of which nobody knows how its memory is to be read."""


def peculiar() -> dict[str, tuple[Tensor, str]]:
    room = torch.ones(4, 6)
    sparse = nn.Parameter(torch.ones(3))
    return {
        "gaps": (nn.Parameter(room[::2, ::2]), "parameters with gaps between"),
        "class": (
            torch.ones(3).as_subclass(Special).requires_grad_(),
            "tensors of class Special",
        ),
        "meta": (nn.Parameter(torch.ones(3, device="meta")), "parameters on meta"),
        "plain": (sparse, ""),
    }


@pytest.mark.parametrize("name", ["gaps", "class", "meta"])
def test_what_the_kernel_cannot_take_goes_the_plain_way_in_the_same_step(
    name: str,
) -> None:
    special, reason = peculiar()[name]
    ordinary = nn.Parameter(torch.ones(3))
    for parameter in (special, ordinary):
        parameter.grad = torch.ones_like(parameter)
    optimizer = Adam([special, ordinary], lr=0.1)
    assert optimizer.path().startswith("fused by Numba: 1 parameter; plain: 1")
    assert reason in optimizer.path()
    optimizer.step()
    optimizer.step()
    assert optimizer.state[special]["step"] == optimizer.state[ordinary]["step"] == 2
    assert_close(ordinary.detach(), torch.full((3,), 0.8))
    if name != "meta":
        assert_close(
            special.detach().as_subclass(Tensor), torch.full(special.shape, 0.8)
        )


def test_parameters_that_share_memory_are_stepped_one_after_another() -> None:
    both = []
    for settings in DEFAULT_AND_PLAIN:
        first = nn.Parameter(torch.ones(6))
        second = nn.Parameter(first.data[2:])
        third = nn.Parameter(torch.ones(2))
        optimizer = Adam([first, second, third], lr=0.1, **settings)
        for step in range(4):
            set_gradients([first, second, third], step)
            optimizer.step()
        both.append(torch.cat([first.detach(), third.detach()]))
        if not settings:
            assert "2 parameters (parameters that share memory" in optimizer.path()
    assert_close(*both)


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_number_of_threads_does_not_change_a_bit(
    count: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "ALONE", 1)
    calls: list[int] = []
    share = threads.share

    def counted(work: Any, borders: Any) -> None:
        calls.append(len(borders) - 1)
        share(work, borders)

    monkeypatch.setattr(fused, "share", counted)
    runs = []
    for number in (1, count):
        monkeypatch.setattr(torch, "get_num_threads", lambda number=number: number)
        parameters = [
            nn.Parameter(torch.linspace(-1, 1, size).to(dtype))
            for size in (3, 70_001, 0, 12_345, 1)
        ]
        optimizer = AdamW(parameters, lr=0.1, max_grad_norm=1.0)
        for step in range(3):
            set_gradients(parameters, step)
            optimizer.step()
        runs.append(
            [*parameters, *(optimizer.state[p]["exp_avg_sq"] for p in parameters)]
        )
    assert count in calls
    for one, other in zip(*runs, strict=True):
        assert torch.equal(one, other)


def test_old_graph_is_refused_after_a_step(compiler: str) -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = Adam([parameter], lr=0.1)
    loss = (parameter**2).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_optimizer_travels_through_pickle_in_mid_run(compiler: str) -> None:
    optimizer, parameters = trained()
    twin = pickle.loads(pickle.dumps(optimizer))  # noqa: S301
    its_parameters = twin.param_groups[0]["params"]
    for step in range(3, 6):
        for run, these in ((optimizer, parameters), (twin, its_parameters)):
            set_gradients(these, step)
            run.step()
    assert_close([p.detach() for p in its_parameters], [p.detach() for p in parameters])


def test_gradient_that_is_negated_only_in_name(compiler: str) -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = Adam([parameter], lr=0.1)
    parameter.grad = torch.ones(2)
    optimizer.step()
    negated = torch.complex(torch.zeros(2), torch.ones(2)).conj().imag
    assert negated.is_neg()
    parameter.grad = negated
    optimizer.step()
    other = nn.Parameter(torch.ones(2))
    plain = Adam([other], lr=0.1, foreach=False)
    for gradient in (torch.ones(2), torch.full((2,), -1.0)):
        other.grad = gradient
        plain.step()
    assert_close(parameter.detach(), other.detach())


def test_gradients_are_free_after_a_step(compiler: str) -> None:
    optimizer, parameters = trained(0, max_grad_norm=1.0)
    for step in range(3):
        set_gradients(parameters, step)
        optimizer.step()
        seen = [weakref.ref(parameter.grad) for parameter in parameters]
        optimizer.zero_grad()
        assert [gradient() for gradient in seen] == [None] * len(parameters)
