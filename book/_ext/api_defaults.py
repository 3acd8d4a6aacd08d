"""Show in a signature what a dataclass makes for each object, not ``<factory>``."""

from __future__ import annotations

import dataclasses
from typing import Any

from sphinx.application import Sphinx


def with_defaults(signature: str, thing: Any) -> str:
    """Return the signature of a dataclass, with the defaults that it makes anew.

    A function that is the default is called by its name.
    """
    for field in dataclasses.fields(thing):
        if field.default_factory is not dataclasses.MISSING:
            made = field.default_factory()
            shown = made.__name__ if callable(made) else repr(made)
            signature = signature.replace(
                f"{field.name}=<factory>", f"{field.name}={shown}"
            )
    return signature


def fill(
    _app: Sphinx,
    _what: str,
    _name: str,
    thing: Any,
    _options: Any,
    signature: str | None,
    returned: str | None,
) -> tuple[str, str | None] | None:
    """Change the signature of a dataclass; others stay as they are."""
    if signature and isinstance(thing, type) and dataclasses.is_dataclass(thing):
        return with_defaults(signature, thing), returned
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
