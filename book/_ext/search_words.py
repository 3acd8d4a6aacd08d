"""Search for what people type: eps, beta2, half precision.

``search_words.json`` has one word for each idea, and what else it is called, formulas
included. Both the index and what is typed are put into these words. A page comes the
sooner the more often it says what was asked for, and a chapter before the API.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.search.en import SearchEnglish

HERE = Path(__file__).parent
WORDS: dict[str, list[str]] = json.loads(
    (HERE / "search_words.json").read_text(encoding="utf-8")
)
# The longest first: "eps_root" is not "eps" and a rest.
NAMES = {
    name.lower(): word
    for name, word in sorted(
        ((name, word) for word, names in WORDS.items() for name in (word, *names)),
        key=lambda pair: -len(pair[0]),
    )
}
NAME = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, NAMES))})(?!\w)", re.IGNORECASE)
# A whole page of tests' names and sources would come first for every word.
LISTS = ("book/reference/",)


def in_our_words(text: str) -> str:
    r"""Return the text with every name of an idea replaced by its word.

    Examples
    --------
    >>> in_our_words(r"with half precision, \beta_2 and eps_root")
    'with float16, beta2 and epsilon'
    """
    return NAME.sub(lambda found: NAMES[found[0].lower()], text)


class OurWords(SearchEnglish):
    """English whose words are ours, in the index and in the browser."""

    def split(self, input: str) -> list[str]:  # noqa: A002
        """Return the words of a text."""
        return super().split(in_our_words(input))


def count_words(app: Sphinx, doctree: nodes.document) -> None:
    """Note how often a page says each of the words."""
    if app.env.docname.startswith(LISTS):
        return
    counts = Counter(NAMES[found.lower()] for found in NAME.findall(doctree.astext()))
    _counts(app.env)[app.env.docname] = dict(counts)


def _counts(env: BuildEnvironment) -> dict[str, dict[str, int]]:
    if not hasattr(env, "book_word_counts"):
        env.book_word_counts = {}  # type: ignore[attr-defined]
    counts: dict[str, dict[str, int]] = env.book_word_counts  # type: ignore[attr-defined]
    return counts


def forget(_app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Drop what was counted on a page that is read anew."""
    _counts(env).pop(docname, None)


def write_script(_app: Sphinx, env: BuildEnvironment) -> None:
    """Give the browser the words, and what was counted."""
    code = (HERE / "search_words.js").read_text(encoding="utf-8")
    names = json.dumps(NAMES, ensure_ascii=False)  # the longest first, here too
    counts = json.dumps(_counts(env), ensure_ascii=False, sort_keys=True)
    OurWords.js_splitter_code = code.replace("NAMES_OF_THE_BOOK", names).replace(
        "COUNTS_OF_THE_BOOK", counts
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_search_language(OurWords)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-read", count_words)
    app.connect("env-updated", write_script)
    # The counts of a page are kept in the environment of one process.
    return {"parallel_read_safe": False, "parallel_write_safe": True}
