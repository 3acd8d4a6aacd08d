from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial.optim import Adafactor

SHAPES = ((), (5,), (4, 3), (2, 3, 4), (1, 6), (3, 1))
# Two groups of settings: as they come, and all of them changed.
SETTINGS: list[dict[str, Any]] = [
    {},
    {
        "lr": 0.05,
        "beta2_decay": -0.5,
        "eps": (1e-4, 1e-2),
        "d": 1.5,
        "weight_decay": 0.1,
        "maximize": True,
    },
]


def new_parameters(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype))
        for shape in SHAPES
    ]


def take_steps(optimizer: Any, parameters: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters:
            g = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad = (g * 10 ** math.sin(step)).to(parameter.dtype)
        optimizer.step()


def detached(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach() for parameter in parameters]


@pytest.mark.parametrize("settings", SETTINGS, ids=["defaults", "all"])
@pytest.mark.parametrize("foreach", [False, True])
def test_a_hundred_steps_equal_those_of_torch(
    settings: dict[str, Any], foreach: bool
) -> None:
    ours, theirs = new_parameters(), new_parameters()
    take_steps(Adafactor(ours, foreach=foreach, **settings), ours, range(100))
    take_steps(
        torch.optim.Adafactor(theirs, foreach=foreach, **settings), theirs, range(100)
    )
    for one, other, start in zip(ours, theirs, new_parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
        assert (one - start).abs().max() > 1e-3


@pytest.mark.parametrize("direction", ["to torch", "from torch"])
@pytest.mark.parametrize("settings", SETTINGS, ids=["defaults", "all"])
def test_checkpoint_continues_in_the_other_class(
    settings: dict[str, Any], direction: str
) -> None:
    kinds: list[Any] = [torch.optim.Adafactor, Adafactor]
    before, after = kinds if direction == "from torch" else reversed(kinds)
    parameters = new_parameters()
    first = before(parameters, **settings)
    take_steps(first, parameters, range(20))
    others = copy.deepcopy(parameters)
    second = after(others)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take_steps(first, parameters, range(20, 120))
    take_steps(second, others, range(20, 120))
    for one, other in zip(parameters, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_state_is_a_row_and_a_column_for_each_matrix() -> None:
    parameters = new_parameters()
    optimizer = Adafactor(parameters)
    take_steps(optimizer, parameters, range(1))
    shapes = [
        {name: tuple(value.shape) for name, value in optimizer.state[p].items()}
        for p in parameters
    ]
    assert shapes == [
        {"step": (), "variance": ()},
        {"step": (), "variance": (5,)},
        {"step": (), "row_var": (4, 1), "col_var": (1, 3)},
        {"step": (), "row_var": (2, 3, 1), "col_var": (2, 1, 4)},
        {"step": (), "row_var": (1, 1), "col_var": (1, 6)},
        {"step": (), "row_var": (3, 1), "col_var": (1, 1)},
    ]


def test_first_step_of_a_matrix_of_rank_one_is_the_sign_of_its_gradient() -> None:
    rows, columns = torch.tensor([[1.0], [-3.0]]), torch.tensor([[2.0, -0.1, 5.0]])
    theta = nn.Parameter(torch.full((2, 3), 2.0))
    theta.grad = rows @ columns
    Adafactor([theta], lr=0.1).step()
    # The squares of such a gradient are the product of their rows and columns; the step
    # is 0.1 times the root mean square of theta, which is 2.
    torch.testing.assert_close(theta.detach(), 2 - 0.2 * (rows @ columns).sign())


def test_half_precision_keeps_its_state_in_float32() -> None:
    parameters = new_parameters(torch.bfloat16)
    optimizer = Adafactor(parameters)
    take_steps(optimizer, parameters, range(5))
    for parameter in parameters:
        for name, value in optimizer.state[parameter].items():
            expected = torch.float64 if name == "step" else torch.float32
            assert value.dtype == expected
    assert all(parameter.isfinite().all() for parameter in parameters)


def test_parameter_without_elements_stays_and_holds_no_nan() -> None:
    theta = nn.Parameter(torch.zeros(2, 0))
    theta.grad = torch.zeros(2, 0)
    optimizer = Adafactor([theta])
    optimizer.step()
    assert all(value.isfinite().all() for value in optimizer.state[theta].values())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, "Learning rate should be >= 0 but is: -1.0"),
        ({"beta2_decay": 0.1}, ValueError, "beta2_decay should be <= 0 but is: 0.1"),
        ({"beta2_decay": "x"}, TypeError, "beta2_decay must be a number, got 'x'"),
        ({"eps": (-1.0, 0.1)}, ValueError, "epsilon1 should be >= 0 but is: -1.0"),
        ({"eps": (None, -0.1)}, ValueError, "epsilon2 should be >= 0 but is: -0.1"),
        ({"eps": 1e-8}, TypeError, "eps must be a pair"),
        ({"d": 0.5}, ValueError, "Clipping threshold d should be >= 1 but is: 0.5"),
        ({"weight_decay": -1}, ValueError, "weight_decay should be >= 0 but is: -1"),
    ],
)
def test_settings_out_of_range_are_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Adafactor([nn.Parameter(torch.zeros(2))], **settings)


def test_complex_parameters_are_refused_as_in_torch_but_at_once() -> None:
    theta = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"parameters must be float64, .*complex64"):
        Adafactor([theta])
