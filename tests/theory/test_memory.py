"""The bytes that are predicted are those of real parameters and optimizers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial import optim
from adam_tutorial.theory import Memory, memory, which_fits

SHAPES = [(33, 65), (65,), (), (4, 3, 5, 5), (256,), (1000, 8), (0, 3)]

OPTIMIZERS: dict[str, tuple[Any, dict[str, Any]]] = {
    **{name.lower(): (getattr(optim, name), {}) for name in optim.__all__},
    "amsgrad": (optim.Adam, {"amsgrad": True}),
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
}
WITHOUT_STATE_DTYPE = ("sgd", "momentum", "adafactor")


def measured(
    name: str, shapes: Sequence[tuple[int, ...]], dtype: str, state_dtype: str | None
) -> Memory:
    """Return the bytes of tensors after a step."""
    make, settings = OPTIMIZERS[name]
    if state_dtype is not None:
        settings = {**settings, "state_dtype": getattr(torch, state_dtype)}
    parameters = [
        nn.Parameter(torch.ones(shape, dtype=getattr(torch, dtype))) for shape in shapes
    ]
    optimizer = make(parameters, **settings)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    moments = scales = counts = 0
    for entry in optimizer.state.values():
        for key, value in entry.items():
            if value is None:
                continue  # SGD without momentum
            if key in ("step", "mu_product"):
                counts += value.nbytes
            elif key.endswith("_scale"):
                scales += value.nbytes
            else:
                moments += value.nbytes
    gradients = sum(p.grad.nbytes for p in parameters if p.grad is not None)
    size = sum(parameter.nbytes for parameter in parameters)
    return Memory(size, gradients, 0, moments, scales, counts)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("state_dtype", [None, "float32", "bfloat16", "uint8"])
def test_prediction_is_what_is_measured(
    name: str, dtype: str, state_dtype: str | None
) -> None:
    if name in WITHOUT_STATE_DTYPE and state_dtype is not None:
        with pytest.raises(ValueError, match=f"{name} has no state_dtype, got"):
            memory(SHAPES, name, dtype=dtype, state_dtype=state_dtype)
        return
    predicted = memory(SHAPES, name, dtype=dtype, state_dtype=state_dtype)
    assert predicted == measured(name, SHAPES, dtype, state_dtype)


def test_number_is_that_of_a_vector() -> None:
    assert memory(1000, state_dtype="uint8") == memory([(1000,)], state_dtype="uint8")


def test_two_moments_in_eight_bits_need_two_bytes_and_a_thirty_second() -> None:
    found = memory(2**25, state_dtype="uint8")
    assert found.state == 2**25 * (2 + 1 / 32) + 8
    assert found.total == sum(found) == found.state + 2 * 4 * 2**25


def test_master_copy_is_what_is_moved() -> None:
    half = memory(SHAPES, dtype="bfloat16", master=True)
    assert half.master == 2 * half.parameters
    assert half.moments == memory(SHAPES).moments
    # Beside float32, there is none.
    assert memory(SHAPES, master=True) == memory(SHAPES)
    half = memory(SHAPES, "momentum", dtype="bfloat16", master=True)
    assert half.moments == memory(SHAPES, "momentum").moments


def test_gradients_may_be_of_another_type() -> None:
    found = memory(SHAPES, dtype="bfloat16", gradient_dtype="float32")
    assert found.gradients == 2 * found.parameters


# Several processes


def test_state_is_dealt_out_by_tensors_the_largest_first() -> None:
    shapes = [(5,), (3,), (4, 2), (2,), (1,)]
    # 8 against 5, 8 against 5 and 3, then 8 and 2, and last 5, 3 and 1.
    found = memory(shapes, ranks=2)
    assert found.moments == 2 * 4 * 10
    assert found.counts == 2 * 8
    assert found.parameters == memory(shapes).parameters
    assert memory(shapes, ranks=9).moments == 2 * 4 * 8
    half = memory(shapes, dtype="bfloat16", master=True, ranks=2)
    assert half.master == 4 * 10


def test_everything_is_divided_by_the_first_dimension() -> None:
    shapes = [(5, 3), (4,), (), (1, 7)]
    found = memory(shapes, ranks=2, sharded="everything", state_dtype="uint8")
    elements = 3 * 3 + 2 + 1 + 7
    assert found.parameters == found.gradients == 4 * elements
    assert found.moments == 2 * elements
    assert found.scales == 2 * 4 * 4
    assert found.counts == 8 * 4


@pytest.mark.parametrize("sharded", ["state", "everything"])
def test_one_process_has_all(sharded: str) -> None:
    assert memory(SHAPES, ranks=1, sharded=sharded) == memory(SHAPES)


# Which one?


def test_options_are_listed_from_the_largest_and_fit_up_to_what_is_there() -> None:
    shapes = [(1000, 1000)] * 4
    options = which_fits(40e6, shapes)
    totals = [option.memory.total for option in options]
    assert totals == sorted(totals, reverse=True)
    # 3 kinds of weights; 3 states of Adam and of Lion, one of the others.
    assert len(options) == 3 * (3 + 3 + 1 + 1)
    for option in options:
        assert option.fits == (option.memory.total <= 40e6)
        expected = memory(
            shapes,
            option.optimizer,
            dtype=option.dtype,
            state_dtype=option.state_dtype,
            master=option.master,
        )
        assert option.memory == expected
    assert 0 < sum(option.fits for option in options) < len(options)


def test_as_many_parameters_fit_as_are_said_to() -> None:
    for option in which_fits(10**9, 10**6, optimizers=["adam", "lion"]):
        fewer, more = (
            memory(
                int(option.most * factor),
                option.optimizer,
                dtype=option.dtype,
                state_dtype=option.state_dtype,
                master=option.master,
            ).total
            for factor in (0.999, 1.001)
        )
        assert fewer < 10**9 < more


def test_adafactor_is_listed_where_the_shapes_are_known() -> None:
    names = {option.optimizer for option in which_fits(1, [(2, 3)])}
    assert "adafactor" in names
    assert {option.optimizer for option in which_fits(1, 6)} == names - {"adafactor"}


def test_model_without_parameters_fits() -> None:
    for none in ([], [(0,)], 0):
        assert all(option.fits for option in which_fits(64, none))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"shapes": -1}, ValueError, "shapes must be at least 0, got -1"),
        ({"shapes": 2.5}, TypeError, "shapes must be a whole number, got 2.5"),
        ({"shapes": [(2, -3)]}, ValueError, "shapes must be at least 0, got -3"),
        ({"optimizer": "Adam"}, ValueError, "optimizer must be one of sgd, .*'Adam'"),
        ({"dtype": "uint8"}, ValueError, "dtype must be one of float64, .*'uint8'"),
        ({"state_dtype": "float64"}, ValueError, "state_dtype must be one of float32"),
        ({"gradient_dtype": "half"}, ValueError, "gradient_dtype must be one of"),
        ({"ranks": 0}, ValueError, "ranks must be at least 1, got 0"),
        ({"sharded": "all"}, ValueError, "sharded must be one of state, everything"),
        ({"optimizer": "adafactor"}, ValueError, "adafactor needs shapes, got the num"),
        (
            {"shapes": [(3,)], "optimizer": "adafactor", "sharded": "everything"},
            ValueError,
            "adafactor is not divided within a tensor",
        ),
    ],
    ids=str,
)
def test_bad_input_is_named(
    wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        memory(**{"shapes": 10, **wrong})


def test_what_is_available_must_be_a_number() -> None:
    for wrong in (-1.0, math.nan):
        with pytest.raises(ValueError, match="available must be finite and not neg"):
            which_fits(wrong, 10)
