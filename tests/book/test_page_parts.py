"""What keeps pages light, whole and linked, piece by piece."""

from __future__ import annotations

import re
from pathlib import Path

import bound_math
import equation_parts
import outputs
import pytest
import stylesheets
import threads
from docutils import nodes
from docutils.utils import new_document
from light_pages import (
    characters_of,
    lighten,
    with_joints_in_tables,
    with_lazy_images,
    with_roomy_tables,
    words_of,
)
from small_fonts import compress, decompress

from .conftest import ROOT

CSS = """
@charset "UTF-8";
/* a comment with { */
.used, .unused > a { color: red }
.used:not(.unused) { content: "}{" }
@media (min-width: 9px) { .unused { color: blue } #name { cursor: url("a(b).png") } }
@media print { .unused { color: blue } }
"""


def test_rules_end_where_they_end_though_strings_hold_braces() -> None:
    found = list(stylesheets.rules(CSS))
    assert [prelude for prelude, _ in found] == [
        '@charset "UTF-8"',
        ".used, .unused > a",
        ".used:not(.unused)",
        "@media (min-width: 9px)",
        "@media print",
    ]
    assert found[2][1] == 'content: "}{"'


def test_only_rules_that_apply_to_something_stay() -> None:
    assert stylesheets.used(CSS, {"used", "name"}) == (
        ".used{color: red}\n"
        '.used:not(.unused){content: "}{"}\n'
        '@media (min-width: 9px){#name{cursor: url("a(b).png")}}'
    )


def test_paper_has_the_light_theme() -> None:
    css = 'html[data-theme="dark"] p, b { x: 1 } html[data-theme="light"] p { x: 2 }'
    assert stylesheets.light_on_paper(css).splitlines() == [
        "b{x: 1}",
        '@media not print{html[data-theme="dark"] p{x: 1}}',
        'html[data-theme="light"] p{x: 2}',
        "@media print{html[data-theme] p{x: 2}}",
    ]


def test_addresses_are_those_seen_from_the_folder_above() -> None:
    css = "a { b: url(../c.woff2) url('d.png') url(data:x) }"
    assert stylesheets.with_addresses(css, "katex") == (
        "a { b: url(c.woff2) url(katex/d.png) url(data:x) }"
    )


def test_classes_and_characters_are_those_of_pages_and_scripts() -> None:
    assert words_of(['<p class="a b-c" id="d">'], ['add("e-f")']) >= {
        "a",
        "b-c",
        "d",
        "e-f",
    }
    assert characters_of(["&beta;", 'content: "\\f0c9"', "\\u2212"]) >= {
        ord("A"),
        0x3B2,
        0xF0C9,
        0x2212,
    }


def test_brotli_of_node_comes_back() -> None:
    assert decompress(compress(b"adam" * 99)) == b"adam" * 99


def page(scripts: str) -> str:
    return (
        '<html data-theme="auto"><head><title>T</title>'
        '<link rel="stylesheet" href="../_static/basic.css?v=1" />'
        f"{scripts}</head><body></body></html>"
    )


def test_page_asks_for_one_style_sheet_and_one_script() -> None:
    light = lighten(
        page(
            '<script src="../_static/doctools.js?v=1"></script>'
            '<script src="../searchindex.js"></script>'
            '<script type="module" src="../_static/explorables/load.mjs"></script>'
        ),
        "../_static/",
        "site.css?v=2",
        "site.js?v=3",
        [],
    )
    assert re.findall(r'(?:src|href)="([^"]*)"', light) == [
        "../_static/site.css?v=2",
        "../_static/site.js?v=3",
        "../_static/explorables/load.mjs",
    ]
    assert 'data-theme="light"' in light
    again = lighten(light, "../_static/", "site.css?v=2", "site.js?v=3", [])
    assert again == light


def test_page_that_searches_has_the_index() -> None:
    light = lighten(
        page('<script src="searchindex.js"></script><p id="search-results">'),
        "_static/",
        "site.css",
        "site.js",
        [],
    )
    assert '<script defer src="searchindex.js">' in light


def test_unknown_style_sheet_ends_the_build() -> None:
    with pytest.raises(Exception, match=r"new\.css is in no list"):
        lighten(page('<link href="_static/new.css" />'), "", "", "", [])


def test_a_name_in_a_table_may_be_broken_where_it_joins_words() -> None:
    def page(name: str) -> str:
        code = f'<code><span class="pre">{name}</span></code>'
        return f"<p>{code}</p><table><tr><td>{code}</td></tr></table>"

    for name, broken in {
        "optimizer.state_dict()": "optimizer.<wbr>state_<wbr>dict()",
        "ImageDataGenerator": "Image<wbr>Data<wbr>Generator",
        "lr=0.001": "lr=0.001",
        "__init__": "__<wbr>init__",
        "x=&lt;None&gt;": "x=&lt;None&gt;",
    }.items():
        outside, _, inside = with_joints_in_tables(page(name)).partition("<table>")
        assert outside == page(name).partition("<table>")[0]
        assert f">{broken}<" in inside


def test_a_table_is_roomy_at_once_if_its_longest_words_do_not_fit_a_phone() -> None:
    def page(*rows: str) -> str:
        lines = "".join(f"<tr class='row'>{row}</tr>" for row in rows)
        table = f"<table class='table'><thead>{lines}</thead></table>"
        return f'<div class="pst-scrollable-table-container">\n{table}</div>'

    head = "".join(f"<th>{word}</th>" for word in ("demonstration", "of") * 2)
    assert with_roomy_tables(page(head)) == page(head)
    long = "<td><p>some <code>learning_rates</code></p></td>" * 4
    roomy = with_roomy_tables(page(head, long))
    assert roomy == page(head, long).replace('er"', 'er roomy-on-phone"')
    # A hyphen is a place to break; what only screen readers get takes no room.
    short = long.replace("learning_rates", "learning-rates").replace(
        "some", '<span class="katex-mathml"><math>a long formula</math></span>'
    )
    assert with_roomy_tables(page(short)) == page(short)
    assert with_roomy_tables(roomy) == roomy


def test_figures_have_their_size_and_wait(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(
        '<svg width="30pt" height="15pt" viewBox="0 0 1 1">'
    )
    assert with_lazy_images('<img alt="x" src="a.svg"/>', tmp_path) == (
        '<img loading="lazy" width="40" height="20" alt="x" src="a.svg"/>'
    )
    for as_it_is in (
        '<img alt="x" src="data:image/svg+xml,a"/>',
        '<img alt="x" loading="eager" src="a.svg"/>',
    ):
        assert with_lazy_images(as_it_is, tmp_path) == as_it_is


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("t      m\n1    0.1\n2    0.2", True),
        ("a sentence.  Another.\nAnd a third one", False),
        ("    indented\n    twice", False),
        ("a  " + "c" * (outputs.WIDEST - 3) + "\na  b", True),
        ("a  " + "c" * (outputs.WIDEST - 2) + "\na  b", False),
    ],
)
def test_columns_are_told_from_sentences(text: str, *, columns: bool) -> None:
    assert outputs.has_columns(text) == columns


FORMULA = (
    '<span class="katex"><span class="katex-mathml">x</span>'
    '<span class="katex-html" aria-hidden="true"><span class="base">a</span>'
    '<span class="base">b</span></span></span>'
)


def test_comma_goes_with_the_last_piece_of_a_formula_and_is_read_aloud() -> None:
    made = bound_math.bound(FORMULA, "(", ",")
    assert made.endswith(
        '<span class="katex-html">'
        '<span class="bound"><span class="bound-text">(</span>'
        '<span aria-hidden="true" class="base">a</span></span>'
        '<span class="bound"><span aria-hidden="true" class="base">b</span>'
        '<span class="bound-text">,</span></span></span></span>'
    )
    assert made.count("<span") == made.count("</span>")


def test_parentheses_in_a_line_of_text_stay_together_if_they_are_not_long() -> None:
    opened, closed = '<span class="mopen">(</span>', '<span class="mclose">)</span>'
    begin = '<span class="katex"><span class="katex-html" aria-hidden="true">'
    short = [piece("a"), piece(opened), piece(f"1{closed}")]
    made = bound_math.bound(begin + "".join(short) + "</span></span>", "", "")
    assert made == (
        f'{begin}{short[0]}<span class="part">{short[1]}{short[2]}</span></span></span>'
    )
    long = begin + "".join([piece(opened), *short, *short]) + "</span></span>"
    assert bound_math.bound(long, "", "").count("part") == 0


@pytest.mark.parametrize(
    ("before", "behind", "taken"),
    [
        ("of ", ", and", ("", ",")),
        ("as (", ")-th one", ("(", ")-th")),
        ("the ", "-th.", ("", "-th.")),
        ("word ", " word", ("", "")),
    ],
)
def test_neighbours_of_a_formula(
    before: str, behind: str, taken: tuple[str, str]
) -> None:
    math = nodes.math("x", "x")
    line = nodes.paragraph("", "", nodes.Text(before), math, nodes.Text(behind))
    bound_math.take_neighbours(math)
    assert not {"before", "behind"} & math.attributes.keys()
    math = line.children[1]
    assert (math.get("before", ""), math.get("behind", "")) == taken
    texts = [str(one) for one in line.children if isinstance(one, nodes.Text)]
    assert "".join(texts) == before.removesuffix(taken[0]) + behind.removeprefix(
        taken[1]
    )


def test_comma_is_taken_from_the_text_behind_the_formula_not_from_an_equal_one() -> (
    None
):
    math = nodes.math("m", "m")
    link = nodes.reference("", "(4.3)")
    line = nodes.paragraph(
        "", "", link, nodes.Text(", "), nodes.math("g", "g"), nodes.Text(" so "), math
    )
    line += nodes.Text(", ")
    bound_math.take_neighbours(math)
    assert line.children[-2]["behind"] == ","
    assert line.astext() == "(4.3), g so m "


def test_only_a_link_without_words_is_named_after_its_formula() -> None:
    signs = nodes.reference(
        "", "", nodes.math("m", "m"), nodes.Text(", "), nodes.math("v", "v")
    )
    asks = nodes.reference("", "", nodes.Text("Why is "), nodes.math("m", "m"))
    for link in (signs, asks):
        bound_math.name_link(link)
    assert signs["reftitle"] == "Where m, v is defined"
    assert "reftitle" not in asks


def test_short_code_numbers_and_per_cent_are_kept_together() -> None:
    short, long = nodes.literal("", "pip install ."), nodes.literal("", "a " * 20)
    number, words = (
        nodes.entry("", nodes.paragraph("", its)) for its in ("1e-08", "1 a")
    )
    share = nodes.paragraph(
        "", "", nodes.Text("90 % or "), short, nodes.Text("90 % or ")
    )
    document = new_document("")
    document += [share, nodes.paragraph("", "", long), number, words]
    bound_math.bind_code_and_numbers(document)
    assert share.astext() == "90\xa0% or pip install .90\xa0% or "
    assert [its["classes"] for its in (short, long, number, words)] == [
        ["bound"],
        [],
        ["bound"],
        [],
    ]


def piece(html: str, end: str = "") -> str:
    last = f'<span class="{end}">e</span>' if end else ""
    return f'<span class="base">{html}{last}</span>'


def test_equation_is_broken_at_quads_then_at_relations_and_not_in_parentheses() -> None:
    opened, closed = '<span class="mopen">(</span>', '<span class="mclose">)</span>'
    first = [piece("V", "mrel"), piece("W", "mbin"), piece("x", "mspace allowbreak")]
    second = [piece("y", "mrel"), piece(opened, "mbin"), piece(f"z{closed}")]
    begin, end = '<span class="katex-html">', "</span>"
    made = equation_parts.in_parts("".join([begin, *first, *second, end]))
    part = '<span class="part">'
    assert made == (
        f"{begin}{part}{first[0]}{part}{first[1]}{first[2]}</span></span>"
        f"{part}{second[0]}{part}{second[1]}{second[2]}</span></span>{end}"
    )
    assert equation_parts.in_parts(begin + piece("a") + end) == begin + piece("a") + end


@pytest.mark.parametrize(("before", "number"), [("as (", "4.8"), ("as ", "(4.8)")])
def test_number_in_parentheses_brings_none(before: str, number: str) -> None:
    reference = nodes.reference("", "(4.8)")
    nodes.paragraph("", "", nodes.Text(before), reference)
    bound_math.unwrap(reference)
    assert reference.astext() == number


def test_every_number_of_a_thread_becomes_a_link() -> None:
    text = "Upside down: pull requests 70 and 107 of ConvNetJS."
    parts = threads.linked(text)
    assert "".join(part.astext() for part in parts) == text
    links = [part for part in parts if isinstance(part, nodes.reference)]
    assert [(link.astext(), link["refuri"]) for link in links] == [
        ("pull requests 70", "https://github.com/karpathy/convnetjs/pull/70"),
        ("107", "https://github.com/karpathy/convnetjs/pull/107"),
    ]
    with pytest.raises(KeyError):
        threads.linked("issue 999999 of nothing")


# No identifier of these could be verified.
WITHOUT_ADDRESS = {
    "cauchy1847methode",
    "zinkevich2003online",
    "hanson1988comparing",
    "krogh1991simple",
    "nesterov1983method",
}


def test_every_paper_has_an_address() -> None:
    text = (ROOT / "book/references.bib").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=@)", text)
    without = {
        re.match(r"@\w+\{([^,]+)", entry)[1]  # type: ignore[index]
        for entry in entries
        if not re.search(r"\n  (doi|eprint|url) = \{", entry)
    }
    assert len(entries) > 60
    assert without == WITHOUT_ADDRESS


def test_list_of_the_package_names_the_modules_of_each_page() -> None:
    folder = ROOT / "book/reference/api"
    text = (folder / "package.md").read_text(encoding="utf-8")
    lines = re.findall(r"^- \[.+\]\((package/.+\.md)\): (.+)$", text, flags=re.M)
    assert len(lines) > 12
    for page, modules in lines:
        shown = re.findall(r"automodule:: (\S+)", (folder / page).read_text("utf-8"))
        missing = set(shown) - set(re.findall(r"`([^`]+)`", modules))
        assert not missing - {"adam_tutorial"}, page
