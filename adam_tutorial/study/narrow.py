"""A figure a second time, for the width of a phone.

A figure of 8 inches that is shown 4 inches wide has letters that nobody can read. Here
its panels are put under each other and the legends under the panels, so that letters
keep their size.
"""

from __future__ import annotations

import pickle
import re
from itertools import groupby, pairwise

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
LEGEND_LINE, LEGEND_GAP = 0.19, 0.06
# Entries of a legend stand in two columns if their names are no longer.
SHORT_NAME = 12
# Between the labels of two ticks, in dots.
LEAST_GAP = 4


def narrow(figure: Figure) -> Figure:
    """Return a copy of a figure, laid out for a phone. The figure stays as it is."""
    copy: Figure = pickle.loads(pickle.dumps(figure))  # noqa: S301  # made here
    # Unpickling a figure of pyplot opens another one.
    plt.close(copy)
    height = _stack(copy)
    for text in copy.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), SMALLEST_TEXT))
    below = {axes: axes.get_legend() for axes in copy.axes}
    for axes, legend in below.items():
        for title in _titles(axes):
            title.set_text(_wrapped(title.get_text(), TITLE_LETTERS))
        axes.set_xlabel(_wrapped(axes.get_xlabel(), TITLE_LETTERS))
        axes.set_ylabel(_wrapped(axes.get_ylabel(), LABEL_LETTERS))
        if legend:
            legend.remove()
    if above := copy.get_suptitle():
        copy.suptitle(_wrapped(above, TITLE_LETTERS), x=0.01, ha="left")
    for legend in list(copy.legends):
        handles, labels, columns, added = _entries(legend)
        legend.remove()
        copy.legend(handles, labels, loc="outside lower left", ncols=columns)
        height += added
    copy.set_size_inches(WIDTH, height)
    _fit_words(copy)
    # Where an axis ends, with its label, is known when it has been drawn.
    copy.draw_without_rendering()
    for axes, legend in below.items():
        if legend:
            height += _put_below(legend, axes, copy)
    copy.set_size_inches(WIDTH, height)
    return copy


def _titles(axes: Axes) -> list[Text]:
    """Return what stands above a panel, at the left and in the middle."""
    texts = [part for part in axes.get_children() if isinstance(part, Text)]
    return [text for text in texts if text not in axes.texts and text.get_text()]


def _fit_words(figure: Figure) -> None:
    """Keep words from running into each other, and titles from running out."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_window_extent()
        # Where words stand beside the panel, titles begin above them.
        if box.x0 > 0.25 * figure.bbox.width:
            for title in _titles(axes):
                if title.get_horizontalalignment() == "left":
                    title.set_x(-box.x0 / box.width)
            axes.set_xlabel(_wrapped(axes.get_xlabel(), TITLE_LETTERS * 2 // 3))
        ticks = [label for label in axes.get_xticklabels() if label.get_text()]
        ends = [label.get_window_extent() for label in ticks]
        if any(one.x1 + LEAST_GAP > next_one.x0 for one, next_one in pairwise(ends)):
            axes.tick_params(axis="x", rotation=45)


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
    columns = 2 if len(labels) > 1 and longest <= SHORT_NAME else 1
    lines = sum(label.count("\n") + 1 for label in labels)
    height = LEGEND_LINE * (-(-lines // columns) + bool(legend.get_title().get_text()))
    handles = [handle for handle in legend.legend_handles if handle is not None]
    return handles, labels, columns, height


def _put_below(legend: Legend, axes: Axes, figure: Figure) -> float:
    """Put a legend below its axes, where it hides nothing; return its height."""
    handles, labels, columns, height = _entries(legend)
    axis = axes.xaxis.get_tightbbox()
    panel = axes.get_window_extent()
    away = (panel.y0 - (axis.y0 if axis else panel.y0)) / figure.dpi + LEGEND_GAP
    below = axes.transAxes + ScaledTranslation(0, -away, figure.dpi_scale_trans)
    axes.legend(
        handles,
        labels,
        title=legend.get_title().get_text() or None,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        borderaxespad=0,
        ncols=columns,
    )
    return height + LEGEND_GAP


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
