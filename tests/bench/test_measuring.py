"""What takes turns with what, and what becomes of a candidate that cannot."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from adam_tutorial.bench import Candidate, Rounds, Task, find_workload, measuring, run
from adam_tutorial.bench.measuring import measure, round_robin
from tests.bench.toys import idle, use

SMALL: dict[str, Any] = {"threads": [1], "rounds": 3, "reference": "first"}


def test_each_round_begins_with_another_candidate() -> None:
    steps = {name: partial(str, name) for name in "abc"}
    order = []

    def timer(step: Callable[[], Any]) -> float:
        order.append(step())
        return float(len(order))

    seconds = round_robin(steps, 4, timer)
    assert order == list("abcbcacababc")
    assert seconds == {"a": [1, 6, 8, 10], "b": [2, 4, 9, 11], "c": [3, 5, 7, 12]}


def test_a_ratio_is_the_median_of_the_ratios_within_rounds() -> None:
    # The third round ran on a busy machine; the medians over rounds have ratio 6 / 3.
    rounds = Rounds("mlp", 1, {"a": [1.0, 3.0, 40.0], "b": [6.0, 3.0, 120.0]})
    assert rounds.ratio("a", to="b") == 3.0
    assert rounds.ratio("b", to="a") == pytest.approx(1 / 3)
    assert rounds.ratio("a", to="a") == 1.0


def test_a_candidate_that_refuses_is_reported_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(_: Task) -> Any:
        raise TypeError("Adam has no argument 'max_grad_norm'\nand a second line")

    def missing(_: Task) -> Any:
        import adam_tutorial.nothing  # type: ignore[import-not-found]

        return adam_tutorial.nothing

    def fails_in_its_step(_: Task) -> Any:
        return lambda: 1 // 0

    use(
        monkeypatch,
        first=idle,
        refuses=refuses,
        missing=missing,
        fails=fails_in_its_step,
        last=idle,
    )
    result = run(["1x2", "mlp"], **SMALL)
    assert result.candidates == ["first", "last"]
    reasons = {
        "refuses": "TypeError: Adam has no argument 'max_grad_norm'",
        "missing": "ModuleNotFoundError: No module named 'adam_tutorial.nothing'",
        "fails": "ZeroDivisionError: integer division or modulo by zero",
    }
    assert [tuple(absent) for absent in result.absent] == [
        (workload, 1, name, reason)
        for workload in ("1x2", "mlp")
        for name, reason in reasons.items()
    ]


def test_without_its_reference_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(_: Task) -> Any:
        raise ImportError("not installed")

    use(monkeypatch, first=refuses, last=idle)
    with pytest.raises(
        RuntimeError,
        match=r"^the reference 'first' cannot be measured: ImportError: not installed$",
    ):
        run(["1x2"], **SMALL)


def test_candidates_get_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = []

    def build(task: Task) -> Callable[[], None]:
        tasks.append((task, torch.get_num_threads()))
        return lambda: None

    use(monkeypatch, first=build)
    monkeypatch.setattr("adam_tutorial.bench.running.cpus", lambda: 2)
    before = torch.get_num_threads()
    run(["1x2"], threads=[2, 1, 2], reference="first", max_grad_norm=0.5)
    wanted = [Task(find_workload("1x2"), n, "cpu", 0.5) for n in (2, 1)]
    assert tasks == [(wanted[0], 2), (wanted[1], 1)]
    assert torch.get_num_threads() == before


def test_threads_are_restored_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fails_later(_: Task) -> Callable[[], None]:
        def step() -> None:
            calls.append(torch.get_num_threads())
            if len(calls) > 10:
                raise KeyboardInterrupt

        return step

    use(monkeypatch, first=fails_later)
    monkeypatch.setattr("adam_tutorial.bench.running.cpus", lambda: 2)
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        run(["1x2"], threads=[2], reference="first")
    assert set(calls) == {2}
    assert torch.get_num_threads() == before
    assert gc.isenabled()


def test_large_workloads_are_measured_in_batches_with_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class Step:
        def __call__(self) -> None:
            """Do nothing."""

    def build(_: Task) -> Step:
        nonlocal most
        step = Step()
        alive.add(step)
        most = max(most, len(alive))
        return step

    names = ["first", *"abcde"]
    use(monkeypatch, **dict.fromkeys(names, build))
    task = Task(find_workload("1x1000"))
    # The reference, two others, and what one allocates in its step.
    parts = list(measure(task, names, 3, budget=4 * 16_000, absent=[]))
    assert [list(part.seconds) for part in parts] == [
        ["first", "a", "b"],
        ["first", "c", "d"],
        ["first", "e"],
    ]
    assert most == 3
    monkeypatch.setattr("adam_tutorial.bench.running.free_memory", lambda _: 10**9)
    result = run(["1x1000"], names, **SMALL, memory=4 * 16_000 / 2**30)
    assert result.ratio("1x1000", "e") > 0
    assert len(result.rounds) == 3
    with pytest.raises(ValueError, match=r"^to must be one of \['first', 'c', 'd'\]"):
        result.ratio("1x1000", "c", to="a")


def test_a_short_step_is_repeated_and_the_time_divided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = {"now": 0.0, "steps": 0, "slept": 0.0}

    def takes_a_millisecond(_: Task) -> Callable[[], None]:
        def step() -> None:
            clock["now"] += 1e-3
            clock["steps"] += 1
            assert len(timed) == 0 or not gc.isenabled()

        return step

    timed: list[int] = []
    use(monkeypatch, first=takes_a_millisecond)
    monkeypatch.setattr(measuring, "LEAST_SECONDS", 4.5e-3)
    monkeypatch.setattr(measuring, "PAUSE", 7.0)

    def sleep(seconds: float) -> None:
        clock["slept"] += seconds

    time = SimpleNamespace(perf_counter=lambda: clock["now"], sleep=sleep)
    monkeypatch.setattr(measuring, "time", time)
    result = run(["1x2"], **SMALL)
    assert result.seconds("1x2", "first") == pytest.approx([1e-3] * 3)
    # Three to warm up, three to see how long one takes, three rounds of five.
    assert clock["steps"] == 3 + 3 + 3 * 5
    assert clock["slept"] == 7.0 * (3 + 3)


def test_the_collector_rests_during_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    enabled = []

    def notes(_: Task) -> Callable[[], None]:
        return lambda: enabled.append(gc.isenabled())

    use(monkeypatch, first=notes)
    run(["1x2"], **SMALL)
    assert enabled[-3:] == [False] * 3
    assert gc.isenabled()


def test_on_a_gpu_each_measurement_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []

    def notes(_: Task) -> Callable[[], None]:
        return lambda: events.append("step")

    use(monkeypatch, first=notes, last=Candidate("a toy", idle, devices=("cpu",)))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))
    task = Task(find_workload("1x2"), device="cuda")
    absent: list[Any] = []
    (part,) = measure(task, ["first", "last"], 2, 1e9, absent)
    assert list(part.seconds) == ["first"]
    assert absent == [("1x2", 1, "last", "runs on cpu only")]
    assert events[3:] == ["wait", "step", "wait"] * (3 + 2)


def test_what_does_not_clip_is_left_out_where_clipping_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, first=idle, last=Candidate("a toy", idle, clips=False))
    result = run(["1x2"], **SMALL, max_grad_norm=1.0)
    assert result.candidates == ["first"]
    assert result.absent[0].reason == "does not clip gradients"
    assert run(["1x2"], **SMALL).candidates == ["first", "last"]


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"workloads": "mlp"}, TypeError, "workloads must be a list, got 'mlp'"),
        ({"workloads": []}, ValueError, "workloads must have at least one entry"),
        ({"workloads": ["foo"]}, ValueError, "workloads must be of 32M, .* got 'foo'"),
        (
            {"workloads": ["1x1000000"], "memory": 0.02},
            ValueError,
            "workloads must fit into memory: '1x1000000' needs 0.0 GiB, of which 0.0",
        ),
        ({"candidates": ["foo"]}, ValueError, "candidates must be of .*; got 'foo'"),
        ({"candidates": "ours"}, TypeError, "candidates must be a list, got 'ours'"),
        ({"reference": "foo"}, ValueError, "reference must be of .*; got 'foo'"),
        ({"threads": 2}, TypeError, "threads must be a list, got 2"),
        ({"threads": [0]}, ValueError, "threads must be at least 1, got 0"),
        ({"threads": [1.5]}, TypeError, "threads must be a whole number, got 1.5"),
        (
            {"threads": [9999]},
            ValueError,
            r"threads must be at most \d+, the CPUs here",
        ),
        ({"rounds": 0}, ValueError, "rounds must be at least 1, got 0"),
        ({"device": "tpu"}, ValueError, "device must be 'cpu' or 'cuda', got 'tpu'"),
        ({"max_grad_norm": 0}, ValueError, "max_grad_norm must be positive and finite"),
        ({"memory": -1}, ValueError, "memory must be positive and finite, got -1"),
    ],
)
def test_bad_input_is_named(
    given: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=f"^{said}"):
        run(**{"workloads": ["1x2"], "threads": [1], **given})


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ValueError, match=r"^device must be 'cpu': this PyTorch finds no"
    ):
        run(["1x2"], device="cuda")
