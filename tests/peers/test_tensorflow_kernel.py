"""The Adam kernel of TensorFlow itself, without Keras, against the reference."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adam_tutorial import reference
from adam_tutorial._types import Float64Array
from adam_tutorial.libraries import eps_hat_at
from tests.peers.paths import difference

if find_spec("tensorflow") is None:
    pytest.skip("TensorFlow is not installed", allow_module_level=True)

STEPS = 1000
RATES: dict[str, Any] = {"lr": 0.02, "beta1": 0.8, "beta2": 0.99}
rng = np.random.default_rng(0)
GRADIENTS = 10.0 ** rng.uniform(-6, 6, (STEPS, 1)) * rng.standard_normal((STEPS, 4))
START = rng.standard_normal(4)


def kernel_path(folder: Path, epsilon: list[float]) -> Float64Array:
    """Every point of the kernel, which is given the epsilon of each step."""
    problem, result = folder / "problem.npz", folder / "path.npy"
    np.savez(problem, gradients=GRADIENTS, start=START, epsilon=epsilon, **RATES)
    program = Path(__file__).with_name("tensorflow_kernel.py")
    environment = {
        key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"
    }
    run = subprocess.run(
        [sys.executable, program, problem, result],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    path: Float64Array = np.load(result)
    return path


def reference_path(rule: Any, **settings: Any) -> Float64Array:
    gradients = iter(GRADIENTS)
    path = reference.trajectory(
        rule, lambda _: next(gradients), START, STEPS, **RATES, **settings
    )
    return path.astype(np.float64, copy=False)


def test_kernel_of_tensorflow_is_the_efficient_order_with_eps_hat(
    tmp_path: Path,
) -> None:
    theirs = kernel_path(tmp_path, [1e-3] * STEPS)
    assert (
        difference(reference_path(reference.adam_efficient, eps_hat=1e-3), theirs)
        < 1e-12
    )
    assert difference(reference_path(reference.adam, eps=1e-3), theirs) > 1e-9


def test_kernel_of_tensorflow_is_algorithm_1_when_its_epsilon_is_eps_hat_of_each_step(
    tmp_path: Path,
) -> None:
    eps_hat = [eps_hat_at(1e-3, t, RATES["beta2"]) for t in range(1, STEPS + 1)]
    theirs = kernel_path(tmp_path, eps_hat)
    assert difference(reference_path(reference.adam, eps=1e-3), theirs) < 1e-12
