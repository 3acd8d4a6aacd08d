"""Optimizers of PyTorch as programs that the checker takes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adam_tutorial._types import Array
from adam_tutorial.checking.programs import Step

if TYPE_CHECKING:
    import torch

__all__ = ["TorchProgram", "from_torch", "of_instance"]

# One setting for all parameters, or one for each of them, which then are groups.
Several = Callable[[list[Array], list[Array]], list[Array]]


class TorchProgram:
    """What :func:`from_torch` returns."""

    def __init__(
        self, make: Callable[..., torch.optim.Optimizer], fixed: Mapping[str, Any]
    ) -> None:
        self.make, self.fixed = make, dict(fixed)
        self.trains = False
        parameters = _parameters(make)
        self.called = {
            setting: name
            for setting, names in NAMES.items()
            for name in names
            if _is_number(parameters, name)
        }
        self.pair = "betas" in parameters
        default = getattr(parameters.get("betas"), "default", None)
        # Some optimizers have three or more rates; the others keep their defaults.
        self.more_betas = tuple(default)[2:] if isinstance(default, tuple) else ()
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            self.pair = True
            self.called = {"lr": "lr", "eps": "eps"} | self.called
        self.takes = {*self.called, *(("beta1", "beta2") if self.pair else ())}
        if isinstance(default, tuple) and len(default) < 2:
            self.pair, self.takes = False, self.takes - {"beta1", "beta2"}

    def __call__(self, **settings: float) -> Step:
        """Return a step of a new optimizer that has one parameter."""
        steps = self.several([settings])
        return lambda theta, gradient: steps([theta], [gradient])[0]

    def several(self, settings: Sequence[Mapping[str, float]]) -> Several:
        """Return the step of a new optimizer with one parameter for each settings.

        Parameters with equal settings, one after the other, are one group.
        """
        import torch

        parameters: list[torch.nn.Parameter] = []
        optimizer: torch.optim.Optimizer | None = None

        def step(thetas: list[Array], gradients: list[Array]) -> list[Array]:
            nonlocal optimizer
            tensors = [torch.from_numpy(theta.copy()) for theta in thetas]
            if optimizer is None:
                parameters.extend(torch.nn.Parameter(tensor) for tensor in tensors)
                optimizer = self._new(parameters, settings)
            for parameter, tensor, gradient in zip(
                parameters, tensors, gradients, strict=True
            ):
                parameter.data.copy_(tensor)
                # Not a copy, so that a program that writes into the gradient is caught.
                parameter.grad = torch.from_numpy(gradient)
            optimizer.step()
            return [parameter.detach().numpy().copy() for parameter in parameters]

        return step

    def _new(
        self, parameters: list[Any], settings: Sequence[Mapping[str, float]]
    ) -> torch.optim.Optimizer:
        groups: list[dict[str, Any]] = []
        for parameter, its in zip(parameters, settings, strict=True):
            arguments = self._arguments(its)
            if groups and {**groups[-1], "params": None} == {
                "params": None,
                **arguments,
            }:
                groups[-1]["params"].append(parameter)
            else:
                groups.append({"params": [parameter], **arguments})
        one = len(groups) == 1
        given = self._arguments(settings[0]) | copy.deepcopy(self.fixed)
        optimizer = self.make(groups[0]["params"] if one else groups, **given)
        train = getattr(optimizer, "train", None)
        if callable(train):  # schedule-free ones have it
            train()
            self.trains = True
        return optimizer

    def _arguments(self, settings: Mapping[str, float]) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            name: settings[setting]
            for setting, name in self.called.items()
            if setting in settings
        }
        if self.pair:
            betas = settings["beta1"], settings["beta2"]
            arguments["betas"] = (*betas, *self.more_betas)
        # What stands in a group would win over what is fixed.
        return {k: v for k, v in arguments.items() if k not in self.fixed}


# What optimizers without a pair of betas call their rates.
NAMES = {
    "lr": ("lr",),
    "beta1": ("beta1",),
    "beta2": ("beta2", "alpha", "rho"),
    "eps": ("eps",),
    "weight_decay": ("weight_decay",),
}


def _parameters(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return what a class or a function takes.

    A subclass may pass on what it is given, and then takes what its base takes.
    """
    parameters = dict(inspect.signature(make).parameters)
    bases = inspect.getmro(make)[1:] if inspect.isclass(make) else ()
    for base in bases:
        rest = [its for its in parameters.values() if its.kind is its.VAR_KEYWORD]
        if not rest or base.__module__ == "torch.optim.optimizer":
            break
        del parameters[rest[0].name]
        parameters |= inspect.signature(base).parameters
    return parameters


def _is_number(parameters: Mapping[str, inspect.Parameter], name: str) -> bool:
    """Return whether there is such an argument, and it is not a pair of numbers."""
    return name in parameters and not isinstance(parameters[name].default, tuple | list)


def from_torch(
    optimizer_class: Callable[..., torch.optim.Optimizer], **fixed: Any
) -> TorchProgram:
    """Adapt a class of PyTorch optimizers to the checker.

    Parameters
    ----------
    optimizer_class : type
        Called as ``optimizer_class(parameters, lr=..., betas=(..., ...), eps=...)``,
        without the settings that it does not take.
    **fixed
        Other arguments, such as ``amsgrad=True``.

    Returns
    -------
    TorchProgram
        What :func:`~adam_tutorial.checking.check_optimizer` takes. The checker also
        tries the optimizer on several parameters and on two groups.

    Examples
    --------
    >>> import torch
    >>> from adam_tutorial.checking import check_optimizer
    >>> report = check_optimizer(from_torch(torch.optim.AdamW), rule="AdamW")
    >>> report.verdict
    'agrees with AdamW: decay beside Algorithm 1'
    >>> report.remarks[0].seen
    'a step takes lr * weight_decay of theta away (decoupled, as in PyTorch)'
    """
    return TorchProgram(optimizer_class, fixed)


def of_instance(optimizer: torch.optim.Optimizer) -> TorchProgram:
    """Return new optimizers of the same class with the same other arguments.

    Neither the optimizer nor its parameters are touched.
    """
    make = type(optimizer)
    free = {"betas", *(name for names in NAMES.values() for name in names)}
    fixed = {
        name: value
        for name, value in optimizer.defaults.items()
        if name in _parameters(make) and name not in free
    }
    return TorchProgram(make, fixed)
