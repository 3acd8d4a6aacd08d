"""What the doctor may find, and what each finding is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["FINDINGS", "Finding", "Topic", "found"]

# Texts that explain findings can be looked up by these keys, as those of the checker.
Topic: TypeAlias = Literal[
    "clipping",
    "epsilon",
    "half-precision",
    "learning-rate",
    "non-finite",
    "parameters",
    "ranks",
    "schedule",
    "state",
    "weight-decay",
    "zero-gradients",
]
Severity: TypeAlias = Literal["mistake", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is probably not meant.

    Parameters
    ----------
    name : str
        What it is called; one of :data:`~adam_tutorial.doctor.FINDINGS`.
    topic : str
        The key of its subject, such as ``"weight-decay"``.
    severity : {"mistake", "warning"}
        A warning may be meant, and can then be left out with ``meant``.
    parameters : tuple of str
        The parameters it is about; empty if it is about the whole run.
    seen, advice : str
        What was seen, with numbers, and what to try.
    numbers : dict
        The numbers on their own.
    """

    name: str
    topic: Topic
    severity: Severity
    parameters: tuple[str, ...]
    seen: str
    advice: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """What all findings of one name have in common."""

    topic: Topic
    severity: Severity
    advice: str


FINDINGS: Mapping[str, Kind] = {
    "state lost": Kind(
        "state",
        "mistake",
        "save optimizer.state_dict() in the checkpoint, and load it into the optimizer"
        " that takes the steps, after it was made",
    ),
    "t lost": Kind(
        "state",
        "mistake",
        "keep the entry 'step' of the state beside exp_avg and exp_avg_sq: the bias"
        " correction needs it",
    ),
    "moments lost": Kind(
        "state",
        "mistake",
        "load exp_avg and exp_avg_sq with the entry 'step', or none of the three",
    ),
    "L2 penalty instead of weight decay": Kind(
        "weight-decay",
        "warning",
        "AdamW, or decoupled_weight_decay=True, with a weight_decay chosen anew; if"
        " the penalty is meant, say so: watch(..., meant=[this name])",
    ),
    "decay stronger than the update": Kind(
        "weight-decay",
        "warning",
        "a smaller weight_decay; biases and the weights of norms belong in a group"
        " with weight_decay=0",
    ),
    "learning rate too high": Kind(
        "learning-rate",
        "warning",
        "a learning rate ten times smaller, or a warm-up",
    ),
    "learning rate too low": Kind(
        "learning-rate",
        "warning",
        "a larger learning rate: each step of Adam is about as long as it, whatever"
        " the gradients are",
    ),
    "eps decides": Kind(
        "epsilon",
        "warning",
        "a smaller eps, or gradients on a larger scale: the mean of the loss, not"
        " divided again; where eps decides, Adam is momentum with the rate lr/eps",
    ),
    "schedule of another optimizer": Kind(
        "schedule",
        "mistake",
        "make the scheduler with the optimizer that takes the steps, after it",
    ),
    "schedule without effect": Kind(
        "schedule",
        "mistake",
        "change the learning rate in optimizer.param_groups, by a scheduler that is"
        " stepped, and nowhere else",
    ),
    "clipping always active": Kind(
        "clipping",
        "warning",
        "a larger max_norm, such as ten times the median norm before clipping; at this"
        " one, clipping takes the size of every gradient away",
    ),
    "clipping of scaled gradients": Kind(
        "clipping",
        "mistake",
        "scaler.unscale_(optimizer) before clip_grad_norm_",
    ),
    "parameter in no group": Kind(
        "parameters",
        "warning",
        "hand it to the optimizer, or set requires_grad to False where it is meant to"
        " stay as it is",
    ),
    "parameter without gradient": Kind(
        "parameters",
        "warning",
        "look for .detach(), torch.no_grad() or a branch of the model that the loss"
        " does not depend on; Adam leaves the parameter as it is",
    ),
    "gradient always zero": Kind(
        "parameters",
        "warning",
        "look for ReLUs that never open and for a factor that is zero; decoupled"
        " weight decay still shrinks the parameter",
    ),
    "updates lost to rounding": Kind(
        "half-precision",
        "warning",
        "weights in float32 (autocast computes in bfloat16 without changing them), or"
        " a larger learning rate",
    ),
    "non-finite values": Kind(
        "non-finite",
        "mistake",
        "look at the batch of that step and at the operation nearest to the loss;"
        " torch.autograd.set_detect_anomaly(True) names it; what is not a number in"
        " m, v or a parameter stays: go back to a checkpoint",
    ),
    "gradients summed over ranks": Kind(
        "ranks",
        "mistake",
        "divide by the world size after all_reduce, or use ReduceOp.AVG or DDP; Adam's"
        " steps hardly change, but eps, clipping and an L2 penalty do",
    ),
    "drift after a lone gradient": Kind(
        "zero-gradients",
        "warning",
        "torch.optim.SparseAdam with nn.Embedding(sparse=True), a smaller learning"
        " rate for the embedding, or a smaller beta1: Adam moves a row as long as m is"
        " not zero",
    ),
}


def found(
    name: str, seen: str, parameters: tuple[str, ...] = (), **numbers: float
) -> Finding:
    """Return a finding of a name of :data:`FINDINGS`."""
    kind = FINDINGS[name]
    return Finding(
        name, kind.topic, kind.severity, parameters, seen, kind.advice, numbers
    )
