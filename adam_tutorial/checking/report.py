"""What the checker says."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Literal

from adam_tutorial._types import Float64Array
from adam_tutorial.checking.mistakes import Topic

__all__ = ["UNKNOWN", "Difference", "Finding", "Report"]

UNKNOWN = "not a known mistake"


@dataclass(frozen=True)
class Finding:
    """One thing that was found out about a program.

    Parameters
    ----------
    name, seen, right : str
        What it is called, what the program does, and what would be right.
    topic : str
        The key of its subject, such as ``"bias-correction"``.
    kind : {"mistake", "difference"}
        A difference from the rule may be meant: another rule, clipping, or steps that
        nothing known explains.
    """

    name: str
    seen: str
    right: str
    topic: Topic
    kind: Literal["mistake", "difference"] = "mistake"


@dataclass(frozen=True, eq=False)
class Difference:
    """The first wrong step of a program whose steps no known mistake explains.

    Parameters
    ----------
    settings : dict
        What the program was made with: lr, beta1, beta2 and eps.
    gradients, thetas : ndarray of shape (t, 4)
        What it was given at steps 1 to t; the difference is at step t.
    moved, right : ndarray of shape (4,)
        How far it moved at step t, and how far Algorithm 1 moves.
    """

    settings: dict[str, float]
    gradients: Float64Array
    thetas: Float64Array
    moved: Float64Array
    right: Float64Array


@dataclass(frozen=True)
class Report:
    """What was found out about a program.

    Parameters
    ----------
    verdict : str
        One sentence.
    findings : tuple of Finding
        The mistakes; empty if there are none.
    remarks : tuple of Finding
        What is not a mistake but good to know.
    difference : Difference, optional
        What to run again if no known mistake explains the steps.
    looked_at, not_looked_at : str
        Which shapes and how many parameters and steps were tried, and what was not.
    """

    verdict: str
    findings: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()
    difference: Difference | None = None
    looked_at: str = ""
    not_looked_at: str = ""

    @property
    def ok(self) -> bool:
        """Whether no mistake and no difference was found."""
        return not self.findings

    def __str__(self) -> str:
        lines = [self.verdict]
        for finding in self.findings:
            lines += [
                f"{finding.kind}: {finding.name}",
                f"  seen:  {finding.seen}",
                f"  right: {finding.right}",
                f"  topic: {finding.topic}",
            ]
        lines += [f"remark: {remark.name}: {remark.seen}" for remark in self.remarks]
        if self.looked_at:
            lines.append(f"looked at: {self.looked_at}")
            lines.append(f"not looked at: {self.not_looked_at}")
        return "\n".join(
            textwrap.fill(line, 76, subsequent_indent="         ") for line in lines
        )
