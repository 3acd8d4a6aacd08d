"""A figure a second time, for the width of a phone.

A figure of 8 inches that is shown 4 inches wide has letters that nobody can read. Here
its panels are put under each other and the legends under the panels, so that letters
keep their size.
"""

from __future__ import annotations

import pickle
import re
from itertools import groupby

import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation

__all__ = ["narrow"]

# In inches. Shown on 358 pixels, the column of a phone, a point is 1.33 pixels.
WIDTH = 3.75
# In points: 11 pixels.
SMALLEST_TEXT = 8.5
# How many letters of a title or a label fit.
TITLE_LETTERS, LABEL_LETTERS, LEGEND_LETTERS = 35, 34, 40
LEAST_PANEL = 1.4
LEGEND_LINE = 0.19
# From an axis to what stands below its ticks, and below its label; in points.
BELOW_TICKS, BELOW_LABEL = 18, 34


def narrow(figure: Figure) -> Figure:
    """Return a copy of a figure, laid out for a phone. The figure stays as it is."""
    copy: Figure = pickle.loads(pickle.dumps(figure))  # noqa: S301  # made here
    # Unpickling a figure of pyplot opens another one.
    plt.close(copy)
    height = _stack(copy)
    for text in copy.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), SMALLEST_TEXT))
    for axes in copy.axes:
        for title in _titles(axes):
            title.set_text(_wrapped(title.get_text(), TITLE_LETTERS))
        axes.set_xlabel(_wrapped(axes.get_xlabel(), TITLE_LETTERS))
        axes.set_ylabel(_wrapped(axes.get_ylabel(), LABEL_LETTERS))
        if legend := axes.get_legend():
            height += _move_below(legend, axes)
    if above := copy.get_suptitle():
        copy.suptitle(_wrapped(above, TITLE_LETTERS), x=0.01, ha="left")
    for legend in list(copy.legends):
        handles, labels, columns, added = _entries(legend)
        legend.remove()
        copy.legend(handles, labels, loc="outside lower left", ncols=columns)
        height += added
    copy.set_size_inches(WIDTH, height)
    _align_titles(copy)
    return copy


def _titles(axes: Axes) -> list[Text]:
    """Return what stands above a panel, at the left and in the middle."""
    texts = [part for part in axes.get_children() if isinstance(part, Text)]
    return [text for text in texts if text not in axes.texts and text.get_text()]


def _align_titles(figure: Figure) -> None:
    """Let titles begin at the left edge where words stand beside the panel."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_window_extent()
        if box.x0 > 0.25 * figure.bbox.width:
            for title in _titles(axes):
                if title.get_horizontalalignment() == "left":
                    title.set_x(-box.x0 / box.width)
            axes.set_xlabel(_wrapped(axes.get_xlabel(), TITLE_LETTERS * 2 // 3))


def _stack(figure: Figure) -> float:
    """Put panels below each other where they are too wide; return the height."""
    width, height = figure.get_size_inches()
    placed = [axes for axes in figure.axes if axes.get_subplotspec() is not None]
    if not placed:
        return float(height * WIDTH / width)
    grid = _place(placed[0]).get_gridspec()
    cell = width / grid.ncols
    # Small pictures may shrink a little, plots become wider than they were.
    columns = min(grid.ncols, max(1, int(WIDTH / cell + (0.8 if cell < 2 else 0.05))))
    # Axes that lie over each other have one place.
    panels = [
        list(group)
        for _, group in groupby(
            sorted(placed, key=lambda axes: _place(axes).num1),
            key=lambda axes: _place(axes).num1,
        )
    ]
    rows = -(-len(panels) // columns) if columns < grid.ncols else grid.nrows
    if columns < grid.ncols:
        fresh = GridSpec(rows, columns, figure=figure)
        for number, panel in enumerate(panels):
            for axes in panel:
                _label_like_its_neighbour(axes, placed)
                axes.set_subplotspec(fresh[number // columns, number % columns])
    shrunk = min(1.0, WIDTH / columns / cell)
    # Labels do not shrink.
    tall = height / grid.nrows * max(shrunk, 0.8)
    return float(rows * (max(tall, LEAST_PANEL) if columns == 1 else tall))


def _place(axes: Axes) -> SubplotSpec:
    place = axes.get_subplotspec()
    assert place is not None
    return place


def _label_like_its_neighbour(axes: Axes, others: list[Axes]) -> None:
    """Write ticks and label of the vertical axis, which a panel beside it has shown."""
    if not axes.axison:
        return
    axes.tick_params(labelleft=True)
    shared = axes.get_shared_y_axes()
    for other in others:
        if shared.joined(axes, other) and not axes.get_ylabel():
            axes.set_ylabel(other.get_ylabel())


def _entries(legend: Legend) -> tuple[list[Artist], list[str], int, float]:
    """Return what a legend shows, in how many columns, and the height it takes."""
    # Lines were broken for a legend beside the panel; below it there is more room.
    texts = [text.get_text().replace("\n", " ") for text in legend.get_texts()]
    labels = [_wrapped(text, LEGEND_LETTERS) for text in texts]
    longest = max((_length(label) for label in labels), default=0)
    columns = 2 if len(labels) > 1 and longest <= LEGEND_LETTERS // 2 - 4 else 1
    lines = sum(label.count("\n") + 1 for label in labels)
    height = LEGEND_LINE * (-(-lines // columns) + bool(legend.get_title().get_text()))
    handles = [handle for handle in legend.legend_handles if handle is not None]
    return handles, labels, columns, height


def _move_below(legend: Legend, axes: Axes) -> float:
    """Put a legend below its axes, where it hides nothing; return its height."""
    handles, labels, columns, height = _entries(legend)
    title = legend.get_title().get_text()
    away = BELOW_LABEL if axes.get_xlabel() else BELOW_TICKS
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    below = axes.transAxes + ScaledTranslation(0, -away / 72, figure.dpi_scale_trans)
    axes.legend(
        handles,
        labels,
        title=title or None,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        borderaxespad=0,
        ncols=columns,
    )
    return height


def _length(text: str) -> int:
    """Return about how many letters wide a text is; a formula's commands are none."""
    return len(re.sub(r"\\[a-z]+|[${}^_\\]", "", text))


def _wrapped(text: str, letters: int) -> str:
    """Break a text that is too long into lines; a formula stays whole."""
    if _length(text) <= letters:
        return text
    lines: list[str] = []
    for word in re.findall(r"(?:\$[^$]*\$|[^\s$])+", text):
        if lines and _length(f"{lines[-1]} {word}") <= letters:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
