"""Each mistake is made by a program that makes exactly it; the report must name it and no other."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import adam_tutorial
from adam_tutorial import optim, reference
from adam_tutorial.checking import (
    DECAYS,
    MISTAKES,
    Behaviour,
    Report,
    check_optimizer,
    from_rule,
    from_torch,
    imitate,
    plain_adam,
)
from adam_tutorial.study.notebook import edited

Array = NDArray[np.float64]
Change = tuple[str, str]
Make = Callable[..., Any]

START = "t, m, v = 0, np.zeros(()), np.zeros(())"
COUNT = "t = t + 1"
GATHER_M, GATHER_V = (
    "beta1 * m + (1 - beta1) * gradient\n",
    "beta2 * v + (1 - beta2) * gradient**2",
)
M_HAT, V_HAT = "m_hat = m / (1 - beta1**t)", "v_hat = v / (1 - beta2**t)"
DECAY = "theta = theta - lr * weight_decay * theta"
RETURN, FRACTION = "return theta - lr * m_hat", "m_hat / (np.sqrt(v_hat) + eps)"
ROOT = "(np.sqrt(v_hat) + eps)"
ONLY_WHERE = "np.where(gradient != 0, {}, {})"
WITH_MAXIMUM = (
    (START, "t, m, v, v_max = 0, np.zeros(()), np.zeros(()), np.zeros(())"),
    ("nonlocal t, m, v", "nonlocal t, m, v, v_max"),
)

# The name of the mistake, a piece of what is seen, and the lines that make it.
PROGRAMS: list[tuple[str, str, tuple[Change, ...]]] = [
    (
        "no exponent",
        ": m and v",
        ((M_HAT, "m_hat = m / (1 - beta1)"), (V_HAT, "v_hat = v / (1 - beta2)")),
    ),
    ("no exponent", ": m and v", ((COUNT, "t = 1"),)),
    ("no exponent", "only m", ((M_HAT, "m_hat = m / (1 - beta1)"),)),
    ("no exponent", "only v", ((V_HAT, "v_hat = v / (1 - beta2)"),)),
    (
        "corrected average stored",
        ": m and v",
        (
            (M_HAT, "m_hat = m = m / (1 - beta1**t)"),
            (V_HAT, "v_hat = v = v / (1 - beta2**t)"),
        ),
    ),
    (
        "corrected average stored",
        "only m",
        ((M_HAT, "m = m / (1 - beta1**t); m_hat = m"),),
    ),
    (
        "corrected average stored",
        "only v",
        ((V_HAT, "v = v / (1 - beta2**t); v_hat = v"),),
    ),
    (
        "bias correction missing",
        ": m and v",
        ((M_HAT, "m_hat = m"), (V_HAT, "v_hat = v")),
    ),
    ("bias correction missing", "only m", ((M_HAT, "m_hat = m"),)),
    ("bias correction missing", "only v", ((V_HAT, "v_hat = v"),)),
    (
        "bias correction multiplied",
        ": m and v",
        ((M_HAT, "m_hat = m * (1 - beta1**t)"), (V_HAT, "v_hat = v * (1 - beta2**t)")),
    ),
    ("bias correction multiplied", "only m", ((M_HAT, "m_hat = m * (1 - beta1**t)"),)),
    ("bias correction multiplied", "only v", ((V_HAT, "v_hat = v * (1 - beta2**t)"),)),
    (
        "t starts at 0",
        "divides by 1 - beta**0",
        ((START, "t, m, v = -1, np.zeros(()), np.zeros(())"),),
    ),
    (
        "t starts at 0",
        "divides by 1 - beta**0",
        (
            (START, "t, m, v = -1, np.zeros(()), np.zeros(())"),
            (M_HAT, "m_hat = m * float(1 / (1 - beta1**t))"),
        ),
    ),
    ("t is one ahead", "t = 2", ((START, "t, m, v = 1, np.zeros(()), np.zeros(())"),)),
    ("eps inside the root", "sqrt(v_hat + eps)", ((ROOT, "np.sqrt(v_hat + eps)"),)),
    (
        "eps inside the root",
        "sqrt(v + eps)",
        ((ROOT, "np.sqrt((v + eps) / (1 - beta2**t))"),),
    ),
    ("eps has no effect", "0/0", ((ROOT, "np.sqrt(v_hat)"),)),
    (
        "eps added to the parameter",
        "bracket",
        ((FRACTION, "m_hat / np.sqrt(v_hat) + eps"),),
    ),
    ("no square root", "v_hat + eps", ((ROOT, "(v_hat + eps)"),)),
    (
        "m and v exchanged",
        "root of m_hat",
        ((FRACTION, "v_hat / (np.sqrt(m_hat) + eps)"),),
    ),
    (
        "m and v exchanged",
        "gathers",
        (
            (GATHER_M, "beta1 * m + (1 - beta1) * gradient * gradient\n"),
            (GATHER_V, "beta2 * v + (1 - beta2) * gradient"),
        ),
    ),
    ("no momentum", "gradient", ((RETURN, "return theta - lr * gradient"),)),
    ("no division", "lr * m_hat", ((FRACTION, "m_hat"),)),
    (
        "factor 1 - beta missing",
        "m and v",
        ((GATHER_M, "beta1 * m + gradient\n"), (GATHER_V, "beta2 * v + gradient**2")),
    ),
    ("factor 1 - beta missing", "only m", ((GATHER_M, "beta1 * m + gradient\n"),)),
    ("factor 1 - beta missing", "only v", ((GATHER_V, "beta2 * v + gradient**2"),)),
    (
        "beta and 1 - beta exchanged",
        "m and v",
        (
            (GATHER_M, "(1 - beta1) * m + beta1 * gradient\n"),
            (GATHER_V, "(1 - beta2) * v + beta2 * gradient**2"),
        ),
    ),
    (
        "beta and 1 - beta exchanged",
        "only m",
        ((GATHER_M, "(1 - beta1) * m + beta1 * gradient\n"),),
    ),
    (
        "beta and 1 - beta exchanged",
        "only v",
        ((GATHER_V, "(1 - beta2) * v + beta2 * gradient**2"),),
    ),
    (
        "beta1 and beta2 exchanged",
        "m decays with beta2",
        ((START, f"beta1, beta2 = beta2, beta1; {START}"),),
    ),
    ("one v for all entries", "sum", (("gradient**2", "gradient @ gradient"),)),
    ("one v for all entries", "mean", (("gradient**2", "np.mean(gradient**2)"),)),
    ("wrong sign", "uphill", ((RETURN, "return theta + lr * m_hat"),)),
    ("returns the update", "added to theta", ((RETURN, "return -lr * m_hat"),)),
    ("state forgotten", "first step", ((COUNT, "t, m, v = 1, 0.0, 0.0"),)),
    ("state forgotten", "t runs on", ((COUNT, "t, m, v = t + 1, 0.0, 0.0"),)),
    (
        "zero gradient",
        "is skipped",
        (
            (GATHER_M, ONLY_WHERE.format(GATHER_M.strip(), "m") + "\n"),
            (GATHER_V, ONLY_WHERE.format(GATHER_V, "v")),
            (f"lr * {FRACTION}", f"lr * (gradient != 0) * {FRACTION}"),
        ),
    ),
    (
        "zero gradient",
        "does not move",
        ((f"lr * {FRACTION}", f"lr * (gradient != 0) * {FRACTION}"),),
    ),
    (
        "zero gradient",
        "a step",
        (
            (
                COUNT,
                f"if not gradient.any():\n            return theta\n        {COUNT}",
            ),
        ),
    ),
    (
        "takes a maximum",
        "corrected afterwards",
        (
            *WITH_MAXIMUM,
            (V_HAT, "v_max = np.maximum(v_max, v); v_hat = v_max / (1 - beta2**t)"),
        ),
    ),
    (
        "takes a maximum",
        "of the corrected v_hat",
        (
            *WITH_MAXIMUM,
            (V_HAT, "v_max = np.maximum(v_max, v / (1 - beta2**t)); v_hat = v_max"),
        ),
    ),
    ("setting ignored", "lr is", ((START, f"lr = 1e-3; {START}"),)),
    ("setting ignored", "beta1 is", ((START, f"beta1 = 0.9; {START}"),)),
    ("setting ignored", "beta2 is", ((START, f"beta2 = 0.999; {START}"),)),
    ("setting ignored", "eps is", ((START, f"eps = 1e-8; {START}"),)),
]


def names(report: Report) -> list[str]:
    return [finding.name for finding in report.findings]


def without_decay(make: Make) -> Make:
    return lambda lr, beta1, beta2, eps: make(lr, beta1, beta2, eps)


@pytest.mark.parametrize(("name", "seen", "changes"), PROGRAMS)
def test_program_with_one_mistake_is_told_this_one(
    name: str, seen: str, changes: tuple[Change, ...]
) -> None:
    report = check_optimizer(without_decay(edited(plain_adam, *changes)))
    (finding,) = report.findings
    assert finding.name.startswith(name)
    assert seen in finding.seen
    assert not report.ok
    assert report.verdict == "1 mistake; otherwise it agrees with Algorithm 1"


def test_every_form_of_every_mistake_has_a_program_here() -> None:
    for mistake in MISTAKES:
        for form in mistake.forms:
            assert any(
                mistake.name.startswith(name) and seen in form
                for name, seen, _ in PROGRAMS
            ), (mistake.name, form)


# Changes of different lines, none of which hides another.
APART = {
    "state: m": (
        "beta and 1 - beta exchanged",
        ((GATHER_M, "(1 - beta1) * m + beta1 * gradient\n"),),
    ),
    "state: v": ("one v for all entries", (("gradient**2", "np.mean(gradient**2)"),)),
    "m_hat": ("bias correction multiplied", ((M_HAT, "m_hat = m * (1 - beta1**t)"),)),
    "v_hat": (
        "no exponent in the bias correction",
        ((V_HAT, "v_hat = v / (1 - beta2)"),),
    ),
    "count": ("t is one ahead", ((START, "t, m, v = 1, np.zeros(()), np.zeros(())"),)),
    "root": ("eps inside the root", ((ROOT, "np.sqrt(v_hat + eps)"),)),
    "sign": ("wrong sign", ((RETURN, "return theta + lr * m_hat"),)),
    "zero": (
        "zero gradient taken for no gradient",
        ((COUNT, f"if not gradient.any(): return theta\n        {COUNT}"),),
    ),
    "gradient": (
        "gradient changed in place",
        (
            (
                "nonlocal t, m, v",
                "nonlocal t, m, v; g = gradient.copy(); gradient *= 2; gradient = g",
            ),
        ),
    ),
}


@pytest.mark.parametrize("pair", list(combinations(APART, 2)), ids="-".join)
def test_program_with_two_mistakes_is_told_these_two(pair: tuple[str, str]) -> None:
    (first, of_first), (second, of_second) = (APART[name] for name in pair)
    report = check_optimizer(without_decay(edited(plain_adam, *of_first, *of_second)))
    assert set(names(report)) == {first, second}
    assert report.verdict.startswith("2 mistakes; otherwise")


def test_program_with_three_mistakes_is_told_these_three() -> None:
    changes = [
        change for name in ("v_hat", "root", "sign") for change in APART[name][1]
    ]
    report = check_optimizer(without_decay(edited(plain_adam, *changes)))
    assert set(names(report)) == {APART[name][0] for name in ("v_hat", "root", "sign")}


@pytest.mark.parametrize(
    "right", [Behaviour(eps="root of v"), Behaviour()], ids=lambda b: b.eps
)
def test_mistakes_are_told_in_both_orders_of_the_paper(right: Behaviour) -> None:
    for mistake in MISTAKES:
        for seen, changes in mistake.forms.items():
            behaviour = Behaviour(**{**vars(right), **changes})
            report = check_optimizer(
                lambda lr, beta1, beta2, eps, does=behaviour: imitate(
                    does, lr=lr, beta1=beta1, beta2=beta2, eps=eps
                )
            )
            assert names(report) == [mistake.name], seen


def test_two_explanations_that_are_equally_good_are_both_named() -> None:
    # Without the factor and the correction, m is what m_hat without the exponent is.
    program = edited(
        plain_adam,
        (GATHER_M, "beta1 * m + gradient\n"),
        (M_HAT, "m_hat = m"),
        (V_HAT, "v_hat = v"),
    )
    (finding,) = check_optimizer(without_decay(program)).findings
    assert "factor 1 - beta missing" in finding.name
    assert ", or " in finding.name


# Right ones


RIGHT: list[tuple[Any, str, str]] = [
    (plain_adam, "Adam", "Algorithm 1"),
    (from_rule(reference.adam), "Adam", "Algorithm 1"),
    (from_rule(reference.adam_efficient), "Adam", "the efficient order (ε̂)"),
    (from_torch(optim.Adam), "Adam", "Algorithm 1"),
    (from_torch(torch.optim.Adam), "Adam", "Algorithm 1"),
    (from_torch(optim.AdamW), "Adam", "Algorithm 1"),
    (from_torch(torch.optim.AdamW), "AdamW", "AdamW: decay beside Algorithm 1"),
    (from_torch(optim.AdamW), "AdamW", "AdamW: decay beside Algorithm 1"),
    (from_rule(reference.adamw), "AdamW", "AdamW: decay beside Algorithm 1"),
    (
        from_rule(reference.adamw, decay_times_lr=False),
        "AdamW",
        "AdamW: decay beside Algorithm 1",
    ),
    (
        from_torch(torch.optim.Adam, amsgrad=True),
        "AMSGrad",
        "AMSGrad, with the maximum of v, ",
    ),
    (from_rule(reference.amsgrad), "AMSGrad", "AMSGrad, with the maximum of v, "),
    (
        from_rule(reference.amsgrad, maximum_of="v_hat"),
        "AMSGrad",
        "AMSGrad, with the maximum of the corrected",
    ),
    (
        from_rule(reference.amsgrad, correct_bias=False),
        "AMSGrad",
        "AMSGrad, without bias correction",
    ),
]


@pytest.mark.parametrize(("make", "rule", "name"), RIGHT)
def test_right_program_agrees(make: Any, rule: str, name: str) -> None:
    report = check_optimizer(make, rule=rule)
    assert report.ok, str(report)
    assert report.verdict.startswith(f"agrees with {name}")


def test_program_that_changes_theta_in_place_and_returns_nothing_agrees() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Callable[..., None]:
        step = plain_adam(lr, beta1, beta2, eps)

        def in_place(theta: Array, gradient: Array) -> None:
            theta[:] = step(theta, gradient)

        return in_place

    report = check_optimizer(make)
    assert report.verdict == "agrees with Algorithm 1"
    assert [remark.name for remark in report.remarks] == ["theta in place"]


def test_program_that_computes_in_float32_agrees() -> None:
    def make(**settings: Any) -> Callable[..., Any]:
        state = None

        def step(theta: Array, gradient: Array) -> Array:
            nonlocal state
            state, update = reference.adam(
                state, gradient.astype(np.float32), **settings
            )
            return np.asarray(theta + update)

        return step

    assert check_optimizer(make).verdict == "agrees with Algorithm 1"


def test_program_that_keeps_its_parameters_in_float32_agrees() -> None:
    def make(**settings: Any) -> Callable[..., Any]:
        step = plain_adam(**settings)
        return lambda theta, g: np.asarray(
            step(theta.astype(np.float32), g), np.float32
        )

    assert check_optimizer(make).verdict == "agrees with Algorithm 1"


def test_optax_agrees_in_its_float32() -> None:
    optax = pytest.importorskip("optax")

    def rule(
        state: Any, g: Array, *, lr: float, beta1: float, beta2: float, eps: float
    ) -> Any:
        adam = optax.adam(lr, beta1, beta2, eps)
        update, state = adam.update(g, state or adam.init(g))
        return state, update

    assert check_optimizer(from_rule(rule)).verdict == "agrees with Algorithm 1"


def test_program_that_knows_parameters_by_their_arrays_agrees() -> None:
    def make(**settings: float) -> Callable[..., Any]:
        steps: dict[int, Any] = {}
        return lambda theta, gradient: steps.setdefault(
            id(theta), plain_adam(**settings)
        )(theta, gradient)

    assert check_optimizer(make).ok


def test_package_offers_the_check() -> None:
    assert adam_tutorial.check_optimizer is check_optimizer


# State and arrays


def test_state_in_a_default_argument_is_told() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Callable[..., Any]:
        return lambda theta, gradient: stepped(theta, gradient, lr, beta1, beta2, eps)

    def stepped(
        theta: Array, g: Array, *settings: float, state: dict[str, Any] = {}
    ) -> Any:  # noqa: B006
        step = state.setdefault("step", plain_adam(*settings))
        return step(theta, g)

    assert names(check_optimizer(make)) == ["state shared"]


def test_state_that_each_new_program_takes_over_is_told() -> None:
    latest: list[Any] = []

    def make(**settings: float) -> Callable[..., Any]:
        latest[:] = [plain_adam(**settings)]
        return lambda theta, gradient: latest[0](theta, gradient)

    assert names(check_optimizer(make)) == ["state shared"]


def test_mistake_beside_a_shared_state_is_told_too() -> None:
    steps: dict[str, Any] = {}
    wrong = edited(plain_adam, (V_HAT, "v_hat = v"))

    def make(**settings: float) -> Callable[..., Any]:
        return lambda theta, gradient: steps.setdefault("only", wrong(**settings))(
            theta, gradient
        )

    assert names(check_optimizer(make)) == ["state shared", "bias correction missing"]


class CountsParameters(torch.optim.Optimizer):
    """Its t counts parameters, not steps."""

    def __init__(
        self, params: Any, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        self.t = 0
        self.steps: dict[Any, Any] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                self.t += 1
                m, v = self.steps.setdefault(
                    p, (torch.zeros_like(p), torch.zeros_like(p))
                )
                m.mul_(beta1).add_(p.grad, alpha=1 - beta1)
                v.mul_(beta2).add_(p.grad**2, alpha=1 - beta2)
                m_hat, v_hat = m / (1 - beta1**self.t), v / (1 - beta2**self.t)
                p -= group["lr"] * m_hat / (v_hat.sqrt() + group["eps"])


def test_optimizer_that_counts_parameters_instead_of_steps_is_told() -> None:
    assert names(check_optimizer(from_torch(CountsParameters))) == ["state shared"]


def test_gradient_that_is_kept_without_a_copy_is_told() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Callable[..., Any]:
        seen: list[Array] = []

        def step(theta: Array, gradient: Array) -> Any:
            seen.append(gradient)
            again = plain_adam(lr, beta1, beta2, eps)
            return [again(theta, g) for g in seen][-1]

        return step

    assert names(check_optimizer(make)) == ["gradient kept by reference"]


def test_gradient_that_a_torch_optimizer_writes_into_is_told() -> None:
    class Writes(torch.optim.Adam):
        def step(self, closure: Any = None) -> Any:
            result = super().step(closure)
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad.zero_()
            return result

    assert names(check_optimizer(from_torch(Writes))) == ["gradient changed in place"]


# Weight decay


DECAYING: dict[str, tuple[Change, ...]] = {
    "lr * decay": (),
    "decay": ((DECAY, "theta = theta - weight_decay * theta"),),
    "penalty": (
        (DECAY, "pass"),
        (COUNT, f"{COUNT}; gradient = gradient + weight_decay * theta"),
    ),
    "divided": ((DECAY, "m_hat = m_hat + weight_decay * theta"),),
    "grows": ((DECAY, "theta = theta + lr * weight_decay * theta"),),
    "": ((DECAY, "pass"),),
}


@pytest.mark.parametrize("does", DECAYS)
def test_what_the_decay_does_is_told(does: str) -> None:
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
        ("penalty", "AdamW", "L2 penalty in the place of weight decay"),
        ("divided", "Adam", "weight decay inside the division"),
        ("grows", "Adam", "weight decay with the wrong sign"),
        ("", "Adam", "weight decay without effect"),
    ],
)
def test_decay_that_is_a_mistake_is_not_called_like_the_remark(
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
    assert finding.seen == "it does none of what is known"


def test_decay_is_told_beside_another_mistake() -> None:
    program = edited(plain_adam, *DECAYING["penalty"], (V_HAT, "v_hat = v"))
    report = check_optimizer(program, rule="AdamW")
    assert names(report) == [
        "bias correction missing",
        "L2 penalty in the place of weight decay",
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


def test_penalty_that_writes_into_the_gradient_is_told_both() -> None:
    program = edited(
        plain_adam,
        (DECAY, "pass"),
        (COUNT, f"{COUNT}; gradient += weight_decay * theta"),
    )
    assert names(check_optimizer(program, rule="AdamW")) == [
        "L2 penalty in the place of weight decay",
        "gradient changed in place",
    ]


# Other rules


@pytest.mark.parametrize("optimizer", [torch.optim.RAdam, torch.optim.NAdam])
def test_another_rule_is_not_accused_of_a_mistake(
    optimizer: type[torch.optim.Optimizer],
) -> None:
    report = check_optimizer(from_torch(optimizer))
    assert names(report) == ["not a known mistake"]
    assert "at step 1 it moves by" in report.findings[0].seen
    assert (
        report.verdict
        == "does not agree with Algorithm 1; no known mistake explains it"
    )
    assert "\ndifference: not a known mistake\n" in str(report)


def test_where_a_program_parts_can_be_run_again() -> None:
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


def test_report_without_a_riddle_has_no_difference() -> None:
    assert check_optimizer(plain_adam).difference is None
    assert check_optimizer(edited(plain_adam, (V_HAT, "v_hat = v"))).difference is None


def test_riddle_beside_a_mistake_is_not_counted_as_one() -> None:
    program = edited(
        plain_adam, (GATHER_V, "beta2 * v + (1 - beta2) * m**2\n        gradient *= 2")
    )
    report = check_optimizer(without_decay(program))
    assert set(names(report)) == {"not a known mistake", "gradient changed in place"}
    assert report.verdict.startswith(
        "1 mistake; otherwise it does not agree with Algorithm 1; no"
    )


def test_stranger_to_amsgrad_is_not_compared_with_algorithm_1() -> None:
    report = check_optimizer(from_torch(torch.optim.RAdam), rule="AMSGrad")
    assert report.verdict == "does not agree with AMSGrad; no known mistake explains it"


def test_state_that_leaks_hides_everything_else() -> None:
    steps: dict[str, Any] = {}
    riddle = edited(plain_adam, (GATHER_V, "beta2 * v + (1 - beta2) * m**2"))

    def make(**settings: float) -> Callable[..., Any]:
        return lambda theta, gradient: steps.setdefault("only", riddle(**settings))(
            theta, gradient
        )

    report = check_optimizer(make)
    assert names(report) == ["state shared"]
    assert report.verdict == "1 mistake; it does not agree with Algorithm 1"


def test_program_that_is_wrong_only_for_zero_gradients_is_told_where() -> None:
    program = edited(
        plain_adam, (RETURN, "return theta - (gradient == 0) * 0.01 - lr * m_hat")
    )
    (finding,) = check_optimizer(without_decay(program)).findings
    assert finding.name == "not a known mistake"
    assert "only where gradients are zero" in finding.seen
    assert "at step 1 it moves by" in finding.seen
    assert finding.seen.endswith("eps=0.001")


def test_amsgrad_is_no_adam_and_adam_no_amsgrad() -> None:
    amsgrad, adam = (
        from_torch(torch.optim.Adam, amsgrad=True),
        from_torch(torch.optim.Adam),
    )
    assert names(check_optimizer(amsgrad)) == ["takes a maximum, as AMSGrad does"]
    assert names(check_optimizer(adam, rule="AMSGrad")) == ["takes no maximum"]


def test_amsgrad_with_eps_hat_is_that_of_keras() -> None:
    behaviour = Behaviour(maximum="v", eps="root of v")
    report = check_optimizer(
        lambda lr, beta1, beta2, eps: imitate(
            behaviour, lr=lr, beta1=beta1, beta2=beta2, eps=eps
        ),
        rule="AMSGrad",
    )
    assert report.ok
    assert report.verdict.endswith("(Keras)")


# float16


def test_float16_remark_is_made_where_a_zero_gradient_gives_nan() -> None:
    in_torch = check_optimizer(from_torch(torch.optim.Adam))
    in_float32 = check_optimizer(from_torch(optim.Adam))
    assert "eps in float16" in [remark.name for remark in in_torch.remarks]
    assert "eps in float16" not in [remark.name for remark in in_float32.remarks]


def test_float16_remark_says_which_gradients_do_harm() -> None:
    small = "theta becomes infinite for gradients below about 5e-3"

    def seen(make: Make) -> str:
        (remark,) = check_optimizer(make).remarks
        return remark.seen

    def in_half(after: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        def make(
            lr: float, beta1: float, beta2: float, eps: float
        ) -> Callable[..., Any]:
            state = None

            def step(theta: Array, gradient: Array) -> Array:
                nonlocal state
                state, update = reference.adam(
                    state, gradient, lr=lr, beta1=beta1, beta2=beta2, eps=eps
                )
                return np.asarray(theta + after(gradient, update))

            return step

        return make

    both = seen(in_half(lambda _, update: update))
    assert "0/0" in both
    assert small in both
    only_small = seen(
        in_half(lambda g, update: np.where(np.isnan(update) & (g == 0), 0, update))
    )
    assert "0/0" not in only_small
    assert small in only_small


def test_program_that_refuses_float16_gets_no_remark() -> None:
    def make(**settings: float) -> Callable[..., Any]:
        step = plain_adam(**settings)

        def strict(theta: Array, gradient: Array) -> Any:
            if theta.dtype != np.float64:
                raise TypeError("float64 only")
            return step(theta, gradient)

        return strict

    assert check_optimizer(make).remarks == ()


# Errors


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="rule must be one of"):
        check_optimizer(plain_adam, rule="SGD")


def test_adamw_without_a_decay_is_refused() -> None:
    with pytest.raises(ValueError, match="must have a parameter weight_decay"):
        check_optimizer(without_decay(plain_adam), rule="AdamW")


def test_program_without_the_settings_is_refused() -> None:
    with pytest.raises(TypeError, match="it has no beta1, beta2, eps"):
        check_optimizer(lambda lr: lr)


def test_step_that_returns_another_shape_is_refused() -> None:
    program = edited(
        plain_adam, (RETURN, "return theta.sum() - lr * m_hat.sum()"), (ROOT, "1")
    )
    with pytest.raises(ValueError, match=r"theta with its shape \(4,\), got \(\)"):
        check_optimizer(program)


def test_step_that_wants_another_kind_of_number_fails_with_its_own_error() -> None:
    program = edited(plain_adam, (ROOT, "(math.sqrt(v_hat) + eps)"))
    program.__globals__["math"] = math
    with pytest.raises(TypeError):
        check_optimizer(program)


def test_report_is_readable() -> None:
    text = str(
        check_optimizer(
            without_decay(edited(plain_adam, (ROOT, "np.sqrt(v_hat + eps)")))
        )
    )
    assert text.splitlines() == [
        "1 mistake; otherwise it agrees with Algorithm 1",
        "mistake: eps inside the root",
        "  seen:  the divisor is sqrt(v_hat + eps)",
        "  right: sqrt(v_hat) + eps",
        "  read:  chapter 4. Adam, derived",
    ]
