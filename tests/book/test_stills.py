"""Each still picture shows its explorable as the package computes it today."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import pytest
import stills
from looks import style_sheet
from svg import difference, shorten

from adam_tutorial import theory
from adam_tutorial.study.plotting import INK, STYLES

from .conftest import ROOT

FOLDER = ROOT / "book/_static/explorables"

SVG = """\
<svg>
 <!-- a comment -->
 <defs><path id="m1f" d="M 0 0 
L 3.456 1.0004 
" style="stroke: #0b62a8"/></defs>
 <use xlink:href="#m1f" x="1.2345" transform="translate(2.3456 3) scale(0.015625)"/>
</svg>
"""  # noqa: W291


def stored(file: str) -> str:
    return (FOLDER / file).read_text(encoding="utf-8")


def test_every_picture_has_a_drawing_and_every_explorable_a_picture() -> None:
    pictures = {path.stem.removesuffix(".narrow") for path in FOLDER.glob("*.svg")}
    assert len(list(FOLDER.glob("*.svg"))) == 2 * len(pictures)
    modules = {
        path.stem
        for path in FOLDER.glob("*.mjs")
        if "export default" in path.read_text(encoding="utf-8")
    }
    assert pictures == modules == set(stills.STILLS)


@pytest.mark.parametrize("name", stills.STILLS)
def test_still_is_current(name: str) -> None:
    made_with = re.search(r"Matplotlib v([\d.]+)", stored(f"{name}.svg"))
    assert made_with is not None
    if made_with[1] != mpl.__version__:
        pytest.skip(f"drawn with matplotlib {made_with[1]}; others set text elsewhere")
    for file, svg in stills.draw(name).items():
        assert difference(stored(file), svg) is None, file


def test_check_names_the_still_that_is_out_of_date(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stills, "FOLDER", tmp_path)
    assert stills.main(["step"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "looks.css",
        "step.svg",
        "step.narrow.svg",
    }
    assert stills.main(["--check", "step"]) == 0
    assert capsys.readouterr().out == ""

    monkeypatch.setattr(theory, "step_supremum", lambda: 7.5)
    assert stills.main(["--check", "step"]) == 1
    assert "step.svg is out of date, run make stills: line" in capsys.readouterr().out


def test_colours_and_dashes_of_the_explorables_are_those_of_the_figures() -> None:
    assert (FOLDER / "looks.css").read_text(encoding="utf-8") == style_sheet()


def test_check_says_that_colours_are_out_of_date(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stills, "FOLDER", tmp_path)
    stills.main(["step"])
    monkeypatch.setitem(STYLES, "Adam", {"color": INK, "linestyle": "-"})
    assert stills.main(["--check", "step"]) == 1
    assert "looks.css is out of date, run make stills" in capsys.readouterr().out


def test_every_look_that_an_explorable_asks_for_has_a_colour() -> None:
    known = set(re.findall(r"^\.(look-[\w-]+) ", style_sheet(), re.MULTILINE))
    for module in FOLDER.glob("*.mjs"):
        text = module.read_text(encoding="utf-8")
        asked = set(re.findall(r"look-[a-z][\w-]*", text))
        if module.stem == "playground":
            names = re.findall(r'look: "([\w-]+)"', text)
            assert len(names) == 11
            asked |= {f"look-{name}" for name in names}
        assert asked <= known, module.name


def test_unknown_name_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        stills.main(["stepp"])
    assert "there is no 'stepp', only playground, moments" in capsys.readouterr().err


def test_drawing_leaves_the_settings_of_other_figures_alone() -> None:
    before = dict(mpl.rcParams)
    stills.draw("step")
    assert dict(mpl.rcParams) == before


def test_shorter_picture_keeps_scales_colours_and_identifiers() -> None:
    assert shorten(SVG) == (
        '<svg>\n<defs><path id="m1f" d="M 0 0 L 3.5 1" style="stroke: #0b62a8"/></defs>'
        '\n<use xlink:href="#m1f" x="1.23" transform="translate(2.35 3)'
        ' scale(0.015625)"/>\n</svg>\n'
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("3.456", "3.7"),
        ("1.2345", "1.5"),
        ("#0b62a8", "#0b62a9"),
        ("L 3", "Q 3"),
        ('href="#m1f"', 'href="#other"'),
        ("<svg>", "<svg>\n<g/>"),
        ("</svg>\n", "</svg>\n<g/>"),
    ],
)
def test_change_that_can_be_seen_is_a_difference(old: str, new: str) -> None:
    assert old in SVG
    assert difference(SVG, SVG.replace(old, new)) is not None


@pytest.mark.parametrize(("old", "new"), [("3.456", "3.4"), ("m1f", "m2e")])
def test_change_that_cannot_be_seen_is_none(old: str, new: str) -> None:
    assert old in SVG
    assert difference(SVG, SVG.replace(old, new)) is None
