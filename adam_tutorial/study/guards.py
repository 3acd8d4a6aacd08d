"""Guards of a training run: what to do about one bad gradient before the next step.

A guard is called after ``backward()`` and before ``optimizer.step()``. It may change
gradients, learning rates or the optimizer's state, and returns whether to take the
step. Each takes the settings of its paper or program as defaults; where it does
something else, its docstring says so.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim import Optimizer

from adam_tutorial._arguments import check_at_least

__all__ = [
    "AdaptiveClip",
    "GlobalClip",
    "Guard",
    "MomentumReset",
    "NoGuard",
    "Skip",
    "UpdateClip",
]

Guard = Callable[[Optimizer], bool]

# Steps after a reset in which v is too young to be a measure of anything.
_GRACE = 20
# Norms of which a median can be taken seriously.
_FEW = 20


class NoGuard:
    """Let every step pass."""

    def __call__(self, optimizer: Optimizer) -> bool:  # noqa: ARG002
        """Return True."""
        return True


class GlobalClip:
    """Scale all gradients down together if their common norm exceeds a limit.

    Parameters
    ----------
    limit : float
        The largest norm.

    References
    ----------
    Pascanu, Mikolov, Bengio (2013), "On the difficulty of training recurrent neural
    networks", section 3.2.
    """

    def __init__(self, limit: float = 1.0) -> None:
        self.limit = _positive("limit", limit)

    def __call__(self, optimizer: Optimizer) -> bool:
        """Clip the gradients, return True."""
        clip_grad_norm_(_parameters(optimizer), self.limit)
        return True


class UpdateClip:
    r"""Divide the learning rate of a tensor if v is too small for its gradient.

    Parameters
    ----------
    limit : float
        The rate is divided by ``rms / limit`` where ``rms``, the root mean square of
        :math:`g/\sqrt{\hat v}`, exceeds the limit. The paper has 1.

    Notes
    -----
    The optimizer must be Adam with each parameter in a group of its own, because a
    group has one learning rate. v includes this step's gradient. The paper corrects
    the bias of v by a β₂ that depends on the step, which is the same thing, and has
    weight decay, which the rate multiplies too.

    References
    ----------
    Wortsman et al. (2023), "Stable and low-precision training for large-scale
    vision-language models", algorithm 2 (StableAdamW); the clipping is Adafactor's.
    """

    def __init__(self, limit: float = 1.0) -> None:
        self.limit = _positive("limit", limit)
        self._rates: list[float] = []

    def __call__(self, optimizer: Optimizer) -> bool:
        """Set the learning rates of this step, return True."""
        self._rates = self._rates or [group["lr"] for group in optimizer.param_groups]
        for group, lr in zip(optimizer.param_groups, self._rates, strict=True):
            (parameter,) = group["params"]
            beta2, eps = group["betas"][1], group["eps"]
            state: dict[str, Any] = optimizer.state.get(parameter, {})
            old, t = state.get("exp_avg_sq", 0.0), int(state.get("step", 0)) + 1
            square = parameter.grad.square()
            v_hat = (beta2 * old + (1 - beta2) * square) / (1 - beta2**t)
            rms = (square / v_hat.clamp(min=eps**2)).mean().sqrt().item()
            group["lr"] = lr / max(1.0, rms / self.limit)
        return True


class AdaptiveClip:
    """Clip each tensor's gradient at a multiple of the average of its clipped norms.

    Parameters
    ----------
    relative : float
        The multiple.
    decay : float
        Decay rate of the average.
    warmup : int
        Until this step, the common norm is clipped at ``absolute`` instead, and the
        smallest norm of each tensor so far is kept as the first average.
    absolute : float
        The limit during warm-up.

    References
    ----------
    Wang et al. (2025), "AdaGC: Enhancing LLM Pretraining Stability via Adaptive
    Gradient Clipping", arXiv 2502.11034, algorithm 1. The defaults are those of the
    implementation in pytorch_optimizer.
    """

    def __init__(
        self,
        relative: float = 1.05,
        decay: float = 0.98,
        warmup: int = 100,
        absolute: float = 1.0,
    ) -> None:
        self.relative = _positive("relative", relative)
        check_at_least("warmup", warmup, 1)
        self.decay, self.warmup = decay, warmup
        self.absolute = _positive("absolute", absolute)
        self._averages: dict[Tensor, Tensor] = {}
        self._step = 0

    def __call__(self, optimizer: Optimizer) -> bool:
        """Clip the gradients, return True."""
        self._step += 1
        parameters = _parameters(optimizer)
        if self._step <= self.warmup:
            clip_grad_norm_(parameters, self.absolute)
            for parameter in parameters:
                norm = _norm(parameter)
                first = self._averages.get(parameter, norm)
                self._averages[parameter] = torch.minimum(first, norm)
            return True
        for parameter in parameters:
            average = self._averages[parameter]
            clip_grad_norm_([parameter], self.relative * average.item())
            self._averages[parameter] = average.lerp(_norm(parameter), 1 - self.decay)
        return True


class MomentumReset:
    """Forget the moments at intervals, and cut single elements of a gradient (SPAM).

    Parameters
    ----------
    interval : int
        Steps between two resets.
    threshold : float
        An element whose square exceeds this multiple of its v, before the step, is cut
        down to it.
    warmup : float
        Share of an interval, after a reset, over which the learning rate rises from 0
        along half a cosine.

    Notes
    -----
    A reset clears the whole state, so that t counts from 1 again and the bias is
    corrected as at the beginning; in the authors' program t goes on. Like there, no
    element is cut in the first 20 steps after a reset. Unlike there, none is cut whose
    v is 0: it would keep that v until the next reset, and not move. Keeping the moments
    of a part of the elements only, which the paper offers to save memory, is left out.

    References
    ----------
    Huang et al. (2025), "SPAM: Spike-Aware Adam with Momentum Reset for Stable LLM
    Training", ICLR, algorithm 1.
    """

    def __init__(
        self, interval: int = 500, threshold: float = 5000.0, warmup: float = 0.3
    ) -> None:
        check_at_least("interval", interval, 1)
        self.interval, self.warmup = interval, warmup
        self.threshold = _positive("threshold", threshold)
        self._rates: list[float] = []
        self._step = 0

    def __call__(self, optimizer: Optimizer) -> bool:
        """Reset at the end of an interval, cut the gradients, return True."""
        self._rates = self._rates or [group["lr"] for group in optimizer.param_groups]
        intervals, since = divmod(self._step, self.interval)  # since: from 0
        self._step += 1
        if intervals and not since:
            optimizer.state.clear()
        rising = (since + 1) / (self.warmup * self.interval) if intervals else 1.0
        factor = (1 - math.cos(math.pi * min(1.0, rising))) / 2
        for group, lr in zip(optimizer.param_groups, self._rates, strict=True):
            group["lr"] = factor * lr
            for parameter in group["params"] if since >= _GRACE else ():
                v = optimizer.state[parameter]["exp_avg_sq"]
                limit = torch.where(v > 0, (self.threshold * v).sqrt(), math.inf)
                parameter.grad.clamp_(-limit, limit)
        return True


class Skip:
    """Leave out a step whose gradient norm is far above the recent median.

    Parameters
    ----------
    factor : float
        How many times the median.
    window : int
        Norms to take the median of, skipped steps included; until there are 20, every
        step is taken.

    Notes
    -----
    The optimizers of OLMo-core that skip steps compare loss and norm with mean and
    standard deviation of the last 128, and skip beyond six standard deviations. The
    median is used here because a bad batch in the window hardly moves it; the standard
    deviation then hides the next one.

    References
    ----------
    OLMo-core, ``SkipStepOptimizer``.
    """

    def __init__(self, factor: float = 5.0, window: int = 128) -> None:
        check_at_least("window", window, _FEW)
        self.factor = _positive("factor", factor)
        self._norms: deque[float] = deque(maxlen=window)

    def __call__(self, optimizer: Optimizer) -> bool:
        """Return whether the step is to be taken."""
        gradients = [p.grad for p in _parameters(optimizer) if p.grad is not None]
        norm = get_total_norm(gradients).item()
        few = len(self._norms) < _FEW
        # Not-a-number is not smaller than anything: such a step is left out.
        usual = few or norm <= self.factor * median(self._norms)
        self._norms.append(norm)
        return usual


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _norm(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return get_total_norm([parameter.grad])


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be positive, got {value!r}")
    return value
