"""A variational autoencoder trained with and without Adam's bias correction.

Section 6.4 of the Adam paper: both decay rates, the learning rate and the correction
are varied. The learning rate is constant.
"""

from __future__ import annotations

import math

import torch
from torch.optim import Optimizer

from adam_tutorial import optim
from adam_tutorial.study.experiments.paper_data import digits
from adam_tutorial.study.experiments.study import Settings
from adam_tutorial.study.models import VariationalAutoencoder

__all__ = ["remove_correction", "train"]

BATCH_SIZE = 100
EPS = 1e-8


def remove_correction(optimizer: Optimizer, lr: float, t: int) -> None:
    """Set learning rate and eps so that Adam's next step is one without correction.

    Parameters
    ----------
    optimizer : Optimizer
        An :class:`adam_tutorial.optim.Adam` with one group.
    lr : float
        The learning rate that is meant.
    t : int
        Number of the next step, from 1.

    Notes
    -----
    Section 2 of the Adam paper has the same equality, the other way round.
    """
    (group,) = optimizer.param_groups
    beta1, beta2 = group["betas"]
    root = math.sqrt(1 - beta2**t)
    group["lr"] = lr * (1 - beta1**t) / root
    group["eps"] = EPS / root


def train(
    settings: Settings, epochs: int, *, max_steps: int | None = None
) -> tuple[list[float], list[float]]:
    """Train one autoencoder on the digits; a run that is no longer finite is stopped.

    Parameters
    ----------
    settings : dict
        "beta1", "beta2", "lr", "corrected" and "seed".
    epochs : int
        An incomplete last batch of an epoch is left out.
    max_steps : int, optional
        Stop after this many steps, on the path of the full run.

    Returns
    -------
    epoch_losses, step_losses : list of float
        The mean loss of each complete epoch, and that of each step, in nats for a
        picture. Of a run that was stopped, the last one is not finite.
    """
    images = digits()["train"][0].flatten(1)
    torch.manual_seed(settings["seed"])
    model = VariationalAutoencoder(images.shape[1])
    betas, lr = (settings["beta1"], settings["beta2"]), settings["lr"]
    optimizer = optim.Adam(model.parameters(), lr=lr, betas=betas, eps=EPS)
    generator = torch.Generator().manual_seed(settings["seed"])
    batches = len(images) // BATCH_SIZE
    epoch_losses: list[float] = []
    step_losses: list[float] = []
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for rows in order[: batches * BATCH_SIZE].split(BATCH_SIZE):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(images[rows]).mean()
            loss.backward()
            if not settings["corrected"]:
                remove_correction(optimizer, lr, len(step_losses) + 1)
            optimizer.step()
            step_losses.append(loss.item())
            if not math.isfinite(step_losses[-1]):
                return [*epoch_losses, math.nan], step_losses
            if len(step_losses) == max_steps:
                return epoch_losses, step_losses
        epoch_losses.append(sum(step_losses[-batches:]) / batches)
    return epoch_losses, step_losses
