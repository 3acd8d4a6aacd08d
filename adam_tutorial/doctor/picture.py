"""The picture of a report; matplotlib is imported when it is drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from adam_tutorial.doctor.report import Report

__all__ = ["draw"]

INK, GREY, RED = "#1f2328", "#57606a", "#b3123a"
# More lines cannot be told apart, and need no legend.
NAMED = 8


def draw(report: Report) -> Figure:
    """Draw gradients, changes, steps and learning rates against the steps.

    Parameters
    ----------
    report : Report

    Returns
    -------
    Figure

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "report.plot() needs matplotlib: pip install 'adam_tutorial[study]'"
        ) from error
    figure = Figure(figsize=(9, 6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    colors = colormaps["viridis"].resampled(max(len(report.samples), 2))
    panels[0, 0].plot(*_points(report.norms), color=INK, linewidth=1)
    panels[0, 0].set(title="norm of all gradients", yscale="log")
    for index, (name, samples) in enumerate(report.samples):
        look: dict[str, Any] = {"color": colors(index), "label": name, "linewidth": 1}
        ratios = [(s.step, s.change / s.weight) for s in samples if s.weight]
        panels[0, 1].plot(*_points(ratios), **look)
        steps = [(s.step, s.update / abs(s.lr)) for s in samples if s.lr]
        panels[1, 0].plot(*_points(steps), **look)
    panels[0, 1].set(title="change over weight", yscale="log")
    panels[1, 0].set(title="update (learning rates)", xlabel="step")
    panels[1, 0].set_ylim(bottom=0)
    groups = len(report.lrs)
    for index in range(groups):
        rates = [(m.step, m.lrs[index]) for m in report.moments if len(m.lrs) > index]
        panels[1, 1].plot(*_points(rates), color=GREY, label=f"group {index}")
    panels[1, 1].set(title="learning rate", xlabel="step")
    if groups > 1:
        panels[1, 1].legend()
    if 0 < len(report.samples) <= NAMED:
        panels[0, 1].legend(fontsize="small")
    figure.suptitle(report.verdict, color=INK if report.ok else RED)
    return figure


def _points(pairs: Any) -> tuple[list[float], list[float]]:
    finite = [(x, y) for x, y in pairs if math.isfinite(y)]
    return [x for x, _ in finite], [y for _, y in finite]
