"""The map of the book on the landing page."""

from __future__ import annotations

import pytest
from book_map import paragraphs

LINES = [
    "- [Cat](deep/cat.ipynb): purrs.",
    "- [Dog](dog.ipynb): barks.",
    "",
    "- [Eel](../sea/eel.md): swims.",
]


def test_the_map_has_the_parts_and_the_order_of_the_table_of_contents() -> None:
    parts = [("Land", ["book/dog", "book/deep/cat"]), ("Sea", ["sea/eel"])]
    assert paragraphs(LINES, "book", parts) == [
        "**Land.** [Dog](dog.ipynb): barks. [Cat](deep/cat.ipynb): purrs.",
        "**Sea.** [Eel](../sea/eel.md): swims.",
    ]


def test_a_chapter_that_is_missing_or_unknown_is_named() -> None:
    parts = [("Land", ["book/cow", "book/deep/cat"]), ("Sea", ["sea/eel"])]
    with pytest.raises(ValueError, match=r"not a chapter: book/cow, book/dog"):
        paragraphs(LINES, "book", parts)


def test_a_line_that_is_no_item_is_shown() -> None:
    with pytest.raises(ValueError, match=r"not of the form .*: Cat, purrs\."):
        paragraphs(["Cat, purrs."], "book", [])
