"""The pictures show the numbers of the result, and say what they need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from matplotlib.markers import MarkerStyle

from adam_tutorial.bench import CANDIDATES, Result, Rounds, draw_growth, draw_ratios
from adam_tutorial.bench.picture import LOOKS
from adam_tutorial.study.plotting import DARK
from tests.bench.toys import made_up


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


def points(axes: Any) -> dict[str, list[tuple[float, float]]]:
    return {
        line.get_label(): list(zip(*line.get_data(), strict=True))
        for line in axes.lines
        if line.get_label() in CANDIDATES
    }


def growing() -> Result:
    names = ("1x1024", "1x2048", "2x1024", "16x1024")
    sizes = [[int(n) for n in name.split("x")] for name in names]
    rounds = [
        Rounds(name, 1, {"torch-fused": [3.0, n * m / 1000, 1e-9], "ours": [1.0]})
        for name, (n, m) in zip(names, sizes, strict=True)
    ]
    rounds[1] = Rounds("1x2048", 1, {"torch-fused": [0.5]})
    workloads = {
        name: {"tensors": n, "elements": n * m, "bytes": 28 * n * m}
        for name, (n, m) in zip(names, sizes, strict=True)
    }
    return made_up(rounds=rounds, workloads=workloads)


def test_ratios_have_a_panel_a_number_of_threads_and_a_row_a_workload() -> None:
    figure = draw_ratios(made_up())
    one, two = figure.axes
    assert points(one) == {"ours": [(2.0, 0)]}
    assert points(two) == {"ours": [(0.5, 0)]}
    assert [label.get_text() for label in one.get_yticklabels()] == ["1x1024", "2x1024"]
    assert [axes.get_title() for axes in figure.axes] == ["1 thread", "2 threads"]
    assert one.get_xlabel() == "times as fast as torch-fused"
    assert one.get_xscale() == "log"


def test_growth_has_a_panel_for_elements_and_one_for_tensors() -> None:
    figure = draw_growth(growing())
    elements, tensors = figure.axes
    assert points(elements) == {
        "torch-fused": [(1024, 1024.0), (2048, 500.0)],
        "ours": [(1024, 1000.0)],
    }
    assert points(tensors)["torch-fused"] == [(1, 1024.0), (2, 2048.0), (16, 3000.0)]
    assert {line.get_markersize() for axes in figure.axes for line in axes.lines} == {4}
    assert [*figure.get_size_inches()] == [9.6, 4.0]
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}


def test_growth_wants_workloads_that_grow() -> None:
    with pytest.raises(ValueError, match=r"^result must have several workloads of one"):
        draw_growth(made_up())


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_picture_is_written(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"bench.{kind}"
    draw_ratios(made_up()).savefig(file)
    assert file.stat().st_size > 1000


def test_every_candidate_has_a_look_of_its_own_in_a_colour_with_a_dark_twin() -> None:
    assert LOOKS.keys() == CANDIDATES.keys()
    assert len({*LOOKS.values()}) == len(LOOKS)
    assert {color for color, _ in LOOKS.values()} <= DARK.keys()
    assert {marker for _, marker in LOOKS.values()} <= MarkerStyle.markers.keys()


@pytest.mark.parametrize("draw", [draw_ratios, draw_growth])
def test_without_matplotlib_it_is_named(
    draw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(
        ImportError,
        match=r"^pictures need matplotlib: pip install matplotlib",
    ):
        draw(growing())
