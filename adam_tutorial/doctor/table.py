"""The table of a report, for a terminal of 97 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["COLUMNS", "short", "table"]

ROWS = 24
NAME = 25
COLUMNS = {
    "t": "age",
    "update_to_weight": "upd/w",
    "step": "step",
    "longest": "long",
    "below_eps": "<eps",
    "dead": "dead",
    "still": "still",
    "signal_to_noise": "m2/v",
    "decay_to_update": "decay",
    "gradient_norm": "|g|",
}
SHARES = ("below_eps", "dead", "still")
LEGEND = (
    "age: steps in m and v. upd/w: change over weight. step, long: root mean square and"
    " maximum of an update in learning rates; at most {bound}. <eps: sqrt(v_hat) below"
    " eps. dead: v is 0. still: update lost to rounding. m2/v: signal to noise. decay:"
    " over update. Shares are of elements, in percent; all at the last measured step."
)


class Tabled(Protocol):
    """A report, as far as the table needs it."""

    @property
    def parameters(self) -> Sequence[Any]:
        """Each with a name, a bound, and what :data:`COLUMNS` names."""

    @property
    def gradient_norm(self) -> float:
        """Of all gradients, at the last step."""

    @property
    def usual_norm(self) -> float:
        """Its median."""

    @property
    def spikes(self) -> int:
        """How many steps were far above it."""


def table(report: Tabled) -> list[str]:
    """Return the lines of the table, and what its columns mean; none without a step."""
    if not report.parameters:
        return []
    rows = [
        f"{'parameter':{NAME}}" + "".join(f"{x:>7}" for x in COLUMNS.values()),
        *(_row(parameter) for parameter in report.parameters[:ROWS]),
    ]
    more = len(report.parameters) - ROWS
    if more > 0:
        rows.append(f"and {more} more in report.parameters")
    bounds = [p.bound for p in report.parameters if math.isfinite(p.bound)]
    bound = f"{max(bounds):.2f}" if bounds else "unknown here"
    norm = (
        f"norm of all gradients: {report.gradient_norm:.3g} at the last step, median"
        f" {report.usual_norm:.3g}; {report.spikes} spikes above ten times the median"
    )
    legend = textwrap.fill(LEGEND.format(bound=bound), 95)
    return ["", *rows, textwrap.fill(norm, 95), legend]


def _row(parameter: Any) -> str:
    cells = []
    for name in COLUMNS:
        value = getattr(parameter, name)
        if not math.isfinite(value):
            cells.append("-" if math.isnan(value) else "inf")
        elif name == "t":
            cells.append(f"{value}")
        elif name in SHARES:
            cells.append(f"{100 * value:.0f}")
        else:
            cells.append(_number(value))
    return f"{short(parameter.name):{NAME}}" + "".join(f"{c:>7}" for c in cells)


def _number(value: float) -> str:
    """Return a number in at most six characters."""
    if value == 0:
        return "0"
    if 1e-2 <= abs(value) < 1000:
        return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def short(name: str) -> str:
    """Return a name with its middle left out, if it is too long for the table."""
    if len(name) < NAME:
        return name
    return f"{name[:7]}..{name[-(NAME - 10) :]}"
