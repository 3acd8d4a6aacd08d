"""The table of what libraries compute; tests/peers prove its formulas."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from adam_tutorial import optim
from adam_tutorial.libraries import conventions
from adam_tutorial.libraries.table import TABLE, Library


def test_unknown_optimizer_is_refused_with_those_that_the_library_has() -> None:
    with pytest.raises(
        ValueError, match=r"keras has \[.*'nadamw'\], got optimizer='radam'"
    ):
        conventions("keras", "radam")


@pytest.mark.parametrize(
    ("library", "module"), [("torch", torch.optim), ("adam_tutorial", optim)]
)
def test_defaults_of_the_table_are_those_of_the_classes(
    library: Library, module: Any
) -> None:
    for convention in TABLE[library].values():
        kind = getattr(module, convention.name.rpartition(".")[2])
        found = {
            name: parameter.default
            for name, parameter in inspect.signature(kind).parameters.items()
        }
        assert found["betas"] == (
            convention.defaults["beta1"],
            convention.defaults["beta2"],
        )
        for name in ("lr", "eps", "weight_decay", "momentum_decay"):
            if name in convention.arguments:
                assert found[name] == convention.defaults[name], convention.name


@pytest.mark.parametrize(
    ("library", "module"), [("torch", torch.optim), ("adam_tutorial", optim)]
)
def test_every_number_that_a_class_takes_is_in_the_table(
    library: Library, module: Any
) -> None:
    for convention in TABLE[library].values():
        kind = getattr(module, convention.name.rpartition(".")[2])
        numbers = {
            name
            for name, parameter in inspect.signature(kind).parameters.items()
            if type(parameter.default) in (int, float, tuple)
        }
        assert numbers == set(convention.arguments.values()), convention.name
