"""What ``make lab`` installs, the extra ``notebooks``, is enough for every chapter."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import nbformat
from execution import chapters
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def brought_by(requirement: Requirement, seen: set[tuple[str, str]]) -> Iterator[str]:
    """Yield a distribution and all that it brings; ``seen`` keeps it from circling."""
    name = canonicalize_name(requirement.name)
    yield name
    try:
        needs = [Requirement(line) for line in requires(name) or []]
    except PackageNotFoundError:
        return  # for another system
    for extra in {"", *requirement.extras}:
        if (name, extra) not in seen:
            seen.add((name, extra))
            for need in needs:
                if need.marker is None or need.marker.evaluate({"extra": extra}):
                    yield from brought_by(need, seen)


def imported(source: str) -> Iterator[str]:
    """Yield the packages that a piece of code imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_chapters_import_nothing_that_make_lab_does_not_install() -> None:
    installed = set(brought_by(Requirement("adam_tutorial[notebooks]"), set()))
    # Or the check would find fault with nothing.
    assert {"jax", "keras", "matplotlib", "torch"} <= installed
    assert not {"playwright", "jupyter-book", "mypy"} & installed
    distributions = packages_distributions()
    missing = [
        f"{path.name}: {package}"
        for path in chapters()
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        for package in imported(cell.source)
        if package not in sys.stdlib_module_names
        and not installed & set(map(canonicalize_name, distributions.get(package, [])))
    ]
    assert missing == []


def test_chapters_say_what_they_need_beside_the_study() -> None:
    brought = set(brought_by(Requirement("adam_tutorial[study]"), set()))
    # What runs a notebook is there.
    brought |= set(brought_by(Requirement("ipykernel"), set()))
    distributions = packages_distributions()
    checked = 0
    for path in chapters():
        code = "\n".join(
            cell.source
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code"
        )
        more = {
            package
            for package in imported(code)
            if package not in sys.stdlib_module_names
            and not brought & set(map(canonicalize_name, distributions[package]))
        }
        said = re.search(r'^needs\("This chapter", (.*)\)$', code, re.M)
        named = set(re.findall(r"\w+", said[1])) if said else set()
        # Numba is imported by the package, when a step is taken.
        assert named - {"numba"} == more, path.name
        if said:
            # Before the first import that may fail.
            assert not more & set(imported(code[: said.start()]))
            checked += 1
    assert checked >= 5


def test_imports_are_found() -> None:
    source = "import a.b as c, d\nfrom e.f import g\ndef h():\n    import i"
    assert sorted(imported(source)) == ["a", "d", "e", "i"]
