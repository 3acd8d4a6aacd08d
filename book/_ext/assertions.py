"""Say whether a program can fail because a statement of the book is wrong."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

RAISES = {"raises", "warns", "fail"}
UNRUN = {"skip", "skipif", "xfail"}
# What `make test` does not run.
BY_HAND = {"clients", "gpu"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def executed(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield every node that runs when the body runs: none inside of a definition."""
    for node in body:
        yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            yield from executed(ast.iter_child_nodes(node))


def asserts(body: Iterable[ast.AST], helpers: frozenset[str] = frozenset()) -> bool:
    """Return whether an assertion runs that could fail.

    That is an assert of something that is not a constant, a call of ``assert_...`` or
    ``pytest.raises``, or a call of one of the helpers.
    """
    for node in executed(body):
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name.startswith("assert_") or name in RAISES | helpers:
                return True
    return False


def cell_asserts(source: str) -> bool:
    """Return whether a cell asserts something; functions that it defines may do it."""
    lines = (
        "" if line.lstrip().startswith(("%", "!")) else line
        for line in source.splitlines()
    )
    return _asserts(ast.parse("\n".join(lines)))


def _asserts(tree: ast.Module) -> bool:
    return asserts(tree.body, _helpers(tree))


def _helpers(tree: ast.Module) -> frozenset[str]:
    """Return the functions of a file that assert, be it by calling one another."""
    found: frozenset[str] = frozenset()
    while True:
        more = frozenset(
            node.name
            for node in ast.walk(tree)
            if isinstance(node, FUNCTIONS) and asserts(node.body, found)
        )
        if more == found:
            return found
        found = more


def problem_of_test(root: Path, address: str) -> str:
    """Return why a test, ``path::name``, supports nothing, or an empty string."""
    path, _, name = address.partition("::")
    if BY_HAND & set(Path(path).parts):
        return "is only run by hand"
    if not path.startswith("tests/") or not (root / path).is_file():
        return "does not exist"
    tree = ast.parse((root / path).read_text(encoding="utf-8"))
    test = find_test(tree, name)
    if test is None:
        return "does not exist"
    for decorator in test.decorator_list:
        words = set(ast.unparse(decorator).partition("(")[0].split("."))
        if words & UNRUN:
            return "may be skipped"
    return "" if asserts(test.body, _helpers(tree)) else "asserts nothing"


def find_test(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """Return the test of this name in a file; in a class it is ``Class::test``."""
    body: list[ast.stmt] = tree.body
    *classes, last = name.split("::")
    for wanted in classes:
        body = next(
            (
                node.body
                for node in body
                if isinstance(node, ast.ClassDef) and node.name == wanted
            ),
            [],
        )
    return next(
        (
            node
            for node in body
            if isinstance(node, ast.FunctionDef) and node.name == last != ""
        ),
        None,
    )


def source_of_test(root: Path, address: str) -> tuple[str, int]:
    """Return the program of a test, with its decorators, and the line of its name.

    Raises
    ------
    KeyError
        If the file has no such test.
    """
    path, _, name = address.partition("::")
    text = (root / path).read_text(encoding="utf-8")
    test = find_test(ast.parse(text), name)
    if test is None:
        raise KeyError(address)
    first = min([test.lineno, *(node.lineno for node in test.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : test.end_lineno]), test.lineno
