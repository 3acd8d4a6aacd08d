"""Give every exercise a level and minutes, and count what has a number by page.

::

    :::{exercise} When may we forget the correction?
    :label: ex-adam-forget
    :level: easy
    :minutes: 10
    :::

An exercise is called by the place of its chapter and its own place there, "Exercise
4.1", as theorems and figures are. On a page without a number Sphinx would go on with
the count of the page before it; here each begins with 1.

The role ``{exercises}`ex-adam-forget, ex-adam-constant``` links exercises and adds up
their minutes; the directive ``exercise-index`` lists all of them, page by page.
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx_exercise.directive import ExerciseDirective

from equations import chapter_number, reading_order
from listings import heading, link, listed, listing_pages

logger = logging.getLogger(__name__)

LEVELS = ("easy", "medium", "hard")


class Exercise(ExerciseDirective):  # type: ignore[misc]
    """The directive, with two options that it must have."""

    option_spec: ClassVar[dict[str, Any]] = {
        **ExerciseDirective.option_spec,
        "level": lambda text: directives.choice(text, LEVELS),
        "minutes": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        """Return the exercise, with level and minutes as its first line."""
        for option in ("label", "level", "minutes"):
            if option not in self.options:
                title = self.arguments[0] if self.arguments else ""
                raise self.error(f"the exercise {title!r} needs :{option}:")
        level, minutes = self.options["level"], self.options["minutes"]
        found: list[nodes.Node] = super().run()
        registry_of(self.env)[self.options["label"]].update(
            level=level, minutes=minutes
        )
        for exercise in found:
            effort = nodes.paragraph("", f"{level}, {minutes} minutes")
            effort["classes"].append("exercise-effort")
            exercise[1].insert(0, effort)
        return found


class Efforts(SphinxRole):
    """The role: links to exercises, and the minutes that they take together."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return a placeholder; the numbers are known when all pages are read."""
        node = nodes.inline(classes=["exercise-efforts"])
        node["labels"] = [label.strip() for label in self.text.split(",")]
        self.set_source_info(node)
        listing_pages(self.env).add(self.env.docname)
        return [node], []


class ExerciseIndex(SphinxDirective):
    """Place a list of all exercises; filled when all pages are read."""

    def run(self) -> list[nodes.Node]:
        """Return a placeholder."""
        listing_pages(self.env).add(self.env.docname)
        return [nodes.container(classes=["exercise-index"])]


def registry_of(env: BuildEnvironment) -> dict[str, dict[str, Any]]:
    """Return what is known of each exercise and solution, by its label."""
    registry: dict[str, dict[str, Any]] = getattr(env, "sphinx_exercise_registry", {})
    return registry


def fill_lists(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put links and minutes into their places."""
    for node in doctree.findall(nodes.inline):
        if "exercise-efforts" in node["classes"] and not node.children:
            node += efforts(app, docname, node)
    for place in doctree.findall(nodes.container):
        if "exercise-index" in place["classes"] and not place.children:
            place += index(app, docname)


def link_to(app: Sphinx, docname: str, label: str) -> nodes.reference:
    """Return a link to an exercise: its number."""
    target = registry_of(app.env)[label]["docname"]
    number = app.env.toc_fignumbers[target]["exercise"][label]
    uri = app.builder.get_relative_uri(docname, target) + f"#{label}"
    return link(".".join(map(str, number)), uri)


def efforts(app: Sphinx, docname: str, node: nodes.inline) -> list[nodes.Node]:
    """Return the links to exercises, and the sum of their minutes."""
    registry = registry_of(app.env)
    result: list[nodes.Node] = []
    minutes = 0
    for label in node["labels"]:
        if "minutes" not in registry.get(label, {}):
            logger.warning("there is no exercise %s", label, location=node)
            continue
        result += [link_to(app, docname, label), nodes.Text(", ")]
        minutes += registry[label]["minutes"]
    return [*result[:-1], nodes.Text(f" ({minutes} minutes)")]


def index(app: Sphinx, docname: str) -> list[nodes.Node]:
    """Return a list of exercises for each page, with its title."""
    env, registry = app.env, registry_of(app.env)
    result: list[nodes.Node] = []
    for page in reading_order(env):
        items = []
        for label in env.toc_fignumbers.get(page, {}).get("exercise", {}):
            one = registry[label]
            title = one["node"][0][1].deepcopy().children
            text = nodes.Text(f": {one['level']}, {one['minutes']} minutes")
            items.append([link_to(app, docname, label), nodes.Text(" "), *title, text])
        if items:
            result += [heading(env.titles[page].astext()), listed(items)]
    return result


def count_by_page(_app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Count from 1 on each page without a number.

    Returns every page if a number changed: any page may refer to it.
    """
    for docname, kinds in env.toc_fignumbers.items():
        if chapter_number(env, docname) is None:
            for numbers in kinds.values():
                for place, label in enumerate(numbers, start=1):
                    numbers[label] = (place,)
    changed = env.toc_fignumbers != getattr(env, "book_numbers", None)
    env.book_numbers = {  # type: ignore[attr-defined]
        docname: {kind: dict(numbers) for kind, numbers in kinds.items()}
        for docname, kinds in env.toc_fignumbers.items()
    }
    return sorted(env.found_docs) if changed else []


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.setup_extension("sphinx_exercise")
    app.setup_extension("listings")
    app.add_directive("exercise", Exercise, override=True)
    app.add_role("exercises", Efforts())
    app.add_directive("exercise-index", ExerciseIndex)
    app.connect("doctree-resolved", fill_lists)
    # After Sphinx has counted, before references are resolved.
    app.connect("env-get-updated", count_by_page, priority=900)
    # The environment keeps what was read; one process reads and writes it.
    return {"parallel_read_safe": False, "parallel_write_safe": False}
