from __future__ import annotations

import math
import re
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial._types import Float64Array
from adam_tutorial.study.networks import finite_difference
from adam_tutorial.study.objectives import (
    ImbalancedClasses,
    PeriodicLosses,
    Quadratic,
    RandomLosses,
    Rosenbrock,
)

COORDINATE = st.floats(-3, 3)
POINT = st.tuples(COORDINATE, COORDINATE)
CURVATURE = st.floats(0.01, 100)
QUADRATIC = st.builds(Quadratic, st.tuples(CURVATURE, CURVATURE), st.floats(-7, 7))
OBJECTIVE = st.one_of(QUADRATIC, st.builds(Rosenbrock, CURVATURE))


@given(OBJECTIVE, POINT)
def test_gradient_agrees_with_finite_differences(
    objective: Quadratic | Rosenbrock, point: tuple[float, float]
) -> None:
    estimate = finite_difference(lambda x: float(objective.value(x)), np.array(point))
    assert objective.gradient(point) == pytest.approx(estimate, rel=1e-5, abs=1e-5)


@given(OBJECTIVE, st.lists(POINT, min_size=6, max_size=6))
def test_many_points_at_once_give_what_each_point_gives(
    objective: Quadratic | Rosenbrock, points: list[tuple[float, float]]
) -> None:
    grid = np.array(points).reshape(2, 3, 2)
    values, gradients = objective.value(grid), objective.gradient(grid)
    assert values.shape == (2, 3)
    assert gradients.shape == (2, 3, 2)
    for index in np.ndindex(2, 3):
        assert values[index] == pytest.approx(
            float(objective.value(grid[index])), rel=1e-12
        )
        assert gradients[index] == pytest.approx(
            objective.gradient(grid[index]), rel=1e-12
        )


@given(QUADRATIC, POINT)
def test_quadratic_is_lowest_at_the_origin(
    objective: Quadratic, point: tuple[float, float]
) -> None:
    assert objective.value((0, 0)) == 0
    assert not objective.gradient((0, 0)).any()
    assert objective.value(point) >= 0


@given(QUADRATIC)
def test_eigenvalues_of_the_hessian_are_the_curvatures(objective: Quadratic) -> None:
    hessian = objective.hessian
    assert hessian == pytest.approx(hessian.T, rel=1e-12, abs=1e-12)
    assert np.linalg.eigvalsh(hessian) == pytest.approx(
        sorted(objective.curvatures), rel=1e-9
    )


@given(QUADRATIC, POINT)
def test_turned_valley_has_the_height_of_the_straight_one_at_the_point_turned_back(
    objective: Quadratic, point: tuple[float, float]
) -> None:
    straight = Quadratic(objective.curvatures)
    turned = objective.rotation @ np.array(point)
    assert objective.value(turned) == pytest.approx(
        float(straight.value(point)), abs=1e-9
    )


def test_quadratic_without_an_angle_is_the_sum_of_its_two_parabolas() -> None:
    objective = Quadratic((1, 20))
    assert objective.value((2, 3)) == 0.5 * (1 * 4 + 20 * 9)
    assert objective.gradient((2, 3)).tolist() == [2, 60]


def test_positive_angle_turns_the_valley_against_the_clock() -> None:
    objective = Quadratic((1, 20), angle=math.pi / 4)
    assert objective.value((1, 1)) == pytest.approx(0.5 * 1 * 2)
    assert objective.value((1, -1)) == pytest.approx(0.5 * 20 * 2)


@pytest.mark.parametrize(
    "curvatures", [(0.0, 1.0), (1.0, -2.0), (math.nan, 1.0)], ids=str
)
def test_curvature_that_is_not_positive_is_refused(
    curvatures: tuple[float, float],
) -> None:
    message = re.escape(f"curvatures must be positive, got {curvatures!r}")
    with pytest.raises(ValueError, match=message):
        Quadratic(curvatures)


def test_objectives_are_compared_by_their_parameters_and_cannot_be_changed() -> None:
    assert Quadratic((1, 2), 0.3) == Quadratic((1, 2), 0.3)
    assert Quadratic((1, 2), 0.3) != Quadratic((1, 2), 0.4)
    assert repr(Quadratic((1, 2), 0.3)) == "Quadratic(curvatures=(1, 2), angle=0.3)"
    with pytest.raises(FrozenInstanceError):
        Quadratic().angle = 1.0  # type: ignore[misc]


@given(CURVATURE, POINT)
def test_rosenbrock_is_lowest_at_one_one(b: float, point: tuple[float, float]) -> None:
    objective = Rosenbrock(b)
    assert objective.value((1, 1)) == 0
    assert not objective.gradient((1, 1)).any()
    assert objective.value(point) >= 0
    x, y = point
    assert objective.value(point) == pytest.approx((1 - x) ** 2 + b * (y - x * x) ** 2)


def test_rosenbrock_has_the_parameters_of_the_paper_by_default() -> None:
    assert Rosenbrock().value((-1.2, 1)) == pytest.approx(24.2)


SLOPE = st.floats(0.01, 100)
PERIODIC = st.builds(PeriodicLosses, SLOPE, SLOPE, st.integers(2, 9))
RANDOM = st.builds(RandomLosses, SLOPE, SLOPE, st.floats(0.01, 0.99), st.integers(0, 9))
LOSSES = st.one_of(PERIODIC, RANDOM)


@given(LOSSES, st.integers(1, 30))
def test_gradient_is_the_last_of_the_gradients_up_to_there(
    losses: PeriodicLosses | RandomLosses, t: int
) -> None:
    assert losses.gradient(t) == losses.gradients(40)[t - 1]


@given(LOSSES, st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_regret_compares_with_the_best_point_of_a_grid(
    losses: PeriodicLosses | RandomLosses, points: list[float]
) -> None:
    x = np.array(points)
    g = losses.gradients(len(x))
    for t in range(1, len(x) + 1):
        paid = (g[:t] * x[:t]).sum()
        best = min((g[:t] * fixed).sum() for fixed in np.linspace(-1, 1, 21))
        assert losses.regret(points)[t - 1] == pytest.approx(
            paid - best, rel=1e-9, abs=1e-9
        )


@given(PERIODIC)
def test_who_stays_at_the_optimum_has_no_regret_after_whole_periods(
    losses: PeriodicLosses,
) -> None:
    steps = 3 * losses.period
    regret = losses.regret(np.full(steps, losses.optimum))[-1]
    assert regret == pytest.approx(0, abs=1e-9 * losses.steep * steps)
    assert losses.gradients(steps).mean() == pytest.approx(
        losses.mean_gradient, abs=1e-9
    )


def test_periodic_losses_are_steep_at_the_first_step_of_each_period() -> None:
    losses = PeriodicLosses(1010.0, 10.0, 101)
    assert [t for t in range(1, 304) if losses.gradient(t) > 0] == [1, 102, 203]
    assert losses.gradient(2) == -10
    assert losses.mean_gradient == pytest.approx(10 / 101)
    assert PeriodicLosses(1.0, 1.0, 3).optimum == 1.0


def test_random_losses_are_steep_with_their_probability_and_repeat() -> None:
    losses = RandomLosses(seed=3)
    g = losses.gradients(200_000)
    assert (g > 0).mean() == pytest.approx(0.01, abs=0.001)
    assert set(g.tolist()) == {1010.0, -10.0}
    np.testing.assert_array_equal(g[:100], RandomLosses(seed=3).gradients(100))
    assert (g != RandomLosses(seed=4).gradients(200_000)).any()


def test_regret_knows_the_interval() -> None:
    losses = PeriodicLosses(3.0, 1.0, 3, interval=(0.0, 2.0))
    assert losses.optimum == 0.0
    assert losses.regret([2.0, 2.0, 2.0]).tolist() == [6.0, 4.0, 2.0]
    with pytest.raises(
        ValueError, match=r"points must be in the interval \(0.0, 2.0\)"
    ):
        losses.regret([-0.5])
    with pytest.raises(
        ValueError, match=r"points must have one dimension, got shape \(1, 1\)"
    ):
        losses.regret([[1.0]])


@pytest.mark.parametrize("t", [0, -1])
def test_losses_are_counted_from_one(t: int) -> None:
    with pytest.raises(ValueError, match=f"t must be at least 1.*got {t}"):
        PeriodicLosses().gradient(t)


def test_losses_that_make_no_sense_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"steep must be positive and finite, got 0\.0"
    ):
        PeriodicLosses(steep=0.0)
    with pytest.raises(
        ValueError, match=r"gentle must be positive and finite, got -1\.0"
    ):
        RandomLosses(gentle=-1.0)
    with pytest.raises(ValueError, match="period must be at least 2, got 1"):
        PeriodicLosses(period=1)
    with pytest.raises(ValueError, match=r"probability must be in \(0, 1\), got 1\.0"):
        RandomLosses(probability=1.0)
    with pytest.raises(
        ValueError, match=r"interval must be \(lowest, highest\), got \(1.0, 1.0\)"
    ):
        PeriodicLosses(interval=(1.0, 1.0))


# Classes that are not equally large


def test_groups_of_classes_have_the_same_number_of_inputs() -> None:
    problem = ImbalancedClasses(4)
    assert problem.inputs.shape == (4 * 16, 5 * 16)
    assert problem.shape == (5 * 16, 15)
    sizes = np.bincount(problem.labels)
    assert sizes.tolist() == [16, 8, 8, *[4] * 4, *[2] * 8]
    assert problem.group(range(15)).tolist() == [0, 1, 1, *[2] * 4, *[3] * 8]
    assert np.bincount(problem.group(problem.labels)).tolist() == [16] * 4
    assert problem.inputs.min() >= 0
    assert 0.9 < problem.inputs.max() <= 1


def test_balanced_classes_have_the_same_size_up_to_one_and_the_same_inputs() -> None:
    balanced, other = ImbalancedClasses(5, balanced=True), ImbalancedClasses(5)
    sizes = np.bincount(balanced.labels)
    assert sizes.sum() == 5 * 32
    assert len(sizes) == 31
    assert set(sizes) == {5, 6}
    np.testing.assert_array_equal(balanced.inputs, other.inputs)
    assert not np.array_equal(ImbalancedClasses(5, seed=1).inputs, other.inputs)
    with pytest.raises(ValueError, match="groups must be at least 2, got 1"):
        ImbalancedClasses(1)


@pytest.mark.parametrize("balanced", [False, True])
def test_gradient_of_the_classes_agrees_with_finite_differences(
    *, balanced: bool
) -> None:
    problem = ImbalancedClasses(2, balanced=balanced)
    weights = np.random.default_rng(0).normal(size=problem.shape)
    losses, gradient = problem.losses_and_gradient(weights)

    def mean_loss(flat: Float64Array) -> float:
        return float(problem.losses_and_gradient(flat.reshape(problem.shape))[0].mean())

    estimate = finite_difference(mean_loss, weights.ravel())
    assert gradient.ravel() == pytest.approx(estimate, rel=1e-5, abs=1e-7)
    logits = problem.inputs @ weights
    for loss, row, label in zip(losses, logits, problem.labels, strict=True):
        assert loss == pytest.approx(np.log(np.exp(row).sum()) - row[label])
