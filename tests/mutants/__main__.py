"""Try a sample of small changes of the code, and list those that no test notices.

``python -m tests.mutants reference theory`` tries 60 mutants of each; without a name
it tries all areas: first on a few cases of each test with parameters, and what these do
not notice on all cases. What was measured is kept in ``_build/mutants``, where the
outcomes are written as JSON. A change that makes no difference, whatever is tested, is
argued in ``equivalent.toml`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.mutants.areas import AREAS, Area, Suite
from tests.mutants.coverage_map import CoverageMap, measure
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.trial import Outcome, try_all, warm_up

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "_build/mutants"
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
COLUMNS = ("mutants", "killed", "timed out", "survived", "equivalent")
SIGNS = {"killed": ".", "timed out": "t", "survived": "S"}

Change = tuple[str, str, str]


def mutants_in(root: Path, area: Area) -> list[Mutant]:
    """Return every mutant of an area."""
    found: list[Mutant] = []
    for source in area.sources:
        for file in sorted((root / source).rglob("*.py")):
            text = file.read_text(encoding="utf-8")
            found += mutants_of(text, file.relative_to(root).as_posix())
    return found


def sample(mutants: Iterable[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return a random choice that hardly depends on what else could be chosen."""
    copies: Counter[str] = Counter()
    ranked = []
    for mutant in mutants:
        first = mutant.rank(seed, 0)
        ranked.append((mutant.rank(seed, copies[first]), mutant))
        copies[first] += 1
    chosen = sorted(ranked, key=lambda entry: entry[0])[:count]
    return sorted((one for _, one in chosen), key=lambda one: (one.path, one.start))


def change(mutant: Mutant) -> Change:
    """Return what a mutant is, wherever it stands."""
    return mutant.function, mutant.before, mutant.after


def equivalents(file: Path) -> dict[Change, str]:
    """Return the changes that make no difference, and why."""
    entries = tomllib.loads(file.read_text(encoding="utf-8")).get("equivalent", [])
    return {
        (entry["function"], entry["before"], entry["after"]): entry["why"]
        for entry in entries
    }


def outcomes_of(
    name: str, *, count: int, seed: int, jobs: int, tests: Sequence[str] = ("",)
) -> list[Outcome]:
    """Try a sample of one area, on the tests below some folders."""
    area = AREAS[name]
    files = [one for one in area.suite.files(ROOT) if one.startswith(tuple(tests))]
    known = coverage_of(area.suite, files, jobs, few_cases=True)
    possible = [
        mutant
        for mutant in mutants_in(ROOT, area)
        if known.runs_in_a_test(mutant.path)
        and (not area.only_run or known.runs(mutant))
    ]
    argued = equivalents(EQUIVALENT)
    chosen = sample(possible, count, seed)
    waiting = [mutant for mutant in chosen if change(mutant) not in argued]
    return [
        *tried_twice(
            ROOT,
            FOLDER,
            waiting,
            known,
            lambda files: coverage_of(area.suite, files, jobs),
            jobs=jobs,
        ),
        *(
            Outcome(mutant, "equivalent", argued[change(mutant)], 0, 0.0)
            for mutant in chosen
            if change(mutant) in argued
        ),
    ]


def tried_twice(
    root: Path,
    folder: Path,
    mutants: Iterable[Mutant],
    known: CoverageMap,
    measured: Callable[[list[str]], CoverageMap],
    *,
    jobs: int,
) -> list[Outcome]:
    """Return the outcome of each mutant; what survives is tried on all cases.

    Parameters
    ----------
    root, folder, mutants, jobs
        As for :func:`tests.mutants.trial.try_all`.
    known : CoverageMap
        Of a few cases of each test.
    measured : function
        From files with tests to the map of all their cases.
    """
    first = try_all(root, folder, mutants, known, jobs=jobs, seen=show)
    survived = [one.mutant for one in first if one.result == "survived"]
    files = sorted(set().union(*map(known.files_about, survived)))
    if not files:
        return first
    print(f"\ntrying {len(survived)} that survived on all cases", flush=True)
    every = measured(files)
    return [
        *(one for one in first if one.result != "survived"),
        *try_all(root, folder, survived, every, jobs=jobs, seen=show),
    ]


def show(outcome: Outcome) -> None:
    """Print a dot for a mutant that was noticed, as pytest does for a test."""
    print(SIGNS[outcome.result], end="", flush=True)


def coverage_of(
    suite: Suite, files: Sequence[str], jobs: int, *, few_cases: bool = False
) -> CoverageMap:
    """Return which tests in some files of a suite run which lines."""
    known = measure(
        ROOT,
        FOLDER / suite.name,
        sources=suite.sources,
        tests=files,
        options=suite.options,
        jobs=jobs,
        few_cases=few_cases,
    )
    known.of_signatures, known.run_by = suite.of_signatures, suite.run_by
    return known


def described(mutant: Mutant) -> str:
    """Return where a mutant is, and its line before and after."""
    where = f"{mutant.path}:{mutant.line}"
    inside = f" in {mutant.function}" if mutant.function else ""
    lines = f"  - {mutant.before}\n  + {mutant.after}"
    return f"{where}{inside}: {mutant.operator}\n{lines}"


def counted(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Return how many mutants there were, and what became of them."""
    results = Counter(outcome.result for outcome in outcomes)
    return {"mutants": len(outcomes)} | {name: results[name] for name in COLUMNS[1:]}


def table(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return the counts of all areas, and the share that was noticed."""
    rows = [f"{'area':12}" + "".join(f"{name:>12}" for name in (*COLUMNS, "noticed"))]
    for area, of_area in counts.items():
        noticed = of_area["killed"] + of_area["timed out"]
        able = of_area["mutants"] - of_area["equivalent"]
        share = f"{100 * noticed / able:.0f} %" if able else "-"
        numbers = (str(of_area[name]) for name in COLUMNS)
        rows.append(f"{area:12}" + "".join(f"{n:>12}" for n in (*numbers, share)))
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the areas that are named, print what survived, and the counts."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__
    )
    parser.add_argument("areas", nargs="*", metavar="AREA", help=", ".join(AREAS))
    parser.add_argument("--count", type=int, default=60, help="mutants of each area")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tests", nargs="+", default=[""], help="only those below")
    parser.add_argument("--list", action="store_true", help="only show the mutants")
    given = parser.parse_args(arguments)
    unknown = set(given.areas) - set(AREAS)
    if unknown:
        parser.error(f"no area {sorted(unknown)}; there are {sorted(AREAS)}")
    areas = given.areas or list(AREAS)
    if given.list:
        for name in areas:
            for mutant in sample(
                mutants_in(ROOT, AREAS[name]), given.count, given.seed
            ):
                print(described(mutant))
        return 0
    warm_up()
    counts = {}
    for name in areas:
        started = time.monotonic()
        print(f"trying {given.count} mutants of {name}", flush=True)
        outcomes = outcomes_of(
            name,
            count=given.count,
            seed=given.seed,
            jobs=given.jobs,
            tests=given.tests,
        )
        print()
        counts[name] = counted(outcomes)
        for outcome in outcomes:
            if outcome.result == "survived":
                print(described(outcome.mutant))
        report = {
            "area": name,
            "seed": given.seed,
            "seconds": round(time.monotonic() - started),
            "counts": counts[name],
            "outcomes": [asdict(outcome) for outcome in outcomes],
        }
        file = FOLDER / f"{name}.json"
        file.write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(table(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
