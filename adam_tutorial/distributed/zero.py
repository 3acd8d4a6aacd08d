"""ZeRO, stage 1, by hand: each process keeps the optimizer's state of its share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from adam_tutorial.distributed.trees import Group, rank_of, ranks_of

__all__ = ["Zero1", "shares"]


def shares(sizes: Sequence[int], ranks: int) -> list[int]:
    """Deal tensors out to processes, the largest first, each to who has least.

    Parameters
    ----------
    sizes : sequence of int
        Elements of each tensor.
    ranks : int
        Number of processes.

    Returns
    -------
    list of int
        The rank that gets each tensor.

    Examples
    --------
    >>> shares([10, 400, 90, 300], ranks=2)
    [1, 0, 1, 1]
    """
    loads, owner = [0] * ranks, [0] * len(sizes)
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        owner[place] = loads.index(min(loads))
        loads[owner[place]] += sizes[place]
    return owner


class Zero1:
    """An optimizer whose state is divided among processes, tensor by tensor.

    Every process holds all parameters and the same gradients. It steps its share of the
    parameters and broadcasts them. A rule that looks at one tensor at a time gives the
    same bits as without.

    Parameters
    ----------
    params : iterable of Tensor or of dict
        Parameters or groups, in the same order in all processes.
    make : function
        From groups to an optimizer: ``lambda groups: Adam(groups, fused=True)``.
    group : ProcessGroup, optional
        By default all processes.

    Attributes
    ----------
    optimizer : Optimizer
        Of this process's share; ``nonfinite`` decides for the share alone. A scheduler
        of learning rates is given this one, in every process.
    bytes_sent : int
        By this process so far, if it hands each of its tensors to one other process,
        which hands it on.

    Raises
    ------
    ValueError
        There are no parameters, or ``max_grad_norm`` is set: the optimizer would see
        the gradients of its share. Call ``torch.nn.utils.clip_grad_norm_`` instead.

    References
    ----------
    Rajbhandari et al. (2020), "ZeRO: Memory Optimizations Toward Training Trillion
    Parameter Models", section 5.1.
    """

    bytes_sent: int
    optimizer: Optimizer

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        make: Callable[[list[dict[str, Any]]], Optimizer],
        group: Group = None,
    ) -> None:
        given: list[Any] = list(params)
        if not given:
            raise ValueError("there are no parameters")
        whole = given if isinstance(given[0], dict) else [{"params": given}]
        whole = [{**each, "params": list(each["params"])} for each in whole]
        self.group, self.bytes_sent = group, 0
        self.rank, self.ranks = rank_of(group), ranks_of(group)
        self.params: list[Tensor] = [p for each in whole for p in each["params"]]
        # The numbers that a state dict gives to the parameters of each group.
        numbers = iter(range(len(self.params)))
        self.numbers = [[next(numbers) for _ in each["params"]] for each in whole]
        self.owner = shares([p.numel() for p in self.params], self.ranks)
        self.optimizer = make(
            [
                {**each, "params": [self.params[i] for i in own]}
                for each, own in zip(whole, self._numbers_of(self.rank), strict=True)
            ]
        )
        if any(each.get("max_grad_norm") is not None for each in self.param_groups):
            raise ValueError("max_grad_norm needs the gradients of all parameters")

    def _numbers_of(self, rank: int) -> list[list[int]]:
        """Return the numbers of a process's parameters, group by group."""
        return [[i for i in some if self.owner[i] == rank] for some in self.numbers]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups, each with this process's share of its parameters."""
        return self.optimizer.param_groups

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to None."""
        for parameter in self.params:
            parameter.grad = None

    def step(self) -> None:
        """Step this process's share, and exchange the parameters."""
        self.optimizer.step()
        for parameter, owner in zip(self.params, self.owner, strict=True):
            if self.ranks > 1:
                dist.broadcast(parameter.data, group=self.group, group_src=owner)
                self.bytes_sent += parameter.nbytes * (owner == self.rank)

    def state_dict(self) -> dict[str, Any]:
        """Return what the optimizer of all parameters would; all processes call it.

        Each of them holds the state of all while it does.
        """
        parts: list[Any] = [self.optimizer.state_dict()] * self.ranks
        if self.ranks > 1:
            dist.all_gather_object(parts, parts[self.rank], group=self.group)
        state: dict[int, Any] = {}
        for rank, part in enumerate(parts):
            own = list(chain(*self._numbers_of(rank)))
            state |= {own[i]: entry for i, entry in part["state"].items()}
        groups = [
            {**each, "params": numbers}
            for each, numbers in zip(
                parts[0]["param_groups"], self.numbers, strict=True
            )
        ]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take this process's share of the state of the optimizer of all parameters.

        Parameters
        ----------
        state_dict : mapping
            From any number of processes, or from the optimizer without ``Zero1``.

        Raises
        ------
        ValueError, TypeError
            It has other groups, or the optimizer refuses it.
        """
        found = [list(each["params"]) for each in state_dict["param_groups"]]
        if found != self.numbers:
            sizes = [len(each) for each in self.numbers]
            raise ValueError(
                f"the state dict has groups of {[len(each) for each in found]}"
                f" parameters, this optimizer has {sizes}"
            )
        own = self._numbers_of(self.rank)
        place = {number: i for i, number in enumerate(chain(*own))}
        self.optimizer.load_state_dict(
            {
                "state": {
                    place[number]: entry
                    for number, entry in state_dict["state"].items()
                    if number in place
                },
                "param_groups": [
                    {**each, "params": [place[number] for number in numbers]}
                    for each, numbers in zip(
                        state_dict["param_groups"], own, strict=True
                    )
                ],
            }
        )
