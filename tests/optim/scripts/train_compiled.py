"""Train a small character-level language model on the Zen of Python.

The model is compiled, and so is the step of the optimizer. The learning rate is a
tensor, so that the schedule does not make torch compile the step again.
"""

from __future__ import annotations

import codecs
import importlib.util
import shutil
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

STEPS = 60
WARMUP = 10
CONTEXT = 8
WIDTH = 64
BACKEND = "inductor" if any(map(shutil.which, ("g++", "clang++"))) else "aot_eager"


def zen_of_python() -> str:
    """Read the module's source: importing it would print the text."""
    spec = importlib.util.find_spec("this")
    assert spec is not None
    assert spec.origin is not None
    return codecs.decode(
        Path(spec.origin).read_text(encoding="utf-8").split('"""')[1], "rot13"
    )


class CharacterModel(nn.Module):
    """Predict a character from the ones before it."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(letters, 16)
        self.hidden = nn.Linear(CONTEXT * 16, WIDTH)
        self.head = nn.Linear(WIDTH, letters)

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.gelu(self.hidden(self.embed(x).flatten(1)))
        logits: Tensor = self.head(hidden)
        return logits


def main() -> None:
    torch.manual_seed(0)
    text = zen_of_python()
    letters = sorted(set(text))
    codes = torch.tensor([letters.index(letter) for letter in text])
    windows = codes.unfold(0, CONTEXT + 1, 1)

    model = CharacterModel(len(letters))
    compiled = torch.compile(model, backend=BACKEND)
    optimizer = Adam(model.parameters(), lr=torch.tensor(1e-2), betas=(0.9, 0.98))
    schedule = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARMUP))

    step = torch.compile(optimizer.step, backend=BACKEND)
    for number in range(1, STEPS + 1):
        rows = windows[torch.randint(len(windows), (128,))]
        loss = functional.cross_entropy(compiled(rows[:, :-1]), rows[:, -1])
        loss.backward()
        step()
        optimizer.zero_grad()
        schedule.step()
        print(f"step {number:3d}  loss {loss.item():.6f}")

    with torch.no_grad():
        right = model(windows[:, :-1]).argmax(dim=1) == windows[:, -1]
    print(f"accuracy {right.float().mean().item():.4f}")


if __name__ == "__main__":
    main()
