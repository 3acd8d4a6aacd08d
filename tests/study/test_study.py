from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from adam_tutorial import study

ROOT = Path(__file__).parents[2]


def load() -> None:
    """Run the package's own module again, without touching the one that is loaded."""
    runpy.run_path(study.__file__)


def test_study_loads_with_its_dependencies() -> None:
    load()


@pytest.mark.parametrize("hidden", [["tqdm"], ["matplotlib", "pooch", "sklearn"]])
def test_missing_dependencies_are_named_at_once_with_the_command(
    hidden: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in hidden:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as caught:
        load()
    assert str(caught.value) == (
        f"adam_tutorial.study needs {', '.join(hidden)}; install what is missing with:"
        f" pip install {' '.join(hidden).replace('sklearn', 'scikit-learn')}"
    )


def test_notebook_shows_the_sentence_and_no_traceback() -> None:
    cell = (
        "import sys; sys.modules['optax'] = None\n"
        "from adam_tutorial.study import needs\n"
        "needs('This chapter', 'numpy', 'optax')"
    )
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "IPython",
            "--no-banner",
            "--colors=nocolor",
            "-c",
            cell,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stderr + shown.stdout == (
        "This chapter needs optax; install what is missing with: pip install optax\n"
    )


def test_extra_installs_what_is_looked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = project["project"]["optional-dependencies"]["study"]
    installed = {requirement.partition(">")[0] for requirement in extra}
    names = {study._PROJECTS.get(name, name) for name in study._NEEDED}
    assert names == installed
