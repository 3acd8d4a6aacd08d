"""What the doctor says: for a terminal, for a logger, and as a picture."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adam_tutorial.doctor.findings import Finding
from adam_tutorial.doctor.history import Moment, Record, Sample, Track, over
from adam_tutorial.doctor.signs import diagnose
from adam_tutorial.doctor.table import COLUMNS, short, table
from adam_tutorial.theory import effective_memory, mean_variance, step_supremum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ParameterReport", "Report", "report_of"]


@dataclass(frozen=True)
class ParameterReport:
    """A parameter at the last step that was measured.

    Parameters
    ----------
    name : str
    elements : int
    t : int
        Age of the moments, in steps.
    update_to_weight : float
        Root mean square of the change over that of the weights.
    step, longest : float
        Root mean square and maximum of the update, in learning rates, without decay.
    bound : float
        The longest update that Adam can make at this age, in learning rates; NaN for
        other rules.
    below_eps : float
        Share of the elements in which ``sqrt(v_hat)`` is less than eps, of those with a
        v that is not 0.
    dead : float
        Share of the elements with v = 0: their gradients have all been zero.
    still : float
        Share of the elements that stayed as they were, of those with an update.
    signal_to_noise : float
        Sum of ``m_hat**2`` over that of ``v_hat``.
    memory : float
        How many gradients v is worth.
    decay_to_update : float
        Length of the decay over that of the update.
    gradient_norm, largest_gradient : float
        At the last step, and the largest.
    """

    name: str
    elements: int
    t: int
    update_to_weight: float
    step: float
    longest: float
    bound: float
    below_eps: float
    dead: float
    still: float
    signal_to_noise: float
    memory: float
    decay_to_update: float
    gradient_norm: float
    largest_gradient: float


@dataclass(frozen=True)
class Report:
    """What was seen of a run.

    Parameters
    ----------
    verdict : str
        One sentence.
    findings : tuple of Finding
        What is probably not meant; empty if nothing was found.
    parameters : tuple of ParameterReport
        The numbers of each parameter that was stepped.
    steps, measured : int
        How many steps were seen, and how many of them measured.
    lrs : tuple of float
        The learning rate of each group.
    gradient_norm, usual_norm : float
        Norm of all gradients at the last step; its median over the last thousand.
    spikes : int
        Steps with a norm of more than ten times the median of the hundred before.
    moments, norms, samples
        The history that :meth:`plot` draws.
    """

    verdict: str
    findings: tuple[Finding, ...]
    parameters: tuple[ParameterReport, ...]
    steps: int
    measured: int
    lrs: tuple[float, ...]
    gradient_norm: float
    usual_norm: float
    spikes: int
    moments: tuple[Moment, ...] = ()
    norms: tuple[tuple[int, float], ...] = ()
    samples: tuple[tuple[str, tuple[Sample, ...]], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self) -> str:
        lines = [self.verdict]
        for finding in self.findings:
            of = ", ".join(short(name) for name in finding.parameters[:4])
            more = len(finding.parameters) - 4
            of += f" and {more} more" if more > 0 else ""
            lines += [
                f"{finding.severity}: {finding.name}",
                f"  seen:  {finding.seen}",
                *([f"  in:    {of}"] * bool(of)),
                f"  try:   {finding.advice}",
                f"  topic: {finding.topic}",
            ]
        text = [textwrap.fill(x, 76, subsequent_indent="         ") for x in lines]
        return "\n".join([*text, *table(self)])

    def as_dict(self) -> dict[str, float]:
        """Return the numbers under flat names, for a logger.

        Returns
        -------
        dict
            Such as ``"update_to_weight/0.weight"``, ``"gradient_norm"``, ``"lr/0"`` and
            ``"found/state lost"``. Numbers that do not exist are left out.
        """
        flat: dict[str, float] = {
            "steps": self.steps,
            "findings": len(self.findings),
            "spikes": self.spikes,
            "gradient_norm": self.gradient_norm,
        }
        flat |= {f"lr/{index}": lr for index, lr in enumerate(self.lrs)}
        flat |= {f"found/{finding.name}": 1 for finding in self.findings}
        for parameter in self.parameters:
            for name in COLUMNS:
                flat[f"{name}/{parameter.name}"] = getattr(parameter, name)
        return {name: value for name, value in flat.items() if math.isfinite(value)}

    def plot(self) -> Figure:
        """Draw the run: gradients, changes, steps and learning rates.

        Returns
        -------
        Figure

        Raises
        ------
        ImportError
            matplotlib is not installed.
        """
        from adam_tutorial.doctor.picture import draw

        return draw(
            self.verdict, self.ok, self.norms, self.samples, self.moments, len(self.lrs)
        )


def report_of(record: Record, meant: Collection[str]) -> Report:
    """Return the report on a record, without the findings that are meant."""
    findings = tuple(f for f in diagnose(record) if f.name not in meant)
    steps = f"in {record.taken} {'step' if record.taken == 1 else 'steps'}"
    if record.stopped:
        verdict = (
            f"the doctor stopped {steps}, at an error of its own: {record.stopped};"
            f" {len(findings)} found"
        )
    elif not record.taken:
        verdict = "no step was seen (steps of a compiled graph cannot be)"
    elif not findings:
        verdict = f"nothing found {steps}"
    else:
        noun = "finding" if len(findings) == 1 else "findings"
        verdict = f"{len(findings)} {noun} {steps}"
    recent = list(record.recent)
    return Report(
        verdict,
        findings,
        tuple(_of(track) for track in record.tracks if len(track.samples)),
        record.taken,
        record.measured,
        tuple(group.lr for group in record.groups),
        recent[-1] if recent else math.nan,
        sorted(recent)[len(recent) // 2] if recent else math.nan,
        record.spikes,
        tuple(record.moments),
        tuple(record.norms),
        tuple((track.name, tuple(track.samples)) for track in record.tracks),
    )


def _of(track: Track) -> ParameterReport:
    sample = track.samples.last
    assert sample is not None
    settings, t = track.settings, max(int(sample.t), 1)
    known = settings.bounded and settings.beta2 > 0
    return ParameterReport(
        track.name,
        track.parameter.numel(),
        int(sample.t),
        over(sample.change, sample.weight),
        over(sample.update, abs(sample.lr)),
        sample.longest,
        step_supremum(t, settings.beta1, settings.beta2) if known else math.nan,
        sample.below_eps,
        sample.dead,
        sample.still,
        sample.signal,
        min(1 / mean_variance(t, settings.beta2), effective_memory(settings.beta2)),
        sample.decay,
        track.norm,
        track.largest[0],
    )
