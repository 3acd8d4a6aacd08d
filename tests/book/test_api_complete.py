"""The check that the pages of the API have every public name, and no other."""

from __future__ import annotations

import pytest
from api_complete import complaints, exists, public_names
from api_defaults import with_defaults

from adam_tutorial.study.experiments.study import Study


def test_the_public_names_are_those_of_the_whole_package() -> None:
    names = set(public_names())
    for name in (
        "adam_tutorial.optim.Adam",
        "adam_tutorial.reference.adam",
        "adam_tutorial.theory.step_supremum",
        "adam_tutorial.study.experiments.images.digit_examples",
        "adam_tutorial.libraries.translate",
    ):
        assert name in names
    assert complaints(names) == []


def test_hidden_modules_are_not_public() -> None:
    hidden = [name for name in public_names() if name.startswith("adam_tutorial._")]
    assert hidden == ["adam_tutorial.__version__"]


def test_a_missing_name_is_named() -> None:
    names = set(public_names()) - {"adam_tutorial.optim.Lion"}
    assert complaints(names) == [
        "adam_tutorial.optim.Lion is public, but on no page of the API"
    ]


def test_a_name_that_does_not_exist_is_named() -> None:
    names = {*public_names(), "adam_tutorial.optim.Adamm", "torch.optim.Nothing"}
    assert complaints(names) == [
        "adam_tutorial.optim.Adamm is on a page of the API, but does not exist"
    ]


@pytest.mark.parametrize(
    "name",
    [
        "adam_tutorial.optim.Adam.step",
        "adam_tutorial.reference.adam.AdamState",
        "adam_tutorial.reference.adam.AdamState.m",
    ],
)
def test_methods_fields_and_what_stands_in_a_hidden_module_exist(name: str) -> None:
    assert exists(name)


def test_a_method_that_does_not_exist_is_noticed() -> None:
    assert not exists("adam_tutorial.optim.Adam.stepp")
    assert not exists("adam_tutorial.optim.Adam.step.nothing")


def test_a_signature_shows_what_a_dataclass_makes_for_each_object() -> None:
    shown = with_defaults("(module, described=<factory>, encode=<factory>)", Study)
    assert shown == "(module, described={}, encode=as_json)"
