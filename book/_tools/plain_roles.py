"""Write the roles of Sphinx as plain words, for a notebook that is read in Jupyter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pybtex.database import parse_file

CITATION = re.compile(r"\{cite:(?P<kind>[pt])\}`(?P<keys>[^`]+)`")
CODE = re.compile(r"\{py:\w+\}(?=`)")
WITH_TITLE = re.compile(r"\{[a-z:]+\}`(?P<title>[^`<]+?) <[^`>]+>`")
# Jupyter shows the label of an equation or a theorem as it stands in the source.
LABEL = re.compile(r"\{(?:eq|ref|prf:ref)\}`(?P<label>[^`<]+)`")


def sources_of(bibliography: Path) -> dict[str, tuple[str, str]]:
    """Return authors and year of each source, by its key."""
    entries = parse_file(bibliography).entries
    return {
        key: (authors(entry.persons["author"]), entry.fields["year"])
        for key, entry in entries.items()
    }


def authors(persons: list[Any]) -> str:
    """Return the last names of up to two authors, or the first with "et al."."""
    names = [
        " ".join(map(str, person.rich_prelast_names + person.rich_last_names))
        for person in persons
    ]
    if len(names) > 2 or names[-1] == "others":
        return f"{names[0]} et al."
    return " and ".join(names)


def plain(text: str, sources: Mapping[str, tuple[str, str]]) -> str:
    """Return a text without roles.

    Parameters
    ----------
    text : str
        A cell in Markdown.
    sources : mapping
        As :func:`sources_of` returns them.
    """

    def cited(match: re.Match[str]) -> str:
        found = [sources[key.strip()] for key in match["keys"].split(",")]
        if match["kind"] == "t":
            return ", ".join(f"{names} ({year})" for names, year in found)
        return f"({'; '.join(f'{names}, {year}' for names, year in found)})"

    text = CODE.sub("", CITATION.sub(cited, text))
    return LABEL.sub(r"(\g<label>)", WITH_TITLE.sub(r"\g<title>", text))
