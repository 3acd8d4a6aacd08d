"""Which tests the equation check sees, and how it shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from equations import MarkedTest, marked_tests

from .test_equation_link import PAGE, TEST, build

TESTS = """\
import pytest


@pytest.mark.equation("plain")
def test_on_its_own() -> None:
    assert True


class TestTogether:
    @pytest.mark.parametrize("x", [1])
    @pytest.mark.equation("one", "two")
    def test_inside_a_class(self, x: int) -> None:
        assert x


def test_without_a_mark() -> None:
    pass


@pytest.mark.other("no-equation")
def test_with_another_mark() -> None:
    pass
"""


@pytest.fixture
def found(tmp_path: Path) -> list[MarkedTest]:
    folder = tmp_path / "tests/deep/down"
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(TESTS)
    (folder / "helper.py").write_text(TESTS)
    return marked_tests(tmp_path)


def test_marks_are_found_at_every_depth_of_folders_and_classes(
    found: list[MarkedTest],
) -> None:
    assert [(test.label, test.path, test.line, test.name) for test in found] == [
        ("plain", "tests/deep/down/test_it.py", 5, "test_on_its_own"),
        ("one", "tests/deep/down/test_it.py", 12, "test_inside_a_class"),
        ("two", "tests/deep/down/test_it.py", 12, "test_inside_a_class"),
    ]


def test_shown_source_begins_with_the_first_decorator_and_ends_with_the_test(
    found: list[MarkedTest],
) -> None:
    assert found[0].source.splitlines() == TESTS.splitlines()[3:6]
    assert found[1].source.splitlines() == TESTS.splitlines()[9:13]


def test_sentence_is_the_name_in_words(found: list[MarkedTest]) -> None:
    assert found[0].sentence == "on its own"


quiet = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)


@quiet
def test_sign_of_an_equation_counts_its_tests(tmp_path: Path) -> None:
    twice = TEST + TEST.replace("test_a_is_b", "test_b_is_a").replace(
        "import pytest", ""
    )
    page, warnings = build(tmp_path, PAGE, twice)
    assert warnings == ""
    assert "✓ 2 tests" in page


@quiet
def test_sign_of_an_equation_with_one_test(tmp_path: Path) -> None:
    page, _ = build(tmp_path, PAGE, TEST)
    assert "✓ tested" in page
    assert 'title="The test of equation (1)"' in page
