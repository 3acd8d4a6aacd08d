"""Parameters and gradients in any layout, and what lies next to them in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tests.optim.steps import numbers
from tests.optimizers import ADAM, ADAMW, BACKENDS, Case, each_with

CHOICES: list[dict[str, bool]] = [{}, {"capturable": True}]
each_choice = each_with(*CHOICES, backends=list(BACKENDS))

SHAPE = (2, 3, 4, 5)
SETTINGS = {"lr": 0.05, "weight_decay": 0.1}


# Each takes a fresh buffer with room on all sides and returns a view of SHAPE into it.
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda room: room[2:122].view(5, 4, 3, 2).permute(3, 2, 1, 0),
    "swapped": lambda room: room[2:122].view(2, 3, 5, 4).transpose(2, 3),
    "every second": lambda room: room[1:241:2].view(2, 3, 4, 5),
    "strided rows": lambda room: room[:252].view(2, 3, 6, 7)[:, :, 1:5, 1:6],
    "channels last": lambda room: room[2:122].view(2, 4, 5, 3).permute(0, 3, 1, 2),
    "with an offset": lambda room: room[7:127].view(2, 3, 4, 5),
}


def assert_moved_alike(case: Case, one: Tensor, other: Tensor) -> None:
    """Compare to the last bit, unless sums over a tensor depend on its layout."""
    if case.elementwise:
        assert torch.equal(one, other)
    else:
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def step_with(optimizer: Optimizer, parameter: Tensor, seed: int) -> None:
    parameter.grad = numbers(seed, SHAPE)
    optimizer.step()


@each_with(*CHOICES, where=(), backends=list(BACKENDS))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_view_of_a_buffer_moves_as_a_contiguous_tensor_and_nothing_next_to_it_changes(
    case: Case, chosen: dict[str, bool], layout: str
) -> None:
    buffer = numbers(0, (260,))
    view = LAYOUTS[layout](buffer)
    # Which places of the buffer are the parameter's.
    places = torch.zeros(260, dtype=torch.bool)
    LAYOUTS[layout](places).fill_(True)
    assert places.sum() == 120
    plain, strided = nn.Parameter(view.clone().contiguous()), nn.Parameter(view)
    assert strided.data_ptr() == view.data_ptr()
    before = buffer.clone()
    first, second = (
        case.new([plain], **chosen, **SETTINGS),
        case.new([strided], **chosen, **SETTINGS),
    )
    for seed in range(1, 5):
        step_with(first, plain, seed)
        # The gradient may be laid out in yet another way.
        strided.grad = numbers(seed, SHAPE).transpose(1, 3).contiguous().transpose(1, 3)
        second.step()
    assert_moved_alike(case, strided, plain)
    assert not torch.equal(strided, LAYOUTS[layout](before))
    assert torch.equal(
        buffer[~places].view(torch.int64), before[~places].view(torch.int64)
    )
    for name, value in first.state[plain].items():
        assert_moved_alike(case, second.state[strided][name], value)


@each_choice
def test_moments_lie_in_memory_as_their_parameter_does(
    case: Case, chosen: dict[str, bool]
) -> None:
    parameter = nn.Parameter(numbers(0, SHAPE).to(memory_format=torch.channels_last))
    optimizer = case.new([parameter], **chosen)
    step_with(optimizer, parameter, 1)
    for name, shape in case.moments_of(SHAPE).items():
        if shape == SHAPE:
            assert optimizer.state[parameter][name].stride() == parameter.stride()


@each_choice
def test_model_turned_to_channels_last_in_mid_training_continues_as_before(
    case: Case, chosen: dict[str, bool]
) -> None:
    stays, turns = nn.Parameter(numbers(0, SHAPE)), nn.Parameter(numbers(0, SHAPE))
    first, second = (
        case.new([stays], **chosen, **SETTINGS),
        case.new([turns], **chosen, **SETTINGS),
    )
    for seed in range(1, 4):
        step_with(first, stays, seed)
        step_with(second, turns, seed)
    turns.data = turns.data.contiguous(memory_format=torch.channels_last)
    turns.grad = None
    assert turns.stride() != stays.stride()
    for seed in range(4, 8):
        step_with(first, stays, seed)
        step_with(second, turns, seed)
    assert_moved_alike(case, stays, turns)


@each_choice
def test_contiguous_checkpoint_continues_in_a_model_with_channels_last(
    case: Case, chosen: dict[str, bool]
) -> None:
    plain = nn.Parameter(numbers(0, SHAPE))
    first = case.new([plain], **chosen, **SETTINGS)
    for seed in range(1, 4):
        step_with(first, plain, seed)
    last = nn.Parameter(plain.detach().clone(memory_format=torch.channels_last))
    last.data = last.data.contiguous(memory_format=torch.channels_last)
    second = case.new([last], **chosen)
    second.load_state_dict(first.state_dict())
    for seed in range(4, 8):
        step_with(first, plain, seed)
        step_with(second, last, seed)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert_moved_alike(case, plain, last)


@each_choice
def test_expanded_gradient_counts_as_the_full_one(
    case: Case, chosen: dict[str, bool]
) -> None:
    full, expanded = nn.Parameter(numbers(0, (4, 6))), nn.Parameter(numbers(0, (4, 6)))
    first, second = (
        case.new([full], **chosen, **SETTINGS),
        case.new([expanded], **chosen, **SETTINGS),
    )
    for seed in range(1, 5):
        # What autograd gives for a sum is one number with stride 0 in each direction.
        row = (
            numbers(seed, (1, 6)).expand(4, 6)
            if seed % 2
            else numbers(seed, (1, 1)).expand(4, 6)
        )
        before = row.clone()
        full.grad, expanded.grad = row.contiguous(), row
        first.step()
        second.step()
        assert torch.equal(row, before)
    assert_moved_alike(case, full, expanded)


@each_choice
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,)], ids=str)
def test_shapes_without_dimensions_or_elements_are_stepped(
    case: Case, chosen: dict[str, bool], shape: tuple[int, ...]
) -> None:
    small = nn.Parameter(numbers(0, shape))
    large = nn.Parameter(numbers(0, (1,)).expand(3).clone())
    optimizer = case.new([small, large], **chosen, **SETTINGS)
    for seed in range(1, 4):
        small.grad = numbers(seed, shape)
        large.grad = numbers(seed, (1,)).expand(3)
        optimizer.step()
    assert small.shape == shape
    assert optimizer.state[small]["step"] == 3
    for name, expected in case.moments_of(shape).items():
        assert optimizer.state[small][name].shape == expected
    if small.numel():
        assert small.item() == large[1].item() != numbers(0, (1,)).item()


@each_choice
def test_two_parameters_in_one_buffer_do_not_touch_each_other(
    case: Case, chosen: dict[str, bool]
) -> None:
    buffer = numbers(0, (4, 7))
    alone = [
        nn.Parameter(buffer[:, 0::2].clone()),
        nn.Parameter(buffer[:, 1::2].clone()),
    ]
    woven = [nn.Parameter(buffer[:, 0::2]), nn.Parameter(buffer[:, 1::2])]
    first, second = (
        case.new(alone, **chosen, **SETTINGS),
        case.new(woven, **chosen, **SETTINGS),
    )
    for seed in range(1, 5):
        for one, other in zip(alone, woven, strict=True):
            one.grad = numbers(seed, tuple(one.shape))
            other.grad = one.grad.clone()
        first.step()
        second.step()
    assert_moved_alike(case, woven[0], alone[0])
    assert_moved_alike(case, woven[1], alone[1])


@each_choice
@pytest.mark.parametrize("layout", ["contiguous", "strided"])
def test_autograd_notices_the_step_and_refuses_a_graph_from_before(
    case: Case, chosen: dict[str, bool], layout: str
) -> None:
    for dtype in case.dtypes:
        data = torch.ones(3, 4, dtype=dtype)
        theta = nn.Parameter(data if layout == "contiguous" else data[:, ::2])
        theta.grad = torch.ones_like(theta)
        loss = (theta**3).abs().sum()
        before = theta._version
        case.new([theta], **chosen, **SETTINGS).step()
        assert theta._version > before
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            torch.autograd.backward(loss)


@pytest.mark.skipif(
    torch.__version__.split("+")[0] != "2.13.0",
    reason="measured on this version of torch",
)
@pytest.mark.parametrize("case", [ADAM, ADAMW], ids=str)
def test_fused_step_of_torch_on_the_cpu_takes_strided_memory_for_contiguous(
    case: Case,
) -> None:
    results = []
    for make in (case.new_in_torch, case.on("fused").new):
        buffer = numbers(0, (20,))
        before = buffer.clone()
        theta = nn.Parameter(buffer[::2])
        optimizer = make([theta], lr=0.01, fused=True)
        for seed in range(1, 6):
            theta.grad = numbers(seed, (10,))
            optimizer.step()
        plain = nn.Parameter(before[::2].clone())
        truth = case.new_in_torch([plain], lr=0.01)
        for seed in range(1, 6):
            plain.grad = numbers(seed, (10,))
            truth.step()
        error = (theta - plain).abs().max().item()
        results.append((error > 0.01, not torch.equal(buffer[1::2], before[1::2])))
        assert results[-1][0] or error < 1e-15
    # Wrong numbers, and the neighbours overwritten; ours does neither.
    assert results == [(True, True), (False, False)]
