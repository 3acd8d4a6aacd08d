"""Keep the pages of the API complete: every public name is on one, and every name there exists.

Public is what a module lists in ``__all__``. A module counts if it lies directly in the
package, or in a folder of it that passes no names on, and has no leading underscore.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Collection, Iterator
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)

PACKAGE = "adam_tutorial"


def public_modules(package: str = PACKAGE) -> Iterator[str]:
    """Yield the package and every public module in it."""
    yield package
    for found in pkgutil.iter_modules(
        importlib.import_module(package).__path__, f"{package}."
    ):
        if found.name.rpartition(".")[2].startswith("_"):
            continue
        module = importlib.import_module(found.name)
        if found.ispkg and not hasattr(module, "__all__"):
            yield from list(public_modules(found.name))[1:]
        else:
            yield found.name


def public_names() -> Iterator[str]:
    """Yield the full name of every public module and of everything that it offers."""
    for name in public_modules():
        yield name
        module = importlib.import_module(name)
        for offered in module.__all__:
            if not isinstance(getattr(module, offered, None), ModuleType):
                yield f"{name}.{offered}"


def exists(name: str) -> bool:
    """Return whether a full name, such as that of a method, leads to something."""
    parts = name.split(".")
    # The longest module first: a function may hide the module of its name
    # (`reference.adam`).
    length = next(
        n for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in sys.modules
    )
    thing: Any = sys.modules[".".join(parts[:length])]
    for part in parts[length:]:
        # The fields of a dataclass without a default are annotations only.
        if part in getattr(thing, "__annotations__", {}) and not hasattr(thing, part):
            return part == parts[-1]
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return True


def complaints(documented: Collection[str]) -> list[str]:
    """Return what is wrong with a set of documented names, a sentence each."""
    names = set(documented)
    return [
        *(
            f"{name} is public, but on no page of the API"
            for name in public_names()
            if name not in names
        ),
        *(
            f"{name} is on a page of the API, but does not exist"
            for name in sorted(names)
            if name.split(".")[0] == PACKAGE and not exists(name)
        ),
    ]


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Turn every complaint into a warning, which ends the build."""
    for complaint in complaints(env.get_domain("py").data["objects"]):
        logger.warning(complaint)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
