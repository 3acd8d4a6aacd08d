"""The gradient of each example in a batch, and what can be done with it."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from adam_tutorial._arguments import check_between

__all__ = [
    "clip_each",
    "generalised_cross_entropy",
    "gradient_norms",
    "gradients",
]

Gradients: TypeAlias = dict[str, Tensor]


def gradients(model: nn.Module, inputs: Tensor, labels: Tensor) -> Gradients:
    """Return the gradients of the cross-entropy of each example.

    Parameters
    ----------
    model : Module
        Takes a batch of inputs, returns logits of shape (batch, classes). It has no
        batch normalisation, with which an example has no gradient of its own, and no
        dropout in training mode.
    inputs : Tensor, shape (n, ...)
    labels : Tensor of int64, shape (n,)

    Returns
    -------
    dict of str to Tensor
        For each parameter, a tensor whose first dimension is n. The mean over the
        examples is the gradient of the mean loss.

    Raises
    ------
    ValueError
        The model has batch normalisation.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ValueError(
                f"{name} is a batch normalisation: examples have no gradients of"
                " their own"
            )
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: Gradients, one: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, parameters, (one.unsqueeze(0),))
        return functional.cross_entropy(logits, label.unsqueeze(0))

    each: Gradients = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, inputs, labels)
    return each


def gradient_norms(
    model: nn.Module, inputs: Tensor, labels: Tensor, *, batch_size: int = 25
) -> Tensor:
    """Return the norm of the gradient of each example, in evaluation mode.

    Parameters
    ----------
    model, inputs, labels : Module, Tensor, Tensor
        As for :func:`gradients`. The model is left in evaluation mode.
    batch_size : int
        Examples at a time: all their gradients are in memory together.

    Returns
    -------
    Tensor, shape (n,)
    """
    model.eval()
    batches = zip(inputs.split(batch_size), labels.split(batch_size), strict=True)
    return torch.cat([_norms(gradients(model, *batch)) for batch in batches])


def clip_each(model: nn.Module, inputs: Tensor, labels: Tensor, limit: float) -> None:
    """Set the gradients of a model to the mean of the clipped gradients of examples.

    Parameters
    ----------
    model, inputs, labels : Module, Tensor, Tensor
        As for :func:`gradients`.
    limit : float
        An example's gradient is scaled down to this norm if it is longer.

    References
    ----------
    Abadi et al. (2016), "Deep Learning with Differential Privacy", algorithm 1,
    without the noise that makes it private.
    """
    each = gradients(model, inputs, labels)
    weights = (limit / _norms(each)).clamp(max=1.0) / len(labels)
    for name, parameter in model.named_parameters():
        parameter.grad = torch.einsum("n,n...->...", weights, each[name])


def generalised_cross_entropy(logits: Tensor, labels: Tensor, q: float = 0.7) -> Tensor:
    r"""Return the mean of :math:`(1-p^q)/q`, p being the probability of the label.

    For q to 0 it is the cross-entropy, for q = 1 the probability of a wrong answer. Its
    gradient is that of the cross-entropy times :math:`p^q`: examples whose label the
    model finds unlikely count less.

    Parameters
    ----------
    logits : Tensor, shape (n, classes)
    labels : Tensor of int64, shape (n,)
    q : float
        In (0, 1].

    References
    ----------
    Zhang, Sabuncu (2018), "Generalized Cross Entropy Loss for Training Deep Neural
    Networks with Noisy Labels", equation 6.
    """
    check_between("q", q, 1e-6, 1.0)
    log_p = -functional.cross_entropy(logits, labels, reduction="none")
    return (-torch.expm1(q * log_p) / q).mean()


def _norms(each: Gradients) -> Tensor:
    squares = [g.flatten(1).square().sum(dim=1) for g in each.values()]
    return torch.stack(squares).sum(dim=0).sqrt()
