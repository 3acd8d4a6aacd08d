"""What a study is: stages of runs that are fixed in advance, and what becomes of them.

A run is described by its settings, a dictionary that JSON can hold, and gives a row.
The settings of a stage may depend on the rows of the stages before it (the final runs
take the learning rate that tuning found), and on nothing else: run number 17 is the
same whoever does it, and in whatever order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adam_tutorial.study.experiments.records import Row, as_json

__all__ = ["Study", "carried_out", "in_order"]

Settings = dict[str, Any]
Rows = dict[str, list[Row]]


@dataclass(frozen=True)
class Study:
    """A fixed design of training runs.

    Attributes
    ----------
    module : str
        Full name of the module that holds the study as ``STUDY``.
    stages : dict of str to function
        For each stage, in order, a function that takes the rows of the stages before
        it and returns the settings of its runs.
    run : function
        Takes the name of the stage and the settings of one run, and returns its row. It
        may depend on nothing else: all that is random is seeded by the settings.
    results : function
        Takes the rows of all stages and returns what the record holds as "results".
    dtype : {"float64", "float32"}
        Torch's default type in every run.
    described : dict
        What else the record says.
    encode : function
        Turns the record into text.
    """

    module: str
    stages: Mapping[str, Callable[[Rows], list[Settings]]]
    run: Callable[[str, Settings], Row]
    results: Callable[[Rows], Any]
    dtype: str = "float64"
    described: Mapping[str, Any] = field(default_factory=dict)
    # A factory: a plain function would look like a method.
    encode: Callable[[dict[str, Any]], str] = field(default_factory=lambda: as_json)

    @property
    def name(self) -> str:
        """The last part of the module's name."""
        return self.module.rpartition(".")[2]


def carried_out(study: Study, do: Callable[[str, list[Settings]], list[Row]]) -> Any:
    """Return the results of a study.

    Parameters
    ----------
    study : Study
        What to do.
    do : function
        Takes the name of a stage and the settings of its runs, and returns their rows
        in the same order.
    """
    rows: Rows = {}
    for stage, plan in study.stages.items():
        rows[stage] = do(stage, plan(rows))
    return study.results(rows)


def in_order(study: Study) -> Any:
    """Return the results of a study, with every run done here, one after the other.

    Torch's default type and its number of threads are those of the caller.
    """
    return carried_out(
        study,
        lambda stage, plan: [study.run(stage, settings) for settings in plan],
    )
