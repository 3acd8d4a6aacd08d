"""Steps compiled by ``torch.compile``."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import Tensor, nn
from torch._dynamo.utils import counters

from adam_tutorial.optim.backends import fused
from adam_tutorial.optim.base import BaseOptimizer
from adam_tutorial.optim.low_precision import Dither, decoded, encode
from tests.optimizers import ADAM, Case, each_with

# The second, in float64, is what the compiler of torch 2.13 forgets to write back.
SHAPES = ((4, 3), ())

# The compiler warns of its own affairs: deprecated parts of torch, slow guards.
pytestmark = pytest.mark.filterwarnings("ignore")

VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()
    counters.clear()


def new_parameters(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype))
        for shape in SHAPES
    ]


def ten_steps(
    optimizer: Any,
    parameters: list[nn.Parameter],
    step: Callable[[], Any],
    seed: int = 0,
) -> None:
    """Steps with a new learning rate each, as a scheduler would set it."""
    generator = torch.Generator().manual_seed(seed)
    for t in range(10):
        for parameter in parameters:
            noise = torch.randn(
                parameter.shape, generator=generator, dtype=torch.float64
            )
            parameter.grad = noise.to(parameter.dtype)
        group = optimizer.param_groups[0]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(0.1 / (1 + t))
        else:
            group["lr"] = 0.1 / (1 + t)
        step()


def compiled_next_to_plain(
    case: Case, backend: str, dtype: torch.dtype, settings: dict[str, Any]
) -> None:
    plain, compiled = new_parameters(dtype), new_parameters(dtype)
    first, second = (
        case.new(parameters, **copy.deepcopy(settings))
        for parameters in (plain, compiled)
    )
    step = torch.compile(second.step, backend=backend)
    ten_steps(first, plain, first.step)
    ten_steps(second, compiled, step)
    graphs = counters["stats"]["unique_graphs"]
    # One with the first learning rate as a constant, one with it as an argument. torch
    # 2.6 compiles some rules anew for each learning rate, unless it is a tensor.
    assert graphs >= 1
    assert graphs <= 2 or (
        VERSION < (2, 13) and not isinstance(second.defaults["lr"], Tensor)
    )
    ten_steps(first, plain, first.step, seed=1)
    ten_steps(second, compiled, step, seed=1)
    assert counters["stats"]["unique_graphs"] == graphs
    assert not counters["graph_break"]
    digits = 50 * torch.finfo(dtype).eps
    for one, other in zip(plain, compiled, strict=True):
        torch.testing.assert_close(other, one, rtol=digits, atol=digits)
        assert second.state[other]["step"] == first.state[one]["step"] == 20
        for name, value in first.state[one].items():
            torch.testing.assert_close(
                second.state[other][name], value, rtol=digits, atol=digits
            )


FLOAT_RATE: dict[str, Any] = {"weight_decay": 0.1}
TENSOR_RATE = {"lr": torch.tensor(0.1, dtype=torch.float64), "maximize": True}
CAPTURABLE = {**TENSOR_RATE, "capturable": True, "weight_decay": 0.1}


# "aot_eager" does what "eager" does, and also turns each change in place into a new
# tensor; it takes twice as long. foreach takes a tensor only for a capturable step.
@each_with(TENSOR_RATE)
def test_compiled_step_is_one_graph_without_a_break_and_equals_the_plain_one(
    case: Case, chosen: dict[str, Any]
) -> None:
    compiled_next_to_plain(case, "eager", torch.float64, chosen)


@each_with(FLOAT_RATE, backends=["foreach"])
def test_compiled_foreach_step_is_one_graph_and_equals_the_plain_one(
    case: Case, chosen: dict[str, Any]
) -> None:
    compiled_next_to_plain(case, "eager", torch.float64, chosen)


@each_with(FLOAT_RATE, backends=["plain"])
def test_step_whose_graph_changes_nothing_in_place_equals_the_plain_one(
    case: Case, chosen: dict[str, Any]
) -> None:
    compiled_next_to_plain(case, "aot_eager", torch.float64, chosen)


@each_with(CAPTURABLE)
def test_capturable_step_whose_graph_changes_nothing_in_place_equals_the_plain_one(
    case: Case, chosen: dict[str, Any]
) -> None:
    compiled_next_to_plain(case, "aot_eager", torch.float64, chosen)


@pytest.mark.parametrize("numba", [True, False])
def test_step_that_the_compiler_gives_up_is_taken_without_it(
    monkeypatch: pytest.MonkeyPatch, numba: bool
) -> None:
    """It must not go on with what the step then calls: it cannot follow Numba."""
    as_it_was = BaseOptimizer._numbers_of

    def unknown_to_the_compiler(self: Any, group: Any, *, recorded: bool) -> Any:
        torch._dynamo.graph_break()
        return as_it_was(self, group, recorded=recorded)

    monkeypatch.setattr(BaseOptimizer, "_numbers_of", unknown_to_the_compiler)
    if not numba:
        monkeypatch.setattr(fused, "_numba_is_installed", lambda: False)
    plain, compiled = new_parameters(), new_parameters()
    case = ADAM.on("fused")
    first, second = case.new(plain), case.new(compiled)
    # First, for Numba compiles what has not been called yet.
    ten_steps(second, compiled, torch.compile(second.step, backend="eager"))
    ten_steps(first, plain, first.step)
    assert counters["graph_break"]
    assert not counters["stats"]["calls_captured"]
    for one, other in zip(plain, compiled, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-14, atol=1e-14)


NEEDS_A_COMPILER = pytest.mark.skipif(
    shutil.which("c++") is None and shutil.which("g++") is None,
    reason="inductor writes C++ and needs a compiler",
)


@NEEDS_A_COMPILER
def test_machine_code_of_inductor_equals_the_plain_step() -> None:
    compiled_next_to_plain(ADAM, "inductor", torch.float32, FLOAT_RATE)


def test_compiled_step_with_a_state_in_eight_bits_equals_the_plain_one() -> None:
    compiled_next_to_plain(ADAM.on("uint8"), "aot_eager", torch.float32, FLOAT_RATE)


def in_eight_bits(numbers: Tensor, code: Tensor, scale: Tensor) -> Tensor:
    """Store numbers, and return what is read back."""
    entry = {"x_code": code, "x_scale": scale}
    encode(entry, "x", numbers, Dither(0, 1, 0), signed=True)
    return decoded(entry, "x", torch.float32, signed=True)


@NEEDS_A_COMPILER
def test_machine_code_of_inductor_rounds_as_the_formula_does() -> None:
    # Of two blocks one is not full, where inductor of torch 2.13 takes some ways of
    # writing it for others.
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(300, generator=generator)
    stored = [(torch.zeros(300, dtype=torch.uint8), torch.zeros(2)) for _ in range(2)]
    plain = in_eight_bits(numbers, *stored[0])
    compiled = torch.compile(in_eight_bits)(numbers, *stored[1])
    assert torch.equal(compiled, plain)
    assert all(map(torch.equal, stored[0], stored[1]))
