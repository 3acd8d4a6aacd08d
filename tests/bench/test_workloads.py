"""The workloads have the shapes that their names promise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial.bench import TOPICS, WORKLOADS, find_workload


@pytest.mark.parametrize(
    ("name", "tensors", "elements"),
    [
        ("32M", 1, 33_554_432),
        ("10M", 1, 10_000_000),
        # What torchvision and transformers say of resnet50 and of distilgpt2.
        ("resnet50", 161, 25_557_032),
        ("gpt2-half", 76, 81_912_576),
        ("mlp", 6, 55_050),
        ("1000x1024", 1000, 1_024_000),
        ("1000x64", 1000, 64_000),
        ("200x4096", 200, 819_200),
        ("32M-bf16", 1, 33_554_432),
    ],
)
def test_a_workload_has_so_many_tensors_and_elements(
    name: str, tensors: int, elements: int
) -> None:
    workload = find_workload(name)
    assert (workload.name, workload.tensors, workload.elements) == (
        name,
        tensors,
        elements,
    )


def test_the_perceptron_has_the_shapes_of_pytorch() -> None:
    layers = [nn.Linear(784, 64), nn.Linear(64, 64), nn.Linear(64, 10)]
    shapes = [tuple(p.shape) for p in nn.Sequential(*layers).parameters()]
    assert list(find_workload("mlp").shapes) == shapes


def bottleneck(channels: int, width: int, *, shortcut: bool) -> nn.ModuleList:
    """Return the layers of a block of ResNet-50 in the order of torchvision."""
    sizes = [(channels, width, 1), (width, width, 3), (width, 4 * width, 1)]
    if shortcut:
        sizes.append((channels, 4 * width, 1))
    return nn.ModuleList(
        nn.Sequential(nn.Conv2d(of, to, size, bias=False), nn.BatchNorm2d(to))
        for of, to, size in sizes
    )


def test_the_first_stage_of_resnet_has_the_shapes_of_pytorch() -> None:
    stage = nn.ModuleList(
        bottleneck(256 if i else 64, 64, shortcut=i == 0) for i in range(3)
    )
    shapes = [tuple(p.shape) for p in stage.parameters()]
    assert list(find_workload("resnet50").shapes[3 : 3 + len(shapes)]) == shapes


def test_a_step_moves_seven_numbers_an_element() -> None:
    assert find_workload("3x5").bytes == 7 * 4 * 15
    assert find_workload("3x5-bf16").bytes == 7 * 2 * 15
    assert find_workload("3x5-bf16").dtype == "bfloat16"
    assert find_workload("3x5").shapes == ((5,), (5,), (5,))


def test_all_workloads_that_are_measured_exist() -> None:
    growth = TOPICS["growth"]["workloads"]
    for name in (*WORKLOADS, *growth, *TOPICS["numpy"]["workloads"]):
        assert find_workload(name).elements > 0
    assert find_workload(growth[0]).elements == 2**10
    assert max(find_workload(name).elements for name in growth) == 2**25
    assert max(find_workload(name).tensors for name in growth) == 4096


@pytest.mark.parametrize(
    "name", ["", "foo", "x5", "5x", "0x5", "5x0", "-bf16", 5, None]
)
def test_an_unknown_workload_is_named(name: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"^workloads must be of 32M, .*got {name!r}$"
    ):
        find_workload(name)


def test_names_of_dtypes_are_those_of_pytorch() -> None:
    for name in ("1x1", "1x1-bf16"):
        assert isinstance(getattr(torch, find_workload(name).dtype), torch.dtype)
