"""Every backend computes what the plain one does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial import optim
from adam_tutorial.optim.backends import foreach, plain

RULES: list[Any] = [getattr(optim, name) for name in optim.__all__]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
SHAPES = ((), (3,), (4, 5), (2, 0), (2, 3, 4))
DTYPES = (
    torch.float64,
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.complex64,
)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"weight_decay": 0.1, "maximize": True},
    {"weight_decay": 0.1, "decoupled_weight_decay": True},
    {"amsgrad": True},
]


def parameters_of(rule: Any) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=generator).to(dtype))
        for shape in SHAPES
        for dtype in DTYPES
        if dtype in rule.dtypes
    ]


def trained(
    rule: Any, settings: dict[str, Any], steps: int = 12, **flags: Any
) -> tuple[list[nn.Parameter], list[dict[str, Any]]]:
    """Train parameters; some lack a gradient now and then, so that their t differ."""
    known = inspect.signature(rule).parameters
    settings = {name: value for name, value in settings.items() if name in known}
    parameters = parameters_of(rule)
    optimizer = rule(parameters, lr=0.05, **settings, **flags)
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        for place, parameter in enumerate(parameters):
            g = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            parameter.grad = None if (place + step) % 5 == 0 else g
        optimizer.step()
    return parameters, [optimizer.state[parameter] for parameter in parameters]


@each_rule
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_foreach_equals_plain_to_the_last_bit(
    rule: Any, settings: dict[str, Any]
) -> None:
    parameters, states = trained(rule, settings, foreach=False)
    others, other_states = trained(rule, settings, foreach=True)
    for one, other in zip(parameters, others, strict=True):
        assert torch.equal(one, other)
    for state, other_state in zip(states, other_states, strict=True):
        assert list(state) == list(other_state)
        for name, value in state.items():
            assert torch.equal(value, other_state[name]), name


def count_calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, int]]:
    """Count how many tensors each backend is handed, one at a time and in lists."""
    counts = {"plain": 0, "lists": 0, "in lists": 0}
    one_by_one, in_lists = plain.step, foreach._step_list

    def counted(optimizer: Any, parameters: Any, settings: Any) -> None:
        together = list(parameters)
        counts["plain"] += len(together)
        one_by_one(optimizer, together, settings)

    def counted_list(optimizer: Any, together: Any, settings: Any) -> None:
        counts["lists"] += 1
        counts["in lists"] += len(together)
        in_lists(optimizer, together, settings)

    monkeypatch.setattr(plain, "step", counted)
    monkeypatch.setattr(foreach, "_step_list", counted_list)
    return lambda: counts


def with_gradients(count: int, size: int = 3) -> list[nn.Parameter]:
    parameters = [nn.Parameter(torch.zeros(size)) for _ in range(count)]
    for parameter in parameters:
        parameter.grad = torch.ones(size)
    return parameters


def test_parameters_of_one_kind_are_one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = optim.NAdam(with_gradients(7), foreach=True)
    counts = count_calls(monkeypatch)
    optimizer.step()
    assert counts() == {"plain": 0, "lists": 1, "in lists": 7}


def test_lists_are_the_default_on_accelerators_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def on(device: str) -> Any:
        return SimpleNamespace(device=torch.device(device))

    assert foreach.is_default([on("cuda"), on("cuda:1")])
    assert not foreach.is_default([on("cuda"), on("cpu")])
    monkeypatch.setattr(foreach, "is_default", lambda parameters: len(parameters) == 2)
    rule: Any = optim.NAdam
    for flags, expected in (
        ({}, 2),
        ({"foreach": False}, 0),
        ({"capturable": True}, 0),
    ):
        optimizer = rule(with_gradients(2), **flags)
        with monkeypatch.context() as patched:
            counts = count_calls(patched)
            optimizer.step()
        assert counts()["in lists"] == expected


def test_a_long_list_is_cut_so_that_the_memory_of_a_step_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(foreach, "ELEMENTS", 10)
    optimizer = optim.Adam(with_gradients(9, size=4), foreach=True)
    counts = count_calls(monkeypatch)
    optimizer.step()
    assert counts() == {"plain": 0, "lists": 3, "in lists": 9}


class Special(Tensor):
    """A class of tensors that multi-tensor operations may not know."""


def test_tensors_of_other_classes_and_rules_over_elements_go_the_plain_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ordinary, special = with_gradients(2)
    special.data = special.data.as_subclass(Special)
    mixed = optim.Adam(
        [ordinary, nn.Parameter(torch.zeros(3).as_subclass(Special))], foreach=True
    )
    mixed.param_groups[0]["params"][1].grad = torch.ones(3)
    factored = optim.Adafactor(with_gradients(2), foreach=True)
    counts = count_calls(monkeypatch)
    mixed.step()
    assert counts() == {"plain": 1, "lists": 1, "in lists": 1}
    factored.step()
    assert counts() == {"plain": 3, "lists": 1, "in lists": 1}


def test_recorded_steps_and_those_without_foreach_are_plain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags: list[dict[str, Any]] = [
        {"foreach": False},
        {"fused": False},
        {"foreach": True, "capturable": True},
    ]
    for flag in flags:
        optimizer = optim.Adam(with_gradients(2), **flag)
        with monkeypatch.context() as patched:
            counts = count_calls(patched)
            optimizer.step()
        assert counts() == {"plain": 2, "lists": 0, "in lists": 0}
