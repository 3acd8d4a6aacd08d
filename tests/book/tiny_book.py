"""Books of a page or two, built in a moment to see what an extension makes of them."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

# Of the libraries that Sphinx is made of.
quiet = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)


def warnings_of(folder: Path, **settings: Any) -> str:
    """Build the book in a folder into ``out``, and return the warnings.

    Parameters
    ----------
    folder : Path
        Holds the pages.
    **settings
        What a ``conf.py`` would set.
    """
    (folder / "conf.py").write_text("")
    warnings = io.StringIO()
    # Otherwise the second build of a process warns of what the first one registered.
    with docutils_namespace():
        app = Sphinx(
            folder,
            folder,
            folder / "out",
            folder / "trees",
            "html",
            confoverrides={
                "exclude_patterns": ["tests", "out", "trees"],
                "math_numfig": False,
                **settings,
            },
            status=None,
            warning=warnings,
            freshenv=True,
        )
        app.build()
    return re.sub(r"\x1b\[[0-9;]*m", "", warnings.getvalue())
