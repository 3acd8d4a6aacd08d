"""Draw the still picture of the playground: what it shows before a reader has touched it."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from adam_tutorial import reference
from adam_tutorial.study.objectives import Quadratic
from adam_tutorial.study.plotting import paths, style_of, use_style

TARGET = Path(__file__).parents[2] / "_static/explorables/playground.svg"

use_style()
plt.rcParams["svg.hashsalt"] = "adam"
valley = Quadratic((1.0, 25.0))
start, steps = np.array([-2.0, 0.9]), 60
rules = {
    "gradient descent": reference.trajectory(
        reference.gradient_descent, valley.gradient, start, steps, lr=0.07
    ),
    "Adam": reference.trajectory(reference.adam, valley.gradient, start, steps, lr=0.1),
}
figure, (ground, losses) = plt.subplots(1, 2, figsize=(8.4, 3.6))
paths(ground, valley, rules, x_range=(-2.4, 2.4), y_range=(-2.4, 2.4))
ground.set_title("Where do they go?")
for name, points in rules.items():
    losses.plot(valley.value(points), label=name, **style_of(name))
losses.set(yscale="log", xlabel="step", ylabel="loss")
losses.set_title("How fast does the loss fall?")
losses.legend()
figure.savefig(TARGET, metadata={"Date": None})
# Contours have many points; a tenth of a point is finer than can be seen.
TARGET.write_text(
    re.sub(r"(\d\.\d)\d+", r"\1", TARGET.read_text(encoding="utf-8")), encoding="utf-8"
)
