"""Two hosts with a link between them: the same bits, the time that was predicted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.distributed as dist

from adam_tutorial.study.experiments import link, stored_runs
from adam_tutorial.theory import all_reduce_cost
from tests.distributed.host import DELAY, MEGABITS, SIZES
from tests.distributed.launch import ROOT, Outcomes, environment

# A frame of 1,514 bytes carries 1,448.
CARRIED = 0.95


@pytest.fixture(scope="module")
def found(module_monkeypatch: pytest.MonkeyPatch) -> Any:
    module_monkeypatch.chdir(ROOT)
    for name, value in environment().items():
        module_monkeypatch.setenv(name, value)
    try:
        printed = link.on_two_hosts([sys.executable, "-m", "tests.distributed.host"])
    except link.NoHosts as error:
        pytest.skip(str(error))
    return json.loads(printed.splitlines()[-1])


@pytest.fixture(scope="module")
def module_monkeypatch() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def predicted(size: int, delay: float = 0) -> float:
    cost = all_reduce_cost(size, 2, "halves")
    return cost.seconds(delay / 1000, CARRIED * MEGABITS * 1e6 / 8)


def test_training_on_two_hosts_has_the_bits_of_one_process(
    found: Any, of_four: Outcomes
) -> None:
    assert found["fingerprint"] == of_four("train-1")[0]["fingerprint"]


def test_the_sum_takes_as_long_as_latency_and_bandwidth_say(found: Any) -> None:
    for size in SIZES:
        measured = found["seconds"][str(size)]
        # Other work on the machine can make it longer, not shorter.
        assert 0.85 * predicted(size) < measured < 2 * predicted(size) + 0.01


def test_a_delay_on_the_link_counts_once_for_each_message(found: Any) -> None:
    if "no delay" in found:
        pytest.skip(found["no delay"])
    for size in SIZES:
        assert found["delayed"][str(size)] > 0.85 * predicted(size, DELAY)


def test_fit_finds_the_latency_and_bandwidth_of_exact_times() -> None:
    def times(latency: float, bandwidth: float) -> dict[int, float]:
        return {
            size: all_reduce_cost(size, 2, "halves").seconds(latency, bandwidth)
            for size in link.SIZES
        }

    np.testing.assert_allclose(link.fitted(times(2e-3, 1e7)), (2e-3, 1e7))
    # Where the latency is too small to be seen, it is zero.
    faster = {
        size: 0.9 * size / 1e7 if size < 2**16 else size / 1e7 for size in link.SIZES
    }
    latency, bandwidth = link.fitted(faster)
    assert latency == 0
    assert 1e7 < bandwidth < 1.1e7


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "PROGRAMS", ("sh", "no-such-program"))
    with pytest.raises(link.NoHosts, match="no-such-program cannot be found"):
        link.on_two_hosts(["true"])
    monkeypatch.setattr(link, "PROGRAMS", ("sh",))
    monkeypatch.setattr(link, "ALONE", ("sh", "-c", "echo not allowed >&2; exit 1"))
    with pytest.raises(link.NoHosts, match="no two hosts can be made: not allowed"):
        link.on_two_hosts(["true"])


def test_a_command_that_fails_or_hangs_is_shown_with_what_it_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "PROGRAMS", ())
    monkeypatch.setattr(link, "ALONE", ("sh", "-ec"))
    monkeypatch.setattr(link, "HOSTS", "")
    monkeypatch.setattr(link, "RUN", '"$@" >"$PRINTED.0"')
    assert link.on_two_hosts(["echo", "hello"]) == "hello\n"
    with pytest.raises(RuntimeError, match=r"ended with 3: (?s:.*)--- host 0\nhello"):
        link.on_two_hosts(["sh", "-c", "echo hello; exit 3"])
    with pytest.raises(RuntimeError, match=r"did not end within 0\.2 seconds"):
        link.on_two_hosts(["sleep", "5"], timeout=0.2)


def test_a_record_has_the_rows_that_the_first_host_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Both hosts in this process: a group of one, on a link without a limit.
    def join() -> int:
        for name, value in environment().items():
            monkeypatch.setenv(name, value)
        where = f"file://{tmp_path / 'rendezvous'}"
        dist.init_process_group("gloo", init_method=where, rank=0, world_size=1)
        return 0

    monkeypatch.setattr(link, "join", join)
    monkeypatch.setattr(link, "set_link", lambda _: None)
    link.on_this_host()
    printed = f"said by gloo\n{capsys.readouterr().out}"
    monkeypatch.setattr(link, "on_two_hosts", lambda _: printed)
    out = tmp_path / "link.json"
    monkeypatch.setattr(sys, "argv", ["link", "--out", str(out)])
    link.main()
    rows = json.loads(out.read_text())["results"]
    assert [row["megabits"] for row in rows] == list(link.RATES)
    assert [*map(int, rows[0]["seconds"])] == list(link.SIZES)


def test_stored_times_are_those_of_the_rates_that_were_set() -> None:
    rows = stored_runs("link")["results"]
    assert [row["megabits"] for row in rows] == list(link.RATES)
    for row in rows:
        seconds = {int(size): value for size, value in row["seconds"].items()}
        assert 0.85 < link.fitted(seconds)[1] * 8e-6 / row["megabits"] < 1
