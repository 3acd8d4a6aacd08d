"""What the weight decay does is a remark or a mistake."""

from __future__ import annotations

import pytest

from adam_tutorial.checking import DECAYS, check_optimizer, plain_adam
from adam_tutorial.study.notebook import edited
from tests.checking.lines import COUNT, DECAY, FRACTION, M_HAT, V_HAT, Change, names

DECAYING: dict[str, tuple[Change, ...]] = {
    "lr * decay": (),
    "decay": ((DECAY, "theta = theta - weight_decay * theta"),),
    "after": (
        (DECAY, "pass"),
        (
            f"return theta - lr * {FRACTION}",
            f"return (1 - lr * weight_decay) * (theta - lr * {FRACTION})",
        ),
    ),
    "penalty": (
        (DECAY, "pass"),
        (COUNT, f"{COUNT}; gradient = gradient + weight_decay * theta"),
    ),
    "divided": ((DECAY, "m_hat = m_hat + weight_decay * theta"),),
    "grows": ((DECAY, "theta = theta + lr * weight_decay * theta"),),
    "": ((DECAY, "pass"),),
}


@pytest.mark.parametrize("does", DECAYS)
def test_what_the_decay_does_is_reported(does: str) -> None:
    program = edited(plain_adam, *DECAYING[does])
    decoupled = does in ("lr * decay", "decay")
    as_adamw = check_optimizer(program, rule="AdamW")
    assert as_adamw.ok == decoupled
    (finding,) = as_adamw.remarks if decoupled else as_adamw.findings
    assert finding.seen == DECAYS[does]
    as_adam = check_optimizer(program)
    assert as_adam.ok == (decoupled or does == "penalty")


@pytest.mark.parametrize(
    ("does", "rule", "name"),
    [
        ("penalty", "AdamW", "L2 penalty instead of weight decay"),
        ("divided", "Adam", "weight decay inside the division"),
        ("after", "AdamW", "weight decay after the step"),
        ("grows", "Adam", "weight decay with the wrong sign"),
        ("", "Adam", "weight decay without effect"),
    ],
)
def test_decay_that_is_a_mistake_has_another_name_than_the_remark(
    does: str, rule: str, name: str
) -> None:
    assert names(check_optimizer(edited(plain_adam, *DECAYING[does]), rule=rule)) == [
        name
    ]


@pytest.mark.parametrize("does", ["lr * decay", "decay", "penalty"])
def test_decay_that_is_right_is_a_remark(does: str) -> None:
    report = check_optimizer(edited(plain_adam, *DECAYING[does]))
    assert [remark.name for remark in report.remarks] == ["weight decay"]


def test_decay_that_is_none_of_the_known_ones_is_a_mistake() -> None:
    program = edited(
        plain_adam, (DECAY, "theta = theta - weight_decay * np.sign(theta)")
    )
    (finding,) = check_optimizer(program).findings
    assert finding.name == "weight decay of no known kind"
    assert finding.seen == (
        "it is none of the known kinds: with lr=0.1 and weight_decay=0.3 a step takes"
        " 0.3 of the sign of theta away, in proportion to weight_decay"
    )


def test_decay_is_reported_beside_another_mistake() -> None:
    program = edited(plain_adam, *DECAYING["penalty"], (V_HAT, "v_hat = v"))
    report = check_optimizer(program, rule="AdamW")
    assert names(report) == [
        "bias correction missing",
        "L2 penalty instead of weight decay",
    ]


def test_nothing_is_said_of_a_decay_that_a_failing_step_hides() -> None:
    program = edited(
        plain_adam,
        (M_HAT, "m_hat = m * float(1 / (1 - beta1**(t - 1)))"),
        (V_HAT, "v_hat = v / (1 - beta2**(t-1))"),
    )
    report = check_optimizer(program)
    assert names(report) == ["t starts at 0"]
    assert report.remarks == ()


def test_penalty_that_writes_into_the_gradient_is_two_mistakes() -> None:
    program = edited(
        plain_adam,
        (DECAY, "pass"),
        (COUNT, f"{COUNT}; gradient += weight_decay * theta"),
    )
    assert names(check_optimizer(program, rule="AdamW")) == [
        "L2 penalty instead of weight decay",
        "gradient changed in place",
    ]
