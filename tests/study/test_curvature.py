from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adam_tutorial.study.curvature import lanczos, power_iteration


@given(st.integers(0, 1000))
def test_as_many_lanczos_steps_as_dimensions_give_all_eigenvalues(seed: int) -> None:
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((7, 7))
    matrix = half + half.T
    found = lanczos(lambda v: matrix @ v, rng.standard_normal(7), iterations=7)
    np.testing.assert_allclose(found, np.linalg.eigvalsh(matrix)[::-1], atol=1e-8)


def test_few_lanczos_steps_find_both_ends_of_a_large_spectrum() -> None:
    values = np.concatenate([[10.0, 7.0], np.linspace(-1, 1, 500), [-4.0]])
    start = np.random.default_rng(0).standard_normal(len(values))
    found = lanczos(lambda v: values * v, start, iterations=30)
    assert len(found) == 30
    np.testing.assert_allclose(found[[0, 1, -1]], [10, 7, -4], atol=1e-6)


def test_lanczos_stops_when_the_space_is_complete() -> None:
    found = lanczos(lambda v: v * [3.0, 3.0, 1.0], [1.0, 1.0, 1.0], iterations=3)
    np.testing.assert_allclose(found, [3, 1], atol=1e-10)
    np.testing.assert_array_equal(
        lanczos(lambda v: 0 * v, [1.0, 2.0], iterations=2), [0.0]
    )


def test_power_iteration_finds_a_negative_eigenvalue_if_it_is_the_largest_in_size() -> (
    None
):
    value, vector = power_iteration(
        lambda v: v * [-5.0, 2.0], [1.0, 1.0], iterations=60
    )
    assert value == pytest.approx(-5)
    np.testing.assert_allclose(abs(vector), [1, 0], atol=1e-12)


def test_power_iteration_on_the_zero_matrix_ends_with_zero() -> None:
    value, vector = power_iteration(lambda v: 0 * v, [3.0, 4.0])
    assert value == 0
    np.testing.assert_allclose(vector, [0.6, 0.8])


@pytest.mark.parametrize("method", [power_iteration, lanczos])
def test_bad_arguments_are_refused(method: object) -> None:
    assert callable(method)
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        method(lambda v: v, [1.0], iterations=0)
    for start in ([0.0, 0.0], [[1.0]], [np.inf]):
        with pytest.raises(
            ValueError, match="start must be a finite vector other than 0"
        ):
            method(lambda v: v, start)
