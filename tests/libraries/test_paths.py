"""Following an optimizer, and refusals; tests/peers compare the paths themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial import reference
from adam_tutorial.libraries import eps_at, eps_hat_at, find, follow, gap
from adam_tutorial.libraries.paths import Followed

# Each test that needs Keras runs its own program: a process can choose one backend.
KERAS = """
import numpy as np

from adam_tutorial.libraries import follow

keras = __import__("keras")
"""


def run_with_keras(
    program: str, backend: str, home: Any
) -> subprocess.CompletedProcess[str]:
    # Not importorskip: here Keras has no backend, and its import would fail.
    if find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    environment = os.environ | {"KERAS_BACKEND": backend, "KERAS_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-c", KERAS + program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def slope(point: Any, t: int) -> Any:
    return point * np.array([1.0, 1e-4]) + 1e-6 * t


START = [1.0, -2.0]


def adam_path(steps: int, **settings: Any) -> Any:
    theta, state, points = np.array(START), None, [np.array(START)]
    for t in range(1, steps + 1):
        state, update = reference.adam(state, slope(theta, t), **settings)
        theta = theta + update
        points.append(theta)
    return np.array(points)


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("torch", "torch.optim.Adam"),
        ("adam_tutorial", "adam_tutorial.optim.Adam"),
        ("optax", "optax.adam"),
    ],
)
def test_followed_path_is_that_of_the_reference(library: Followed, name: str) -> None:
    pytest.importorskip(library)
    rate = "learning_rate" if library == "optax" else "lr"
    for make in (name, find(name)):
        path = follow(library, make, {rate: 0.02}, slope, START, 20)
        assert path.dtype == np.float64
        np.testing.assert_allclose(path, adam_path(20, lr=0.02), rtol=1e-13)


def test_no_steps_leave_only_the_start() -> None:
    assert follow("torch", "torch.optim.Adam", {}, slope, START, 0).tolist() == [START]


def test_start_is_not_changed() -> None:
    start = np.array(START)
    follow("torch", "torch.optim.Adam", {"lr": 0.1}, slope, start, 3)
    assert start.tolist() == START


def test_eps_of_each_step_reaches_torch() -> None:
    path = follow(
        "torch",
        "torch.optim.Adam",
        {"lr": 0.02},
        slope,
        START,
        20,
        eps=lambda t: eps_at(1e-3, t),
    )
    state, theta = None, np.array(START)
    for t in range(1, 21):
        state, update = reference.adam_efficient(
            state, slope(theta, t), lr=0.02, eps_hat=1e-3
        )
        theta = theta + update
    np.testing.assert_allclose(path[-1], theta, rtol=1e-13)


def test_eps_of_each_step_reaches_every_parameter_group_of_torch() -> None:
    def in_the_second_group(parameters: Any, **settings: Any) -> Any:
        groups = [
            {"params": [torch.nn.Parameter(torch.zeros(1))]},
            {"params": parameters},
        ]
        return torch.optim.Adam(groups, **settings)

    paths = [
        follow(
            "torch", make, {"lr": 0.02}, slope, START, 20, eps=lambda t: eps_at(1e-3, t)
        )
        for make in ("torch.optim.Adam", in_the_second_group)
    ]
    np.testing.assert_array_equal(paths[0], paths[1])


def test_keras_follows_the_reference_when_its_epsilon_is_eps_hat_of_each_step(
    tmp_path: Any,
) -> None:
    hats = [eps_hat_at(1e-3, t) for t in range(1, 21)]
    run = run_with_keras(
        f"""
hats = {hats}
slope = lambda x, t: x * np.array([1.0, 1e-4]) + 1e-6 * t
path = follow("keras", "keras.optimizers.Adam", {{"learning_rate": 0.02}}, slope,
              {START}, 20, eps=lambda t: hats[t - 1])
print(*map(repr, path[-1].tolist()), keras.config.floatx())
""",
        "torch",
        tmp_path,
    )
    assert run.returncode == 0, run.stderr
    *point, floatx = run.stdout.split()
    assert floatx == "float32", "the caller's setting is restored"
    expected = adam_path(20, lr=0.02, eps=1e-3)[-1]
    np.testing.assert_allclose([float(x) for x in point], expected, rtol=1e-13)


def test_float_setting_of_keras_is_restored_after_an_error(tmp_path: Any) -> None:
    run = run_with_keras(
        """
keras.config.set_floatx("float16")

def fails(point, t):
    print("during:", keras.config.floatx())
    raise KeyError("no gradient")

try:
    follow("keras", "keras.optimizers.Adam", {}, fails, [1.0], 1)
except KeyError as error:
    print("error:", error)
print("after:", keras.config.floatx())
""",
        "torch",
        tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "during: float64",
        "error: 'no gradient'",
        "after: float16",
    ]


def test_keras_on_another_backend_is_refused_with_the_remedy(tmp_path: Any) -> None:
    run = run_with_keras(
        "follow('keras', 'keras.optimizers.Adam', {}, lambda x, t: x, [1.0], 1)",
        "numpy",
        tmp_path,
    )
    assert (
        "its backend is 'numpy': set the environment variable KERAS_BACKEND"
        in run.stderr
    )


def test_unknown_library_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"library must be one of \['adam_tutorial', .*'jax'"
    ):
        follow(
            "jax",  # type: ignore[arg-type]
            "optax.adam",
            {},
            slope,
            START,
            1,
        )


def test_negative_number_of_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        follow("torch", "torch.optim.Adam", {}, slope, START, -1)


def test_eps_of_each_step_is_refused_for_optax() -> None:
    with pytest.raises(ValueError, match="eps must be None for optax"):
        follow("optax", "optax.adam", {}, slope, START, 1, eps=lambda _: 1e-8)


def test_name_must_be_full_and_exist() -> None:
    with pytest.raises(
        ValueError, match=r"full one such as 'torch\.optim\.Adam', .*, got 'Adam'"
    ):
        find("Adam")
    with pytest.raises(ValueError, match=r"torch\.optim has no 'Adan'"):
        find("torch.optim.Adan")


def test_gap_is_the_largest_distance_in_learning_rates() -> None:
    assert gap([[0.0, 1.0]], [[0.5, 0.9]], lr=0.1).tolist() == pytest.approx([5.0])
    with pytest.raises(
        ValueError, match=r"two tables of one shape, got \(1, 2\) and \(1, 1\)"
    ):
        gap([[0.0, 1.0]], [[0.5]])
    with pytest.raises(ValueError, match=r"got \(2,\) and \(2,\)"):
        gap([0.0, 1.0], [0.5, 1.0])
    for lr in (0.0, float("nan")):
        with pytest.raises(ValueError, match="lr must be positive"):
            gap([[0.0]], [[0.5]], lr=lr)
