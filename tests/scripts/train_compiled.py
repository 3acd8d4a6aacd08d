"""Train a small character model with a compiled model and a compiled optimizer step.

The text is the Zen of Python, which every Python brings along.
"""

from __future__ import annotations

import codecs
import shutil

import torch
from torch import nn
from torch.optim import Adam

CONTEXT, STEPS = 8, 60
BACKEND = "inductor" if shutil.which("g++") or shutil.which("clang++") else "aot_eager"


def the_zen() -> str:
    """The module prints when it is imported: read its source instead."""
    import importlib.util
    from pathlib import Path

    found = importlib.util.find_spec("this")
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).read_text(encoding="utf-8")
    return codecs.decode(source.split('"""')[1], "rot13")


class CharacterModel(nn.Module):
    """Predict the next character from the last few."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(letters, 16)
        self.hidden = nn.Linear(16 * CONTEXT, 64)
        self.out = nn.Linear(64, letters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (batch, letters)."""
        logits: torch.Tensor = self.out(torch.tanh(self.hidden(self.embed(x).flatten(1))))
        return logits


def main() -> tuple[list[float], float]:
    """Return the loss of every step and the share of characters that are predicted rightly."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    text = the_zen()
    letters = sorted(set(text))
    codes = torch.tensor([letters.index(letter) for letter in text])
    x = codes.unfold(0, CONTEXT, 1)[:-1]
    y = codes[CONTEXT:]
    model = CharacterModel(len(letters))
    compiled = torch.compile(model, backend=BACKEND)
    optimizer = Adam(model.parameters(), lr=torch.tensor(0.01), amsgrad=True)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.98)
    take_step = torch.compile(optimizer.step, backend=BACKEND)
    losses = []
    for _ in range(STEPS):
        batch = torch.randint(len(x), (128,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(compiled(x[batch]), y[batch])
        loss.backward()
        take_step()
        schedule.step()
        losses.append(loss.item())
    with torch.no_grad():
        accuracy = (model(x).argmax(dim=1) == y).float().mean().item()
    return losses, accuracy


if __name__ == "__main__":
    history, right = main()
    print(f"loss {history[0]:.3f} to {history[-1]:.3f}, {right:.0%} of the characters right")
