from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial import reference
from adam_tutorial._types import Array

SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "decay": {"weight_decay": 0.1},
    "all": {
        "lr": 0.5,
        "beta2_decay": -0.5,
        "eps": (1e-2, 0.3),
        "d": 2.0,
        "weight_decay": 0.1,
    },
}


def gradients(shape: tuple[int, ...], steps: int = 100) -> Array:
    """Draw gradients from 1e-20, below the first eps, to 1e3; some are 0."""
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-20, 3, (steps,) + (1,) * len(shape))
    sizes[::10] = 0
    return np.asarray(sizes * rng.standard_normal((steps, *shape)))


@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (2, 3, 4)])
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_hundred_steps_are_those_of_torch(
    shape: tuple[int, ...], settings: str
) -> None:
    start = np.random.default_rng(1).standard_normal(shape)
    history = gradients(shape)
    theta = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.Adafactor([theta], **SETTINGS[settings])
    points, _, states = reference.walk(
        reference.adafactor, history, start, **SETTINGS[settings]
    )
    for point, state, g in zip(points[1:], states, history, strict=True):
        theta.grad = torch.tensor(g)
        optimizer.step()
        np.testing.assert_allclose(point, theta.detach().numpy(), rtol=0, atol=1e-10)
        theirs = optimizer.state[theta]
        for name, part in (
            ("row_var", state.row),
            ("col_var", state.col),
            ("variance", state.v),
        ):
            assert (name in theirs) == (part is not None)
            if part is not None:
                np.testing.assert_allclose(part, theirs[name].numpy(), rtol=1e-10)


def test_the_first_step_of_a_matrix_by_hand() -> None:
    # Squares 9 and 0, 0 and 9: each row and column has the mean 4.5, so each v is 4.5
    # and u is 3 / sqrt(4.5) = sqrt(2) on the diagonal. Its root mean square is 1.
    # theta has the root mean square 5.
    state, update = reference.adafactor(
        None, [[3.0, 0.0], [0.0, -3.0]], theta=[[1.0, 7.0], [-7.0, 1.0]]
    )
    assert state.row == pytest.approx(np.array([[4.5], [4.5]]))
    assert state.col == pytest.approx(np.array([[4.5, 4.5]]))
    assert state.t == 1
    assert state.v is None
    root = math.sqrt(2)
    np.testing.assert_allclose(
        update, [[-0.05 * root, 0.0], [0.0, 0.05 * root]], rtol=1e-12
    )


def test_the_first_step_of_a_vector_by_hand() -> None:
    # v is the square, u the sign. theta counts as 1e-3 at least.
    state, update = reference.adafactor(None, [3.0, -4.0], theta=[0.0, 0.0], lr=0.1)
    assert state.v == pytest.approx(np.array([9.0, 16.0]))
    assert state.row is None
    assert state.col is None
    np.testing.assert_allclose(update, [-1e-4, 1e-4], rtol=1e-12)


def test_matrices_follow_the_formula_written_out() -> None:
    rng = np.random.default_rng(2)
    history = rng.standard_normal((12, 3, 2)) * 10 ** rng.uniform(-1, 1, (12, 1, 1))
    start = rng.standard_normal((3, 2))
    lr, tau, eps1, eps2, d, decay = 0.2, -0.6, 0.05, 0.7, 1.5, 0.3
    updates = reference.walk(
        reference.adafactor,
        history,
        start,
        lr=lr,
        beta2_decay=tau,
        eps=(eps1, eps2),
        d=d,
        weight_decay=decay,
    ).updates
    theta = start.tolist()
    row, col = [0.0] * 3, [0.0] * 2
    cells = [(i, j) for i in range(3) for j in range(2)]
    for t, g in enumerate(history.tolist(), start=1):
        new = t**tau
        for i in range(3):
            row[i] += new * (sum(g[i][j] ** 2 for j in range(2)) / 2 - row[i])
        for j in range(2):
            col[j] += new * (sum(g[i][j] ** 2 for i in range(3)) / 3 - col[j])
        mean = max(sum(row) / 3, eps1)
        u = {
            (i, j): g[i][j] / max(math.sqrt(row[i] * col[j] / mean), eps1)
            for i, j in cells
        }
        too_long = max(1, math.sqrt(sum(x * x for x in u.values()) / 6) / d)
        size = math.sqrt(sum(theta[i][j] ** 2 for i, j in cells) / 6)
        alpha = max(eps2, size) * min(lr, 1 / math.sqrt(t))
        for i, j in cells:
            step = -lr * decay * theta[i][j] - alpha * u[i, j] / too_long
            assert updates[t - 1, i, j] == pytest.approx(step, rel=1e-11)
            theta[i][j] += step


@pytest.mark.parametrize(
    ("made_for", "shape", "message"),
    [
        (
            (4, 3),
            (5, 3),
            r"state.row has the shape \(4, 1\), but the gradient has \(5, 3\)"
            r" and needs \(5, 1\)",
        ),
        (
            (4, 3),
            (4, 2),
            r"state.col has the shape \(1, 3\), but the gradient has \(4, 2\)"
            r" and needs \(1, 2\)",
        ),
        (
            (4, 3),
            (4,),
            r"state.row has the shape \(4, 1\), but the gradient has \(4,\)"
            r" and needs None",
        ),
        (
            (4,),
            (4, 3),
            r"state.row has the shape None, but the gradient has \(4, 3\)"
            r" and needs \(4, 1\)",
        ),
        ((3,), (1,), r"state.v has the shape \(3,\), but the gradient has \(1,\)$"),
        ((2, 4, 3), (4, 3), r"state.row has the shape \(2, 4, 1\)"),
    ],
)
def test_a_state_made_for_another_shape_is_refused(
    made_for: tuple[int, ...], shape: tuple[int, ...], message: str
) -> None:
    state, _ = reference.adafactor(None, np.ones(made_for), theta=np.ones(made_for))
    with pytest.raises(ValueError, match=message):
        reference.adafactor(state, np.ones(shape), theta=np.ones(shape))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta2_decay": 0.8}, "beta2_decay must be finite and not positive, got 0.8"),
        ({"beta2_decay": -math.inf}, "beta2_decay must be finite and not positive"),
        ({"d": 0.5}, "d must be at least 1, got 0.5"),
        ({"eps": (-1.0, 1e-3)}, "eps must be finite and not negative, got -1.0"),
        ({"eps": (None, math.nan)}, "eps must be finite and not negative, got nan"),
        ({"weight_decay": -0.1}, "weight_decay must be finite and not negative"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        reference.adafactor(None, [1.0], theta=[1.0], **settings)
