"""The command ``python -m adam_tutorial``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adam_tutorial.__main__ import main

Output = pytest.CaptureFixture[str]

FILES = {
    "mine": """
class NoOptimizer:
    pass

def right(lr, beta1, beta2, eps):
    from adam_tutorial.checking import plain_adam
    return plain_adam(lr, beta1, beta2, eps)

def uphill(lr, beta1, beta2, eps):
    step = right(lr, beta1, beta2, eps)
    return lambda theta, gradient: 2 * theta - step(theta, gradient)
""",
    "needs_more": "import surely_not_there",
    "broken": "x = (",
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in FILES:
        monkeypatch.delitem(sys.modules, name, raising=False)


def run(words: str) -> int:
    return main(words.split())


def test_a_right_program_ends_with_status_0(capsys: Output) -> None:
    assert run("check mine:right") == 0
    assert capsys.readouterr().out.startswith("agrees with Algorithm 1\n")


def test_a_mistake_is_named_and_ends_with_status_1(capsys: Output) -> None:
    assert run("check mine:uphill") == 1
    assert "mistake: wrong sign" in capsys.readouterr().out


def test_a_class_of_torch_is_checked_as_the_rule_that_it_is_meant_to_be(
    capsys: Output,
) -> None:
    assert run("check torch.optim:Adam --amsgrad True --rule AMSGrad") == 0
    assert capsys.readouterr().out.startswith("agrees with AMSGrad")


UNUSABLE = {
    "check surely_not_there:Adam": "there is no module 'surely_not_there' here",
    "check mine.py:right": "there is no module 'mine.py' here",
    "check needs_more:x": "needs_more needs 'surely_not_there', which is missing",
    "check broken:x": "importing broken fails: SyntaxError",
    "check mine:wrong": "mine has no 'wrong'; it has NoOptimizer, right, uphill",
    "check mine:NoOptimizer": "mine:NoOptimizer cannot be checked",
    "check torch:__version__": "torch:__version__ cannot be checked",
    "check mine": "must be written MODULE:NAME",
    "check mine:right --amsgrad True": "only a class takes --amsgrad",
    "check torch.optim:Adam --lr 1": "the check itself chooses lr",
    "check mine:right --rule Adamm": "Adamm",
    "translate torch keras --learning_rate 1": "has no 'learning_rate' here",
    "translate torch keras --lr fast": "lr must be a number, got 'fast'",
    "translate torch keras --lr -1": "lr must be finite and not negative",
    "translate torch keras --lr": "--lr needs a number",
    "translate torch keras 1e-3": "'1e-3' belongs to no setting",
    "translate torch keras --optimizer adamm": "adamm",
}


@pytest.mark.parametrize("words", UNUSABLE)
def test_what_makes_no_sense_ends_with_status_2_and_a_reason(
    words: str, capsys: Output
) -> None:
    assert run(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert UNUSABLE[words] in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "required: COMMAND"),
        ("train", "choose from"),
        ("translate torch jax", "invalid choice: 'jax'"),
    ],
)
def test_other_commands_do_not_exist(words: str, said: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_settings_that_mean_the_same_elsewhere_end_with_status_0(
    capsys: Output,
) -> None:
    assert run("translate torch optax --lr 3e-4 --betas 0.9 0.95") == 0
    assert capsys.readouterr().out == (
        "optax.adamw(learning_rate=0.0003, b1=0.9, b2=0.95, eps=1e-08,"
        " weight_decay=0.01)\n"
    )


def test_a_difference_that_remains_is_told_and_ends_with_status_1(
    capsys: Output,
) -> None:
    assert run("translate keras torch --learning_rate=1e-3 --optimizer adam") == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("torch.optim.Adam(lr=0.001,")
    assert shown[1].startswith("difference: keras adds eps=1e-07 to the root of v,")


@pytest.mark.parametrize("words", ["--help", "check --help", "translate --help"])
def test_help_shows_examples_and_fits_a_terminal(words: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        run(words)
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "python -m adam_tutorial check" in shown or "examples:" in shown
    assert max(map(len, shown.splitlines())) <= 97


def test_the_command_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adam_tutorial", "translate", "torch", "optax"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("optax.adamw(")
