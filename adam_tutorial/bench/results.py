"""What a run of the bench found: times, ratios, tables; kept as JSON."""

from __future__ import annotations

import json
import os
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

__all__ = ["Absent", "Result", "Rounds", "threads_in_words"]

Figure = Literal["ratio", "median", "best"]
# Processes that ran before the measurement.
BUSY = 0.5
# A list of numbers, as json.dumps spreads it over lines.
NUMBERS = re.compile(r"\[\s+((?:[-+.\de]+,\s+)*[-+.\de]+)\s+\]")


def threads_in_words(count: int) -> str:
    """Return "1 thread" or "2 threads"."""
    return f"{count} thread" if count == 1 else f"{count} threads"


@dataclass(frozen=True)
class Rounds:
    """Candidates that were measured side by side: each of them once in every round.

    Parameters
    ----------
    workload : str
    threads : int
    seconds : mapping of str to sequence of float
        For each candidate, the time of one step in each round.
    """

    workload: str
    threads: int
    seconds: Mapping[str, Sequence[float]]

    def ratio(self, candidate: str, to: str) -> float:
        """Return how many times as fast as another candidate one is.

        This is the median of the ratios within each round: what slows the machine down
        for a while hits both, and leaves their ratio as it is.

        Raises
        ------
        KeyError
            One of the two was not measured in these rounds.

        Examples
        --------
        >>> rounds = Rounds("mlp", 1, {"a": (1, 2, 9), "b": (2, 4, 3)})
        >>> rounds.ratio("a", to="b")
        2.0
        """
        return statistics.median(
            other / own
            for other, own in zip(
                self.seconds[to], self.seconds[candidate], strict=True
            )
        )


class Absent(NamedTuple):
    """A candidate that could not be measured on a workload, and why."""

    workload: str
    threads: int
    candidate: str
    reason: str


@dataclass(frozen=True)
class Result:
    """What :func:`run` found.

    Parameters
    ----------
    rounds : sequence of Rounds
    absent : sequence of Absent
    workloads : mapping of str to dict
        For each, the number of ``tensors`` and ``elements``, and the ``bytes`` that a
        step must move.
    settings : mapping
        ``device``, ``rounds``, ``max_grad_norm``, and the ``reference``: the candidate
        that the others are compared with.
    versions : mapping of str to str
        Of Python and of what is installed.
    hardware : mapping
        What is known of the machine.
    machine : str
        The same in a few words.
    minutes : float
        How long the run took.
    command : str
        What repeats it.
    """

    rounds: Sequence[Rounds]
    absent: Sequence[Absent]
    workloads: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    machine: str
    minutes: float
    command: str

    @property
    def threads(self) -> list[int]:
        """The numbers of threads, in order."""
        return sorted({rounds.threads for rounds in self.rounds})

    @property
    def candidates(self) -> list[str]:
        """The candidates that were measured, on one workload at least."""
        return list(dict.fromkeys(c for rounds in self.rounds for c in rounds.seconds))

    def find(self, workload: str, candidate: str, threads: int) -> Rounds:
        """Return the rounds in which a candidate was measured.

        Raises
        ------
        ValueError
            It was not.
        """
        for rounds in self.rounds:
            if (rounds.workload, rounds.threads) == (workload, threads) and (
                candidate in rounds.seconds
            ):
                return rounds
        raise ValueError(
            f"{candidate!r} was not measured on {workload!r} with threads={threads!r};"
            f" there are {self.candidates} on {list(self.workloads)} with threads in"
            f" {self.threads}"
        )

    def ratio(
        self, workload: str, candidate: str, threads: int = 1, to: str | None = None
    ) -> float:
        """Return how many times as fast as the reference a candidate is.

        Parameters
        ----------
        workload, candidate : str
        threads : int
        to : str, optional
            What it is compared with instead.

        Raises
        ------
        ValueError
            The two were not measured in the same rounds.
        """
        to = to or self.settings["reference"]
        rounds = self.find(workload, candidate, threads)
        if to not in rounds.seconds:
            raise ValueError(
                f"to must be one of {list(rounds.seconds)}, which were measured in the"
                f" same rounds as {candidate!r}; got {to!r}"
            )
        return rounds.ratio(candidate, to)

    def seconds(self, workload: str, candidate: str, threads: int = 1) -> list[float]:
        """Return the time of one step in each round; ValueError if there is none."""
        return list(self.find(workload, candidate, threads).seconds[candidate])

    def table(self, figure: Figure = "ratio", threads: int | None = None) -> str:
        """Return one figure of each candidate on each workload, as aligned text.

        Parameters
        ----------
        figure : {"ratio", "median", "best"}
            How many times as fast as the reference; or milliseconds of one step, the
            median or the best of the rounds.
        threads : int, optional
            The default is the lowest number that was measured.

        Raises
        ------
        ValueError
            There is no such figure.
        """
        if figure not in get_args(Figure):
            raise ValueError(
                f"figure must be one of {get_args(Figure)}, got {figure!r}"
            )
        count = self.threads[0] if threads is None else threads
        columns = [c for c in self.candidates if c != self.settings["reference"]]
        if figure != "ratio":
            columns = self.candidates

        def cell(workload: str, candidate: str) -> str:
            try:
                if figure == "ratio":
                    return f"{self.ratio(workload, candidate, count):.2f}"
                seconds = self.seconds(workload, candidate, count)
            except ValueError:
                return "-"
            chosen = min(seconds) if figure == "best" else statistics.median(seconds)
            return _three_digits(1e3 * chosen)

        rows = [[name, *(cell(name, c) for c in columns)] for name in self.workloads]
        return _aligned([["", *columns], *rows])

    def __str__(self) -> str:
        """Return the tables of ratios and of medians, and what was left out."""
        reference = self.settings["reference"]
        clip = "" if self.settings["max_grad_norm"] is None else "Clip and step. "
        lines = [self.machine]
        load = self.hardware.get("load", 0)
        if load > BUSY:
            lines.append(
                f"The machine was busy (load {load}): repeat this when it is idle."
            )
        for count in self.threads:
            of = threads_in_words(count)
            lines += [
                f"\n{clip}{of}: times as fast as {reference}",
                self.table("ratio", count),
                f"\n{clip}{of}: milliseconds of one step, median",
                self.table("median", count),
            ]
        reasons: dict[tuple[str, str], list[str]] = {}
        for workload, _, candidate, reason in self.absent:
            reasons.setdefault((candidate, reason), []).append(workload)
        if reasons:
            lines.append("\nLeft out")
        for (candidate, reason), names in reasons.items():
            where = (
                ""
                if {*names} == {*self.workloads}
                else f" ({', '.join(dict.fromkeys(names))})"
            )
            lines.append(f"  {candidate}{where}: {reason}")
        return "\n".join(lines)

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write it as JSON; an older file stays until the new one is complete."""
        text = json.dumps(asdict(self), indent=1, allow_nan=False)
        # Each list of times on one line.
        text = NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)
        path = Path(file)
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            scratch.write_text(text + "\n", encoding="utf-8")
            os.replace(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)

    @classmethod
    def load(cls, source: str | os.PathLike[str] | Mapping[str, Any]) -> Result:
        """Return a result that was saved.

        Parameters
        ----------
        source : str, path or mapping
            The file, or what was read from it.

        Raises
        ------
        ValueError
            It is not a result of the bench.
        """
        record = source
        if not isinstance(record, Mapping):
            record = json.loads(Path(record).read_text(encoding="utf-8"))
        missing = [f.name for f in fields(cls) if f.name not in record]
        if missing:
            raise ValueError(
                "source must be what Result.save wrote; it lacks " + ", ".join(missing)
            )
        result = cls(**{f.name: record[f.name] for f in fields(cls)})
        return replace(
            result,
            rounds=[Rounds(**rounds) for rounds in record["rounds"]],
            absent=[Absent(*absent) for absent in record["absent"]],
        )


def _three_digits(number: float) -> str:
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells under each other; headings are broken at their hyphens."""
    head, *body = rows
    parts = [heading.split("-") for heading in head]
    height = max(map(len, parts))
    above = [[*[""] * (height - len(words)), *words] for words in parts]
    lines = [*zip(*above, strict=True), *body]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
