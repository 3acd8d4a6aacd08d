"""A plain training loop for classifiers, and their evaluation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from adam_tutorial._arguments import check_at_least

__all__ = ["Evaluation", "History", "corrected_moments", "evaluate", "fit"]

Examples = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Evaluation:
    """How well a model does on a set of examples.

    Attributes
    ----------
    loss : float
        Mean cross-entropy, in nats.
    accuracy : float
        Share of right answers.
    predictions : Tensor of int64, shape (n,)
        The class with the largest logit.
    losses : Tensor, shape (n,)
        Cross-entropy of each example.
    """

    loss: float
    accuracy: float
    predictions: Tensor
    losses: Tensor


@dataclass
class History:
    """What was recorded while training.

    Attributes
    ----------
    step_losses : list of float
        Loss of each mini-batch, before its step.
    train_losses : list of float
        For each epoch, the mean of its step losses.
    validations : list of Evaluation
        One for each epoch; empty if there are no validation examples.
    """

    step_losses: list[float] = field(default_factory=list)
    train_losses: list[float] = field(default_factory=list)
    validations: list[Evaluation] = field(default_factory=list)


def fit(
    model: nn.Module,
    optimizer: Optimizer,
    train: Examples,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    transform: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    scheduler: LRScheduler | None = None,
    label_smoothing: float = 0.0,
    validation: Examples | None = None,
    on_epoch: Callable[[int, History], None] | None = None,
    max_steps: int | None = None,
    progress: bool | None = None,
) -> History:
    """Train a classifier on mini-batches with cross-entropy.

    Parameters
    ----------
    model : Module
        Takes a batch of inputs, returns logits of shape (batch, classes). It is
        changed in place.
    optimizer : Optimizer
        Holds the model's parameters.
    train : pair of Tensor
        Inputs of shape (n, ...) and labels of shape (n,).
    epochs, batch_size : int
        Each epoch visits the examples once, in a new random order; an incomplete last
        batch is left out.
    seed : int
        Seed of the order and of ``transform``. Dropout uses torch's global generator.
    transform : function, optional
        Augmentation: takes a batch of inputs and a random generator, returns a batch.
    scheduler : LRScheduler, optional
        Stepped after every optimizer step.
    label_smoothing : float
        Share of each label that is spread evenly over all classes, in the loss that is
        trained on.
    validation : pair of Tensor, optional
        Evaluated after each epoch.
    on_epoch : function, optional
        Called after each epoch with its number (from 1) and the history so far.
    max_steps : int, optional
        Stop after this many steps, exactly on the path of the full run.
    progress : bool, optional
        Show a progress bar; by default only when standard error is a terminal.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        A count is less than 1, the two tensors differ in length, or there are fewer
        examples than a batch holds.
    """
    inputs, labels = train
    counts = {"epochs": epochs, "batch_size": batch_size, "max_steps": max_steps}
    for name, count in counts.items():
        if count is not None:
            check_at_least(name, count, 1)
    if len(inputs) != len(labels):
        raise ValueError(f"train has {len(inputs)} inputs but {len(labels)} labels")
    if batch_size > len(labels):
        raise ValueError(
            f"batch_size is {batch_size}, but there are {len(labels)} examples"
        )

    generator = torch.Generator().manual_seed(seed)
    history = History()
    batches = len(labels) // batch_size
    total = min(epochs * batches, max_steps or epochs * batches)
    hidden = not (sys.stderr.isatty() if progress is None else progress)
    with tqdm(total=total, disable=hidden, unit="step", leave=False) as bar:
        for epoch in range(1, epochs + 1):
            model.train()
            order = torch.randperm(len(labels), generator=generator)
            for indices in order[: batches * batch_size].split(batch_size):
                batch = inputs[indices]
                if transform is not None:
                    batch = transform(batch, generator)
                optimizer.zero_grad()
                loss = functional.cross_entropy(
                    model(batch), labels[indices], label_smoothing=label_smoothing
                )
                loss.backward()
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()
                history.step_losses.append(loss.item())
                bar.update()
                if len(history.step_losses) == total:
                    break
            if len(history.step_losses) < epoch * batches:
                break  # stopped within an epoch, which has no mean then
            recent = history.step_losses[-batches:]
            history.train_losses.append(sum(recent) / batches)
            if validation is not None:
                history.validations.append(evaluate(model, validation))
            if on_epoch is not None:
                on_epoch(epoch, history)
            if len(history.step_losses) == total:
                break
    return history


@torch.no_grad()
def evaluate(
    model: nn.Module, examples: Examples, *, batch_size: int = 500
) -> Evaluation:
    """Measure loss and accuracy in evaluation mode; the model's own mode is restored.

    Parameters
    ----------
    model : Module
        Returns logits of shape (batch, classes).
    examples : pair of Tensor
        Inputs of shape (n, ...) and labels of shape (n,), n at least 1.
    batch_size : int
        Examples per forward pass; does not change the result beyond rounding.

    Raises
    ------
    ValueError
        There are no examples, or ``batch_size`` is less than 1.
    """
    inputs, labels = examples
    check_at_least("batch_size", batch_size, 1)
    if len(labels) == 0:
        raise ValueError("examples must not be empty: there is no mean of nothing")
    # Module by module, so that a frozen part stays in evaluation mode.
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        logits = torch.cat([model(batch) for batch in inputs.split(batch_size)])
    finally:
        for module, training in modes.items():
            module.training = training
    predictions = logits.argmax(dim=1)
    return Evaluation(
        loss=functional.cross_entropy(logits, labels).item(),
        accuracy=(predictions == labels).double().mean().item(),
        predictions=predictions,
        losses=functional.cross_entropy(logits, labels, reduction="none"),
    )


def corrected_moments(
    network: nn.Module, optimizer: Optimizer
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield what Adam keeps of each layer's weights, corrected for its start at zero.

    Parameters
    ----------
    network : Module
        Its layers are named by their numbers. Vectors, such as biases, are left out.
    optimizer : Optimizer
        An :class:`adam_tutorial.optim.Adam` that trains it, with the same decay rates
        for all parameters.

    Yields
    ------
    layer, m_hat, root : str, Tensor, Tensor
        The root is that of v_hat. Both have the shape of the weights.
    """
    beta1, beta2 = optimizer.param_groups[0]["betas"]
    for name, weight in network.named_parameters():
        if weight.ndim > 1:
            state = optimizer.state[weight]
            t = int(state["step"])
            root = (state["exp_avg_sq"] / (1 - beta2**t)).sqrt()
            yield name.partition(".")[0], state["exp_avg"] / (1 - beta1**t), root
