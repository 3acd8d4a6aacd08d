"""The picture of a report; matplotlib is imported when it is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adam_tutorial.doctor.history import Moment, Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

INK, GREY, RED = "#1f2328", "#57606a", "#b3123a"
# More lines cannot be told apart, and need no legend.
NAMED = 8


def draw(
    title: str,
    ok: bool,
    norms: Sequence[tuple[int, float]],
    parameters: Sequence[tuple[str, Sequence[Sample]]],
    moments: Sequence[Moment],
    groups: int,
) -> Figure:
    """Draw gradients, changes, steps and learning rates against the steps.

    Parameters
    ----------
    title : str
        In red unless ``ok``.
    ok : bool
    norms : sequence of pair
        Step, and norm of all gradients.
    parameters : sequence of pair
        Name of a parameter, and its samples.
    moments : sequence of Moment
    groups : int
        How many groups of parameters there are.

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
            "report.plot() needs matplotlib: pip install matplotlib"
        ) from error
    figure = Figure(figsize=(9, 6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    colors = colormaps["viridis"].resampled(max(len(parameters), 2))
    panels[0, 0].plot(*_points(norms), color=INK, linewidth=1)
    panels[0, 0].set(title="norm of all gradients", yscale="log")
    for index, (name, samples) in enumerate(parameters):
        look: dict[str, Any] = {"color": colors(index), "label": name, "linewidth": 1}
        ratios = [(s.step, s.change / s.weight) for s in samples if s.weight]
        panels[0, 1].plot(*_points(ratios), **look)
        steps = [(s.step, s.update / abs(s.lr)) for s in samples if s.lr]
        panels[1, 0].plot(*_points(steps), **look)
    panels[0, 1].set(title="change over weight", yscale="log")
    panels[1, 0].set(title="update (learning rates)", xlabel="step")
    panels[1, 0].set_ylim(bottom=0)
    for index in range(groups):
        rates = [(m.step, m.lrs[index]) for m in moments if len(m.lrs) > index]
        panels[1, 1].plot(*_points(rates), color=GREY, label=f"group {index}")
    panels[1, 1].set(title="learning rate", xlabel="step")
    if groups > 1:
        panels[1, 1].legend()
    if 0 < len(parameters) <= NAMED:
        panels[0, 1].legend(fontsize="small")
    figure.suptitle(title, color=INK if ok else RED)
    return figure


def _points(pairs: Any) -> tuple[list[float], list[float]]:
    finite = [(x, y) for x, y in pairs if math.isfinite(y)]
    return [x for x, _ in finite], [y for _, y in finite]
