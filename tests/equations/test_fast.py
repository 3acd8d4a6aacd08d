"""The equations of how long a step takes.

What they say of times is checked on the stored runs: a test that measured would fail on
a busy machine.
"""

from __future__ import annotations

import numpy as np
import pytest

from adam_tutorial.bench import Result
from adam_tutorial.study.experiments import stored_runs

LARGE = ("32M", "resnet50", "gpt2-half")


@pytest.mark.equation("fast-bytes")
def test_a_step_needs_four_arrays_and_changes_three() -> None:
    kernels = pytest.importorskip("adam_tutorial.optim.backends.kernels")
    numbers = np.array([1, 0, 0.9, 0.1, 0.999, 0.001, 1, 0.01, 31.6, 1e-8], "f4")
    assert len(numbers) == kernels.NUMBERS
    before = [np.full(8, x, "f4") for x in (0.5, 0.3, 0.2, 0.1)]

    def after(*inputs: np.ndarray) -> list[np.ndarray]:
        arrays = [array.copy() for array in inputs]
        kernels.move_adam(*arrays, numbers)
        return arrays

    results = after(*before)
    written = [
        not np.array_equal(result, array)
        for result, array in zip(results, before, strict=True)
    ]
    assert written == [True, False, True, True]  # theta, g, m, v
    for place in range(4):
        other = [array.copy() for array in before]
        other[place] += np.float32(0.1)
        changed = [
            not np.array_equal(a, b)
            for a, b in zip(after(*other)[::2], results[::2], strict=True)
        ]
        assert any(changed), place  # each of the four is read
    bytes_of_float32 = np.float32(0).nbytes
    assert bytes_of_float32 * (4 + sum(written)) == 28
    assert Result.load(stored_runs("fast_step")).workloads["32M"]["bytes"] == 28 * 2**25


@pytest.mark.equation("fast-limit")
@pytest.mark.parametrize("workload", LARGE)
@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_is_faster_than_the_memory(workload: str, threads: int) -> None:
    result = Result.load(stored_runs("fast_step"))
    size = result.workloads[workload]
    assert size["bytes"] == 28 * size["elements"]
    # The stream moves these bytes and does nothing else, so its time is b n / B. Ratios
    # within rounds, since not all candidates fit into memory together.
    limit = result.ratio(workload, "stream", threads)
    for candidate in ("torch-fused", "torch", "torch-foreach", "ours"):
        # The stream is measured too: a few per cent are noise.
        assert result.ratio(workload, candidate, threads) < 1.05 * limit


@pytest.mark.equation("fast-cost")
@pytest.mark.parametrize("candidate", ["torch-fused", "torch", "ours"])
def test_two_terms_explain_the_time_of_many_tensors(candidate: str) -> None:
    result = Result.load(stored_runs("fast_growth"))
    chosen = {
        name: size
        for name, size in result.workloads.items()
        if size["tensors"] >= 16 or size["elements"] >= 2**22
    }
    k = np.array([size["tensors"] for size in chosen.values()], dtype=float)
    n = np.array([size["elements"] for size in chosen.values()], dtype=float)
    times = np.array([np.median(result.seconds(name, candidate, 1)) for name in chosen])
    # Relative errors, since the times cover four orders of magnitude.
    terms = np.stack([k, n], axis=1) / times[:, None]
    (a, c), *_ = np.linalg.lstsq(terms, np.ones_like(times), rcond=None)
    assert a > 0
    assert c > 0
    predicted = a * k + c * n
    assert np.median(np.abs(predicted / times - 1)) < 0.3
