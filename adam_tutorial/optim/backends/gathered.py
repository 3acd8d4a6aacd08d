"""What one native call needs of parameters, and whether it still holds.

An address is good only as long as what it belongs to: a program may load a checkpoint,
replace a parameter's data or a moment, or take parameters out, and tell no optimizer.
So everything is compared with what was found before, at each step. The comparisons run
over whole lists, since a loop in Python would take longer than the step of a small
tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter, is_, itemgetter
from typing import Any

import torch
from torch import Tensor

__all__ = ["Batch", "Gathered", "Looks", "is_dense", "overlapping"]

_gradient = attrgetter("grad")
_address = Tensor.data_ptr


class Looks:
    """What tensors look like: class, type, device, shape, order in memory.

    Parameters
    ----------
    tensors : sequence of Tensor
        As they are to be found again.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._looks = list(map(_look, tensors))
        self._guard = _guard_of(tensors)

    def match(self, tensors: Sequence[Any]) -> bool:
        """Return whether these look the same, one by one. None looks like no tensor."""
        if self._guard is not None:
            return bool(self._guard.check(*tensors))
        return all(map(_has_look, tensors, self._looks))


def _look(tensor: Tensor) -> tuple[Any, ...]:
    signs = (tensor.is_neg(), tensor.is_conj())
    return (
        type(tensor),
        tensor.dtype,
        tensor.device,
        tensor.shape,
        tensor.stride(),
        signs,
    )


def _has_look(tensor: Any, look: tuple[Any, ...]) -> bool:
    if type(tensor) is not look[0] or tensor.layout != torch.strided:
        return False
    return _look(tensor) == look


def _guard_of(tensors: Sequence[Tensor]) -> Any:
    """Return PyTorch's own check of many tensors, if it works as this module needs it.

    The compiler of PyTorch uses it. It takes 40 ns a tensor, a tenth of what Python
    takes; but it is not documented, so it is tried before it is trusted.
    """
    try:
        guards: Any = torch._C._dynamo.guards
        guard = guards.TensorGuards(
            *tensors,
            dynamic_dims_sizes=[list(tensor.shape) for tensor in tensors],
            dynamic_dims_strides=[list(tensor.stride()) for tensor in tensors],
        )
        others = [*tensors[:-1], torch.empty((0,) * 7, dtype=torch.bool)]
        is_right = guard.check(*tensors) and not guard.check(*others)
    except (AttributeError, TypeError, RuntimeError, SystemError):
        return None
    return guard if is_right else None


class Batch:
    """Parameters of one type that keep the same, and how they were when gathered.

    Parameters
    ----------
    parameters : sequence of Tensor
        With gradients; dense, on one device.
    entries : sequence of dict
        The state of each.
    names : tuple of str
        The tensors in the state, beside ``step``.
    groups : sequence of int
        The place of each one's group.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        entries: Sequence[Mapping[str, Any]],
        names: tuple[str, ...],
        groups: Sequence[int],
    ) -> None:
        self.parameters = parameters
        self.groups = groups
        gradients: list[Any] = list(map(_gradient, parameters))
        self.addresses = list(map(_address, parameters))
        self._looks = Looks(parameters)
        self._looks_of_gradients = Looks(gradients)
        self._turned = [
            place
            for place, gradient in enumerate(gradients)
            if gradient.stride() != parameters[place].stride()
            or gradient.is_neg()
            or gradient.is_conj()
        ]
        self._take(gradients)
        self._entries = entries
        self.stored: dict[str, list[Tensor]] = {
            name: [entry[name] for entry in entries] for name in (*names, "step")
        }
        self.stored_addresses = {
            name: list(map(_address, tensors)) for name, tensors in self.stored.items()
        }

    def _take(self, gradients: Sequence[Tensor]) -> None:
        """Take the gradients of this step, in the order of their parameters."""
        self.gradients = list(gradients)
        for place in self._turned:
            straight = torch.empty_like(self.parameters[place], requires_grad=False)
            self.gradients[place] = straight.copy_(gradients[place].detach())

    def let_go(self) -> None:
        """Forget the gradients: kept until the next step, they would fill memory."""
        self.gradients = []

    def give_back(self) -> None:
        """Copy the gradients that were straightened to where they came from."""
        for place in self._turned:
            gradient: Any = self.parameters[place].grad
            gradient.detach().copy_(self.gradients[place])

    def gradient_addresses(self) -> list[int]:
        """Return where the gradients of this step are."""
        return list(map(_address, self.gradients))

    def is_current(self, gradients: Sequence[Any]) -> bool:
        """Return whether all is as it was, and take these gradients if so."""
        if not (
            self._looks_of_gradients.match(gradients)
            and self._looks.match(self.parameters)
            and list(map(_address, self.parameters)) == self.addresses
        ):
            return False
        for name, known in self.stored.items():
            try:
                found = list(map(itemgetter(name), self._entries))
            except KeyError:
                return False
            # A tensor can be given other memory and stay the same object.
            where = list(map(_address, known))
            if not _same(found, known) or where != self.stored_addresses[name]:
                return False
        self._take(gradients)
        return True


class Gathered:
    """All parameters of an optimizer, those in batches and those with no gradient.

    Parameters
    ----------
    groups : sequence of dict
        The optimizer's groups.
    state : mapping
        The optimizer's state.
    batches : sequence of Batch
        Those with a gradient.
    """

    def __init__(
        self,
        groups: Sequence[Mapping[str, Any]],
        state: Mapping[Any, Any],
        batches: Sequence[Batch],
    ) -> None:
        self.batches = batches
        self._lists = [list(group["params"]) for group in groups]
        self._all = [p for parameters in self._lists for p in parameters]
        self._entries = list(state.values())
        place = {id(parameter): i for i, parameter in enumerate(self._all)}
        places = [[place[id(p)] for p in batch.parameters] for batch in batches]
        taken = {i for picked in places for i in picked}
        self._without = [i for i in range(len(self._all)) if i not in taken]
        # None stands for all.
        self._picked = [None if len(p) == len(self._all) else p for p in places]

    def is_current(
        self, groups: Sequence[Mapping[str, Any]], state: Mapping[Any, Any]
    ) -> bool:
        """Return whether all is as it was; the batches have their gradients then."""
        if len(groups) != len(self._lists) or not all(
            _same(group["params"], known)
            for group, known in zip(groups, self._lists, strict=True)
        ):
            return False
        gradients: list[Any] = list(map(_gradient, self._all))
        return (
            all(gradients[i] is None for i in self._without)
            and _same(state.values(), self._entries)
            and all(
                batch.is_current(
                    gradients if picked is None else [gradients[i] for i in picked]
                )
                for batch, picked in zip(self.batches, self._picked, strict=True)
            )
        )


def is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor's elements fill a piece of memory, each of them once."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def overlapping(tensors: Collection[Tensor]) -> set[int]:
    """Return the identities of dense tensors that share memory with another one."""
    spans = sorted(
        (tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes, id(tensor))
        for tensor in tensors
        if tensor.numel()
    )
    shared: set[int] = set()
    end, owner = 0, 0
    for first, last, identity in spans:
        if first < end:
            shared |= {owner, identity}
        if last > end:
            end, owner = last, identity
    return shared


def _same(found: Collection[Any], known: Sequence[Any]) -> bool:
    """Return whether two collections hold the same objects, in one order."""
    return len(found) == len(known) and all(map(is_, found, known))
