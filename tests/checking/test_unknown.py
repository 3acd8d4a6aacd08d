"""Programs whose steps no known mistake explains."""

# Programs are called with more than each of them uses.
# ruff: noqa: ARG001

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial.checking import check_optimizer, from_torch, plain_adam
from adam_tutorial.study.notebook import edited
from tests.checking.lines import GATHER_V, M_HAT, RETURN, V_HAT, names, without_decay


@pytest.mark.parametrize("optimizer", [torch.optim.RAdam, torch.optim.NAdam])
def test_another_rule_is_not_accused_of_a_mistake(
    optimizer: type[torch.optim.Optimizer],
) -> None:
    report = check_optimizer(from_torch(optimizer))
    name = optimizer.__name__
    assert names(report) == [f"another rule: {name}"]
    assert report.verdict.startswith(f"this is {name} (as in PyTorch")
    assert report.verdict.endswith(", not Adam")
    assert f"\ndifference: another rule: {name}\n" in str(report)
    assert not report.ok


def test_steps_that_nothing_explains_are_not_called_a_mistake() -> None:
    program = edited(plain_adam, (GATHER_V, "beta2 * v + (1 - beta2) * m**2"))
    report = check_optimizer(without_decay(program))
    assert names(report) == ["not a known mistake"]
    assert "at step 1 it moves by" in report.findings[0].seen
    assert (
        report.verdict
        == "does not agree with Algorithm 1; no known mistake explains it"
    )
    assert "\ndifference: not a known mistake\n" in str(report)


def test_first_wrong_step_can_be_run_again() -> None:
    late = edited(plain_adam, (M_HAT, "m_hat = m / (1 - beta1 ** min(t, 6))"))
    report = check_optimizer(without_decay(late))
    where = report.difference
    assert where is not None
    assert len(where.gradients) == len(where.thetas) == 7
    step, right = late(**where.settings), plain_adam(**where.settings)
    for theta, g in zip(where.thetas, where.gradients, strict=True):
        moved, should = step(theta, g) - theta, right(theta, g) - theta
    np.testing.assert_allclose(moved, where.moved, rtol=1e-12)
    np.testing.assert_allclose(should, where.right, rtol=1e-12)
    seen = report.findings[0].seen
    assert seen.startswith("at step 7 it moves by")
    assert f"the gradient is {where.gradients[-1].round(4)}" in seen
    assert seen.endswith("with lr=0.1, beta1=0.8, beta2=0.95, eps=1e-08")


def test_report_has_no_difference_if_the_steps_are_explained() -> None:
    assert check_optimizer(plain_adam).difference is None
    assert check_optimizer(edited(plain_adam, (V_HAT, "v_hat = v"))).difference is None


def test_unexplained_steps_are_not_counted_as_a_mistake() -> None:
    program = edited(
        plain_adam, (GATHER_V, "beta2 * v + (1 - beta2) * m**2\n        gradient *= 2")
    )
    report = check_optimizer(without_decay(program))
    assert set(names(report)) == {"not a known mistake", "gradient changed in place"}
    assert report.verdict.startswith(
        "1 mistake; otherwise it does not agree with Algorithm 1; no"
    )


def test_program_unlike_amsgrad_is_not_compared_with_algorithm_1() -> None:
    program = edited(plain_adam, (GATHER_V, "beta2 * v + (1 - beta2) * m**2"))
    report = check_optimizer(without_decay(program), rule="AMSGrad")
    assert report.verdict == "does not agree with AMSGrad; no known mistake explains it"


def test_report_says_that_a_program_is_wrong_only_for_zero_gradients() -> None:
    program = edited(
        plain_adam, (RETURN, "return theta - (gradient == 0) * 0.01 - lr * m_hat")
    )
    (finding,) = check_optimizer(without_decay(program)).findings
    assert finding.name == "not a known mistake"
    assert "only where gradients are zero" in finding.seen
    assert "at step 1 it moves by" in finding.seen
    assert finding.seen.endswith("eps=0.001")


def test_program_that_is_wrong_only_where_nothing_should_move_is_not_nearly_right() -> (
    None
):
    # A share of the right move cannot be said where that is zero.
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        return lambda theta, g: theta - lr * g - 0.01 * (g == 0) * g.any()

    report = check_optimizer(make, rule="gradient descent")
    assert names(report) == ["not a known mistake"]
    assert "only where gradients are zero" in report.findings[0].seen
    assert not any("right to within" in remark.seen for remark in report.remarks)


def test_entry_that_is_reset_after_five_steps_without_gradient_is_found() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam: Any = plain_adam(lr, beta1, beta2, eps)
        idle = np.zeros(())

        def step(theta: Any, g: Any) -> Any:
            nonlocal idle
            idle = np.where(g == 0, idle + 1, 0)
            return np.where(idle >= 5, 0.0, adam(theta, g))

        return step

    (finding,) = check_optimizer(make).findings
    assert "only where gradients are zero" in finding.seen
    assert "at step 5 it moves by" in finding.seen


def test_program_that_picks_its_eps_by_the_first_gradient_is_found() -> None:
    # A program may lower eps where the gradients it starts with are too small for it.
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam: Any = None

        def step(theta: Any, g: Any) -> Any:
            nonlocal adam
            if adam is None:
                tiny = ((g != 0) & (abs(g) < 1e-6)).any()
                adam = plain_adam(lr, beta1, beta2, 1e-8 if tiny else eps)
            return adam(theta, g)

        return step

    (finding,) = check_optimizer(make).findings
    assert finding.name == "not a known mistake"
    assert "as small as eps: at step 1 it moves by" in finding.seen
