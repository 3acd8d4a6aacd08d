from __future__ import annotations

import io
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib_inline import backend_inline

from adam_tutorial.study.objectives import Quadratic
from adam_tutorial.study.plotting import (
    BLUE,
    DARK,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    STYLES,
    band,
    confusion_matrix,
    image_grid,
    label_lines,
    paths,
    style_of,
    title_panels,
    use_style,
)


@pytest.fixture(autouse=True)
def _settings_are_restored_and_figures_closed() -> Iterator[None]:
    with mpl.rc_context():
        yield
    plt.close("all")


@pytest.fixture
def axes() -> Axes:
    return plt.subplots()[1]


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours after WCAG 2."""

    def luminance(name: str) -> float:
        rgb = np.array(colors.to_rgb(name))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted([luminance(first), luminance(second)])
    return (light + 0.05) / (dark + 0.05)


# Colours


@pytest.mark.parametrize("name", STYLES)
def test_style_of_an_optimizer_has_a_colour_and_a_dash_pattern(
    name: str, axes: Axes
) -> None:
    style = style_of(name)
    (line,) = axes.plot([0, 1], [0, 1], **style)
    assert line.get_color() == style["color"]
    assert set(style) == {"color", "linestyle"}


def test_changing_a_style_that_was_given_out_changes_no_other_figure() -> None:
    style_of("Adam")["color"] = "red"
    assert style_of("Adam")["color"] == BLUE


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(KeyError) as caught:
        style_of("Adm")
    assert "no style for 'Adm'; there is one for Adam, gradient descent," in str(
        caught.value
    )
    assert "baseline" in str(caught.value)


# What people see who lack one kind of cone, after Machado, Oliveira and Fernandes
# (2009), for linear red, green and blue.
EYES = {
    "all three": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(name: str, eyes: str) -> np.ndarray:
    """A colour as those eyes see it, in CIELAB, where distances are visible ones."""
    rgb = np.array(colors.to_rgb(name))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(EYES[eyes]) @ linear, 0, 1)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    x, y, z = np.cbrt(np.array(to_xyz) @ seen / [0.95047, 1.0, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def dash(name: str) -> tuple[float, ...]:
    line = STYLES[name]["linestyle"]
    return () if line == "-" else tuple(line[1])


def dashes_differ(first: str, second: str) -> bool:
    """Another number of strokes in a period, or strokes of twice the length."""
    one, other = dash(first), dash(second)
    if len(one) != len(other):
        return True
    return any(max(a, b) >= 2 * min(a, b) for a, b in zip(one, other, strict=True))


ALIASES = {"SGD": "gradient descent", "SGD with momentum": "momentum"}


def test_one_optimizer_has_one_look_and_no_two_have_the_same() -> None:
    for name, other in ALIASES.items():
        assert STYLES[name] == STYLES[other]
    looks = [
        (style["color"], dash(name))
        for name, style in STYLES.items()
        if name not in ALIASES
    ]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_any_two_looks_can_be_told_apart_by_colour_or_by_dash(
    eyes: str, theme: str
) -> None:
    def seen(name: str) -> np.ndarray:
        colour = STYLES[name]["color"]
        return lab(DARK[colour] if theme == "dark" else colour, eyes)

    names = [name for name in STYLES if name not in ALIASES]
    alike = [
        pair
        for pair in itertools.combinations(names, 2)
        if np.linalg.norm(seen(pair[0]) - seen(pair[1])) < 15
        and not dashes_differ(*pair)
    ]
    assert alike == []


def test_every_colour_has_a_partner_in_the_dark_theme() -> None:
    used = {style["color"] for style in STYLES.values()} | {INK, MUTED, GRID, PAPER}
    assert used == set(DARK)
    assert len(set(DARK.values())) == len(DARK)


@pytest.mark.parametrize("colour", sorted(set(DARK) - {PAPER, GRID}))
def test_text_and_lines_are_readable_on_light_and_on_dark_paper(colour: str) -> None:
    assert contrast(colour, PAPER) >= 4.5
    assert contrast(DARK[colour], DARK[PAPER]) >= 4.5


# The style


def test_style_sets_the_paper_and_takes_the_frame_away() -> None:
    use_style()
    figure, axes = plt.subplots()
    assert colors.to_hex(figure.get_facecolor()) == PAPER
    assert not axes.spines["top"].get_visible()
    assert not axes.spines["right"].get_visible()
    assert axes.spines["left"].get_visible()


def test_same_figure_gives_the_same_svg() -> None:
    use_style()

    def drawn() -> bytes:
        figure, axes = plt.subplots()
        band(axes, [0, 1, 2], [[1, 2, 3], [2, 3, 5]], "Adam")
        label_lines(axes)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()

    assert drawn() == drawn()


def test_every_colour_of_an_svg_is_one_that_the_dark_theme_replaces() -> None:
    use_style()
    figure, axes = plt.subplots()
    band(axes, [0, 1, 2], [[1, 2, 3], [2, 3, 5]], "SGD")
    axes.set(title="What?", xlabel="step", ylabel="loss")
    label_lines(axes)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    assert set(re.findall(r"(?:fill|stroke): (#\w+)", buffer.getvalue())) <= set(DARK)


def test_band_is_named_after_its_optimizer_unless_it_has_a_label(axes: Axes) -> None:
    band(axes, [0, 1], [[1, 2], [3, 4]], "Adam")
    band(axes, [0, 1], [[1, 2], [3, 4]], "Adam", label="0.9")
    assert axes.get_legend_handles_labels()[1] == ["Adam", "0.9"]


def test_style_is_set_without_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    use_style()
    assert plt.rcParams["axes.grid"] is True
    assert "IPython" not in sys.modules


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("svg", (("svg",), {"metadata": {"Date": None}})),
        ("png", (("png",), {})),
        (None, (("png",), {})),
    ],
)
def test_notebook_gets_png_figures_or_svg_where_the_variable_says_so(
    variable: str | None,
    expected: tuple[tuple[str, ...], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    drawn_by: dict[type, Callable[[Figure], str]] = {}
    formatter = SimpleNamespace(for_type=drawn_by.__setitem__)
    display = SimpleNamespace(formatters={"image/svg+xml": formatter})
    notebook = SimpleNamespace(display_formatter=display)
    # Matplotlib asks for the version when it makes its first canvas.
    shell = SimpleNamespace(get_ipython=lambda: notebook, version_info=(9, 0))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setattr(
        backend_inline, "set_matplotlib_formats", lambda *a, **k: calls.append((a, k))
    )
    monkeypatch.delenv("ADAM_TUTORIAL_FIGURES", raising=False)
    if variable is not None:
        monkeypatch.setenv("ADAM_TUTORIAL_FIGURES", variable)
    use_style()
    assert calls == [expected]
    assert set(drawn_by) == ({Figure} if variable == "svg" else set())
    if variable == "svg":
        # Not by pyplot: the first figure of a process would register with IPython.
        figure = Figure(figsize=(8, 3))
        figure.subplots()
        wide, phone = re.findall(
            r'<svg [^>]*width="([\d.]+)pt"', drawn_by[Figure](figure)
        )
        assert float(wide) > 400 > 300 > float(phone)


def test_ipython_that_is_imported_but_runs_no_notebook_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None)
    )
    monkeypatch.setattr(
        backend_inline, "set_matplotlib_formats", lambda *_: pytest.fail("called")
    )
    use_style()


# Curves


def test_band_shows_the_mean_and_the_range_of_the_curves(axes: Axes) -> None:
    band(axes, [0, 1, 2], [[1, 2, 3], [1, 4, 3], [4, 6, 3]], "Adam")
    (line,) = axes.lines
    assert line.get_label() == "Adam"
    assert line.get_color() == BLUE
    assert np.asarray(line.get_ydata()).tolist() == [2, 4, 3]
    (area,) = axes.collections
    corners = {
        tuple(corner) for corner in np.asarray(area.get_paths()[0].vertices).tolist()
    }
    assert corners == {(0, 1), (0, 4), (1, 2), (1, 6), (2, 3)}


def test_band_of_an_unknown_name_is_refused_and_draws_nothing(axes: Axes) -> None:
    with pytest.raises(KeyError, match="no style"):
        band(axes, [0, 1], [[1, 2]], "Adm")
    assert not axes.lines


def test_legend_stands_outside_on_the_right() -> None:
    figure, axes = plt.subplots()
    band(axes, [0, 1], [[1, 2]], "Adam")
    band(axes, [0, 1], [[2, 1]], "SGD")
    label_lines(axes)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["Adam", "SGD"]
    figure.draw_without_rendering()
    assert legend.get_window_extent().x0 > axes.get_window_extent().x1


def test_paths_are_drawn_over_the_level_lines_from_a_marked_start(axes: Axes) -> None:
    points = {
        "Adam": np.array([[1.0, 1.0], [0.5, 0.4], [0.0, 0.1]]),
        "momentum": np.array([[1.0, 1.0], [0.2, 0.3]]),
    }
    paths(axes, Quadratic(), points, x_range=(-1, 2), y_range=(-3, 4))
    *drawn, start = axes.lines
    for line, (name, path) in zip(drawn, points.items(), strict=True):
        assert line.get_label() == name
        assert line.get_color() == style_of(name)["color"]
        assert np.array_equal(line.get_xydata(), path)
    assert np.asarray(start.get_xydata()).tolist() == [[1, 1]]
    assert start.get_marker() == "o"
    assert (axes.get_xlim(), axes.get_ylim()) == ((-1, 2), (-3, 4))
    assert (axes.get_xlabel(), axes.get_ylabel()) == (r"$\theta_1$", r"$\theta_2$")
    (levels,) = axes.collections
    assert isinstance(levels, ContourSet)
    heights = list(levels.levels)
    assert len(heights) > 5
    assert heights == sorted(set(heights))


# Images


def test_images_are_laid_out_in_rows_each_with_its_title() -> None:
    images = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2)
    figure = image_grid(images, ["a", "b", "c", "d", "e"], columns=3)
    assert len(figure.axes) == 6
    for axes, image, title in zip(figure.axes, images, "abcde", strict=False):
        assert axes.get_title() == title
        assert np.array_equal(np.asarray(axes.images[0].get_array()), image)
        assert axes.images[0].get_cmap().name == "gray_r"
    assert not figure.axes[5].images
    assert not any(axes.axison for axes in figure.axes)


def test_one_image_is_a_grid_too() -> None:
    figure = image_grid(np.zeros((1, 28, 28)), ["0"], columns=1, size=2)
    assert len(figure.axes) == 1
    assert figure.get_size_inches().tolist() == [2, 2.25]


def test_confusion_matrix_writes_every_count_that_is_not_zero() -> None:
    figure = confusion_matrix([[5, 1, 0], [0, 7, 0], [2, 0, 9]], ["x", "y", "z"])
    (axes,) = figure.axes
    found = {text.get_position(): text.get_text() for text in axes.texts}
    assert found == {(0, 0): "5", (1, 0): "1", (1, 1): "7", (0, 2): "2", (2, 2): "9"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 2.5), (2.5, -0.5))
    figure.draw_without_rendering()
    for axis in (axes.xaxis, axes.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["x", "y", "z"]


def test_confusion_matrix_tells_right_from_wrong_and_often_from_seldom() -> None:
    (axes,) = confusion_matrix([[5, 1], [4, 7]], ["x", "y"]).axes
    cells = {}
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        column, row = (corner + 0.5 for corner in patch.get_xy())
        cells[row, column] = patch
    for (row, column), patch in cells.items():
        colour = BLUE if row == column else ORANGE
        assert colors.to_hex(patch.get_facecolor()) == colour
    opacity = {
        place: colors.to_rgba(patch.get_facecolor())[3]
        for place, patch in cells.items()
    }
    assert opacity[1, 0] > opacity[0, 1]
    assert opacity[0, 0] == opacity[1, 1]


def test_confusion_matrix_without_mistakes_is_drawn() -> None:
    (axes,) = confusion_matrix(np.diag([3, 4]), ["x", "y"]).axes
    assert [text.get_text() for text in axes.texts] == ["3", "4"]


def test_image_without_a_title_is_refused_rather_than_left_out() -> None:
    with pytest.raises(ValueError, match="there are 3 images but 2 titles"):
        image_grid(np.zeros((3, 4, 4)), ["a", "b"])
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        image_grid(np.zeros((1, 2, 2)), ["a"], columns=0)


def test_title_over_panels_looks_like_the_title_of_a_panel() -> None:
    use_style()
    figure, panels = plt.subplots(1, 2)
    panels[0].set_title("one panel")
    title_panels(figure, "Which one?")
    above, single = (
        next(text for text in figure.findobj(Text) if text.get_text() == words)
        for words in ("Which one?", "one panel")
    )
    for look in ("horizontalalignment", "fontsize", "fontweight", "color"):
        assert plt.getp(above, look) == plt.getp(single, look)
