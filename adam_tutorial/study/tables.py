"""Results as tables: HTML on a page, aligned text everywhere else."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["Provenance", "Table"]

MAX_WIDTH = 76
MIN_HEADING = 8
MARK = "*"

_WHOLE = re.compile(r"[+-]?\d[\d,]*")
_UNIT = re.compile(r"(?P<name>.+?) (?P<unit>\([^()]*\))")


class Table:
    """Rows of results under headings with units.

    A notebook that ends a cell with a table, or hands one to ``display``, shows HTML;
    as text it is aligned at the decimal points, and the best values carry a star.

    Parameters
    ----------
    columns : str
        The headings, with a bar between two, each with the format of its numbers behind
        a colon: ``"optimizer | steps:d | loss (nats):.3f"``. A column without a format
        is text. A unit comes last, in parentheses.
    rows : iterable of sequences
        A value for each column. Text is shown as it is in any column, ``None`` as a
        dash, a truth value as yes or no.
    best : mapping of str to callable, optional
        Headings under which a value is marked, and what finds it: ``{"loss": min}``.
        What looks the same as the best is marked too; text and NaN are never the best.
    caption : str, optional
        What the rows are.

    Raises
    ------
    ValueError
        A row has too many or too few values, the best is asked of no column of
        numbers, or the text is wider than 76 characters.

    Examples
    --------
    >>> Table(
    ...     "optimizer | lr:g | loss (nats):.2f",
    ...     [("SGD", 0.1, 0.351), ("Adam", 0.001, 0.342), ("none", None, 12)],
    ...     best={"loss (nats)": min},
    ... )
    optimizer     lr  loss (nats)
    ---------  -----  -----------
    SGD        0.1          0.35
    Adam       0.001        0.34*
    none           –       12.00
    """

    def __init__(
        self,
        columns: str,
        rows: Iterable[Sequence[Any]],
        *,
        best: Mapping[str, Callable[[list[float]], float]] | None = None,
        caption: str = "",
    ) -> None:
        named = [column.strip().partition(":") for column in columns.split("|")]
        formats = {heading: spec for heading, _, spec in named}
        values = [tuple(row) for row in rows]
        for row in values:
            if len(row) != len(named):
                raise ValueError(
                    f"a row needs {len(named)} values, one for each column, got {row!r}"
                )
        best = best or {}
        unknown = {name for name in best if not formats.get(name)}
        if unknown:
            raise ValueError(f"best names no column of numbers: {sorted(unknown)}")
        self.caption = caption
        self.columns = [
            _Column(heading, spec, [row[i] for row in values], best.get(heading))
            for i, (heading, _, spec) in enumerate(named)
        ]
        for limit in range(MAX_WIDTH, MIN_HEADING, -1):
            if self._width() <= MAX_WIDTH:
                break
            for column in self.columns:
                column.wrap_heading(limit)
        width = self._width()
        if width > MAX_WIDTH:
            raise ValueError(
                f"the table is {width} characters wide, more than {MAX_WIDTH}; "
                "shorten its text or make two of it"
            )

    def _width(self) -> int:
        return max(map(len, self._lines()))

    def _lines(self) -> list[str]:
        columns = self.columns
        height = max(len(column.heading_lines) for column in columns)
        grid = [
            [column.heading_line(i - height) for column in columns]
            for i in range(height)
        ]
        grid.append(["-" * column.width for column in columns])
        grid += [list(row) for row in zip(*(c.padded for c in columns), strict=True)]
        lines = ["  ".join(row).rstrip() for row in grid]
        return [*textwrap.wrap(self.caption, MAX_WIDTH), *lines]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        """Return the table for a page; its classes are styled there."""
        heads = "".join(column.head() for column in self.columns)
        first, *others = self.columns
        cells = [first.cells("th"), *(c.cells("td") for c in others)]
        rows = ["".join(row) for row in zip(*cells, strict=True)]
        body = "\n".join(f"<tr>{row}</tr>" for row in rows)
        caption = f"<caption>{escape(self.caption)}</caption>\n" if self.caption else ""
        return (
            '<div class="pst-scrollable-table-container">\n'
            f'<table class="table results">\n{caption}'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n"
            "</table>\n</div>"
        )


class _Column:
    """One column: its values as text, and how they are aligned."""

    def __init__(
        self,
        heading: str,
        spec: str,
        values: list[Any],
        choose: Callable[[list[float]], float] | None,
    ) -> None:
        self.heading = heading
        self.numeric = bool(spec)
        self.shown = [_shown(value, spec) for value in values]
        self.best: set[str] = set()
        if choose is not None:
            # NaN is not equal to itself.
            numbers = [v for v in values if not isinstance(v, str | None) and v == v]
            self.best = {_shown(choose(numbers), spec)} if numbers else set()
        self.marked = choose is not None

        # Where the decimal point is, or would be; None in text.
        found = [_WHOLE.match(text) if self.numeric else None for text in self.shown]
        self.points = [match.end() if match else None for match in found]
        parts = [(p, len(t) - p) for t, p in self._pointed()]
        before = max((p for p, _ in parts), default=0)
        self.after = max((rest for _, rest in parts), default=0)
        self.widest = max([before + self.after, *map(len, self.shown)])
        self.before = self.widest - self.after
        self.heading_lines = [heading]

    def _pointed(self) -> Iterable[tuple[str, int]]:
        for text, point in zip(self.shown, self.points, strict=True):
            if point is not None:
                yield text, point

    @property
    def width(self) -> int:
        """How wide the column is as text."""
        return max([self.widest + self.marked, *map(len, self.heading_lines)])

    def wrap_heading(self, limit: int) -> None:
        """Break the heading into lines of the limit, if the values are no longer."""
        self.heading_lines = textwrap.wrap(
            self.heading, max(self.widest, limit), break_long_words=False
        )

    def heading_line(self, index: int) -> str:
        """Return a line of the heading, counted from the last, as -1."""
        lines = self.heading_lines
        text = lines[index] if -index <= len(lines) else ""
        return text.rjust(self.width) if self.numeric else text.ljust(self.width)

    @property
    def padded(self) -> list[str]:
        """The values, each as wide as the column."""
        if not self.numeric:
            return [text.ljust(self.width) for text in self.shown]
        aligned = [
            text.rjust(self.before + self.after)
            if point is None
            else text[:point].rjust(self.before) + text[point:].ljust(self.after)
            for text, point in zip(self.shown, self.points, strict=True)
        ]
        if self.marked:
            aligned = [
                text.rstrip() + MARK + text[len(text.rstrip()) :]
                if text.strip() in self.best
                else text + " "
                for text in aligned
            ]
        return [text.rjust(self.width) for text in aligned]

    def head(self) -> str:
        """Return the cell of the heading."""
        found = _UNIT.fullmatch(self.heading)
        text = (
            f'{escape(found["name"])} <span class="unit">{escape(found["unit"])}</span>'
            if found
            else escape(self.heading)
        )
        return f"<th{self._class()}>{text}</th>"

    def cells(self, tag: str) -> list[str]:
        """Return the cells of the values."""
        result = []
        for text, point in zip(self.shown, self.points, strict=True):
            best = self.marked and text in self.best
            shown = f"<strong>{escape(text)}</strong>" if best else escape(text)
            # The style sheet puts this behind the number, unseen: all points of a
            # column are then below each other.
            missing = 0 if point is None else self.after - (len(text) - point)
            fill = "0" * missing
            if missing and "." not in text:
                fill = "." + fill[1:]
            data = f' data-fill="{fill}"' if fill else ""
            result.append(f"<{tag}{self._class()}{data}>{shown}</{tag}>")
        return result

    def _class(self) -> str:
        return ' class="number"' if self.numeric else ""


def _shown(value: Any, spec: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    return format(value, spec)


class Provenance:
    """How the runs of a record were made; folded on a page.

    Parameters
    ----------
    record : mapping
        As :func:`adam_tutorial.study.experiments.stored_runs` returns it.

    Examples
    --------
    >>> from adam_tutorial.study.experiments import stored_runs
    >>> Provenance(stored_runs("pains"))
    command   python -m adam_tutorial.study.experiments.pains
              --out adam_tutorial/study/results/pains.json
    versions  python 3.11.7, numpy 2.4.6
    machine   Linux x86_64, 2 CPU cores
    minutes   20.6
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
        self.facts = {
            "command": record["command"].replace(" --out", "\n--out"),
            "versions": versions,
            "machine": record["machine"],
            # The first records do not say these.
            **{key: record[key] for key in ("cpu", "commit") if key in record},
            "minutes": f"{record['minutes']:g}",
        }

    def __repr__(self) -> str:
        return "\n".join(
            f"{name:10}" + text.replace("\n", "\n" + " " * 10)
            for name, text in self.facts.items()
        )

    def _repr_html_(self) -> str:
        """Return it folded."""
        facts = "".join(
            f"<dt>{name}</dt><dd>{escape(text)}</dd>"
            for name, text in self.facts.items()
        )
        return (
            '<details class="provenance"><summary>How these runs were made</summary>'
            f"<dl>{facts}</dl></details>"
        )
