from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

import pytest
from IPython.display import Markdown

from adam_tutorial import optim, reference
from adam_tutorial.study import networks, notebook
from adam_tutorial.study.data import Vocabulary


def source(thing: Any) -> str:
    return notebook.source(thing)


def documented(x: int) -> int:
    """Say what it does.

    With a second paragraph.
    """

    # a comment stays
    text = """a string stays"""
    return x + len(text)


def bare(x: int) -> int:
    return x + 1


def outer() -> Callable[[], int]:
    """Contain another one."""

    def inner() -> int:
        """Also documented."""
        return 1

    return inner


class Documented:
    """A class with a documented method."""

    attribute = 1

    def method(self) -> int:
        """Do nothing much."""
        return self.attribute


class OnlyDocumented:
    """No body but this."""


def passed_on(function: Callable[[int], int]) -> Callable[[int], int]:
    @functools.wraps(function)
    def wrapper(x: int) -> int:
        return function(x)

    return wrapper


decorated = passed_on(bare)


def test_source_of_a_function_is_shown_without_its_docstring() -> None:
    assert source(documented) == (
        "def documented(x: int) -> int:\n"
        "    # a comment stays\n"
        '    text = """a string stays"""\n'
        "    return x + len(text)"
    )


def test_source_without_a_docstring_is_shown_as_it_is() -> None:
    assert source(bare) == "def bare(x: int) -> int:\n    return x + 1"


def test_docstrings_inside_are_left_out_too() -> None:
    shown = source(outer)
    assert "documented" not in shown
    assert "Contain" not in shown
    assert "    def inner() -> int:\n        return 1\n" in shown


def test_source_of_a_class_is_shown_without_any_docstring() -> None:
    assert source(Documented) == (
        "class Documented:\n"
        "    attribute = 1\n"
        "\n"
        "    def method(self) -> int:\n"
        "        return self.attribute"
    )


def test_source_of_a_class_that_is_only_a_docstring_keeps_it() -> None:
    lines = source(OnlyDocumented).splitlines()
    assert lines[0] == "class OnlyDocumented:"
    assert len(lines) > 1


def test_source_of_a_method_is_not_indented() -> None:
    assert source(Documented.method) == (
        "def method(self) -> int:\n    return self.attribute"
    )


def test_source_of_a_decorated_function_is_that_of_the_function_itself() -> None:
    assert source(decorated) == source(bare)


@pytest.mark.parametrize(
    "thing",
    [reference.adam, networks.loss_and_gradient, optim.Adam, optim.AdamW, Vocabulary],
    ids=lambda thing: thing.__name__,
)
def test_source_of_the_package_is_code_with_no_docstring_left(thing: Any) -> None:
    shown = source(thing)
    assert '"""' not in shown
    (tree,) = ast.parse(shown).body
    assert isinstance(tree, ast.FunctionDef | ast.ClassDef)
    assert tree.name == thing.__name__


def test_thing_without_python_source_is_refused() -> None:
    with pytest.raises(TypeError):
        source(len)


def test_notebook_shows_the_source_highlighted() -> None:
    thing: Any = bare
    shown = notebook.show_source(thing)
    assert isinstance(shown, Markdown)
    assert shown.data == f"```python\n{source(bare)}\n```"


def test_edited_function_has_the_new_line_and_shows_both(
    capsys: pytest.CaptureFixture[str],
) -> None:
    edited = notebook.edited(bare, ("x + 1", "x + 10"))
    assert (bare(1), edited(1)) == (2, 11)
    assert capsys.readouterr().out == "-     return x + 1\n+     return x + 10\n"


def test_difference_is_coloured_as_one_on_a_page() -> None:
    shown: Any = notebook.Difference("a\nb\n", "a\nc\n")
    assert repr(shown) == "- b\n+ c"
    assert shown._repr_markdown_() == "```diff\n- b\n+ c\n```"


def test_edited_function_can_be_edited_again() -> None:
    once = notebook.edited(documented, ("x + len", "x - len"))
    twice = notebook.edited(once, ("a string", "string"))
    assert once(0) == -len("a string stays")
    assert twice(0) == -len("string stays")


def test_edited_decorated_function_is_decorated() -> None:
    broken: Any = notebook.edited(reference.adam, ("t = t + 1", "t = t + 2"))
    assert broken(None, [1.0])[0].t == 2
    with pytest.raises(ValueError, match="lr must be finite"):
        broken(None, [1.0], lr=-1.0)


@pytest.mark.parametrize(("old", "times"), [("y", 0), ("x", 2)])
def test_edit_that_does_not_fit_once_is_refused(old: str, times: int) -> None:
    with pytest.raises(
        ValueError, match=f"once in the source of bare, but occurs {times} times"
    ):
        notebook.edited(bare, (old, "z"))
