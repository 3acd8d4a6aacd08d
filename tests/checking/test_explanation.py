"""Several mistakes at once, and the search for them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch

from adam_tutorial.checking import check_optimizer, from_torch, plain_adam
from adam_tutorial.checking.explanation import explain
from adam_tutorial.checking.inputs import NUMBERS, RISING, SMALL, ZEROS
from adam_tutorial.checking.probes import Probe
from adam_tutorial.checking.simulation import Simulation
from adam_tutorial.study.notebook import edited
from tests.checking.lines import (
    COUNT,
    GATHER_M,
    M_HAT,
    RETURN,
    ROOT,
    START,
    V_HAT,
    names,
    without_decay,
)

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
def test_two_mistakes_are_both_found(pair: tuple[str, str]) -> None:
    (first, of_first), (second, of_second) = (APART[name] for name in pair)
    report = check_optimizer(without_decay(edited(plain_adam, *of_first, *of_second)))
    assert set(names(report)) == {first, second}
    assert report.verdict.startswith("2 mistakes; otherwise")


def test_three_mistakes_are_all_found() -> None:
    changes = [
        change for name in ("v_hat", "root", "sign") for change in APART[name][1]
    ]
    report = check_optimizer(without_decay(edited(plain_adam, *changes)))
    assert set(names(report)) == {APART[name][0] for name in ("v_hat", "root", "sign")}


def test_two_equally_good_explanations_are_both_named() -> None:
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


def test_only_the_first_step_is_simulated_for_nearly_all_combinations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    step = Simulation.step

    def counted(self: Simulation, *arrays: Any) -> Any:
        sizes.append(self.number_of_programs)
        return step(self, *arrays)

    probe = Probe(from_torch(torch.optim.NAdam))
    traces = [probe.watch(inputs) for inputs in (NUMBERS, RISING, SMALL, ZEROS)]
    monkeypatch.setattr(Simulation, "step", counted)
    assert explain(traces, "Adam", range(4)) is None
    # Two right programs, each with every combination of three mistakes: two steps.
    combined = sorted(sizes)[-2:]
    assert combined[0] == combined[1] > 10_000
    assert sum(sizes) < 1.2 * sum(combined)
    assert len(sizes) < 20
