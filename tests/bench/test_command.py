"""The command line."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from adam_tutorial.bench import CANDIDATES, TOPICS, WORKLOADS, Result, find_workload
from adam_tutorial.bench.__main__ import QUICK, main, parser, settings

TINY = ["--workloads", "2x3", "1x1024", "--threads", "1", "--rounds", "2"]


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


def test_a_tiny_run_prints_tables_and_writes_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    arguments = [*TINY, "--candidates", "torch", "ours", "--json", str(json)]
    main([*arguments, "--picture", str(picture)])
    said = capsys.readouterr()
    result = Result.load(json)
    assert said.out == f"{result}\n"
    assert said.err.splitlines() == ["2x3, 1 thread", "1x1024, 1 thread"]
    assert result.candidates == ["torch-fused", "torch", "ours"]
    assert result.command.startswith("python -m adam_tutorial.bench --workloads 2x3 ")
    assert picture.stat().st_size > 1000


def test_growth_is_drawn_as_growth(tmp_path: Path) -> None:
    picture = tmp_path / "growth.svg"
    sizes = ["1x1024", "1x2048", "2x1024"]
    small = ["--rounds", "1", "--threads", "1", "--candidates", "torch"]
    main(["growth", "--workloads", *sizes, *small, "--picture", str(picture)])
    assert plt.gcf().axes[1].get_title() == "Tensors of 1024 elements"
    assert picture.exists()


def test_what_does_not_grow_is_printed_and_not_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few, picture = ["--candidates", "torch", "ours"], tmp_path / "growth.png"
    with pytest.raises(SystemExit):
        main(["growth", *TINY, *few, "--picture", str(picture)])
    said = capsys.readouterr()
    assert "times as fast as torch-fused" in said.out
    assert "error: --picture: result must have several workloads" in said.err


def test_numpy_is_compared_with_the_textbook(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["numpy", *TINY])
    said = capsys.readouterr().out
    assert "1 thread: times as fast as numpy-textbook" in said
    assert "torch" not in said


def test_a_topic_is_a_set_of_arguments_that_options_replace() -> None:
    read = parser().parse_args
    assert settings(read([])) == {"workloads": WORKLOADS}
    assert settings(read(["clip"])) == {"workloads": WORKLOADS, "max_grad_norm": 1.0}
    assert settings(read(["numpy", "--memory", "2"])) == TOPICS["numpy"] | {"memory": 2}
    assert settings(read(["growth", "--workloads", "2x3"])) == {"workloads": ["2x3"]}
    assert settings(read(["--quick"])) == {
        "workloads": [name for name in WORKLOADS if name in QUICK],
        "threads": [1],
        "rounds": 3,
    }
    assert settings(read(["--quick", "--rounds", "5", "--threads", "2"])) | {
        "workloads": []
    } == {"workloads": [], "threads": [2], "rounds": 5}


def test_a_quick_run_is_small() -> None:
    assert {*QUICK} < {*WORKLOADS}
    for topic in TOPICS:
        chosen = settings(parser().parse_args([topic, "--quick"]))
        found = [find_workload(name) for name in chosen["workloads"]]
        assert sum(w.elements for w in found) <= 10**7


def test_the_help_lists_topics_workloads_and_candidates() -> None:
    text = parser().format_help()
    for name in (*TOPICS, *CANDIDATES, "32M", "resnet50", "gpt2-half", "mlp", "-bf16"):
        assert f"{name} " in text
    assert "--json FILE" in text
    assert "--picture FILE" in text
    assert max(map(len, text.splitlines())) <= 88


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workloads", "foo"], "workloads must be of 32M, .*; got 'foo'"),
        (["--candidates", "foo"], "candidates must be of .*; got 'foo'"),
        (["--threads", "0"], "threads must be at least 1, got 0"),
        (["--rounds", "0"], "rounds must be at least 1, got 0"),
        (["--memory", "0"], "memory must be positive and finite, got 0.0"),
        (["--json", "nowhere/x.json"], "--json must be a file in a folder that exists"),
        (["--picture", "."], "--picture must be a file in a folder that exists, got ."),
        (["--picture", "x.foo"], "--picture must end in .png, .svg, .pdf, got x.foo"),
    ],
)
def test_bad_input_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*TINY, *arguments])  # tiny, should the mistake not be noticed
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(said, captured.err)


def test_an_unknown_topic_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["walk"])
    assert "invalid choice: 'walk'" in capsys.readouterr().err


def test_a_picture_without_matplotlib_is_refused_before_the_measurement(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda x: None if x == "matplotlib" else find(x)
    )
    with pytest.raises(SystemExit):
        main([*TINY, "--picture", "x.png"])
    assert "--picture needs matplotlib: pip install" in capsys.readouterr().err


def test_the_module_runs_and_measures_optax_where_it_is_installed() -> None:
    """In a process of its own: JAX is given another number of threads."""
    small = ["--workloads", "2x3", "2x3-bf16", "--threads", "1", "--rounds", "1"]
    small += ["--candidates", "optax"]
    done = subprocess.run(
        [sys.executable, "-m", "adam_tutorial.bench", "clip", *small],
        capture_output=True,
        text=True,
        check=True,
    )
    table = done.stdout.split("\n\n")[2]
    assert (
        table.splitlines()[0]
        == "Clip and step. 1 thread: milliseconds of one step, median"
    )
    if importlib.util.find_spec("optax") and importlib.util.find_spec("jax"):
        assert "Left out" not in done.stdout
        assert table.count("-") == 1  # 2x3-bf16
    else:
        assert "optax: ModuleNotFoundError" in done.stdout
