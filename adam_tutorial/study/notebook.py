"""Helpers for notebooks: show the code of the package, or break it on purpose."""

from __future__ import annotations

import ast
import difflib
import inspect
import itertools
import linecache
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.display import Markdown

__all__ = ["Difference", "edited", "show_source", "source"]

_COUNTER = itertools.count(1)


def source(thing: Callable[..., Any]) -> str:
    """Return the source of a function or class without its docstrings.

    Parameters
    ----------
    thing : function or class

    Raises
    ------
    TypeError, OSError
        It has no Python source, or its source is not in a file.
    """
    text = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
    lines = text.splitlines()
    drop: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(node)
            and len(node.body) > 1  # a body needs a line: a lone docstring stays
        ):
            first = node.body[0]
            drop.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
            following = first.end_lineno or first.lineno
            # The blank line after the docstring goes too.
            if following < len(lines) and not lines[following].strip():
                drop.add(following + 1)
    return "\n".join(
        line for number, line in enumerate(lines, start=1) if number not in drop
    )


def show_source(thing: Callable[..., Any]) -> Markdown:
    """Return the source of a function or class, highlighted when a notebook shows it.

    It needs IPython, which every notebook has.
    """
    from IPython.display import Markdown

    return Markdown(f"```python\n{source(thing)}\n```")


class Difference:
    """The lines that differ between two texts; coloured where a notebook shows them.

    Parameters
    ----------
    before, after : str
    """

    def __init__(self, before: str, after: str) -> None:
        compared = difflib.ndiff(before.splitlines(), after.splitlines())
        self.lines = [line for line in compared if line[0] in "-+"]

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_markdown_(self) -> str:
        return f"```diff\n{self!r}\n```"


def edited(
    function: Callable[..., Any], *changes: tuple[str, str]
) -> Callable[..., Any]:
    """Return a copy of a function with changed lines, and show what changed.

    It needs IPython, which every notebook has.

    Parameters
    ----------
    function : function
        It must not use variables of an enclosing function.
    *changes : pair of str
        A piece of its source that occurs exactly once, and its replacement.

    Raises
    ------
    ValueError
        The piece does not occur, or occurs more than once.
    TypeError, OSError
        As for :func:`source`.

    Examples
    --------
    >>> from adam_tutorial.checking import plain_adam
    >>> uphill = edited(plain_adam, ("theta - lr * m_hat", "theta + lr * m_hat"))
    -         return theta - lr * m_hat / (np.sqrt(v_hat) + eps)
    +         return theta + lr * m_hat / (np.sqrt(v_hat) + eps)
    """
    from IPython.display import display

    before = text = source(function)
    for old, new in changes:
        if text.count(old) != 1:
            raise ValueError(
                f"{old!r} must occur once in the source of {function.__name__}, "
                f"but occurs {text.count(old)} times"
            )
        text = text.replace(old, new)
    display(Difference(before, text))
    # Tracebacks look for the source under this name, and so does a second edit.
    name = f"<edited {function.__name__} {next(_COUNTER)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = dict(inspect.unwrap(function).__globals__)
    exec(compile(text, name, "exec"), namespace)  # noqa: S102
    made: Callable[..., Any] = namespace[function.__name__]
    return made
