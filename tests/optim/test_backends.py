"""All backends compute the same, to the last bit or nearly so.

The native step is rounded as the formulas are, and so are the operations of PyTorch,
but for the root: on some CPUs its last bit is not the nearest.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.optim.steps import copies, frozen, numbers, set_gradients
from tests.optimizers import BACKENDS, Case, each, is_optimizer

OTHERS = [name for name in BACKENDS if name != "plain"]
each_other_backend = each(backends=OTHERS)


def all_kinds(case: Case) -> list[nn.Parameter]:
    """Parameters of all types, of many shapes, and in several layouts."""
    shapes = ((5, 3), (7,), (), (2, 0), (2, 3, 2, 2))
    parameters = [
        nn.Parameter(numbers(seed, shape, dtype))
        for seed, shape in enumerate(shapes)
        for dtype in case.dtypes
    ]
    strided = numbers(9, (6, 8))
    return [
        *parameters,
        nn.Parameter(strided.T),
        nn.Parameter(strided.clone()[::2, 1::3]),
        nn.Parameter(numbers(10, (2, 3, 2, 2)).to(memory_format=torch.channels_last)),
    ]


def assert_nearly_equal(found: Tensor, expected: Tensor) -> None:
    """Compare to four units in the last place, after a dozen of steps."""
    eps = torch.finfo(expected.dtype).eps
    torch.testing.assert_close(found, expected, rtol=4 * eps, atol=4 * eps)


def in_groups(parameters: list[nn.Parameter], case: Case) -> list[dict[str, Any]]:
    choices: tuple[dict[str, Any], ...] = (
        {},
        {"lr": 0.03, "weight_decay": 0.2},
        {"maximize": True, **case.only(betas=(0.5, 0.7), eps=1e-3)},
    )
    return [
        {"params": parameters[start :: len(choices)], **choice}
        for start, choice in enumerate(choices)
    ]


@each_other_backend
def test_backend_computes_what_the_plain_one_does(case: Case) -> None:
    first = all_kinds(case)
    second = [nn.Parameter(parameter.detach().clone()) for parameter in first]
    optimizers = [
        kind.new(in_groups(parameters, case), lr=0.01)
        for kind, parameters in ((case.on("plain"), first), (case, second))
    ]
    for step in range(12):
        for optimizer, parameters in zip(optimizers, (first, second), strict=True):
            set_gradients(parameters, step)
            # Some have no gradient now and then, so their counts differ.
            for place, parameter in enumerate(parameters):
                if (place + step) % 5 == 0:
                    parameter.grad = None
            optimizer.step()
    states = [optimizer.state_dict()["state"] for optimizer in optimizers]
    if case.backend == "foreach":
        assert frozen(second) == frozen(first)
        assert frozen(states[1]) == frozen(states[0])
    for one, other in zip(first, second, strict=True):
        assert_nearly_equal(other, one)
    for place, entry in states[0].items():
        for name, value in entry.items():
            assert_nearly_equal(states[1][place][name], value)
    assert len({int(entry["step"]) for entry in states[0].values()}) > 1


@each(is_optimizer, backends=OTHERS)
@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.1, "maximize": True}], ids=str
)
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5), (0.5, 0.0)], ids=str)
def test_backend_computes_the_same_at_the_ends_of_the_range_of_betas(
    case: Case, options: dict[str, Any], betas: tuple[float, float]
) -> None:
    plain = nn.Parameter(numbers(0, (5,)))
    (other,) = copies([plain])
    settings = {"lr": 0.01, **case.only(betas=betas), **options}
    first, second = (
        case.on("plain").new([plain], **settings),
        case.new([other], **settings),
    )
    for step in range(100):
        set_gradients([plain, other], step)
        assert plain.grad is not None
        other.grad = plain.grad.clone()
        first.step()
        second.step()
    if case.backend == "foreach":
        assert torch.equal(other, plain)
    torch.testing.assert_close(other, plain, rtol=1e-13, atol=1e-13)
    assert plain.isfinite().all()
