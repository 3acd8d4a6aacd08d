from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from adam_tutorial.study.experiments import stored_runs
from adam_tutorial.study.tables import Provenance, Table


def lines(table: Table) -> list[str]:
    return repr(table).splitlines()


def html(table: Any) -> str:
    shown: str = table._repr_html_()
    return shown


def body(table: Table) -> list[list[str]]:
    """The text of each cell of the HTML, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", html(table))[1:]
    return [
        [
            re.sub("<[^>]*>", "", cell)
            for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)
        ]
        for row in rows
    ]


RATES = [("SGD", 10.0), ("Adam", 0.001), ("Lion", 1e-9)]


def test_text_is_on_the_left_and_points_are_below_each_other() -> None:
    assert lines(Table("rule | lr:g", RATES)) == [
        "rule      lr",
        "----  ------",
        "SGD   10",
        "Adam   0.001",
        "Lion   1e-09",
    ]


def test_page_and_text_have_the_same_digits() -> None:
    table = Table("rule | lr:g", RATES)
    assert body(table) == [line.split() for line in lines(table)[2:]]
    assert body(table) == [["SGD", "10"], ["Adam", "0.001"], ["Lion", "1e-09"]]


def test_points_are_below_each_other_on_the_page_too() -> None:
    table = Table("x | y:g", [("a", 1), ("b", 2.5), ("c", 0.25)])
    assert re.findall(r'<td class="number"( data-fill=".*?")?>', html(table)) == [
        ' data-fill=".00"',
        ' data-fill="0"',
        "",
    ]


def test_negative_and_grouped_numbers_are_aligned() -> None:
    table = Table("n:, | x:+.1f", [(1234567, -1.25), (89, 10.0)])
    assert lines(table)[2:] == ["1,234,567   -1.2", "       89  +10.0"]


def test_first_column_names_its_row_and_headings_their_columns() -> None:
    shown = html(Table("rule | loss (nats):.1f", [("SGD", 1)]))
    assert '<tr><th>SGD</th><td class="number">1.0</td></tr>' in shown
    assert "<th>rule</th>" in shown
    assert '<th class="number">loss <span class="unit">(nats)</span></th>' in shown


def test_number_in_the_first_column_is_aligned_as_one() -> None:
    shown = html(Table("beta2:g", [(0.9,), (0.99,)]))
    assert '<th class="number" data-fill="0">0.9</th>' in shown


def test_best_value_is_marked_in_text_and_on_the_page() -> None:
    table = Table("x | y:.1f", [("a", 2), ("b", 1)], best={"y": min})
    assert lines(table)[2:] == ["a  2.0", "b  1.0*"]
    assert "<strong>1.0</strong>" in html(table)
    assert html(table).count("<strong>") == 1


def test_what_looks_like_the_best_is_marked_too() -> None:
    rows = [("a", 0.951), ("b", 0.949), ("c", 0.5)]
    table = Table("x | y:.2f", rows, best={"y": max})
    assert [line[-1] for line in lines(table)[2:]] == ["*", "*", "0"]


@pytest.mark.parametrize("nothing", [math.nan, np.float64("nan"), None, "diverged"])
def test_what_is_no_number_is_never_the_best(nothing: Any) -> None:
    rows = [("a", nothing), ("b", 3.0)]
    for choose in (min, max):
        table = Table("x | y:.1f", rows, best={"y": choose})
        assert lines(table)[3].endswith("3.0*")
        assert "*" not in lines(table)[2]


def test_column_without_a_number_has_no_best() -> None:
    assert "*" not in repr(Table("y:g", [(None,)], best={"y": min}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("text", "text"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (1, "1.00"),
    ],
)
def test_value_is_shown_as(value: Any, text: str) -> None:
    assert body(Table("x:.2f", [(value,)])) == [[text]]


def test_markup_in_text_is_no_markup_on_the_page() -> None:
    shown = html(Table("a<b", [("<i>&",)], caption="x<y"))
    assert "<i>" not in shown
    assert "&lt;i&gt;&amp;" in shown
    assert "a&lt;b" in shown
    assert "<caption>x&lt;y</caption>" in shown


def test_caption_stands_above() -> None:
    assert lines(Table("x:g", [(1,)], caption="What it is"))[0] == "What it is"


def test_heading_is_broken_only_where_the_table_would_be_too_wide() -> None:
    heading = "a heading that is longer than its numbers"
    assert heading in repr(Table(f"{heading}:g", [(1,)]))
    table = Table(f"{heading}:g | {heading} too:g", [(1, 2)])
    assert heading not in repr(table)
    assert max(map(len, lines(table))) <= 76
    assert lines(table)[-1].split() == ["1", "2"]
    assert heading in html(table)


def test_text_wider_than_a_page_is_refused() -> None:
    assert max(map(len, lines(Table("x", [("y" * 76,)])))) == 76
    with pytest.raises(ValueError, match="77 characters wide, more than 76"):
        Table("x", [("y" * 77,)])


@pytest.mark.parametrize("row", [(1,), (1, 2, 3)])
def test_row_of_another_length_is_refused(row: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a row needs 2 values"):
        Table("x:g | y:g", [row])


def test_two_columns_may_have_one_heading() -> None:
    assert lines(Table("x:d | x:.1f", [(1, 2)]))[-1] == "1  2.0"


@pytest.mark.parametrize("column", ["z", "text"])
def test_best_of_no_column_of_numbers_is_refused(column: str) -> None:
    with pytest.raises(ValueError, match="best names no column of numbers"):
        Table("text | x:g", [("a", 1)], best={column: min})


def test_rows_may_come_one_at_a_time() -> None:
    assert lines(Table("x:d", ((i,) for i in range(3))))[2:] == ["0", "1", "2"]


def test_provenance_is_folded_on_the_page_and_says_the_same() -> None:
    record = stored_runs("decay")
    shown = html(Provenance(record))
    assert shown.startswith('<details class="provenance"><summary>')
    for word in (*record["command"].split(), record["versions"]["numpy"], "17.4"):
        assert word in shown
        assert word in repr(Provenance(record))
    assert max(map(len, repr(Provenance(record)).splitlines())) <= 76
