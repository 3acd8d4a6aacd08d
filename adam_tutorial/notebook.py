"""Helpers for notebooks: show the code of the package where the text speaks of it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.display import Markdown

__all__ = ["show_source", "source"]


def source(thing: Callable[..., Any]) -> str:
    """Return the source of a function or class without its docstrings.

    Parameters
    ----------
    thing : function or class

    Raises
    ------
    TypeError, OSError
        It has no Python source, or none that was saved in a file.
    """
    text = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
    lines = text.splitlines()
    drop: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(node)
            and len(node.body) > 1  # a docstring alone is the body
        ):
            first = node.body[0]
            drop.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
            following = first.end_lineno or first.lineno
            # The blank line that separates the docstring from the code goes with it.
            if following < len(lines) and not lines[following].strip():
                drop.add(following + 1)
    return "\n".join(line for number, line in enumerate(lines, start=1) if number not in drop)


def show_source(thing: Callable[..., Any]) -> Markdown:
    """Return the source of a function or class as something that a notebook shows highlighted.

    Needs IPython, which every notebook has.
    """
    from IPython.display import Markdown

    return Markdown(f"```python\n{source(thing)}\n```")
