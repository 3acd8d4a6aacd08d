"""Draw the still pictures of the explorables: what a page shows where no script runs.

With them goes `looks.css`, the colours and dashes that both have in common.

::

    python book/_tools/stills.py [NAME ...]            draw all of them, or some
    python book/_tools/stills.py --check [NAME ...]    say which are out of date

Each shows its explorable as it is before anybody has touched it. The dark copies are
made from these when the book is built.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from adam_tutorial import reference, theory
from adam_tutorial._types import Array
from adam_tutorial.study.objectives import PeriodicLosses, Quadratic
from adam_tutorial.study.plotting import (
    INK,
    label_lines,
    paths,
    style_of,
    use_style,
    wide_and_narrow,
)
from looks import style_sheet
from running import run
from svg import difference, shorten

FOLDER = Path(__file__).parents[1] / "_static/explorables"

# Columns of a panel; a line needs no more points than a few in each.
COLUMNS = 60


def playground() -> Figure:
    """Draw two optimizers in a ravine: where they go, how fast the loss falls."""
    valley = Quadratic((1.0, 100.0))
    start, steps = np.array([-2.0, 0.9]), 60
    rules: dict[str, tuple[Callable[..., Any], float]] = {
        "gradient descent": (reference.gradient_descent, 0.019),
        "Adam": (reference.adam, 0.1),
    }
    points = {
        name: reference.trajectory(rule, valley.gradient, start, steps, lr=lr)
        for name, (rule, lr) in rules.items()
    }
    figure, (ground, losses) = plt.subplots(1, 2, figsize=(8.4, 3.6))
    paths(ground, valley, points, x_range=(-2.4, 2.4), y_range=(-2.4, 2.4))
    ground.set_title("Where do they go?")
    for name, path in points.items():
        losses.plot(valley.value(path), label=name, **style_of(name))
    losses.set(yscale="log", xlabel="step", ylabel="loss")
    losses.set_title("How fast does the loss fall?")
    losses.legend()
    return figure


def moments() -> Figure:
    """Draw gradients that jump by 10, their moving averages, and the steps."""
    beta1, beta2, chosen = 0.9, 0.999, 30
    t = np.arange(1, 61)
    gradients = np.where(t <= 30, 1.0, 10.0)
    _, updates, states = reference.walk(
        reference.adam, gradients, lr=1.0, beta1=beta1, beta2=beta2, eps=0.0
    )
    m, v = np.array([(state.m, state.v) for state in states]).T
    m_hat = m / [theory.bias_correction(beta1, i) for i in range(1, 61)]
    v_hat = v / [theory.bias_correction(beta2, i) for i in range(1, 61)]

    figure, panels = plt.subplots(3, 1, figsize=(6.4, 4.4), sharex=True)
    raw = style_of("without bias correction")
    corrected = style_of("Adam")
    grey = {"color": style_of("baseline")["color"], "alpha": 0.4, "linewidth": 2.4}
    # One line with gaps takes a tenth of the bytes of sixty lines.
    bars = np.column_stack([0 * gradients, gradients, np.full(60, np.nan)])
    rows = (
        (m, m_hat, ("$g$", "$m$", r"$\hat m$")),
        (np.sqrt(v), np.sqrt(v_hat), ("$|g|$", r"$\sqrt{v}$", r"$\sqrt{\hat v}$")),
    )
    for axes, (first, second, names) in zip(panels[:2], rows, strict=True):
        axes.plot(np.repeat(t, 3), bars.ravel(), label=names[0], **grey)
        axes.plot(t, first, label=names[1], **raw)
        axes.plot(t, second, label=names[2], **corrected)
        axes.set(ylim=(0, 11), yticks=(0, 5, 10))
    # The rest is for the reader to guess.
    panels[2].plot(
        t[:chosen], -updates[:chosen], label=r"$\hat m\,/\sqrt{\hat v}$", **corrected
    )
    panels[2].set(
        ylim=(0, 1.65), yticks=(0, 0.5, 1, 1.5), xlabel="step t", xticks=(1, *t[9::10])
    )
    panels[2].set_ylabel("step (learning\nrates)")
    for axes in panels:
        label_lines(axes)
        axes.axvline(chosen, linewidth=1, color=INK)
    return figure


def step() -> Figure:
    """Draw the gradients that lead to the longest step, and the steps."""
    count = 100
    gradients = theory.step_supremum_gradients(count)
    updates = reference.walk(reference.adam, gradients, lr=1.0, eps=0.0).updates
    t = np.arange(1, count + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
    left.plot(t, gradients, **style_of("Adam"))
    left.set(yscale="log", xlabel="step", ylabel="gradient (largest = 1)")
    limit, paper = theory.step_supremum(), theory.paper_step_bound()
    right.plot(t, -updates, label="this sequence", **style_of("Adam"))
    right.axhline(limit, label=f"longest possible: {limit:.2f}", **style_of("first"))
    right.axhline(paper, label=f"the paper's bound: {paper:.2f}", **style_of("third"))
    right.set(ylim=(0, 7.8), xlabel="step", ylabel="length of step (learning rates)")
    right.legend(loc="center left", bbox_to_anchor=(0.0, 0.67))
    return figure


def reddi() -> Figure:
    """Draw where Adam and AMSGrad go on Reddi's problem, and what it costs them."""
    losses = PeriodicLosses(105.0, 1.0, 101)
    steps = 200_000
    gradients = losses.gradients(steps)
    looks = {name: style_of(name) for name in ("Adam", "AMSGrad")}
    # The last number on the left axis reaches out of its panel.
    plt.rcParams["figure.constrained_layout.w_pad"] = 0.1
    figure, panels = plt.subplots(1, 2, figsize=(8.0, 3.2))
    for name, look in looks.items():
        path = reference.linear_trajectory(
            gradients,
            lr=0.01,
            beta1=0.9,
            beta2=0.99,
            correct_bias=False,
            keep_maximum=name == "AMSGrad",
        )
        regret = losses.regret(path[:-1]) / np.arange(1, steps + 1)
        for axes, values, log in zip(
            panels, (path, regret), (False, True), strict=True
        ):
            kept = extremes(values, log=log)
            axes.plot(kept + 1, values[kept], color=look["color"], alpha=0.35)
            smooth = period_means(values, losses.period, log=log)
            axes.plot(*smooth, label=name, **look)
    worst = 2 * losses.mean_gradient
    panels[0].axhline(losses.optimum, **style_of("baseline"))
    panels[0].text(steps, -0.93, "best point", va="bottom", ha="right", fontsize=9)
    panels[1].axhline(worst, **style_of("baseline"))
    panels[1].text(
        1, 0.85 * worst, f"always at the worst: {worst:.3f}", va="top", fontsize=9
    )
    panels[0].set(
        xlabel="step t",
        xticks=(0, steps // 2, steps),
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
    return figure


def extremes(values: Array, *, log: bool) -> NDArray[np.intp]:
    """Return where the lowest and the highest value in each column of a panel are."""
    t = np.arange(1, values.size + 1)
    share = np.log(t) / np.log(values.size + 1) if log else t / (values.size + 1)
    column = np.floor(COLUMNS * share)
    parts = np.split(np.arange(values.size), np.flatnonzero(np.diff(column)) + 1)
    kept = [part[f(values[part])] for part in parts for f in (np.argmin, np.argmax)]
    return np.unique([0, *kept, values.size - 1])


def period_means(values: Array, period: int, *, log: bool) -> tuple[Array, Array]:
    """Return points of a smooth line: first single values, then means over a period."""
    first = extremes(values[: 6 * period], log=True) if log else np.array([0])
    total = np.concatenate([[0.0], np.cumsum(values)])
    spaced = (
        np.geomspace(7 * period, values.size, COLUMNS // 2)
        if log
        else np.linspace(period, values.size, COLUMNS)
    )
    ends = np.unique(spaced.astype(int))
    means = (total[ends] - total[ends - period]) / period
    return (
        np.concatenate([first + 1, ends - (period - 1) / 2]),
        np.concatenate([values[first], means]),
    )


def epsilon() -> Figure:
    """Draw the step for gradients of every size, and a run with the usual eps."""
    eps, chosen = 1e-8, 1e-6

    def steps(g: Array) -> dict[str, tuple[str, Array]]:
        """Return the style of each place of eps, and the first steps over alpha."""
        return {
            "Algorithm 1": ("Adam", -reference.adam(None, g, lr=1.0, eps=eps)[1]),
            r"$\hat\varepsilon$ beside $\sqrt{v}$ at t = 1": (
                "third",
                -reference.adam_efficient(None, g, lr=1.0, eps_hat=eps)[1],
            ),
            "inside the root": ("second", g / np.sqrt(g**2 + eps)),
        }

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
    sizes = np.geomspace(1e-12, 1e3, 61)
    marked = steps(np.array(chosen))
    for label, (name, lengths) in steps(sizes).items():
        style = style_of(name)
        left.plot(sizes, lengths, label=label, **style)
        left.plot(chosen, marked[label][1], "o", markersize=4, color=style["color"])
    left.axvline(eps, color=INK, linewidth=0.8, linestyle=(0, (1, 3)))
    left.axvline(chosen, color=INK, linewidth=0.8)
    for x, text, side in ((eps, "ε ", "right"), (chosen, " |g|", "left")):
        left.text(x, 1.08, text, ha=side, va="bottom", fontsize=9)
    left.set(xscale="log", ylim=(0, 1.06), xlabel="size of a steady gradient |g|")
    left.set(ylabel=r"step (in units of $\alpha$)", yticks=[0, 0.5, 1])
    left.set_xticks([1e-12, 1e-9, 1e-6, 1e-3, 1, 1e3])
    left.set_title("One step: where is ε added?", pad=20, weight="normal")

    curvatures = np.array([1.0, 0.01])
    path = reference.trajectory(
        reference.adam, lambda x: curvatures * x, [1.0, 1.0], 200, lr=0.05
    )
    # Two looks that none of the places of eps has.
    looks = ({"color": INK}, style_of("first"))
    for distances, label, look in zip(
        np.abs(path).T, ("steep", "flat"), looks, strict=True
    ):
        right.plot(distances, label=label, **look)
    right.set(
        yscale="log", ylim=(1e-5, 10), xlabel="step", ylabel="distance to the minimum"
    )
    right.set(xticks=[0, 50, 100, 150, 200], yticks=[1e-4, 1e-2, 1])
    right.set_title("A run of Algorithm 1, ε = 1e−8", pad=20, weight="normal")
    for axes in (left, right):
        axes.minorticks_off()
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.2))
    return figure


STILLS: dict[str, Callable[[], Figure]] = {
    "playground": playground,
    "moments": moments,
    "step": step,
    "reddi": reddi,
    "epsilon": epsilon,
}


def draw(name: str) -> dict[str, str]:
    """Return the stills of an explorable: names of files, and SVG documents."""
    with mpl.rc_context():
        mpl.rcdefaults()
        use_style()
        figure = STILLS[name]()
        wide, phone = wide_and_narrow(figure)
        plt.close(figure)
    return {f"{name}.svg": shorten(wide), f"{name}.narrow.svg": shorten(phone)}


def main(arguments: list[str] | None = None) -> int:
    """Draw or check; return 1 if a check found a still that is out of date."""
    parser = argparse.ArgumentParser(description="draw the stills of the explorables")
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(STILLS):
        parser.error(f"there is no {min(unknown)!r}, only {', '.join(STILLS)}")
    status = 0
    looks = FOLDER / "looks.css"
    if not given.check:
        looks.write_text(style_sheet(), encoding="utf-8")
    elif looks.read_text(encoding="utf-8") != style_sheet():
        print(f"{looks.name} is out of date, run make stills")
        status = 1
    for name in given.names or STILLS:
        for file, svg in draw(name).items():
            target = FOLDER / file
            if not given.check:
                target.write_text(svg, encoding="utf-8")
            elif found := difference(target.read_text(encoding="utf-8"), svg):
                print(f"{target.name} is out of date, run make stills: {found}")
                status = 1
    return status


if __name__ == "__main__":
    run(main)
