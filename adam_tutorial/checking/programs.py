"""Programs that the checker takes, and adapters for other kinds of program."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adam_tutorial._types import Array

if TYPE_CHECKING:
    import torch

__all__ = [
    "RuleProgram",
    "TorchProgram",
    "from_rule",
    "from_torch",
    "plain_adam",
    "takes_weight_decay",
]

# A program may be typed for one precision.
Step = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any] | None]
Make = Callable[..., Step]


def plain_adam(
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float = 0.0
) -> Step:
    """Adam as a function that makes a step: the simplest program to check.

    Parameters
    ----------
    lr, beta1, beta2, eps : float
        As for :func:`adam_tutorial.reference.adam`.
    weight_decay : float
        Each step multiplies the parameters by ``1 - lr * weight_decay``.

    Returns
    -------
    function
        Takes ``(theta, gradient)``, returns the new ``theta``.

    Examples
    --------
    >>> step = plain_adam(lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8)
    >>> step(np.array([1.0, 2.0]), np.array([5.0, -0.001])).round(4).tolist()
    [0.9, 2.1]
    """
    t, m, v = 0, np.zeros(()), np.zeros(())

    def step(theta: Array, gradient: Array) -> Array:
        nonlocal t, m, v
        t = t + 1
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta = theta - lr * weight_decay * theta
        return theta - lr * m_hat / (np.sqrt(v_hat) + eps)

    return step


class RuleProgram:
    """What :func:`from_rule` returns."""

    def __init__(
        self, rule: Callable[..., tuple[Any, Array]], fixed: dict[str, Any]
    ) -> None:
        self.rule, self.fixed = rule, fixed
        self.parameters = inspect.signature(rule).parameters
        self.takes_weight_decay = "weight_decay" in self.parameters

    def __call__(self, *, eps: float, **settings: float) -> Step:
        """Return a step that keeps the state of the rule."""
        called = "eps_hat" if "eps_hat" in self.parameters else "eps"
        given = {**settings, called: eps, **self.fixed}
        state = None

        def step(theta: Array, gradient: Array) -> Array:
            nonlocal state
            needed = {"theta": theta} if "theta" in self.parameters else {}
            state, update = self.rule(state, gradient, **needed, **given)
            return np.asarray(theta + update)

        return step


def from_rule(rule: Callable[..., tuple[Any, Array]], **fixed: Any) -> RuleProgram:
    """Adapt a pure function ``(state, gradient) -> (state, update)`` to the checker.

    Parameters
    ----------
    rule : function
        Takes ``(state, gradient, *, lr, beta1, beta2, eps)``; ``eps`` may be called
        ``eps_hat``. It is given ``theta`` and ``weight_decay`` if it takes them.
    **fixed
        Other arguments of the rule.

    Returns
    -------
    RuleProgram
        What :func:`~adam_tutorial.checking.check_optimizer` takes.

    Examples
    --------
    >>> from adam_tutorial import reference
    >>> from adam_tutorial.checking import check_optimizer
    >>> check_optimizer(from_rule(reference.adam_efficient)).verdict
    'agrees with the efficient order (ε̂)'
    """
    return RuleProgram(rule, fixed)


class TorchProgram:
    """What :func:`from_torch` returns."""

    def __init__(
        self, optimizer_class: type[torch.optim.Optimizer], fixed: dict[str, Any]
    ) -> None:
        self.optimizer_class, self.fixed = optimizer_class, fixed
        self.takes_weight_decay = (
            "weight_decay" in inspect.signature(optimizer_class).parameters
        )

    def __call__(self, **settings: float) -> Step:
        """Return a step of a new optimizer that has one parameter."""
        steps = self.several(**settings)
        return lambda theta, gradient: steps([theta], [gradient])[0]

    def several(
        self, *, lr: float, beta1: float, beta2: float, eps: float, **decay: float
    ) -> Callable[[list[Array], list[Array]], list[Array]]:
        """Return the step of a new optimizer of as many parameters as are stepped."""
        import torch

        parameters: list[torch.nn.Parameter] = []
        optimizer: torch.optim.Optimizer | None = None

        def step(thetas: list[Array], gradients: list[Array]) -> list[Array]:
            nonlocal optimizer
            tensors = [torch.from_numpy(theta.copy()) for theta in thetas]
            if optimizer is None:
                parameters.extend(torch.nn.Parameter(tensor) for tensor in tensors)
                settings = {
                    "lr": lr,
                    "betas": (beta1, beta2),
                    "eps": eps,
                    **decay,
                    **self.fixed,
                }
                optimizer = self.optimizer_class(parameters, **settings)
            for parameter, tensor, gradient in zip(
                parameters, tensors, gradients, strict=True
            ):
                parameter.data.copy_(tensor)
                # Not a copy, so that a program that writes into the gradient is caught.
                parameter.grad = torch.from_numpy(gradient)
            optimizer.step()
            return [parameter.detach().numpy().copy() for parameter in parameters]

        return step


def from_torch(
    optimizer_class: type[torch.optim.Optimizer], **fixed: Any
) -> TorchProgram:
    """Adapt a class of PyTorch optimizers to the checker.

    Parameters
    ----------
    optimizer_class : type
        Called as ``optimizer_class(parameters, lr=..., betas=(..., ...), eps=...)``.
    **fixed
        Other arguments, such as ``amsgrad=True``.

    Returns
    -------
    TorchProgram
        What :func:`~adam_tutorial.checking.check_optimizer` takes. The checker also
        tries the optimizer on two parameters.

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


def takes_weight_decay(make: Make) -> bool:
    """Return whether a program has a weight decay.

    Raises
    ------
    TypeError
        It lacks one of the other settings.
    """
    takes = getattr(make, "takes_weight_decay", None)
    if takes is None:
        parameters = inspect.signature(make).parameters
        missing = [
            name
            for name in ("lr", "beta1", "beta2", "eps")
            if name not in parameters
            and not any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        ]
        if missing:
            raise TypeError(
                "make must take lr, beta1, beta2 and eps by name; it has no"
                f" {', '.join(missing)}"
            )
        takes = "weight_decay" in parameters
    return bool(takes)
