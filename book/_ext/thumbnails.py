"""Small pictures of what a chapter is about, drawn from the package at each build.

Each is a few lines without axes and words, in the colours of the page's theme. It shows
what the chapter shows, computed anew or read from its stored runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from adam_tutorial import reference, theory
from adam_tutorial.study.experiments import stored_runs
from adam_tutorial.study.experiments.comparison import tuning_loss
from adam_tutorial.study.experiments.hyperparameters import losses_by_rate, select
from adam_tutorial.study.experiments.records import matching, mean_of
from adam_tutorial.study.objectives import PeriodicLosses, Quadratic

WIDTH, HEIGHT, MARGIN = 132.0, 66.0, 6.0
# A look of looks.css, and the points of a line.
Line = tuple[str, np.ndarray]


def line(look: str, y: ArrayLike, x: ArrayLike | None = None) -> Line:
    """Return a line through points; without ``x``, they lie at equal distances."""
    heights = np.asarray(y, dtype=float)
    places = np.arange(len(heights)) if x is None else np.asarray(x, dtype=float)
    return look, np.column_stack([places, heights])


def walk(rule: Callable[..., Any], steps: int, lr: float) -> Any:
    """Return the points of a rule in a valley along the axes."""
    valley, start = Quadratic((1.0, 20.0)), np.array([-2.2, 0.45])
    return reference.trajectory(rule, valley.gradient, start, steps, lr=lr)


def contours() -> list[Line]:
    """Return three lines of equal height of that valley."""
    turn = np.linspace(0, 2 * np.pi, 60)
    ring = np.column_stack([np.cos(turn), np.sin(turn) / np.sqrt(20)])
    return [("baseline", size * ring) for size in (0.8, 1.6, 2.4)]


def what_an_optimizer_does() -> list[Line]:
    """Draw descent on a parabola."""
    x = np.linspace(-1.1, 1.1, 40)
    points = -1.0 * 0.7 ** np.arange(10)
    return [line("baseline", x**2, x), line("gradient-descent", points**2, points)]


def where_gradient_descent_hurts() -> list[Line]:
    """Draw a zigzag in a valley."""
    path = walk(reference.gradient_descent, 25, 0.094)
    return [*contours(), ("gradient-descent", path)]


def the_parts() -> list[Line]:
    """Draw losses of five rules on digits in other units, from the stored runs."""
    rows = stored_runs("pains")["results"]["units x 10"]["final"]
    looks = {"gradient descent": "gradient-descent"}
    return [
        line(looks.get(row["rule"], row["rule"].lower()), np.log(row["curve"]))
        for row in rows
        if row["seed"] == 0
    ]


def adam_derived() -> list[Line]:
    """Draw a moving average before and after its correction."""
    t = np.arange(1, 60)
    signal = 1 + 0.25 * np.sin(t / 3)
    weights = [theory.moving_average_weights(0.95, int(n)) for n in t]
    average = np.array([w @ signal[: len(w)] for w in weights])
    return [
        line("baseline", signal, t),
        line("without-bias-correction", average, t),
        line("adam", average / (1 - 0.95**t), t),
    ]


def adam_in_numpy() -> list[Line]:
    """Draw Adam in a valley."""
    return [*contours(), ("adam", walk(reference.adam, 60, 0.2))]


def adam_in_pytorch() -> list[Line]:
    """Draw two paths that are the same."""
    path = walk(reference.adam, 60, 0.2)
    return [*contours(), ("adam", path), ("first", path)]


def compared(name: str, task: str) -> list[Line]:
    """Draw validation losses over learning rates, from the stored runs of a study."""
    study = stored_runs(name)["results"][task]
    looks = {"SGD": "sgd", "SGD with momentum": "sgd-with-momentum", "Adam": "adam"}
    return [
        line(
            look,
            [
                min(tuning_loss(study["tuning"], optimizer, lr), 1.0)
                for lr in study["grid"]
            ],
            np.log10(study["grid"]),
        )
        for optimizer, look in looks.items()
    ]


def when_adam_wins() -> list[Line]:
    """Draw test losses over batch sizes, from the stored runs on the reviews."""
    record = stored_runs("crossover")
    rows = record["results"]["textcnn"]["final"]
    sizes = record["batch_sizes"]
    looks = {"SGD with momentum": "sgd-with-momentum", "Adam": "adam"}
    return [
        line(
            look,
            [
                mean_of(rows, "test_loss", optimizer=name, batch_size=size)
                for size in sizes
            ],
            np.log2(sizes),
        )
        for name, look in looks.items()
    ]


def a_small_transformer() -> list[Line]:
    """Draw losses of Adam over its memory, in short and in long runs."""
    rows = stored_runs("transformer")["results"]["betas"]
    equal = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
    return [
        line(
            look,
            [mean_of(rows, "test_loss", steps=n, betas=[b, b]) for b in equal],
            [-np.log(1 - b) for b in equal],
        )
        for look, n in (("baseline", 64), ("adam", 512))
    ]


def the_papers_experiments() -> list[Line]:
    """Draw losses over learning rates, with and without bias correction."""
    grid = stored_runs("paper")["results"]["vae"]["grid"]
    found = []
    for look, corrected in (("baseline", False), ("adam", True)):
        some = matching(grid, beta1=0.9, beta2=0.9999, corrected=corrected)
        there = [row for row in some if row["loss_10"] is not None]
        lr = np.log10([row["lr"] for row in there])
        found.append(line(look, [row["loss_10"] for row in there], lr))
    return found


def before_adam() -> list[Line]:
    """Draw the rates of convergence of descent and of a heavy ball."""
    lr = np.geomspace(0.01, 4, 80)
    return [
        line("gradient-descent", np.abs(1 - lr).clip(0, 1.2), np.log(lr)),
        line(
            "momentum",
            [min(theory.heavy_ball_rate(x, 0.6, [1.0]), 1.2) for x in lr],
            np.log(lr),
        ),
    ]


def what_one_step_can_do() -> list[Line]:
    """Draw the longest step, and the bound of the paper."""
    t = np.arange(1, 40)
    longest = [theory.step_supremum(int(n), 0.9, 0.99) for n in t]
    bound = theory.paper_step_bound(0.9, 0.99)
    return [line("baseline", np.full(len(t), bound), t), line("adam", longest, t)]


def does_adam_converge() -> list[Line]:
    """Draw Adam on its way to the wrong end of Reddi's losses, and AMSGrad."""
    losses = PeriodicLosses()
    found = []
    rules: dict[str, Callable[..., Any]] = {
        "adam": reference.adam,
        "amsgrad": reference.amsgrad,
    }
    for look, rule in rules.items():
        points, state = [0.0], None
        for t in range(1, 401):
            gradient = np.array([losses.gradient(t)])
            state, update = rule(state, gradient, lr=0.03, beta1=0.0, beta2=0.1)
            points.append(float(np.clip(points[-1] + update[0], -1, 1)))
        found.append(line(look, points[::5]))
    return [line("baseline", np.full(81, -1.0)), *found]


def weight_decay() -> list[Line]:
    """Draw how fast weights reach their equilibrium at three rates."""
    t = np.arange(0, 400, 8)
    looks = {"first": 0.01, "second": 0.02, "third": 0.05}
    return [
        line(look, [theory.rms_after(int(n), lr, 0.5) for n in t], t)
        for look, lr in looks.items()
    ]


def choosing_the_hyperparameters() -> list[Line]:
    """Draw validation losses over learning rates, for three values of beta1."""
    rows = select(stored_runs("hyperparameters")["results"], ("base", "beta1"))
    found = []
    for look, beta1 in (("first", 0.0), ("adam", 0.9), ("third", 0.99)):
        losses = losses_by_rate(matching(rows, beta1=beta1))
        means = [seeds.mean() for seeds in losses.values()]
        found.append(line(look, means, np.log(list(losses))))
    return found


def adam_in_the_wild() -> list[Line]:
    """Draw Adam with eps outside the root, and with the same eps inside."""
    valley = Quadratic((0.001, 0.02))
    found = contours()
    for look, outside in (("adam", True), ("second", False)):
        theta, m, v = np.array([-2.2, 0.45]), np.zeros(2), np.zeros(2)
        path = [theta]
        for t in range(1, 60):
            g = valley.gradient(theta)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
            root = np.sqrt(v_hat) + 1e-5 if outside else np.sqrt(v_hat + 1e-5)
            theta = theta - 0.2 * m_hat / root
            path.append(theta)
        found.append((look, np.array(path)))
    return found


def myths_and_mistakes() -> list[Line]:
    """Draw the length of the first steps with the correction, and without."""
    t = np.arange(1, 60)
    without = [1 / theory.step_size_factor(int(n), 0.9, 0.999) for n in t]
    return [
        line("baseline", np.zeros(len(t)), t),
        line("adam", np.ones(len(t)), t),
        line("without-bias-correction", without, t),
    ]


def fast() -> list[Line]:
    """Draw times of a step over the number of parameters, from the stored runs."""
    looks = {"torch": "baseline", "torch-fused": "third", "ours": "adam"}
    record = stored_runs("fast_growth")
    sizes = {name: each["elements"] for name, each in record["workloads"].items()}
    rows = [row for row in record["rounds"] if row["workload"].startswith("1x")]
    return [
        line(
            look,
            [np.log(np.median(row["seconds"][name])) for row in rows],
            [np.log(sizes[row["workload"]]) for row in rows],
        )
        for name, look in looks.items()
    ]


def small() -> list[Line]:
    """Draw the levels of a number in eight bits, near zero."""
    levels = np.concatenate([2.0**-k * np.linspace(0.5, 1, 9) for k in range(5)])
    levels = np.sort(np.concatenate([levels, -levels]))
    return [line("adam", np.repeat(levels, 2)[:-1], np.repeat(np.arange(90), 2)[1:])]


def scale() -> list[Line]:
    """Draw the seconds of an all-reduce over the machines, by a ring and by halves."""
    ranks = 2 ** np.arange(1, 11)
    found = []
    for look, algorithm in (("adam", "ring"), ("second", "halves")):
        costs = [theory.all_reduce_cost(1e6, int(n), algorithm) for n in ranks]
        seconds = [1e-4 * cost.messages + cost.bytes / 1e9 for cost in costs]
        found.append(line(look, np.log(seconds), np.log(ranks)))
    return found


def robust() -> list[Line]:
    """Draw a loss that spikes, and one that is guarded."""
    curves = stored_runs("spikes")["results"]["curves"]
    return [
        line("gradient-descent", np.log(curves["none"][100::6])),
        line("adam", np.log(curves["AdaGC"][100::6])),
    ]


PICTURES: dict[str, Callable[[], list[Line]]] = {
    function.__name__: function
    for function in (
        *(what_an_optimizer_does, where_gradient_descent_hurts, the_parts),
        *(adam_derived, adam_in_numpy, adam_in_pytorch),
        *(when_adam_wins, a_small_transformer, the_papers_experiments),
        *(before_adam, what_one_step_can_do, does_adam_converge, weight_decay),
        *(choosing_the_hyperparameters, adam_in_the_wild, myths_and_mistakes),
        *(fast, small, scale, robust),
    )
}
PICTURES["images"] = functools.partial(compared, "images", "cnn")
PICTURES["text"] = functools.partial(compared, "text", "textcnn")


def thumbnail(subject: str) -> str:
    """Return the picture of a chapter as an SVG element.

    Parameters
    ----------
    subject : str
        The name of the chapter's file.

    Raises
    ------
    KeyError
        There is none.
    """
    lines = PICTURES[subject]()
    points = np.vstack([points for _, points in lines])
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.array([WIDTH, HEIGHT]) - 2 * MARGIN
    drawn = []
    for look, each in lines:
        place = MARGIN + room * (each - low) / (high - low)
        place[:, 1] = HEIGHT - place[:, 1]
        path = " ".join(f"{x:.4g},{y:.4g}" for x, y in place)
        drawn.append(f'<polyline class="look-{look}" points="{path}"/>')
    return (
        f'<svg class="thumb" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" aria-hidden="true">'
        f"{''.join(drawn)}</svg>"
    )
