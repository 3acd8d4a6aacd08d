"""Draw the still picture of the explorable ``reddi``: what it shows at the start.

``python book/_tools/stills/reddi.py``
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from adam_tutorial.reference import linear_trajectory
from adam_tutorial.study.objectives import PeriodicLosses
from adam_tutorial.study.plotting import style_of, use_style

TARGET = Path(__file__).parents[2] / "_static/explorables/reddi.svg"
LOSSES = PeriodicLosses(105.0, 1.0, 101)
STEPS = 200_000
COLUMNS = 60
LOOKS = {"Adam": style_of("Adam"), "AMSGrad": style_of("third")}

Values = NDArray[np.floating[Any]]


def thin(values: Values, *, log: bool) -> NDArray[np.intp]:
    """Return where the lowest and the highest value of each column of an axis are."""
    t = np.arange(1, values.size + 1)
    share = np.log(t) / np.log(values.size + 1) if log else t / (values.size + 1)
    column = np.floor(COLUMNS * share)
    parts = np.split(np.arange(values.size), np.flatnonzero(np.diff(column)) + 1)
    kept = [part[f(values[part])] for part in parts for f in (np.argmin, np.argmax)]
    return np.unique([0, *kept, values.size - 1])


def averages(values: Values, *, log: bool) -> tuple[Values, Values]:
    """Return where the line goes: first through single points, then through means of periods."""
    n = LOSSES.period
    first = thin(values[: 6 * n], log=True) if log else np.array([0])
    total = np.concatenate([[0.0], np.cumsum(values)])
    spaced = (
        np.geomspace(7 * n, values.size, COLUMNS // 2)
        if log
        else np.linspace(n, values.size, COLUMNS)
    )
    ends = np.unique(spaced.astype(int))
    means = (total[ends] - total[ends - n]) / n
    return (
        np.concatenate([first + 1, ends - (n - 1) / 2]),
        np.concatenate([values[first], means]),
    )


def shorten(svg: str) -> str:
    """Return the picture with one decimal in the data of its paths, and without indentation."""
    decimals = re.compile(r"-?\d+\.\d{2,}")
    return re.sub(
        r'(?<= d=")[^"]*',
        lambda data: decimals.sub(
            lambda x: f"{float(x[0]):.1f}", " ".join(data[0].split())
        ),
        re.sub(r"\n +", "\n", svg),
    )


def draw() -> None:
    """Draw it."""
    use_style()
    plt.rcParams.update(
        {"svg.hashsalt": "adam", "figure.constrained_layout.w_pad": 0.1}
    )
    g = LOSSES.gradients(STEPS)
    figure, panels = plt.subplots(1, 2, figsize=(8.0, 3.2))
    for name, look in LOOKS.items():
        path = linear_trajectory(
            g,
            lr=0.01,
            beta1=0.9,
            beta2=0.99,
            correct_bias=False,
            keep_maximum=name == "AMSGrad",
        )
        cost = LOSSES.regret(path[:-1]) / np.arange(1, STEPS + 1)
        for axes, values, log in zip(panels, (path, cost), (False, True), strict=True):
            kept = thin(values, log=log)
            axes.plot(kept + 1, values[kept], color=look["color"], alpha=0.35)
            axes.plot(*averages(values, log=log), label=name, **look)
    worst = 2 * LOSSES.mean_gradient
    panels[0].axhline(LOSSES.optimum, **style_of("baseline"))
    panels[0].text(STEPS, -0.93, "best point", va="bottom", ha="right", fontsize=9)
    panels[1].axhline(worst, **style_of("baseline"))
    panels[1].text(
        1, 0.85 * worst, f"always at the worst: {worst:.3f}", va="top", fontsize=9
    )
    panels[0].set(
        xlabel="step t",
        xticks=(0, STEPS // 2, STEPS),
        ylabel=r"parameter $\theta$",
        title="Where does it go?",
        ylim=(-1.08, 1.08),
        yticks=(-1, 0, 1),
    )
    panels[1].set(
        xscale="log",
        yscale="log",
        xlabel="number of steps t",
        ylabel="regret per step, R(t)/t",
        title="What does it cost?",
    )
    panels[0].xaxis.set_major_formatter("{x:,.0f}")
    panels[1].legend()
    for axes in panels:
        axes.minorticks_off()
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    TARGET.write_text(shorten(buffer.getvalue()), encoding="utf-8")
    plt.close(figure)


if __name__ == "__main__":
    draw()
