"""The pictures of a result; matplotlib is imported when one is drawn."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from adam_tutorial.bench.results import Result, threads_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_growth", "draw_ratios"]

# Colour says whose it is, marker which of theirs.
INK, GREY, BLUE, TEAL = "#1f2328", "#57606a", "#0b62a8", "#0f766e"
ORANGE, PURPLE, RED, OCHRE, GREEN = (
    "#c2410c",
    "#a2378a",
    "#b3123a",
    "#8a6d00",
    "#4a7a0c",
)
LOOKS = {
    "torch-fused": (INK, "o"),
    "torch": (GREY, "s"),
    "torch-foreach": (GREY, "^"),
    "torch-compiled": (GREY, "D"),
    "ours": (BLUE, "o"),
    "ours-plain": (BLUE, "s"),
    "ours-foreach": (BLUE, "^"),
    "ours-fused": (BLUE, "D"),
    "ours-bf16": (TEAL, "o"),
    "ours-8bit": (TEAL, "s"),
    "bitsandbytes": (ORANGE, "o"),
    "bitsandbytes-8bit": (ORANGE, "s"),
    "torchao-8bit": (PURPLE, "s"),
    "deepspeed": (RED, "o"),
    "optax": (GREEN, "o"),
    "stream": (OCHRE, "*"),
    "numpy-textbook": (PURPLE, "v"),
    "numpy-inplace": (PURPLE, "<"),
    "numpy-blocked": (PURPLE, ">"),
    "python": (RED, "x"),
}


def draw_ratios(result: Result) -> Figure:
    """Draw how many times as fast as the reference the candidates are.

    Parameters
    ----------
    result : Result

    Returns
    -------
    Figure
        One panel for each number of threads; a row for each workload.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    """
    reference = result.settings["reference"]
    names = list(result.workloads)
    columns = len(result.threads)
    size = (1 + 4.4 * columns, 1.4 + 0.42 * len(names))
    figure, panels = _panels(1, columns, size)
    for axes, threads in zip(panels[0], result.threads, strict=True):
        for candidate in result.candidates:
            if candidate == reference:
                continue
            points = []
            for row, name in enumerate(names):
                try:
                    points.append((result.ratio(name, candidate, threads), row))
                except ValueError:  # left out there
                    continue
            if points:
                color, marker = LOOKS[candidate]
                axes.plot(
                    *zip(*points, strict=True),
                    linestyle="none",
                    color=color,
                    marker=marker,
                    label=candidate,
                )
        axes.axvline(1, color=INK, linewidth=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(f"times as fast as {reference}")
        axes.set_title(threads_in_words(threads))
    panels[0, 0].set_yticks(range(len(names)), names)
    panels[0, 0].invert_yaxis()
    panels[0, -1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def draw_growth(result: Result) -> Figure:
    """Draw the time of a step against the number of elements and of tensors.

    Parameters
    ----------
    result : Result
        Of workloads ``1xN``, which make the left panel, and of workloads ``Nx1024``,
        which make the right one.

    Returns
    -------
    Figure
        One row of panels for each number of threads.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ValueError
        The result has no such workloads.
    """
    elements = {
        n: w["elements"] for n, w in result.workloads.items() if w["tensors"] == 1
    }
    tensors = {
        n: w["tensors"]
        for n, w in result.workloads.items()
        if w["elements"] == 1024 * w["tensors"]
    }
    if len(elements) < 2 or len(tensors) < 2:
        raise ValueError(
            "result must have several workloads of one tensor and several of tensors of"
            f" 1024 elements, got {list(result.workloads)}"
        )
    rows = len(result.threads)
    figure, panels = _panels(rows, 2, (9.6, 1 + 3 * rows))
    for row, threads in zip(panels, result.threads, strict=True):
        for axes, sizes in zip(row, (elements, tensors), strict=True):
            for candidate in result.candidates:
                _line(axes, result, candidate, sizes, threads)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        row[0].set_ylabel("milliseconds of one step")
        row[0].set_title(f"One tensor, {threads_in_words(threads)}")
        row[1].set_title("Tensors of 1024 elements")
        row[0].set_xlabel("elements")
        row[1].set_xlabel("tensors")
    panels[0, 1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _line(
    axes: Any, result: Result, candidate: str, sizes: dict[str, int], threads: int
) -> None:
    points = []
    for name, size in sorted(sizes.items(), key=lambda item: item[1]):
        try:
            seconds = result.seconds(name, candidate, threads)
        except ValueError:  # left out there
            continue
        points.append((size, 1e3 * statistics.median(seconds)))
    if points:
        color, marker = LOOKS[candidate]
        axes.plot(
            *zip(*points, strict=True),
            color=color,
            marker=marker,
            markersize=4,
            label=candidate,
        )


def _panels(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib") from error
    return plt.subplots(
        rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
