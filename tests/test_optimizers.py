"""The table of optimizers is complete, and true where no other test follows it."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from adam_tutorial import optim
from adam_tutorial.libraries import translate
from adam_tutorial.libraries.table import TABLE, Library
from tests.optim.steps import SHAPES, new_parameters, numbers, set_gradients, take_steps
from tests.optimizers import (
    CASES,
    COMPLEX,
    FLAGS,
    Case,
    each,
    each_form,
    each_in_torch,
    each_optimizer,
    is_class,
)


def test_table_has_a_case_for_every_optimizer_of_the_package_and_no_other() -> None:
    classes = [case.optimizer for case in CASES if is_class(case)]
    assert sorted(kind.__name__ for kind in classes) == sorted(optim.__all__)
    assert {case.optimizer for case in CASES} == set(classes)
    assert len({case.name for case in CASES}) == len(CASES)


def test_table_has_every_rule_that_the_libraries_table_has_for_this_package() -> None:
    keys = [case.key for case in CASES if case.key is not None]
    assert sorted(keys) == sorted(TABLE["adam_tutorial"])
    of_torch = {case.key for case in CASES if "torch" in case.same_formula}
    assert of_torch == set(TABLE["torch"])
    for case in CASES:
        if case.key is not None:
            assert (case.torch is not None) == ("torch" in case.same_formula)


@pytest.mark.parametrize("library", ["optax", "keras"])
def test_library_computes_the_same_where_no_difference_is_named(
    library: Library,
) -> None:
    for case in CASES:
        if case.key in TABLE[library]:
            moved = translate(
                {"lr": 0.1},
                source="adam_tutorial",
                target=library,
                optimizer=str(case.key),
            )
            assert (moved.differences == ()) == (library in case.same_formula), case


@each(is_class, backends=["plain"])
def test_signature_lists_the_hyper_parameters_and_flags_of_the_table(
    case: Case,
) -> None:
    first, *rest = inspect.signature(case.optimizer).parameters.values()
    assert first.name == "params"
    assert first.default is inspect.Parameter.empty
    listed = {parameter.name: parameter.default for parameter in rest}
    assert listed == {**case.hyperparameters, **case.flags}
    assert rest[-1].kind is inspect.Parameter.KEYWORD_ONLY
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    assert not [parameter.name for parameter in rest if parameter.kind in variable]


@each(is_class, backends=["plain"])
def test_new_optimizer_has_the_defaults_of_the_table(case: Case) -> None:
    (parameter, *_) = new_parameters()
    settings = dict(case.optimizer([parameter]).defaults)
    # AdamW takes it from its name.
    settings_of_the_name = (
        {}
        if case.takes("decoupled_weight_decay")
        else {"decoupled_weight_decay": case.decoupled}
    )
    expected = {**case.hyperparameters, **case.flags}
    assert {**settings_of_the_name, **settings} == {**settings_of_the_name, **expected}


@each_in_torch
def test_signature_is_that_of_torch_with_our_own_flags_added(case: Case) -> None:
    ours = inspect.signature(case.optimizer).parameters
    theirs = inspect.signature(case.torch).parameters
    added = set(ours) - set(theirs)
    # `decoupled_weight_decay` of Adam is younger than torch 2.6.
    younger = {"decoupled_weight_decay"} if case.optimizer is optim.Adam else set()
    assert added - younger == set(case.own_flags)
    assert [name for name in ours if name not in added] == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name].kind == parameter.kind
        assert ours[name].default == parameter.default
    for name in case.own_flags:
        assert ours[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert ours[name].default == FLAGS[name]


@each_in_torch
def test_defaults_are_those_of_torch_and_our_own_flags(case: Case) -> None:
    ours, theirs = (
        kind([nn.Parameter(torch.zeros(1))]) for kind in (case.optimizer, case.torch)
    )
    # The flag is younger than torch 2.6; what AdamW does is older.
    younger = (
        {"decoupled_weight_decay": case.decoupled}
        if case.optimizer in (optim.Adam, optim.AdamW)
        else {}
    )
    own = {name: FLAGS[name] for name in case.own_flags}
    assert ours.defaults == {**younger, **theirs.defaults, **own}


@each(lambda case: case.form_of is None, backends=["plain"])
def test_defaults_are_those_of_the_reference(case: Case) -> None:
    formula = inspect.signature(case.rule).parameters
    ours = case.spelt(case.hyperparameters)
    for name, default in ours.items():
        if name in formula:
            assert formula[name].default == default, name
        else:
            # A decay that the rule leaves out, and what chooses between rules.
            assert not default or name == "decoupled_weight_decay", name


@each_form
def test_state_has_the_names_and_shapes_of_the_table(case: Case) -> None:
    parameters = new_parameters()
    optimizer = case.new(parameters)
    take_steps(optimizer, parameters, range(1))
    for parameter, shape in zip(parameters, SHAPES, strict=True):
        state = optimizer.state[parameter]
        assert set(state) == case.state_of(shape)
        for name, expected in case.moments_of(shape).items():
            assert state[name].shape == expected
        for name in ("step", *case.numbers):
            assert state[name].shape == ()


@each_optimizer
def test_complex_parameters_are_taken_or_refused_as_the_table_says(case: Case) -> None:
    for dtype in COMPLEX:
        parameter = nn.Parameter(numbers(0, dtype=dtype))
        if case.complex:
            assert dtype in case.dtypes
            case.new([parameter])
        else:
            with pytest.raises((TypeError, ValueError), match="complex"):
                case.new([parameter])


@each(lambda case: not case.first_step_is_sign)
def test_first_step_depends_on_more_than_the_sign_where_the_table_says_so(
    case: Case,
) -> None:
    theta = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    theta.grad = torch.tensor([1.0, -3.0, 100.0], dtype=torch.float64)
    case.new([theta], lr=1.0, **case.only(weight_decay=0)).step()
    assert (theta.detach().abs() - 1).abs().max() > 1e-3


@each(lambda case: not case.scale_free)
def test_scale_of_the_gradients_matters_where_the_table_says_so(case: Case) -> None:
    ends = []
    for factor in (1, 8):
        (theta,) = new_parameters(shapes=[(5,)])
        optimizer = case.new([theta], lr=0.1)
        for step in range(5):
            set_gradients([theta], step)
            assert theta.grad is not None
            theta.grad *= factor
            optimizer.step()
        ends.append(theta.detach())
    assert (ends[0] - ends[1]).abs().min() > 1e-3
