"""A study that is killed and started again ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState

from adam_tutorial.study.experiments import records, runner
from adam_tutorial.study.experiments.study import in_order

from . import toy_study

ROOT = Path(__file__).parents[3]
ALL = 12 + 6


def started(out: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", toy_study.MODULE, "--out", str(out), *more],
        cwd=ROOT,
        env={**os.environ, "TOY_LOG": str(out.parent / "log"), **environment},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, error = process.communicate(timeout=100)
    return process.returncode, error


def runs_in(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def wait_for_runs(folder: Path, count: int) -> None:
    end = time.monotonic() + 60
    while len(runs_in(folder)) < count and time.monotonic() < end:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed() -> Any:
    before = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    results = in_order(toy_study.STUDY)
    torch.set_default_dtype(before[0])
    torch.set_num_threads(before[1])
    return results


def test_a_study_in_processes_gives_what_it_gives_in_order(
    tmp_path: Path, undisturbed: Any
) -> None:
    out = tmp_path / "toy.json"
    code, error = ended(started(out, "--workers", "2"))
    assert code == 0, error
    record = json.loads(out.read_text())
    assert record["results"] == undisturbed
    assert len(runs_in(tmp_path)) == ALL
    assert (record["dtype"], record["threads"], record["grid"]) == (
        "float64",
        1,
        [0.1, 0.2, 0.3],
    )
    assert record["code"] == runner.code_digest(toy_study.MODULE)
    assert "toy_study: final: 100%" in error
    assert "leaked" not in error
    # Nothing is left but what was asked for.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "toy.json"]


def test_a_study_that_is_killed_goes_on_and_repeats_only_what_was_running(
    tmp_path: Path, undisturbed: Any
) -> None:
    out, draw, kills = tmp_path / "toy.json", random.Random(), 2
    for _ in range(kills):
        process = started(out, "--workers", "2")
        wait_for_runs(tmp_path, len(runs_in(tmp_path)) + draw.randint(1, 4))
        time.sleep(draw.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        # The others end with it: this returns when no child holds the pipe any more.
        process.communicate()
    before = len(runs_in(tmp_path))
    time.sleep(0.5)
    assert len(runs_in(tmp_path)) == before < ALL
    assert not out.exists()
    code, error = ended(started(out, "--workers", "2"))
    assert code == 0, error
    assert json.loads(out.read_text())["results"] == undisturbed
    # Two processes had one run each when the study was killed.
    assert ALL <= len(runs_in(tmp_path)) <= ALL + 2 * kills


def test_half_a_line_in_the_journal_and_a_lock_without_owner_do_no_harm(
    tmp_path: Path, undisturbed: Any
) -> None:
    out = tmp_path / "toy.json"
    process = started(out, "--workers", "1")
    wait_for_runs(tmp_path, 4)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    journal = tmp_path / "toy.journal"
    with journal.open("a") as file:
        file.write('{"op_code": 9, "half')
    lock = tmp_path / "toy.journal.lock"
    lock.unlink(missing_ok=True)  # the process may have been killed while it had it
    lock.symlink_to(journal)
    code, error = ended(started(out, "--workers", "1"))
    assert code == 0, error
    assert json.loads(out.read_text())["results"] == undisturbed
    assert len(runs_in(tmp_path)) <= ALL + 1


def fails_and_leaves_nothing(out: Path, *more: str) -> None:
    code, error = ended(started(out, *more, TOY_FAILS="final"))
    assert code == 1
    assert "this run was told to fail" in error
    assert "the same command goes on from here" in error
    assert not out.exists()


def test_a_run_that_fails_ends_the_study_and_is_done_again(
    tmp_path: Path, undisturbed: Any
) -> None:
    out = tmp_path / "toy.json"
    fails_and_leaves_nothing(out, "--workers", "1")
    code, error = ended(started(out, "--workers", "1"))
    assert code == 0, error
    assert json.loads(out.read_text())["results"] == undisturbed
    assert len(runs_in(tmp_path)) <= ALL + 4


def test_two_commands_share_the_runs_of_a_study_in_a_database(
    tmp_path: Path, undisturbed: Any
) -> None:
    storage = ("--storage", f"sqlite:///{tmp_path}/runs.db")
    outs = [tmp_path / "one.json", tmp_path / "two.json"]
    fails_and_leaves_nothing(outs[0], "--workers", "2", *storage)
    failed = len(runs_in(tmp_path))
    processes = [started(out, "--workers", "1", *storage) for out in outs]
    ends = [ended(process) for process in processes]
    assert [code for code, _ in ends] == [0, 0], ends
    for out in outs:
        assert json.loads(out.read_text())["results"] == undisturbed
    # What was done before is not done again. SQLite cannot lock a row, so that in the
    # same moment two processes can take the same run.
    assert failed >= ALL - 6
    assert ALL <= len(runs_in(tmp_path)) <= ALL + 6


@pytest.mark.parametrize("told", ["before its row is kept", "after"])
def test_a_run_that_another_process_was_faster_at_is_no_failure(told: str) -> None:
    kept = optuna.create_study()

    def do(trial: optuna.Trial) -> float:
        kept.tell(trial.number, 0.0)
        if told == "before its row is kept":
            trial.set_user_attr("row", {"loss": 1.0})
        return 0.0

    runner._do_one(kept, do)
    assert [trial.state for trial in kept.trials] == [TrialState.COMPLETE]


def test_a_run_that_fails_with_the_same_kind_of_error_is_a_failure() -> None:
    def do(_: optuna.Trial) -> float:
        raise ValueError("loss is not finite")

    with pytest.raises(ValueError, match="loss is not finite"):
        runner._do_one(optuna.create_study(), do)


def test_one_journal_is_for_one_command_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "toy.json"
    with runner._alone(out.with_suffix(".journal")):
        code, error = ended(started(out))
    assert code == 1
    assert f"Another process is working on {tmp_path / 'toy.journal'}." in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out"),
        (["--out", "missing/toy.json"], "--out: the folder missing does not exist"),
        (
            ["--out", "toy.json", "--workers", "0"],
            "--workers: must be at least 1, got 0",
        ),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["toy", *arguments])
    with pytest.raises(SystemExit) as caught:
        runner.main(toy_study.MODULE)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# Code


PACKAGE = {
    "__init__.py": "",
    "a.py": "from adam_tutorial_toy import b\n",
    "b.py": "def f():\n    import adam_tutorial_toy.c.d\n",
    "c/__init__.py": "",
    "c/d.py": "from adam_tutorial_toy.c.e import x\nimport torch\n",
    "c/e.py": "x = 1\n",
    "apart.py": "y = 1\n",
}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        *((name, True) for name in PACKAGE if name != "apart.py"),
        ("apart.py", False),
    ],
)
def test_the_digest_changes_with_what_is_imported_directly_or_not_and_no_more(
    file: str, changes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "adam_tutorial_toy"
    for path, source in PACKAGE.items():
        (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / path).write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(runner, "PACKAGE", name)
    before = runner.code_digest(f"{name}.a")
    with (tmp_path / name / file).open("a") as changed:
        changed.write("# changed\n")
    after = runner.code_digest(f"{name}.a")
    # Packages are imported so that their modules can be found.
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        del sys.modules[module]
    assert (after != before) == changes


def test_the_digest_changes_with_the_version_of_a_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = runner.code_digest(toy_study.MODULE)
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert runner.code_digest(toy_study.MODULE) != before


# Records


def test_a_record_names_the_commit_and_the_processor(tmp_path: Path) -> None:
    made = records.provenance("some.module", tmp_path / "x.json", seconds=90)
    assert made["minutes"] == 1.5
    assert made["machine"]
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert made["commit"].partition(" ")[0] == commit[:12]
