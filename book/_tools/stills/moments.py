"""Draw the picture that stands in the place of the explorable ``moments`` without its script."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from adam_tutorial.reference import adam
from adam_tutorial.study.plotting import label_lines, style_of, use_style
from adam_tutorial.theory import bias_correction

TARGET = Path(__file__).parents[2] / "_static/explorables/moments.svg"


def main() -> None:
    """Draw it: gradients that jump by 10, the two averages, the steps."""
    beta1, beta2, chosen = 0.9, 0.999, 30
    t = np.arange(1, 61)
    gradients = np.where(t <= 30, 1.0, 10.0)
    averages, steps, state = [], [], None
    for g in gradients:
        state, update = adam(state, g, lr=1.0, beta1=beta1, beta2=beta2, eps=0.0)
        averages.append((state.m, state.v))
        steps.append(-update)
    m, v = np.array(averages).T
    m_hat = m / [bias_correction(beta1, i) for i in range(1, 61)]
    v_hat = v / [bias_correction(beta2, i) for i in range(1, 61)]

    use_style()
    plt.rcParams["svg.hashsalt"] = "adam"
    figure, panels = plt.subplots(3, 1, figsize=(6.4, 4.4), sharex=True)
    raw, corrected, muted = map(
        style_of, ("without bias correction", "Adam", "baseline")
    )
    for axes, first, second, names in (
        (panels[0], m, m_hat, ("$g$", "$m$", r"$\hat m$")),
        (
            panels[1],
            np.sqrt(v),
            np.sqrt(v_hat),
            ("$|g|$", r"$\sqrt{v}$", r"$\sqrt{\hat v}$"),
        ),
    ):
        # One line with gaps weighs a tenth of sixty lines.
        bars = np.column_stack([0 * gradients, gradients, np.full(60, np.nan)])
        grey = {"color": muted["color"], "alpha": 0.4, "linewidth": 2.4}
        axes.plot(np.repeat(t, 3), bars.ravel(), label=names[0], **grey)
        axes.plot(t, first, label=names[1], **raw)
        axes.plot(t, second, label=names[2], **corrected)
        axes.set(ylim=(0, 11), yticks=(0, 5, 10))
    # What comes after is for the reader to guess.
    panels[2].plot(
        t[:chosen], steps[:chosen], label=r"$\hat m\,/\sqrt{\hat v}$", **corrected
    )
    panels[2].set(
        ylim=(0, 1.65), yticks=(0, 0.5, 1, 1.5), xlabel="step t", xticks=(1, *t[9::10])
    )
    panels[2].set_ylabel("step (learning\nrates)")
    for axes in panels:
        label_lines(axes)
        axes.axvline(chosen, linewidth=1, color=plt.rcParams["text.color"])
    figure.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
