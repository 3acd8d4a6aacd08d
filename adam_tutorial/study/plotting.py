"""One style for all figures: a colour always means the same optimizer.

Figures are drawn in light colours. :data:`DARK` gives the colour that replaces each of
them in a dark theme, so an SVG can be adapted by replacing strings.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from adam_tutorial._arguments import check_at_least
from adam_tutorial._types import Array
from adam_tutorial.study.narrow import narrow
from adam_tutorial.study.objectives import Quadratic, Rosenbrock

__all__ = [
    "DARK",
    "band",
    "confusion_matrix",
    "image_grid",
    "label_lines",
    "paths",
    "style_of",
    "title_panels",
    "use_style",
    "wide_and_narrow",
]

INK, MUTED, GRID, PAPER = "#1f2328", "#57606a", "#dfe3e8", "#ffffff"
BLUE, ORANGE, TEAL, PURPLE, OCHRE, RED, GREEN = (
    "#0b62a8",
    "#c2410c",
    "#0f766e",
    "#a2378a",
    "#8a6d00",
    "#b3123a",
    "#4a7a0c",
)

DARK: dict[str, str] = {
    INK: "#e3e6ea",
    MUTED: "#a3adb8",
    GRID: "#343b44",
    PAPER: "#15191e",
    BLUE: "#74b9f5",
    ORANGE: "#fb9a5b",
    TEAL: "#4fd1c0",
    PURPLE: "#e696d5",
    OCHRE: "#e3c04d",
    RED: "#ff8095",
    GREEN: "#a5d660",
}

# A colour, and a dash pattern that says the same as the colour, for print and for
# readers who cannot tell the colours apart: lengths of ink and of gap, in line widths.
_LOOKS: dict[str, tuple[str, tuple[float, ...]]] = {
    "Adam": (BLUE, ()),
    "gradient descent": (ORANGE, (6, 2)),
    "momentum": (TEAL, (4, 1.5, 1, 1.5)),
    "Nesterov": (GREEN, (4, 1.5, 1, 1.5, 1, 1.5)),
    "AdaGrad": (PURPLE, (1, 1.2)),
    "RMSProp": (OCHRE, (3, 1.2)),
    "AdaDelta": (RED, (2, 1.2, 6, 1.2)),
    "AMSGrad": (RED, (12, 1.5, 2, 1.5)),
    "AdamW": (GREEN, (10, 1.5, 4, 1.5)),
    "NAdam": (OCHRE, (8, 1.5, 1, 1.5)),
    "RAdam": (RED, (1, 1.2)),
    "Lion": (PURPLE, (8, 1.5, 3, 1.5)),
    "without bias correction": (PURPLE, (5, 1, 1, 1, 1, 1)),
    # Lines that are not optimizers.
    "first": (OCHRE, (14, 3)),
    "second": (TEAL, (10, 1.5)),
    "third": (PURPLE, (5, 2)),
    "baseline": (MUTED, (2, 2)),
}
_LOOKS["SGD"] = _LOOKS["gradient descent"]
_LOOKS["SGD with momentum"] = _LOOKS["momentum"]

STYLES: dict[str, dict[str, Any]] = {
    name: {"color": color, "linestyle": (0, dash) if dash else "-"}
    for name, (color, dash) in _LOOKS.items()
}

_FORMAT_VARIABLE = "ADAM_TUTORIAL_FIGURES"


def use_style() -> None:
    """Set the style of all figures drawn from now on.

    In a notebook, figures become PNG images, or SVG images if the environment variable
    ``ADAM_TUTORIAL_FIGURES`` is ``svg``: then each is drawn by :func:`wide_and_narrow`.
    """
    plt.rcParams.update(
        {
            "figure.figsize": (6.4, 3.4),
            "figure.dpi": 110,
            "figure.facecolor": PAPER,
            "figure.constrained_layout.use": True,
            "savefig.facecolor": PAPER,
            "axes.facecolor": PAPER,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlepad": 10,
            "axes.labelsize": 10,
            "figure.titlesize": 11,
            "figure.titleweight": "bold",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": GRID,
            "grid.linewidth": 0.8,
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "legend.labelcolor": INK,
            # Long enough for a whole period of every dash.
            "legend.handlelength": 3.6,
            "text.color": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            # The same figure gives the same bytes, so a rebuilt page differs only where
            # something has changed.
            "svg.hashsalt": "adam_tutorial",
        }
    )
    # A script has no notebook to set up, and importing IPython would slow it down.
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        if os.environ.get(_FORMAT_VARIABLE) == "svg":
            set_matplotlib_formats("svg", metadata={"Date": None})
            shell = sys.modules["IPython"].get_ipython()
            formatter = shell.display_formatter.formatters["image/svg+xml"]
            formatter.for_type(Figure, lambda drawn: "".join(wide_and_narrow(drawn)))
        else:
            set_matplotlib_formats("png")


def wide_and_narrow(figure: Figure) -> tuple[str, str]:
    """Return two SVG documents: a figure, and the same figure for a phone."""
    return _svg(figure, 0.1), _svg(narrow(figure), 0.02)


def _svg(figure: Figure, pad: float) -> str:
    buffer = io.StringIO()
    figure.savefig(
        buffer,
        format="svg",
        metadata={"Date": None},
        bbox_inches="tight",
        pad_inches=pad,
    )
    return buffer.getvalue()


def style_of(name: str) -> dict[str, Any]:
    """Return colour and dash pattern of an optimizer, as keyword arguments of ``plot``.

    Raises
    ------
    KeyError
        The name has no style; the message lists those that do.
    """
    if name not in STYLES:
        raise KeyError(f"no style for {name!r}; there is one for {', '.join(STYLES)}")
    return dict(STYLES[name])


def band(
    axes: Axes, x: ArrayLike, curves: ArrayLike, name: str, *, label: str | None = None
) -> None:
    """Draw the mean of several curves, and a band from the lowest to the highest.

    Parameters
    ----------
    axes : Axes
    x : array_like, shape (points,)
    curves : array_like, shape (seeds, points)
    name : str
        An optimizer; sets the colour and the label.
    label : str, optional
        Replaces the label.
    """
    values = np.asarray(curves, dtype=np.float64)
    style = style_of(name)
    axes.plot(x, values.mean(axis=0), label=label or name, **style)
    low, high = values.min(axis=0), values.max(axis=0)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.2, linewidth=0)


def label_lines(axes: Axes) -> None:
    """Put a legend to the right of the axes, where it hides nothing."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def title_panels(figure: Figure, title: str) -> None:
    """Put one title over all panels, in the place and the style of a panel's title."""
    figure.suptitle(title, x=0.01, ha="left")


def paths(
    axes: Axes,
    objective: Quadratic | Rosenbrock,
    points: Mapping[str, Array],
    *,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> None:
    """Draw level lines of a function of two variables, and the paths of optimizers.

    Parameters
    ----------
    axes : Axes
    objective : Quadratic or Rosenbrock
    points : dict of str to ndarray, shape (steps + 1, 2)
        For each optimizer, the points it visited.
    x_range, y_range : tuple of float
        Limits of the axes.
    """
    x, y = np.meshgrid(np.linspace(*x_range, 241), np.linspace(*y_range, 241))
    height = objective.value(np.stack([x, y], axis=-1))
    levels = np.quantile(height, np.linspace(0.004, 0.97, 14) ** 1.6)
    axes.contour(
        x, y, height, levels=np.unique(levels), colors=MUTED, linewidths=0.6, alpha=0.55
    )
    for name, path in points.items():
        axes.plot(*path.T, label=name, marker=".", markersize=4, **style_of(name))
    axes.plot(*next(iter(points.values()))[0], marker="o", color=INK, markersize=6)
    axes.set(xlim=x_range, ylim=y_range, xlabel="$\\theta_1$", ylabel="$\\theta_2$")
    axes.grid(visible=False)


def image_grid(
    images: NDArray[Any], titles: Sequence[str], *, columns: int = 8, size: float = 0.9
) -> Figure:
    """Draw small grey-level images in rows, dark on light, each with a title.

    Parameters
    ----------
    images : ndarray, shape (n, height, width)
    titles : sequence of str
        One for each image.
    columns : int
        Images in a row.
    size : float
        Width of an image, in inches.

    Raises
    ------
    ValueError
        The numbers of images and titles differ, or ``columns`` is less than 1.
    """
    check_at_least("columns", columns, 1)
    if len(titles) != len(images):
        raise ValueError(f"there are {len(images)} images but {len(titles)} titles")
    rows = -(-len(images) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(columns * size, rows * (size + 0.25)), squeeze=False
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, title in zip(grid.flat, images, titles, strict=False):
        axes.imshow(image, cmap="gray_r", interpolation="nearest")
        axes.set_title(title, fontsize=9, fontweight="normal", loc="center", pad=3)
    return figure


def confusion_matrix(counts: ArrayLike, classes: Sequence[str]) -> Figure:
    """Draw how often each class was taken for each other class.

    Parameters
    ----------
    counts : array_like of int, shape (classes, classes)
        Rows are the true classes, columns the predicted ones.
    classes : sequence of str
        Their names.
    """
    table = np.asarray(counts)
    figure, axes = plt.subplots(figsize=(4.6, 4.6))
    wrong = table * (1 - np.eye(len(table), dtype=int))
    for row, column in zip(*np.nonzero(table), strict=True):
        right = row == column
        share = 1.0 if right else wrong[row, column] / max(wrong.max(), 1)
        axes.add_patch(
            Rectangle(
                (column - 0.5, row - 0.5),
                1,
                1,
                facecolor=BLUE if right else ORANGE,
                alpha=0.15 if right else 0.2 + 0.5 * share,
                linewidth=0,
            )
        )
        axes.text(
            column, row, f"{table[row, column]}", ha="center", va="center", fontsize=9
        )
    axes.set(
        xlim=(-0.5, len(table) - 0.5),
        ylim=(len(table) - 0.5, -0.5),
        xlabel="predicted class",
        ylabel="true class",
        aspect="equal",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(ticker.FixedLocator(list(range(len(table)))))
        axis.set_major_formatter(ticker.FixedFormatter(list(classes)))
    axes.grid(visible=False)
    return figure
