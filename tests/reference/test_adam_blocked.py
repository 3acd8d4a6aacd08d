"""The step in place, block by block, beside the rule that it must equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adam_tutorial._types import Array
from adam_tutorial.reference import AdamState, adam, adam_blocked

# Zero, or of a size whose square float32 holds with all its digits.
SIZES = st.floats(-(2.0**40), 2.0**40, width=32).map(
    lambda x: 0.0 if abs(x) < 2.0**-40 else x
)


@given(
    gradients=st.integers(0, 40).flatmap(
        lambda n: arrays(np.float64, (4, n), elements=SIZES)
    ),
    dtype=st.sampled_from([np.float32, np.float64]),
    block=st.integers(1, 50),
    beta1=st.floats(0, 0.99),
    beta2=st.floats(0, 0.9999),
    lr=st.floats(1e-6, 10),
    eps=st.sampled_from([1e-8, 1e-3]),
)
def test_block_by_block_equals_the_rule(
    gradients: Array, dtype: type, block: int, **settings: Any
) -> None:
    expected: Array = np.linspace(-1, 1, gradients.shape[1], dtype=dtype)
    theta, allowed = expected.copy(), np.zeros(expected.shape)
    state = other = None
    for g in gradients.astype(dtype):
        state, update = adam(state, g, **settings)
        expected = expected + update
        other = adam_blocked(theta, g, other, block=block, **settings)
        assert other.t == state.t
        assert {other.m.dtype, other.v.dtype, theta.dtype} == {np.dtype(dtype)}
        np.testing.assert_array_equal(other.m, state.m)
        np.testing.assert_array_equal(other.v, state.v)
        # Fewer than sixteen roundings of the update, both orders together, and two of
        # the parameter.
        allowed += np.finfo(dtype).eps * (8 * np.abs(update) + 2 * np.abs(expected))
        assert np.all(np.abs(theta - expected) <= allowed)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (5, 7), (100_001,)])
def test_arrays_of_any_shape_are_stepped_in_place(
    shape: tuple[int, ...],
) -> None:
    rng = np.random.default_rng(0)
    theta, g = np.zeros(shape), np.asarray(rng.standard_normal(shape))
    first = adam_blocked(theta, g, None)
    second = adam_blocked(theta, g, first)
    state, update = adam(None, g)
    _, more = adam(state, g)
    np.testing.assert_allclose(theta, update + more, rtol=1e-14)
    assert second.m is first.m
    assert second.v is first.v
    assert second.m.shape == theta.shape == shape


def test_the_gradient_may_be_read_only_and_stays_as_it_is() -> None:
    theta, g = np.zeros(3), np.array([1.0, -2.0, 0.0])
    g.flags.writeable = False
    adam_blocked(theta, g, None, lr=0.1)
    np.testing.assert_allclose(theta, [-0.1, 0.1, 0.0], rtol=1e-7)
    assert g.tolist() == [1.0, -2.0, 0.0]


def test_the_state_of_the_rule_may_be_continued() -> None:
    state, update = adam(None, [1.0, 2.0])
    theta = update.copy()
    _, next_update = adam(state, [3.0, -1.0])
    assert adam_blocked(theta, np.array([3.0, -1.0]), state).t == 2
    np.testing.assert_allclose(theta, update + next_update, rtol=1e-14)


GOOD: dict[str, Any] = {"theta": np.ones(4), "gradient": np.full(4, 2.0), "state": None}
STATE = AdamState(1, np.ones(4), np.ones(4))
SHARED = np.ones(8)
LOCKED = np.ones(4)
LOCKED.flags.writeable = False


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"theta": [1.0] * 4}, TypeError, "theta must be an array of .*, got list"),
        ({"theta": np.ones(4, int)}, TypeError, "theta must be an .*, got int64"),
        ({"theta": np.ones(4, ">f4")}, TypeError, "theta must be an .*, got >f4"),
        ({"theta": None}, TypeError, "theta must be an array of .*, got NoneType"),
        ({"gradient": None}, TypeError, "gradient must be an .*, got NoneType"),
        (
            {"gradient": np.ones(4, np.float32)},
            TypeError,
            "gradient must have the dtype of theta, float64, got float32",
        ),
        (
            {"gradient": np.ones(1)},
            ValueError,
            r"gradient must have the shape of theta, \(4,\), got \(1,\)",
        ),
        ({"gradient": np.ones(8)[::2]}, ValueError, "gradient must be contiguous"),
        ({"theta": LOCKED}, ValueError, "theta must be writeable"),
        (
            {"theta": SHARED[:4], "gradient": SHARED[2:6]},
            ValueError,
            "theta must not overlap gradient",
        ),
        (
            {"state": STATE._replace(v=STATE.m)},
            ValueError,
            r"state\.m must not overlap state\.v",
        ),
        (
            {"state": STATE._replace(m=np.ones(5))},
            ValueError,
            r"state\.m must have the shape",
        ),
        (
            {"state": STATE._replace(v=LOCKED)},
            ValueError,
            r"state\.v must be writeable",
        ),
        (
            {"state": STATE._replace(t=1.5)},  # type: ignore[arg-type]
            TypeError,
            r"state\.t must be a whole number",
        ),
        ({"state": STATE._replace(t=-1)}, ValueError, r"state\.t must be at least 0"),
        ({"state": (1, np.ones(4), np.ones(4))}, TypeError, "state must be .* a tuple"),
        ({"lr": -1.0}, ValueError, "lr must be finite and not negative, got -1.0"),
        ({"lr": "0.1"}, TypeError, "lr must be a number, got '0.1'"),
        ({"beta1": 1.0}, ValueError, r"beta1 must be in \[0, 1\), got 1.0"),
        ({"beta2": np.nan}, ValueError, r"beta2 must be in \[0, 1\), got nan"),
        ({"eps": np.inf}, ValueError, "eps must be finite and not negative, got inf"),
        ({"block": 0}, ValueError, "block must be at least 1, got 0"),
        ({"block": 2.5}, TypeError, "block must be a whole number, got 2.5"),
    ],
)
def test_bad_input_is_named_before_anything_changes(
    given: dict[str, Any], error: type[Exception], said: str
) -> None:
    called = {**GOOD, "state": AdamState(1, np.ones(4), np.ones(4)), **given}
    state = called["state"]
    held = [called["theta"], called["gradient"], *(state[1:] if state else ())]
    kept = [np.copy(array) for array in held]
    with pytest.raises(error, match=f"^{said}"):
        adam_blocked(**called)
    for array, copy in zip(held, kept, strict=True):
        np.testing.assert_array_equal(array, copy)
