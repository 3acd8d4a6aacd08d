"""Checkpoints that do not fit are refused, and nothing has changed then."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from adam_tutorial.optim import Adam, AdamW, Lion
from tests.optim.steps import (
    frozen,
    new_parameters,
    parameters_of,
    set_gradients,
    snapshot,
    take_steps,
    trained,
)
from tests.optimizers import CASES, Case, each, is_class


def changed(change: Callable[[dict[str, Any]], Any], **settings: Any) -> Any:
    state = copy.deepcopy(trained(Adam, **settings).state_dict())
    change(state)
    return state


def with_entry(key: str, value: Any, **settings: Any) -> Callable[[], Any]:
    change = lambda state: state["state"][1].__setitem__(key, value)
    return lambda: changed(change, **settings)


def with_setting(**new: Any) -> Callable[[], Any]:
    return lambda: changed(lambda state: state["param_groups"][0].update(new))


UNFIT: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "two groups": (
        lambda: Adam(
            [{"params": new_parameters()[:2]}, {"params": new_parameters()[2:]}]
        ).state_dict(),
        ValueError,
        "different number of parameter groups: 2, but the optimizer has 1",
    ),
    "fewer parameters": (
        lambda: trained(Adam, new_parameters()[:3]).state_dict(),
        ValueError,
        (
            r"doesn't match the size of optimizer's group: sizes \[3\], but the"
            r" optimizer has \[4\]"
        ),
    ),
    "other shapes": (
        with_entry("exp_avg", torch.zeros(1, 5)),
        ValueError,
        r"exp_avg of parameter 1 has the shape \(1, 5\), but the parameter has \(5,\)",
    ),
    "shape that would be stretched": (
        with_entry("exp_avg_sq", torch.zeros(())),
        ValueError,
        r"exp_avg_sq of parameter 1 has the shape \(\)",
    ),
    "AMSGrad's maximum of another shape": (
        with_entry("max_exp_avg_sq", torch.zeros(6), amsgrad=True),
        ValueError,
        r"max_exp_avg_sq of parameter 1 has the shape \(6,\)",
    ),
    "SGD": (
        lambda: trained(torch.optim.SGD, lr=0.1, momentum=0.9).state_dict(),
        ValueError,
        r"group 0 of the state dict has no 'betas', only \['dampening', .*not made by",
    ),
    "Lion": (
        lambda: trained(Lion).state_dict(),
        ValueError,
        "the state of parameter 0 has no 'exp_avg_sq'",
    ),
    "Adamax": (
        lambda: trained(torch.optim.Adamax).state_dict(),
        ValueError,
        "has no 'exp_avg_sq'",
    ),
    "moment that is no tensor": (
        with_entry("exp_avg", [0.0] * 5),
        TypeError,
        "exp_avg of parameter 1 must be a tensor",
    ),
    "moment that is complex": (
        with_entry("exp_avg", torch.zeros(5, dtype=torch.complex64)),
        TypeError,
        (
            "exp_avg of parameter 1 must be a tensor as torch.float64 needs it, got"
            " torch.complex64"
        ),
    ),
    "negative step": (
        with_entry("step", torch.tensor(-1.0)),
        ValueError,
        "step of parameter 1 must be finite and not negative",
    ),
    "step that is no number": (
        with_entry("step", torch.tensor(math.nan)),
        ValueError,
        "step of parameter 1 must be finite and not negative",
    ),
    "endless step": (
        with_entry("step", math.inf),
        ValueError,
        "step of parameter 1 must be finite and not negative, got inf",
    ),
    "invalid flag": (
        with_setting(amsgrad="yes"),
        TypeError,
        "amsgrad must be True or False",
    ),
    "no state": (
        lambda: {"param_groups": trained(Adam).state_dict()["param_groups"]},
        ValueError,
        r"a state dict needs the key 'state', got \['param_groups'\]",
    ),
    "no groups": (
        lambda: {"state": trained(Adam).state_dict()["state"]},
        ValueError,
        "a state dict needs the key 'param_groups'",
    ),
    "nothing": (dict, ValueError, "a state dict needs the key 'state', got"),
    "decoupled decay": (
        lambda: trained(AdamW, weight_decay=0.1).state_dict(),
        ValueError,
        (
            "decoupled_weight_decay=True, AdamW's decay of the weights, but the"
            " optimizer computes Adam's L2 penalty"
        ),
    ),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_checkpoint_that_does_not_fit_is_refused_and_nothing_has_changed(
    unfit: str,
) -> None:
    make, error, message = UNFIT[unfit]
    optimizer = trained(Adam, lr=0.5)
    before = snapshot(optimizer)
    entries = {p: dict(entry) for p, entry in optimizer.state.items()}
    checkpoint = make()
    given = frozen(checkpoint)
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(checkpoint)
    assert snapshot(optimizer) == before
    assert frozen(checkpoint) == given
    for parameter, entry in entries.items():
        for name, value in entry.items():
            assert optimizer.state[parameter][name] is value
    take_steps(optimizer, parameters_of(optimizer), range(20, 22))


def test_checkpoint_with_a_penalty_is_refused_where_the_decay_is_decoupled() -> None:
    optimizer = trained(AdamW)
    before = snapshot(optimizer)
    message = (
        "decoupled_weight_decay=False, Adam's L2 penalty, but the optimizer computes"
        " AdamW's decay of the weights"
    )
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(trained(Adam, weight_decay=0.1).state_dict())
    assert snapshot(optimizer) == before


@each(is_class)
def test_checkpoint_of_every_other_rule_is_refused_unless_its_state_is_the_same(
    case: Case,
) -> None:
    optimizer = trained(case.new)
    name = case.optimizer.__name__
    shape = tuple(new_parameters()[0].shape)
    refusals = 0
    for other in CASES:
        before = snapshot(optimizer)
        if case.state_of(shape) <= other.state_of(shape):
            continue
        checkpoint = trained(other.new, weight_decay=0).state_dict()
        # Or its settings are refused: some have a pair where others have a number.
        message = f"it was not made by {name}|must be a (pair|number)"
        with pytest.raises((ValueError, TypeError), match=message):
            optimizer.load_state_dict(checkpoint)
        assert snapshot(optimizer) == before
        refusals += 1
    # Lion's state is one average, which all the others have too.
    assert refusals or case.optimizer is Lion


def test_settings_that_a_run_could_reach_load_and_the_step_refuses_the_unusable() -> (
    None
):
    for setting, refused in (
        ({"lr": -1.0}, None),
        ({"fused": True, "foreach": True}, None),
        ({"lr": float("nan")}, "lr of group 0 is nan"),
        ({"betas": (0.9, 1.0)}, r"betas of group 0 is \(0.9, 1.0\)"),
    ):
        optimizer = Adam(new_parameters())
        optimizer.load_state_dict(with_setting(**setting)())
        parameters = optimizer.param_groups[0]["params"]
        set_gradients(parameters, 0)
        if refused is None:
            optimizer.step()
        else:
            with pytest.raises(ValueError, match=refused):
                optimizer.step()
