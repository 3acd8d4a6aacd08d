"""Draw the still picture of the explorable ``step``: the growing gradient and its steps.

``python book/_tools/stills/step.py`` from the root of the repository.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from adam_tutorial import theory
from adam_tutorial.reference import adam
from adam_tutorial.study.plotting import style_of, use_style

TARGET = Path(__file__).resolve().parents[2] / "_static/explorables/step.svg"
STEPS = 100


def main() -> None:
    """Draw it."""
    use_style()
    plt.rcParams["svg.hashsalt"] = "adam"
    gradients = theory.step_supremum_gradients(STEPS)
    state, lengths = None, []
    for g in gradients:
        state, update = adam(state, g, lr=1.0, eps=0.0)
        lengths.append(-float(update))
    t = np.arange(1, STEPS + 1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
    left.plot(t, gradients, **style_of("Adam"))
    left.set(yscale="log", xlabel="step", ylabel="gradient (largest = 1)")
    limit, paper = theory.step_supremum(), theory.paper_step_bound()
    right.plot(t, lengths, label="this sequence", **style_of("Adam"))
    right.axhline(limit, label=f"longest possible: {limit:.2f}", **style_of("first"))
    right.axhline(paper, label=f"the paper's bound: {paper:.2f}", **style_of("third"))
    right.set(ylim=(0, 7.8), xlabel="step", ylabel="length of step (learning rates)")
    right.legend(loc="center left", bbox_to_anchor=(0.0, 0.67))
    figure.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
