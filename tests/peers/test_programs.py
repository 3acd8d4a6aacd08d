"""The programs that the book prints in PyTorch and in Keras, run as a reader runs them.

What the stored runs say about them is tested in ``tests/study/experiments``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import adam_tutorial
from adam_tutorial.study.experiments import stored_runs
from adam_tutorial.study.experiments.records import Row, matching

if missing := [name for name in ("jax", "keras") if find_spec(name) is None]:
    pytest.skip(
        f"{' and '.join(missing)} cannot be found: the extra 'peers' has them",
        allow_module_level=True,
    )

PROGRAMS = Path(adam_tutorial.__file__).parent / "study" / "programs"
each_task = pytest.mark.parametrize("task", ["digits", "reviews"])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came of the programs, which were copied to a folder."""
    folder = tmp_path_factory.mktemp("programs")
    for program in PROGRAMS.glob("*_keras.py"):
        shutil.copy(program, folder)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("programs_on_jax.py"), folder],
        env=os.environ | {"KERAS_BACKEND": "jax", "KERAS_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def stored(stage: str, task: str, **settings: Any) -> Row:
    (row,) = matching(
        stored_runs("two_libraries")["results"][stage], task=task, seed=0, **settings
    )
    return row


@each_task
def test_a_copied_program_of_keras_prints_what_the_stored_run_reached(
    ran: Any, task: str
) -> None:
    printed = re.fullmatch(r"loss (\S+), (\S+)% right\n", ran["printed"][task])
    assert printed is not None
    loss, right = map(float, printed.groups())
    row = stored("alone", task)["keras"]
    # In float32 another processor rounds otherwise, and the paths part.
    assert loss == pytest.approx(row["losses"][-1], abs=0.01)
    assert right > {"digits": 88, "reviews": 72}[task]


@each_task
def test_from_the_same_weights_on_the_same_batches_the_losses_agree_but_for_epsilon(
    ran: Any, task: str
) -> None:
    # Later, what is rounded otherwise grows.
    for name, far in (("twenty steps", 1e-5), ("an epoch", 1e-3)):
        found = ran[name][task]
        (torchs,), (its,) = (found[library]["losses"] for library in ("torch", "keras"))
        assert torchs == pytest.approx(its, rel=far)


@each_task
def test_an_epoch_from_the_same_weights_repeats_the_stored_run(
    ran: Any, task: str
) -> None:
    for library, found in ran["an epoch"][task].items():
        losses = stored("alike", task, hat=True)[library]["losses"]
        assert found["losses"][0] == pytest.approx(losses[0], rel=1e-3)


def test_pictures_that_are_changed_by_the_same_amounts_are_the_same(ran: Any) -> None:
    assert ran["pictures"] < 1e-4


def test_the_layers_of_keras_for_it_keep_a_model_from_being_compiled(ran: Any) -> None:
    assert ran["compiled"] == {
        "ShearAndZoom": True,
        "RandomShear": False,
        "RandomZoom": False,
    }
