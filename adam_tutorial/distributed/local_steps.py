"""DiLoCo: every process trains for itself, and they average only now and then."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector
from torch.optim import SGD, Optimizer

from adam_tutorial._arguments import as_count
from adam_tutorial.distributed.trees import Group, ranks_of, tree_all_reduce

__all__ = ["LocalSteps"]


class LocalSteps:
    """Steps of an inner optimizer, and after every few an outer step on their mean.

    What a process moved since the last outer step, with the sign turned, is its
    pseudo-gradient. Their mean is the gradient of SGD with Nesterov's momentum, which
    moves the point from which all go on.

    Parameters
    ----------
    params : iterable of Tensor
        With the same numbers in all processes.
    inner : Optimizer
        Of these parameters. Its state stays in its process.
    every : int
        How many inner steps make an outer one.
    lr, momentum : float
        Of the outer step. 1 and 0 make it a plain mean of the parameters.
    group : ProcessGroup, optional
        Its number of processes is a power of two.

    Attributes
    ----------
    bytes_sent : int
        By this process so far.

    Raises
    ------
    ValueError, TypeError
        ``every`` is not a whole number of at least 1, or SGD refuses a setting.

    References
    ----------
    Douillard et al. (2023), "DiLoCo: Distributed Low-Communication Training of Language
    Models", algorithm 1.
    """

    bytes_sent: int

    def __init__(
        self,
        params: Iterable[Tensor],
        inner: Optimizer,
        *,
        every: int,
        lr: float = 0.7,
        momentum: float = 0.9,
        group: Group = None,
    ) -> None:
        self.params, self.inner, self.group = list(params), inner, group
        self.every, self.steps = as_count("every", every, 1), 0
        self.shared = parameters_to_vector(self.params).detach().clone()
        self.outer = SGD([self.shared], lr=lr, momentum=momentum, nesterov=momentum > 0)
        self.bytes_sent = 0

    @torch.no_grad()
    def step(self) -> None:
        """Step the inner optimizer, and the outer one if it is time."""
        self.inner.step()
        self.steps += 1
        if self.steps % self.every == 0:
            moved = self.shared - parameters_to_vector(self.params)
            self.bytes_sent += tree_all_reduce(moved, self.group)
            self.shared.grad = moved / ranks_of(self.group)
            self.outer.step()
            sizes = [p.numel() for p in self.params]
            for parameter, part in zip(
                self.params, self.shared.split(sizes), strict=True
            ):
                parameter.copy_(part.view_as(parameter))
