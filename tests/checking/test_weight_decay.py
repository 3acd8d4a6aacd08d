"""What the weight decay does is a remark or a mistake."""

from __future__ import annotations

from typing import Any

import numpy as np
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


def decays(matrix: Any, vector: Any) -> Any:
    def make(
        lr: float, beta1: float, beta2: float, eps: float, weight_decay: float = 0.0
    ) -> Any:
        adam = plain_adam(lr, beta1, beta2, eps)

        def step(theta: Any, g: Any) -> Any:
            what = (matrix if g.ndim > 1 else vector)(theta)
            return adam(theta, g) - lr * weight_decay * what

        return step

    return make


def test_matrices_may_decay_in_no_known_way() -> None:
    (finding,) = check_optimizer(decays(np.sign, lambda x: x)).findings
    assert finding.name == "weight decay that depends on the shape"
    assert finding.seen.endswith("; matrices: none of the known kinds")


def test_decay_of_no_known_kind_may_be_of_vectors_only() -> None:
    (finding,) = check_optimizer(decays(np.zeros_like, np.cbrt)).findings
    assert finding.seen == "it is none of the known kinds"


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
    (remark,) = check_optimizer(edited(plain_adam, *DECAYING[does])).remarks
    assert remark.name == "weight decay"
    assert remark.right.startswith("decoupled: theta - lr * weight_decay * theta")
    assert remark.topic == "weight-decay"


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


MEASURED: list[tuple[str, str]] = [
    ("lr**2 * weight_decay", "takes 0.003 of theta away, in proportion to lr**2 * we"),
    ("lr * weight_decay / 2", "takes 0.015 of theta away, in proportion to lr * weig"),
    (
        "lr * weight_decay**0.5",
        "of theta away, in proportion to lr * weight_decay**0",
    ),
    ("1 - np.exp(-lr * weight_decay)", "takes 0.02955 of theta away"),
]


@pytest.mark.parametrize(("share", "seen"), MEASURED)
def test_share_that_an_unknown_decay_takes_is_measured(share: str, seen: str) -> None:
    program = edited(plain_adam, (DECAY, f"theta = theta - ({share}) * theta"))
    (finding,) = check_optimizer(program).findings
    assert finding.name == "weight decay of no known kind"
    assert seen in finding.seen


def test_decay_of_the_parameters_after_the_step_is_measured() -> None:
    program = edited(
        plain_adam,
        (DECAY, "pass"),
        (
            f"return theta - lr * {FRACTION}",
            f"return (1 - weight_decay) * (theta - lr * {FRACTION})",
        ),
    )
    (finding,) = check_optimizer(program).findings
    assert "takes 0.3 of theta after the step away" in finding.seen


def test_decay_that_follows_no_share_is_shown_at_its_first_step() -> None:
    program = edited(plain_adam, (DECAY, "theta = theta - weight_decay * theta**3"))
    (finding,) = check_optimizer(program).findings
    assert "the first step takes [" in finding.seen
    assert "away from theta = [" in finding.seen


def test_decay_of_matrices_only_is_a_difference() -> None:
    program = edited(
        plain_adam,
        (DECAY, "theta = theta - lr * weight_decay * theta * (theta.ndim > 1)"),
    )
    (finding,) = check_optimizer(program).findings
    assert finding.name == "weight decay that depends on the shape"
    assert finding.seen == (f"vectors: {DECAYS['']}; matrices: {DECAYS['lr * decay']}")
    assert finding.kind == "difference"


def test_unknown_decay_beside_another_difference_is_only_a_remark() -> None:
    # In LAMB the trust ratio scales the decay too, so alone it would be of no kind.
    def make(
        lr: float, beta1: float, beta2: float, eps: float, weight_decay: float = 0.0
    ) -> Any:
        adam = plain_adam(lr, beta1, beta2, eps)

        def step(theta: Any, g: Any) -> Any:
            update = np.asarray(adam(theta, g)) - theta - lr * weight_decay * theta
            return theta + update * lr * np.linalg.norm(theta) / np.linalg.norm(update)

        return step

    report = check_optimizer(make)
    assert names(report) == ["trust ratio"]
    assert "weight decay of no known kind" in [its.name for its in report.remarks]


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
