"""Draw the still picture of the explorable epsilon, at its default settings."""

import re
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
import numpy as np

from adam_tutorial import reference
from adam_tutorial._types import Array
from adam_tutorial.study.plotting import INK, style_of, use_style

TARGET = Path(__file__).parents[2] / "_static/explorables/epsilon.svg"
EPS, CHOSEN = 1e-8, 1e-6
CURVATURES = np.array([1.0, 0.01])


def steps(g: Array) -> dict[str, tuple[str, Array]]:
    """Return, for each placement, its style and the first steps of gradients, in units of alpha."""
    return {
        "Algorithm 1": ("Adam", -reference.adam(None, g, lr=1.0, eps=EPS)[1]),
        r"$\hat\varepsilon$ beside $\sqrt{v}$ at t = 1": (
            "third",
            -reference.adam_efficient(None, g, lr=1.0, eps_hat=EPS)[1],
        ),
        "inside the root": ("second", g / np.sqrt(g**2 + EPS)),
    }


use_style()
plt.rcParams["svg.hashsalt"] = "adam"
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))

sizes = np.geomspace(1e-12, 1e3, 61)
chosen = steps(np.array(CHOSEN))
for label, (name, lengths) in steps(sizes).items():
    left.plot(sizes, lengths, label=label, **style_of(name))
    left.plot(
        CHOSEN, chosen[label][1], "o", markersize=4, color=style_of(name)["color"]
    )
left.axvline(EPS, color=INK, linewidth=0.8, linestyle=(0, (1, 3)))
left.axvline(CHOSEN, color=INK, linewidth=0.8)
for x, name, side in ((EPS, "ε ", "right"), (CHOSEN, " |g|", "left")):
    left.text(x, 1.08, name, ha=side, va="bottom", fontsize=9)
left.set(xscale="log", ylim=(0, 1.06), xlabel="size of a steady gradient |g|")
left.set(ylabel=r"step (in units of $\alpha$)", yticks=[0, 0.5, 1])
left.set_xticks([1e-12, 1e-9, 1e-6, 1e-3, 1, 1e3])
left.set_title("One step: where is ε added?", pad=20, weight="normal")

path = np.abs(
    reference.trajectory(
        reference.adam, lambda x: CURVATURES * x, [1.0, 1.0], 200, lr=0.05
    )
)
# Two looks that are not among those of the placements.
looks = ({"color": INK}, style_of("first"))
names = ("steep", "flat")
for distances, label, look in zip(path.T, names, looks, strict=True):
    right.plot(distances, label=label, **look)
right.set(
    yscale="log", ylim=(1e-5, 10), xlabel="step", ylabel="distance to the minimum"
)
right.set(xticks=[0, 50, 100, 150, 200], yticks=[1e-4, 1e-2, 1])
right.set_title("A run of Algorithm 1, ε = 1e−8", pad=20, weight="normal")

for axes in (left, right):
    axes.minorticks_off()
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.2))
figure.savefig(TARGET, metadata={"Date": None})
# Without indentation, comments and needless decimals it is a good deal smaller.
text = re.sub(r"<!-- .*? -->|\n\s*", " ", TARGET.read_text(encoding="utf-8"))
TARGET.write_text(
    re.sub(r"(?<!scale\(0)(\.\d\d)\d+", r"\1", text) + "\n", encoding="utf-8"
)
