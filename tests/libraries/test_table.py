"""The table of what libraries compute; tests/peers prove its formulas."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from adam_tutorial import optim
from adam_tutorial.libraries import conventions
from adam_tutorial.libraries.table import TABLE, Convention, Library


def test_unknown_optimizer_is_refused_with_those_that_the_library_has() -> None:
    with pytest.raises(
        ValueError, match=r"keras has \[.*'nadamw'\], got optimizer='radam'"
    ):
        conventions("keras", "radam")


def signatures(library: Library) -> Iterator[tuple[Convention, dict[str, Any]]]:
    """Yield the rows of a library, each with the defaults that its class takes."""
    module: Any = {"torch": torch.optim, "adam_tutorial": optim}[library]
    for convention in TABLE[library].values():
        kind = getattr(module, convention.name.rpartition(".")[2])
        parameters = inspect.signature(kind).parameters
        yield convention, {name: its.default for name, its in parameters.items()}


of_torch_and_ours = pytest.mark.parametrize("library", ["torch", "adam_tutorial"])


@of_torch_and_ours
def test_defaults_of_the_table_are_those_of_the_classes(library: Library) -> None:
    for convention, found in signatures(library):
        assert found["betas"] == (
            convention.defaults["beta1"],
            convention.defaults["beta2"],
        )
        for name in ("lr", "eps", "weight_decay", "momentum_decay"):
            if name in convention.arguments:
                assert found[name] == convention.defaults[name], convention.name


@of_torch_and_ours
def test_every_number_that_a_class_takes_is_in_the_table(library: Library) -> None:
    for convention, found in signatures(library):
        numbers = {
            name
            for name, default in found.items()
            if type(default) in (int, float, tuple)
        }
        assert numbers == set(convention.arguments.values()), convention.name
