"""The text of a report."""

from __future__ import annotations

from adam_tutorial.checking import check_optimizer, plain_adam
from adam_tutorial.study.notebook import edited
from tests.checking.lines import ROOT, without_decay


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
        "  topic: epsilon",
        "looked at: up to 40 steps; tensors of the shapes (4), (3, 2), (4, 3, 2, 2),",
        "         (5000), (136, 130); two programs side by side",
        "not looked at: later steps; training in low precision; several parameters in",
        "         one program",
    ]
