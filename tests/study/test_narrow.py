from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from adam_tutorial.study.narrow import SMALLEST_TEXT, WIDTH, narrow
from adam_tutorial.study.plotting import image_grid, label_lines, use_style


@pytest.fixture(autouse=True)
def _style_is_set_and_figures_are_closed() -> Iterator[None]:
    with mpl.rc_context():
        use_style()
        yield
    plt.close("all")


def two_panels(*, sharey: bool = False) -> Figure:
    figure, panels = plt.subplots(1, 2, figsize=(8, 3), sharey=sharey)
    for axes in panels:
        axes.plot([0, 1], label="Adam")
        axes.plot([1, 0], label="gradient descent")
        axes.set(xlabel="step", title="How fast?")
    panels[0].set_ylabel("loss")
    label_lines(panels[1])
    return figure


def boxes(figure: Figure) -> list[Bbox]:
    figure.draw_without_rendering()
    return [axes.get_window_extent() for axes in figure.axes]


def test_panels_stand_below_each_other_in_their_order() -> None:
    first, second = boxes(narrow(two_panels()))
    assert first.y0 > second.y1
    assert first.x0 == pytest.approx(second.x0, abs=2)
    assert first.width > 0.7 * 100 * WIDTH


def test_nothing_reaches_out_at_the_sides() -> None:
    copy = narrow(two_panels())
    copy.draw_without_rendering()
    box = copy.get_tightbbox()
    assert box.x0 > -0.05
    assert box.x1 < WIDTH + 0.05


def test_legend_stands_below_its_panel_and_hides_nothing() -> None:
    copy = narrow(two_panels())
    first, second = copy.axes
    copy.draw_without_rendering()
    legend = second.get_legend()
    assert legend is not None
    assert first.get_legend() is None
    assert [text.get_text() for text in legend.get_texts()] == [
        "Adam",
        "gradient descent",
    ]
    box = legend.get_window_extent()
    assert box.y1 < second.xaxis.label.get_window_extent().y0
    assert [line.get_color() for line in legend.get_lines()] == [
        line.get_color() for line in second.lines
    ]


def test_legend_of_a_figure_stands_below_all_panels() -> None:
    figure = two_panels()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    copy = narrow(figure)
    lowest = boxes(copy)[1]
    (legend,) = copy.legends
    assert legend.get_window_extent().y1 < lowest.y0


def test_panel_that_leant_on_its_neighbour_gets_ticks_and_label_of_its_own() -> None:
    figure = two_panels(sharey=True)
    figure.draw_without_rendering()
    assert not any(
        tick.label1.get_visible() for tick in figure.axes[1].yaxis.get_major_ticks()
    )
    second = narrow(figure).axes[1]
    assert second.get_ylabel() == "loss"
    assert all(tick.label1.get_visible() for tick in second.yaxis.get_major_ticks())


def test_figure_stays_as_it_was_and_no_other_one_is_opened() -> None:
    figure = two_panels()
    before, opened = boxes(figure), plt.get_fignums()
    narrow(figure)
    assert [box.bounds for box in boxes(figure)] == [box.bounds for box in before]
    assert plt.get_fignums() == opened


def test_small_letters_grow_and_long_titles_break() -> None:
    figure, axes = plt.subplots()
    axes.text(0.5, 0.5, "note", fontsize=5)
    axes.set_title(
        "Which of the two is the first to arrive at the bottom of the valley?"
    )
    axes.set_ylabel("a label that is much longer than the axis along which it stands")
    copy = narrow(figure)
    assert min(text.get_fontsize() for text in copy.findobj(Text)) == SMALLEST_TEXT
    (panel,) = copy.axes
    assert panel.get_title(loc="left").count("\n") == 1
    assert panel.get_ylabel().count("\n") == 1
    assert panel.texts[0].get_text() == "note"


def test_formula_in_a_title_stays_whole() -> None:
    figure, axes = plt.subplots()
    formula = r"$\alpha \cdot m / (\sqrt{v} + \varepsilon)$"
    axes.set_title(f"What becomes of the step length {formula} in the end?")
    title = narrow(figure).axes[0].get_title(loc="left")
    assert "\n" in title
    assert formula in title


def test_small_pictures_keep_their_size_in_fewer_columns() -> None:
    figure = image_grid(np.zeros((8, 28, 28)), [str(i) for i in range(8)])
    copy = narrow(figure)
    wide, phone = boxes(figure), boxes(copy)
    assert phone[0].width == pytest.approx(wide[0].width, rel=0.15)
    tops = [round(box.y1) for box in phone]
    assert len(set(tops)) == 2
    assert tops == sorted(tops, reverse=True)


def test_title_begins_at_the_edge_where_words_stand_beside_the_panel() -> None:
    figure, axes = plt.subplots()
    axes.barh(["the weights of another library", "another order"], [1, 2])
    axes.set_title("What changes the result most of all?")
    copy = narrow(figure)
    copy.draw_without_rendering()
    box = copy.get_tightbbox()
    assert box.width < WIDTH + 0.1
    (panel,) = copy.axes
    assert panel.get_window_extent().x0 > 0.25 * copy.bbox.width


def test_tick_labels_that_would_run_into_each_other_are_turned() -> None:
    figure, axes = plt.subplots()
    axes.set_xticks(range(7), [f"0.000{digit}000" for digit in range(7)])
    labels = narrow(figure).axes[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {45}
    axes.set_xticks(range(7), "abcdefg")
    labels = narrow(figure).axes[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {0}


def test_legend_makes_room_for_a_label_of_two_lines() -> None:
    figure, axes = plt.subplots()
    axes.plot([0, 1], label="Adam")
    axes.set_xlabel("the factor by which the left half of every picture is multiplied")
    label_lines(axes)
    (panel,) = (copy := narrow(figure)).axes
    copy.draw_without_rendering()
    legend = panel.get_legend()
    assert panel.get_xlabel().count("\n") == 1
    assert legend is not None
    label = panel.xaxis.label.get_window_extent()
    assert legend.get_window_extent().y1 < label.y0


def test_legend_takes_no_width_from_its_panel() -> None:
    figure, axes = plt.subplots()
    for name in ("gradient descent", "momentum", "AdaGrad", "RMSProp", "Adam"):
        axes.plot([0, 1], label=name)
    without = boxes(narrow(figure))[0].width
    label_lines(axes)
    assert boxes(narrow(figure))[0].width == pytest.approx(without, rel=0.02)


def test_label_of_a_legend_is_no_longer_broken_for_a_column_at_the_side() -> None:
    figure, axes = plt.subplots()
    axes.plot([0, 1], label="digits,\nno warm-up")
    label_lines(axes)
    legend = narrow(figure).axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["digits, no warm-up"]


def test_axes_that_lie_over_each_other_stay_together() -> None:
    figure = two_panels()
    twin = figure.axes[0].twinx()
    twin.plot([3, 4])
    copy = narrow(figure)
    first, second, over = boxes(copy)
    assert over.bounds == first.bounds
    assert over.y0 > second.y1


def test_panels_in_one_column_stay_in_it() -> None:
    figure, _ = plt.subplots(3, 1, figsize=(6.4, 4), sharex=True)
    copy = narrow(figure)
    first, second, third = boxes(copy)
    assert first.y0 > second.y1 > second.y0 > third.y1
    assert copy.get_size_inches()[0] == WIDTH
