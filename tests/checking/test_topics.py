"""The book explains every topic that the checker or the doctor names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import nbformat
import pytest

from adam_tutorial.checking import MISTAKES, Finding, checker
from adam_tutorial.checking.mistakes import NO_MAXIMUM, Topic
from adam_tutorial.doctor import FINDINGS
from adam_tutorial.doctor.findings import Topic as DoctorsTopic

PAGE = Path(__file__).parents[2] / "book/reference/topics.md"
TOPICS: tuple[str, ...] = get_args(Topic)
DOCTORS: tuple[str, ...] = get_args(DoctorsTopic)
ALL = sorted({*TOPICS, *DOCTORS})
ROW = re.compile(r"^\| `([^`]+)` \|[^|]+\|(.+)\|$", re.MULTILINE)
LINK = re.compile(r"\[([^]]+)\]\(([^)]+)\)((?:, \*[^*]+\*)?)")


def rows() -> dict[str, str]:
    return dict(ROW.findall(PAGE.read_text(encoding="utf-8")))


def headings(notebook: Path) -> Iterator[str]:
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^#+ +(.+)$", cell.source, re.MULTILINE):
                yield re.sub(r"^\d+\. ", "", heading)


def test_the_page_has_an_entry_for_each_topic_and_no_other() -> None:
    assert list(rows()) == ALL


def test_findings_and_topics_belong_together() -> None:
    of_steps = {mistake.topic for mistake in (*MISTAKES, NO_MAXIMUM)}
    others = {its.topic for its in vars(checker).values() if isinstance(its, Finding)}
    assert of_steps | others <= set(TOPICS)
    # The findings about half precision, the decay and the unknown are made when needed.
    assert set(TOPICS) - of_steps - others == {
        "algorithm-1",
        "half-precision",
        "weight-decay",
    }
    assert {kind.topic for kind in FINDINGS.values()} == set(DOCTORS)


@pytest.mark.parametrize("topic", ALL)
def test_an_entry_links_to_chapters_by_their_titles_and_names_their_sections(
    topic: str,
) -> None:
    links = LINK.findall(rows()[topic])
    assert links
    for title, file, section in links:
        # That there is such a place the build finds out.
        chapter, *sections = headings(PAGE.parent / file.partition("#")[0])
        assert title == chapter
        if section:
            name = section.removeprefix(", ").strip("*")
            assert any(its.startswith(name) for its in sections), name
