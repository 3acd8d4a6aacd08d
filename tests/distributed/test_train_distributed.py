"""One training run, in one process or many, killed or not: the same bits."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adam_tutorial import checkpoint
from adam_tutorial.distributed import fingerprint
from adam_tutorial.study.train_distributed import Settings, main, train
from adam_tutorial.study.training import Examples
from adam_tutorial.theory import all_reduce_cost
from tests.distributed.launch import ROOT, Outcomes, environment

STEPS = 12
SHA = re.compile("[0-9a-f]{64}")


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The program changes settings of torch."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def random_digits(count: int) -> Examples:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 1, 28, 28, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)


@pytest.mark.parametrize("run", ["train-2", "train-4", "train-zero"])
def test_parameters_and_moments_have_the_same_bits_in_one_two_and_four_processes(
    of_four: Outcomes, run: str
) -> None:
    alone = of_four("train-1")[0]
    outcomes = [outcome for outcome in of_four(run) if outcome is not None]
    assert len(outcomes) == (2 if run == "train-2" else 4)
    for outcome in outcomes:
        assert outcome["fingerprint"] == alone["fingerprint"]
        assert outcome["losses"] == alone["losses"]


def test_a_run_resumed_with_fewer_processes_and_another_optimizer_has_the_same_bits(
    of_four: Outcomes,
) -> None:
    alone = of_four("train-1")[0]
    assert of_four("resumed")[0]["fingerprint"] == alone["fingerprint"]


def test_the_ordinary_all_reduce_gives_other_bits_and_nearly_the_same_numbers(
    of_four: Outcomes,
) -> None:
    tree, one, four = (
        of_four(run)[0]
        for run in ("train-1", "train-all-reduce-1", "train-all-reduce-4")
    )
    assert len({run["fingerprint"] for run in (tree, one, four)}) == 3
    for run in (one, four):
        # A weight whose gradient is near zero may move the other way at first.
        difference = (run["parameters"] - tree["parameters"]).norm()
        assert difference < 1e-3 * tree["parameters"].norm()


def test_bytes_are_those_of_the_cost_model(of_four: Outcomes) -> None:
    # 60,986 parameters, the running averages of 112 features, the loss.
    size = 4 * (60_986 + 2 * 112 + 1)
    for ranks in (1, 2, 4):
        sent = [outcome["bytes"] for outcome in of_four(f"train-{ranks}")[:ranks]]
        assert sum(sent) == ranks * STEPS * all_reduce_cost(size, ranks, "halves").bytes


def last_line(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    main([*map(str, arguments)])
    return capsys.readouterr().out.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_killed_at_a_random_step_and_restarted_it_ends_with_the_same_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "final.safetensors", tmp_path / "checkpoints"
    undisturbed = last_line(capsys, "--steps", STEPS, "--out", out)
    assert SHA.fullmatch(undisturbed)

    dies_after = random.randrange(1, STEPS)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "--max-restarts", "1"),
            *("-m", "tests.distributed.killed", "--steps", str(STEPS), "--every", "4"),
            *("--out", str(out), "--checkpoints", str(folder)),
        ],
        cwd=ROOT,
        env={
            **environment(),
            # Otherwise the second life may look for the ports of the first.
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
            "KILLED_AFTER": str(dies_after),
            "KILLED_RANK": str(random.randrange(2)),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "exitcode: -9" in done.stderr, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == undisturbed, (dies_after, done.stdout, done.stderr)
    resumed_from = dies_after // 4 * 4
    if resumed_from:
        assert f"continuing from step {resumed_from}" in done.stdout
    # The file that was named has what the hash was made of.
    saved = load_file(out)
    held = checkpoint.latest(folder)
    assert held is not None
    assert held.name == f"step-{STEPS:010d}.safetensors"
    assert {name.split(".")[0] for name in saved} == {"model", "optimizer"}


def test_it_says_what_it_did_and_writes_what_it_hashed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "final.safetensors"
    main(["--steps", "2", "--out", str(out), "--zero", "--all-reduce"])
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"step 2: loss \d\.\d{4}", printed[0])
    assert re.fullmatch(r"accuracy on 1000 other digits: 0\.\d+", printed[1])
    assert re.fullmatch(
        r"2 steps, \d+ ms each \(median\); each process sent 0\.000 MB a step",
        printed[2],
    )
    assert printed[3] == "SHA-256 of parameters and moments:"
    state = load_file(out)
    entries: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in state.items():
        kind, number, *rest = name.split(".")
        if kind == "optimizer":
            entries.setdefault(int(number), {})[".".join(rest)] = value
    model = {k.removeprefix("model."): v for k, v in state.items() if k[0] == "m"}
    assert printed[4] == fingerprint(model, entries)


def test_another_number_of_micro_batches_or_seed_gives_other_bits() -> None:
    examples = random_digits(16)
    runs = {
        train(examples, 2, settings).fingerprint
        for settings in (
            Settings(0, 8, 2),
            Settings(0, 8, 4),
            Settings(1, 8, 2),
            Settings(0, 8, 2, lr=0.002),
        )
    }
    assert len(runs) == 4
    again = train(examples, 2, Settings(0, 8, 2))
    assert again.fingerprint in runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: --steps, --out"),
        (("--steps", "0"), "--steps must be at least 1, got 0"),
        (("--every", "0"), "--every must be at least 1, got 0"),
        (("--batch-size", "81"), "--batch-size 81 cannot be divided into"),
        (("--batch-size", "4008"), "there are 4,000 digits, got 4008"),
        (
            ("--micro-batches", "5"),
            "--micro-batches must be a power of two, got 5",
        ),
        (("--out", "nowhere/final.safetensors"), "the folder nowhere does not exist"),
        (("--checkpoints", __file__), f"--checkpoints: {__file__} is not a folder"),
    ],
)
def test_bad_arguments_are_named(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = ("--steps", "1", "--out", str(tmp_path / "out")) if arguments else ()
    with pytest.raises(SystemExit):
        main([*good, *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ("3", "the number of processes must be a power of two, got 3"),
        ("16", "16 processes cannot share --micro-batches 8"),
    ],
)
def test_a_number_of_processes_that_cannot_share_the_work_is_named(
    ranks: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", ranks)
    with pytest.raises(SystemExit):
        main(["--steps", "1", "--out", str(tmp_path / "out")])
    assert message in capsys.readouterr().err


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    examples, settings = random_digits(16), Settings(0, 8, 2)
    train(examples, 3, settings, checkpoints=tmp_path)
    with pytest.raises(ValueError, match=r"is of a run with .*'seed': 0"):
        train(examples, 3, Settings(1, 8, 2), checkpoints=tmp_path)
    with pytest.raises(ValueError, match=r"step 3, and the run is to end at step 2"):
        train(examples, 2, settings, checkpoints=tmp_path)
    with pytest.raises(ValueError, match="8 cannot be divided into 3 equal"):
        train(examples, 3, Settings(0, 8, 3))
    # The whole run is there already: nothing is left to do.
    finished = train(examples, 3, settings, checkpoints=tmp_path)
    assert finished.losses == []
    assert finished.fingerprint == train(examples, 3, settings).fingerprint
