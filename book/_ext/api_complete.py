"""Fail the build when a public name of the package is on no page of the API.

Public is what a module of :data:`MODULES` lists in ``__all__``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)

MODULES = (
    "adam_tutorial.conventions",
    "adam_tutorial.data",
    "adam_tutorial.experiments.comparison",
    "adam_tutorial.models",
    "adam_tutorial.notebook",
    "adam_tutorial.objectives",
    "adam_tutorial.optim",
    "adam_tutorial.plotting",
    "adam_tutorial.reference",
    "adam_tutorial.scratch",
    "adam_tutorial.theory",
    "adam_tutorial.training",
)


def public_names() -> Iterator[str]:
    """Yield the full name of everything that is public."""
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            yield f"{module}.{name}"


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Complain of each public name without documentation."""
    documented = env.get_domain("py").data["objects"]
    for name in public_names():
        if name not in documented:
            logger.warning("%s is public, but on no page of the API", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
