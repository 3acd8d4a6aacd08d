from __future__ import annotations

import math
import re
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial.objectives import Quadratic, Rosenbrock
from adam_tutorial.scratch import finite_difference

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
        assert values[index] == pytest.approx(float(objective.value(grid[index])), rel=1e-12)
        assert gradients[index] == pytest.approx(objective.gradient(grid[index]), rel=1e-12)


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
    assert np.linalg.eigvalsh(hessian) == pytest.approx(sorted(objective.curvatures), rel=1e-9)


@given(QUADRATIC, POINT)
def test_turned_valley_has_the_height_of_the_straight_one_at_the_point_turned_back(
    objective: Quadratic, point: tuple[float, float]
) -> None:
    straight = Quadratic(objective.curvatures)
    turned = objective.rotation @ np.array(point)
    assert objective.value(turned) == pytest.approx(float(straight.value(point)), abs=1e-9)


def test_quadratic_without_an_angle_is_the_sum_of_its_two_parabolas() -> None:
    objective = Quadratic((1, 20))
    assert objective.value((2, 3)) == 0.5 * (1 * 4 + 20 * 9)
    assert objective.gradient((2, 3)).tolist() == [2, 60]


def test_positive_angle_turns_the_valley_against_the_clock() -> None:
    objective = Quadratic((1, 20), angle=math.pi / 4)
    assert objective.value((1, 1)) == pytest.approx(0.5 * 1 * 2)
    assert objective.value((1, -1)) == pytest.approx(0.5 * 20 * 2)


@pytest.mark.parametrize("curvatures", [(0.0, 1.0), (1.0, -2.0), (math.nan, 1.0)], ids=str)
def test_curvature_that_is_not_positive_is_refused(curvatures: tuple[float, float]) -> None:
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
