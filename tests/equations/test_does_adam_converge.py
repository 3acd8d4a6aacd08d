"""The equations of Adam's convergence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial import reference, theory
from adam_tutorial.reference import linear_trajectory
from adam_tutorial.study.objectives import PeriodicLosses, RandomLosses

rates = st.floats(0.0, 0.99)
sizes = st.floats(0.01, 100.0)
gradients = st.lists(
    st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(lambda pair: pair[0] * pair[1]),
    min_size=2,
    max_size=40,
)


def wall_slope(x: float) -> float:
    return 3 * math.copysign(min(max(abs(x) - 1, 0.0), 1.0), x)


def wall(x: float) -> float:
    beyond = max(abs(x) - 1, 0.0)
    return 3 * (beyond**2 / 2 if beyond < 1 else beyond - 1 / 2)


@pytest.mark.equation("converge-paper-bound")
@given(
    st.lists(st.tuples(sizes, sizes), min_size=1, max_size=4),
    st.tuples(sizes, sizes, sizes, sizes),
    st.tuples(st.floats(0.01, 0.9), st.floats(0.9, 0.999), st.floats(0.01, 0.99)),
    st.integers(1, 1000),
)
def test_three_terms_of_the_bound_are_as_printed(
    coordinates: list[tuple[float, float]],
    constants: tuple[float, float, float, float],
    decay: tuple[float, float, float],
    steps: int,
) -> None:
    (diameter, diameter_inf, g_inf, a), (b1, b2, factor) = constants, decay
    v, norms = zip(*coordinates, strict=True)
    gamma = b1**2 / b2**0.5
    first = second = third = last_line = 0.0
    for v_i, norm_i in coordinates:
        first += diameter**2 / (2 * a * (1 - b1)) * math.sqrt(steps * v_i)
        second += (
            a
            * (1 + b1)
            * g_inf
            * norm_i
            / ((1 - b1) * (1 - b2) ** 0.5 * (1 - gamma) ** 2)
        )
        top = diameter_inf**2 * g_inf * math.sqrt(1 - b2)
        third += top / (2 * a * (1 - b1) * (1 - factor) ** 2)
        last_line += top / (2 * a * b1 * (1 - factor) ** 2)
    for is_last, momentum in ((False, third), (True, last_line)):
        bound = theory.paper_regret_bound(
            steps,
            v,
            norms,
            diameter=diameter,
            diameter_inf=diameter_inf,
            gradient_inf=g_inf,
            lr=a,
            beta1=b1,
            beta2=b2,
            beta1_factor=factor,
            last_line=is_last,
        )
        assert bound == pytest.approx((first, second, momentum), rel=1e-9)


def run_between_walls(
    steps: int, **constants: float
) -> tuple[float, list[float], list[theory.RegretBound]]:
    """Return the regret against -1, the points, and both printed bounds.

    D is the largest distance between two points.
    """
    x, state = 0.0, None
    points, seen = [], []
    slopes = PeriodicLosses().gradients(steps).tolist()
    for slope in slopes:
        points.append(x)
        seen.append(slope + wall_slope(x))
        state, update = reference.adam_regret(state, seen[-1], eps=0.0, **constants)
        x += float(update)
    assert max(map(abs, seen)) <= 6
    assert state is not None
    paid = sum(s * p + wall(p) for s, p in zip(slopes, points, strict=True))
    reach = max(*points, x) - min(*points, x)
    bounds = [
        theory.paper_regret_bound(
            steps,
            [float(state.v) / (1 - constants["beta2"] ** steps)],
            [float(np.linalg.norm(seen))],
            diameter=reach,
            diameter_inf=reach,
            gradient_inf=6.0,
            **constants,
            last_line=last_line,
        )
        for last_line in (False, True)
    ]
    # Any fixed point gives a lower bound on the regret.
    return paid - sum(s * -1.0 + wall(-1.0) for s in slopes), points, bounds


@pytest.mark.equation("converge-paper-bound")
def test_a_run_that_meets_every_condition_exceeds_both_printed_bounds() -> None:
    regret, points, bounds = run_between_walls(
        18_000, lr=0.1, beta1=0.1, beta2=0.1, beta1_factor=0.001
    )
    # Distances to the optimum at -10/9 are larger than those between the points.
    larger = (max(points) + 10 / 9) ** 2 / (max(points) - min(points)) ** 2
    for bound, times in zip(bounds, (4, 3), strict=True):
        assert regret > times * larger * sum(bound)


@pytest.mark.equation("converge-paper-bound")
def test_for_short_steps_the_bound_goes_to_zero_and_the_regret_does_not() -> None:
    for lr in (1e-3, 1e-6, 1e-9):
        regret, _, bounds = run_between_walls(
            30, lr=lr, beta1=0.1, beta2=0.1, beta1_factor=0.001
        )
        assert regret > 9
        for bound in bounds:
            assert sum(bound) < 1e5 * lr


def test_lemma_on_the_squares_is_false_for_gradients_of_one_over_root_t() -> None:
    # Lemma 10.4 for beta1 = 0, where gamma is 0 and m-hat is the gradient.
    steps, beta2 = 32, 0.01
    left = v = 0.0
    for t in range(1, steps + 1):
        v = beta2 * v + (1 - beta2) / t
        left += (1 / t) / math.sqrt(t * v / (1 - beta2**t))
    norm = math.sqrt(sum(1 / t for t in range(1, steps + 1)))
    assert left > 2 / math.sqrt(1 - beta2) * norm


def with_denominators(
    history: list[float], p: list[float], start: float
) -> list[float]:
    points = [start]
    for g, denominator in zip(history, p, strict=False):
        points.append(points[-1] - g / denominator)
    return points


@pytest.mark.equation("converge-identity")
@given(sizes, sizes, st.floats(-10, 10), st.floats(-10, 10))
def test_one_step_splits_into_a_difference_of_squares_and_a_square(
    g: float, p: float, x: float, best: float
) -> None:
    after = x - g / p
    right = p / 2 * ((x - best) ** 2 - (after - best) ** 2) + g**2 / (2 * p)
    assert g * (x - best) == pytest.approx(right, rel=1e-8, abs=1e-6 * (1 + g**2 / p))


@pytest.mark.equation("converge-abel")
@given(gradients, st.floats(-2, 2), st.floats(-2, 2), rates)
def test_squares_of_one_distance_can_be_collected(
    history: list[float], start: float, best: float, beta2: float
) -> None:
    v, p = 0.0, []
    for t, g in enumerate(history, start=1):
        v = beta2 * v + (1 - beta2) * g**2
        p.append(math.sqrt(v / (1 - beta2**t) * t) / 0.1)
    x = with_denominators(history, p, start)
    left = sum(g * (point - best) for g, point in zip(history, x, strict=False))
    right = p[0] / 2 * (x[0] - best) ** 2 - p[-1] / 2 * (x[-1] - best) ** 2
    right += sum((p[t] - p[t - 1]) / 2 * (x[t] - best) ** 2 for t in range(1, len(p)))
    right += sum(
        g**2 / (2 * denominator) for g, denominator in zip(history, p, strict=True)
    )
    assert left == pytest.approx(right, rel=1e-7, abs=1e-6 * max(p))


@pytest.mark.equation("converge-monotone")
@given(gradients, st.lists(sizes, min_size=40, max_size=40), st.floats(-1, 1))
def test_growing_denominators_bound_the_regret_by_the_last_of_them(
    history: list[float], increases: list[float], best: float
) -> None:
    p = np.cumsum(increases)[: len(history)].tolist()
    x = with_denominators(history, p, 0.0)
    regret = sum(g * (point - best) for g, point in zip(history, x, strict=False))
    reach = max(abs(point - best) for point in x)
    bound = reach**2 / 2 * p[-1]
    bound += sum(
        g**2 / (2 * denominator) for g, denominator in zip(history, p, strict=True)
    )
    assert regret <= bound * (1 + 1e-9) + 1e-9


@pytest.mark.equation("converge-monotone")
def test_denominators_that_fall_break_the_bound() -> None:
    # The three losses: the points stay in [-1, 1], at the wrong end.
    history = PeriodicLosses().gradients(3000).tolist()
    points = linear_trajectory(
        history, 1.0, lr=0.1, beta1=0, beta2=0.1, correct_bias=False
    )
    average, p = 0.0, []
    for g in history:
        average = 0.1 * average + 0.9 * g**2
        p.append(math.sqrt(average) / 0.1)
    regret = PeriodicLosses().regret(points[:-1])[-1]
    assert regret > 2**2 / 2 * p[-1] + sum(
        g**2 / (2 * q) for g, q in zip(history, p, strict=True)
    )


@pytest.mark.equation("converge-lemma")
@given(gradients)
def test_sum_over_roots_is_bounded_by_the_norm_and_a_logarithm(
    history: list[float],
) -> None:
    g = np.array(history)
    left = (np.abs(g) / np.sqrt(np.arange(1, len(g) + 1))).sum()
    assert left <= math.sqrt(1 + math.log(len(g))) * np.linalg.norm(g) * (1 + 1e-12)


@pytest.mark.equation("converge-lemma")
def test_without_the_logarithm_the_lemma_is_false_for_small_and_large_g() -> None:
    for g in (np.array([0.1]), 1 / np.sqrt(np.arange(1, 32))):
        left = (np.abs(g) / np.sqrt(np.arange(1, len(g) + 1))).sum()
        assert left > 2 * np.abs(g).max() * np.linalg.norm(g)


@pytest.mark.equation("converge-linear-regret")
@given(st.floats(2.01, 50), st.floats(0.01, 0.99), st.booleans(), st.integers(1, 100))
def test_adam_is_at_the_worst_point_after_every_cycle(
    steep: float, share: float, shrink_lr: bool, cycles: int
) -> None:
    beta2 = 1 / (1 + steep**2)
    losses = PeriodicLosses(steep, 1.0, 3)
    points = linear_trajectory(
        losses.gradients(3 * cycles),
        1.0,
        lr=share * math.sqrt(1 - beta2),
        shrink_lr=shrink_lr,
        beta1=0.0,
        beta2=beta2,
        correct_bias=False,
    )
    assert set(points[::3].tolist()) == {1.0}
    regret = losses.regret(points[:-1])[-1]
    assert regret >= 2 * (steep - 2) * cycles * (1 - 1e-12)


@pytest.mark.equation("converge-steps-up")
@given(st.floats(2.001, 1000), st.integers(0, 30))
def test_two_steps_up_are_longer_than_the_step_down(steep: float, cycles: int) -> None:
    beta2 = 1 / (1 + steep**2)
    v, up, down = 0.0, 0.0, 0.0
    for t in range(3 * cycles + 3):
        g = steep if t % 3 == 0 else -1.0
        v = beta2 * v + (1 - beta2) * g**2
        if t % 3 == 0:
            up, down = 0.0, steep / math.sqrt(v)
        else:
            up += 1 / math.sqrt(v)
    bound = (1 / math.sqrt(2) + 1 / math.sqrt(7 / 5)) / math.sqrt(1 - beta2)
    assert up >= bound * (1 - 1e-12)
    assert bound > 1.55 / math.sqrt(1 - beta2)
    assert down <= 1 / math.sqrt(1 - beta2) * (1 + 1e-12)


@given(st.floats(2.0, 1e6))
def test_in_the_first_cycle_with_a_falling_rate_the_steps_up_are_a_little_longer(
    steep: float,
) -> None:
    beta2 = 1 / (1 + steep**2)
    first, second = 1 + beta2 * steep**2, 1 + beta2 * (1 + beta2 * steep**2)
    ratio = 1 / math.sqrt(2 * first) + 1 / math.sqrt(3 * second)
    assert 1.02 < ratio < 1.08


@pytest.mark.equation("converge-limits")
def test_staying_at_the_worst_point_costs_20_over_101_and_four_tenths() -> None:
    periodic = PeriodicLosses(1010.0, 10.0, 101)
    assert periodic.regret(np.ones(10_100))[-1] / 10_100 == pytest.approx(20 / 101)
    random = RandomLosses(1010.0, 10.0, 0.01)
    g = random.gradients(1_000_000)
    share = float((g > 0).mean())
    assert share == pytest.approx(0.01, abs=5 * math.sqrt(0.01 * 0.99 / len(g)))
    # What was paid beyond the cost at -1, with the true probability instead of the
    # measured share.
    assert random.regret(np.ones(len(g)))[-1] == pytest.approx(2 * g.sum())
    assert g.mean() == pytest.approx(1010 * share - 10 * (1 - share))
    assert 2 * random.mean_gradient == pytest.approx(0.4)


@pytest.mark.equation("converge-amsgrad-rule")
@given(gradients, rates, rates)
def test_amsgrad_divides_by_the_root_of_the_largest_v(
    history: list[float], beta1: float, beta2: float
) -> None:
    m = v = w = x = 0.0
    points = linear_trajectory(
        history,
        interval=(-1e9, 1e9),
        lr=0.1,
        shrink_lr=True,
        beta1=beta1,
        beta2=beta2,
        correct_bias=False,
        keep_maximum=True,
    )
    for t, g in enumerate(history, start=1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        w = max(w, v)
        x -= 0.1 / math.sqrt(t) * m / math.sqrt(w)
        assert points[t] == pytest.approx(x, rel=1e-9, abs=1e-9)


@pytest.mark.equation("converge-amsgrad")
@given(
    st.lists(
        st.sampled_from([-3.0, -1.0, -0.1, 0.5, 2.0, 3.0]), min_size=1, max_size=300
    ),
    st.floats(0.01, 2),
    rates,
)
def test_regret_of_amsgrad_without_momentum_is_bounded(
    history: list[float], lr: float, beta2: float
) -> None:
    points = linear_trajectory(
        history,
        lr=lr,
        shrink_lr=True,
        beta1=0.0,
        beta2=beta2,
        correct_bias=False,
        keep_maximum=True,
    )
    g = np.array(history)
    regret = (g * points[:-1]).sum() + abs(g.sum())
    assert regret <= (2**2 / (2 * lr) + lr / math.sqrt(1 - beta2)) * 3 * math.sqrt(
        len(g)
    )


@pytest.mark.equation("converge-travel")
def test_amsgrad_travels_like_the_root_of_the_number_of_steps() -> None:
    lr = 0.1
    losses = PeriodicLosses(1010.0, 10.0, 101)
    # Late enough for the falling learning rate to be the same within a period.
    start, end = 101_000, 1_010_000
    points = linear_trajectory(
        losses.gradients(end),
        lr=lr,
        shrink_lr=True,
        beta2=0.99,
        correct_bias=False,
        keep_maximum=True,
    )
    # The largest v of a period that repeats, summed up here from its definition.
    weights = 0.01 * 0.99 ** np.arange(101) / (1 - 0.99**101)
    w = weights[0] * 1010**2 + weights[1:].sum() * 10**2
    expected = -2 * lr * (10 / 101) / math.sqrt(w) * (math.sqrt(end) - math.sqrt(start))
    assert points[end] - points[start] == pytest.approx(expected, rel=0.03)


@pytest.mark.equation("converge-cycle")
@given(gradients, st.floats(0.0, 0.9))
def test_average_of_a_repeated_input_repeats(history: list[float], beta: float) -> None:
    g, n = np.array(history), len(history)
    formula = [
        (1 - beta)
        / (1 - beta**n)
        * sum(beta**j * g[(k - j) % n] ** 2 for j in range(n))
        for k in range(n)
    ]
    v, run = 0.0, []
    for value in np.tile(g, 1 + 400 // n):
        v = beta * v + (1 - beta) * value**2
        run.append(v)
    np.testing.assert_allclose(run[-n:], formula, rtol=1e-8)
    np.testing.assert_allclose(theory.periodic_average(g**2, beta), formula, rtol=1e-8)


@pytest.mark.equation("converge-drift")
@given(gradients, st.floats(0.0, 0.9), st.floats(0.0, 0.9))
def test_drift_is_the_mean_step_of_a_long_run(
    history: list[float], beta1: float, beta2: float
) -> None:
    n = len(history)
    periods = 2 + 250 // n
    points = linear_trajectory(
        np.tile(history, periods),
        interval=(-1e9, 1e9),
        lr=1.0,
        beta1=beta1,
        beta2=beta2,
    )
    measured = (points[-1] - points[-1 - n]) / n
    assert theory.periodic_drift(history, beta1, beta2) == pytest.approx(
        measured, rel=1e-6, abs=1e-9
    )


@pytest.mark.equation("converge-law")
@pytest.mark.parametrize("rho", [1.02, 1.1, 1.5, 3.0, 10.0, 30.0])
def test_weight_ratio_of_a_rare_gradient_at_the_threshold_is_that_of_the_law(
    rho: float,
) -> None:
    n = 2000
    beta2 = theory.critical_beta2(
        PeriodicLosses(rho * (n - 1), 1.0, n).gradients(n), 0.0
    )
    kappa = n * math.log(1 / beta2)
    assert (math.exp(kappa / 2) - 1) / (kappa / 2) == pytest.approx(rho, rel=0.0015)
    assert theory.critical_excess(kappa) == pytest.approx(rho, rel=0.0015)


@pytest.mark.equation("converge-threshold")
@pytest.mark.parametrize("steep", [51, 101, 301, 1001])
def test_threshold_of_the_counterexamples_is_four_over_the_square(steep: int) -> None:
    gradients = PeriodicLosses(float(steep), 1.0, steep).gradients(steep)
    beta2 = theory.critical_beta2(gradients, 0.0)
    assert (1 - beta2) * steep**2 == pytest.approx(4, rel=3 / steep)


@pytest.mark.equation("converge-stability")
@pytest.mark.parametrize("share", [0.995, 1.005])
@given(st.floats(0.0, 0.95), sizes, sizes)
def test_parabola_is_stable_exactly_below_the_limit(
    share: float, beta1: float, curvature: float, v: float
) -> None:
    limit = 2 * (1 + beta1) / (1 - beta1)
    lr = share * limit * math.sqrt(v) / curvature
    m, x = 0.0, 1.0
    for _ in range(20_000):
        m = beta1 * m + (1 - beta1) * curvature * x
        x -= lr * m / math.sqrt(v)
        if not 1e-12 < abs(x) + abs(m) / curvature < 1e6:
            break
    assert (abs(x) > 1e3) == (share > 1)
    assert theory.stability_limit(beta1) == pytest.approx(limit)
