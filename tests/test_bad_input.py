"""Nothing strange gives a wrong number: an error names the argument, or it is right.

Every closed form and every rule is called with each of its arguments replaced, in turn,
by what a slip would put there.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial import libraries, optim, reference, theory
from adam_tutorial.reference.rule import takes_theta
from tests.theory.test_arguments import GOOD

# Arguments of the closed forms whose own tests need others, and of functions elsewhere.
MORE: dict[str, dict[str, Any]] = {
    "adamw_shrink_factor": {"lr": [0.1, 0.1], "weight_decay": 0.1},
    "critical_excess": {"windows": 1.0},
    "eps_at": {"eps_hat": 1e-8, "t": 1, "beta2": 0.9},
    "eps_hat_at": {"eps": 1e-8, "t": 1, "beta2": 0.9},
    "eps_hat_lag": {
        "eps": 1e-8,
        "size": 1.0,
        "steps": 3,
        "beta2": 0.9,
        "eps_hat": 1e-8,
    },
    "expected_best": {"losses": [1.0, 2.0], "trials": 1},
    "gap": {"path": [[1.0]], "other": [[1.0]], "lr": 1.0},
    "largest_eps_hat_lag": {"eps": 1e-8, "size": 1.0, "beta2": 0.9},
    "paper_regret_bound": {
        "steps": 1,
        "v_hat": [1.0],
        "gradient_norms": [1.0],
        "diameter": 1.0,
        "diameter_inf": 1.0,
        "gradient_inf": 1.0,
        "lr": 0.1,
        "beta1": 0.9,
        "beta2": 0.99,
        "beta1_factor": 0.5,
    },
    "periodic_drift": {"gradients": [2.0, -1.0], "beta1": 0.0, "beta2": 0.9},
    "radam_rectification": {"t": 10, "beta2": 0.999},
    "rescaled_decay_rate": {"beta": 0.9, "batch_ratio": 2.0},
    "rms_after": {"steps": 1, "lr": 0.1, "weight_decay": 0.1, "start": 1.0},
    "steps_per_digit": {"rate": 0.5},
}
FORMS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    name: (getattr(theory if hasattr(theory, name) else libraries, name), good)
    for name, good in (GOOD | MORE).items()
}
RULES = [
    getattr(reference, name)
    for name in reference.__all__
    if name.islower()
    and next(iter(inspect.signature(getattr(reference, name)).parameters)) == "state"
]
NOT_NUMBERS: tuple[Any, ...] = (None, "0.1", 1j, {}, [1.0, 2.0], object())
EXTREME = (math.nan, math.inf, -math.inf, -1, -1e300, 0, 1e300, 10**9)


def holds_nan(result: Any) -> bool:
    values = result if isinstance(result, tuple) else (result,)
    return any(np.isnan(value).any() for value in values)


def refusal(call: Callable[[], Any]) -> str | None:
    """Return the message of a TypeError or ValueError; None where there is a result."""
    try:
        result = call()
    except (TypeError, ValueError) as error:
        return str(error)
    assert not holds_nan(result)
    return None


@pytest.fixture(autouse=True)
def overflow_is_infinity() -> Iterator[None]:
    """Extreme numbers may overflow: that is what was asked for."""
    with np.errstate(over="ignore"):
        yield


@pytest.mark.parametrize("name", FORMS)
def test_closed_form_names_what_is_not_a_number(name: str) -> None:
    form, good = FORMS[name]
    optional = inspect.signature(form).parameters
    for argument, value in good.items():
        for bad in NOT_NUMBERS:
            if bad is None and optional[argument].default is None:
                continue
            if isinstance(bad, list) and isinstance(value, list):
                continue
            said = refusal(partial(form, **{**good, argument: bad}))
            assert said is not None, (argument, bad)
            assert re.match(rf"{argument} must (be|have)\b", said), (argument, bad)


@pytest.mark.parametrize("name", FORMS)
def test_closed_form_of_an_extreme_number_is_a_number_or_refused(name: str) -> None:
    form, good = FORMS[name]
    for argument, value in good.items():
        for bad in EXTREME:
            # An array of that many numbers is what was asked for.
            if bad >= 10**9 and name in {
                "moving_average_weights",
                "step_supremum_gradients",
            }:
                continue
            # Data with NaN gives NaN, as everywhere in NumPy, and squares overflow.
            if isinstance(value, list) and not abs(bad) < 1e100:
                continue
            given = [bad, 1.0] if isinstance(value, list) else bad
            try:
                said = refusal(partial(form, **{**good, argument: given}))
            except OverflowError:  # Python says it well
                continue
            if said is not None:
                assert argument in said, (argument, bad, said)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_names_what_is_not_a_number(rule: Callable[..., Any]) -> None:
    parameters = list(inspect.signature(rule).parameters.values())
    given = {"theta": 1.0} if takes_theta(rule) else {}
    for parameter in parameters[2:]:
        if isinstance(parameter.default, str):
            continue
        for bad in NOT_NUMBERS:
            fits = parameter.name == "theta" or isinstance(parameter.default, tuple)
            if fits and isinstance(bad, list):
                continue
            with pytest.raises(TypeError, match=rf"^{parameter.name} must be .*, got"):
                rule(None, 1.0, **{**given, parameter.name: bad})
    for bad in (None, "0.1", ["0.1"], {}, [None], [[1.0], [1.0, 2.0]], object()):
        with pytest.raises(TypeError, match=rf"^{parameters[1].name} must be numbers"):
            rule(None, bad, **given)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_refuses_a_state_of_another_type(rule: Callable[..., Any]) -> None:
    own = str(next(iter(inspect.signature(rule).parameters.values())).annotation)
    given = {"theta": 1.0} if takes_theta(rule) else {}
    for other in RULES:
        theirs = {"theta": 1.0} if takes_theta(other) else {}
        state = other(None, 1.0, **theirs)[0]
        if state is None or own.startswith(type(state).__name__):
            continue
        with pytest.raises(TypeError, match="state must be None or what"):
            rule(state, 1.0, **given)


@pytest.mark.parametrize("follow", [reference.walk, reference.trajectory])
def test_a_path_is_not_followed_without_numbers(follow: Callable[..., Any]) -> None:
    def nothing(_: Any) -> None:
        """Forget to return the gradient."""

    adam = reference.adam
    with pytest.raises(TypeError, match=r"^what gradient returns must be numbers, got"):
        follow(adam, nothing, [1.0], 3)
    with pytest.raises(TypeError, match=r"^theta must be numbers, got None"):
        follow(adam, np.square, None, 3)
    with pytest.raises(
        ValueError, match=r"^gradient must return the shape of theta, \(2,\), got \(\)"
    ):
        follow(adam, np.sum, [1.0, 2.0], 3)
    for steps in (2.5, "3", math.nan):
        with pytest.raises(TypeError, match=r"^steps must be a whole number, got"):
            follow(adam, np.square, [1.0], steps)


def test_a_library_is_not_followed_without_numbers() -> None:
    def follow(gradient: Any, start: Any = (1.0,)) -> Any:
        return libraries.follow(
            "torch", "torch.optim.Adam", {}, lambda *_: gradient, start, 2
        )

    for bad in (None, "1"):
        with pytest.raises(TypeError, match=r"^what gradient returns must be numbers"):
            follow(bad)
    with pytest.raises(ValueError, match="must return the shape of start"):
        follow([1.0, 2.0])
    with pytest.raises(TypeError, match=r"^start must be numbers, got None"):
        follow([1.0], None)
    with pytest.raises(ValueError, match=r"of one of .*, got 'os\.system'"):
        libraries.find("os.system")


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        (None, TypeError, "settings must be a mapping"),
        ([("lr", 0.1)], TypeError, "settings must be a mapping"),
        ({"lr": math.nan}, ValueError, "lr must be finite and not negative, got nan"),
        ({"lr": "0.1"}, TypeError, "lr must be a number, got '0.1'"),
        ({"eps": -1}, ValueError, "eps must be finite and not negative, got -1"),
        ({"betas": (0.9, 1.0)}, ValueError, r"betas must be in \[0, 1\), got 1.0"),
        ({"weight_decay": math.inf}, ValueError, "weight_decay must be finite"),
    ],
)
def test_settings_that_no_library_can_use_are_not_translated(
    settings: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=f"^{said}"):
        libraries.translate(settings, source="torch", target="optax")


def test_an_optimizer_is_found_in_upper_and_lower_case() -> None:
    settings = {"lr": 3e-4}
    upper, lower = (
        libraries.translate(settings, source="torch", target="keras", optimizer=name)
        for name in ("AdamW", "adamw")
    )
    assert upper == lower
    assert libraries.conventions("torch", "AMSGrad").maximum


@pytest.mark.parametrize("kind", [getattr(optim, n) for n in optim.__all__])
def test_optimizer_names_the_setting_that_is_not_a_number(
    kind: type[torch.optim.Optimizer],
) -> None:
    for parameter in list(inspect.signature(kind).parameters.values())[1:]:
        name = parameter.name
        values = ("0.1", 1j, object()) if parameter.default is None else NOT_NUMBERS
        for bad in values:
            if name in {"betas", "eps"} and isinstance(bad, list):
                bad = ["0.1", "0.2"]
            theta = torch.nn.Parameter(torch.ones(2))
            with pytest.raises((TypeError, ValueError), match=name):
                kind([theta], **{name: bad})


def test_a_checkpoint_of_another_optimizer_is_refused_before_its_first_step() -> None:
    theta = torch.nn.Parameter(torch.ones(2))
    ours = optim.Adam([theta], lr=0.5)
    for other in (
        torch.optim.SGD([theta], lr=0.1),
        torch.optim.Adagrad([theta]),
        torch.optim.RMSprop([theta]),
        optim.Adafactor([theta]),
    ):
        with pytest.raises(ValueError, match="betas"):
            ours.load_state_dict(other.state_dict())
    assert ours.param_groups[0]["lr"] == 0.5
