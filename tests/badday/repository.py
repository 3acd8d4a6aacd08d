"""A small repository with the real Makefile, set-up and tools; in it, things go wrong.

It has two chapters. Where the real ones would take minutes or a network, there are
stand-ins.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

ROOT = Path(__file__).parents[2]
REAL = (
    *("Makefile", "pyproject.toml", "constraints.txt", ".ci/setup.sh"),
    *("README.md", "LICENSE", ".gitignore"),
    *(f"book/_web/{name}" for name in ("package.json", "package-lock.json", ".npmrc")),
)
# What setup.sh takes for Python: its environments are complete at once.
PYTHON = f"""\
#!/bin/sh
[ "$*" = "-m venv .venv" ] || exec "{sys.executable}" "$@"
"{sys.executable}" -m venv --without-pip .venv || exit
PYTHONPATH=stand_ins/site "{sys.executable}" -c 'import stand_ins
stand_ins.here("venv")' || exit
cp stand_ins/bin/* .venv/bin/
for site in .venv/lib/python*/site-packages; do cp -R stand_ins/site/* "$site/"; done
"""
STAND_INS = {
    "python": PYTHON,
    "site/pip.py": "import stand_ins\nstand_ins.pip()",
    "site/ipykernel_launcher.py": "import stand_ins\nstand_ins.start_kernel()",
    "site/sitecustomize.py": "import stand_ins\nstand_ins.cut_writes()",
    "site/real.pth": sysconfig.get_path("purelib"),
    **{
        f"bin/{name}": f"""\
#!/bin/sh
exec "$(dirname "$0")/python" -c 'import stand_ins; stand_ins.{does}' "$@"
"""
        for name, does in (
            ("npm", 'here("npm")'),
            ("jupyter-book", "jupyter_book()"),
            ("jupyter", "jupyter_lab()"),
        )
    },
    # Found first on PATH: nothing is waited for.
    "path/sleep": "#!/bin/sh\n",
}
PACKAGE = """\
from pathlib import Path
from stand_ins import here, root
ours = Path(__file__).parents[1] == root()
"""
# What a chapter prints that has no part of the reader's environment.
FIRST = {
    """\
import os
import sys
import adam_tutorial
import matplotlib.pyplot as plt
import numpy as np

adam_tutorial.here("execution")
print(np.array([0.927486, 0.000982]))
print("inline" in plt.get_backend(), plt.rcParams["lines.linewidth"])
print("the package of this folder:", adam_tutorial.ours)
print(sys.flags.optimize, sys.warnoptions, os.environ.get("JAX_ENABLE_X64"))""": [
        new_output(
            "stream",
            text="[0.927486 0.000982]\nTrue 1.5\nthe package of this folder: True\n"
            "0 [] None\n",
        )
    ],
    "1\n2": [new_output("execute_result", {"text/plain": "2"}, execution_count=2)],
    "plt.figure(figsize=(1, 1))\nplt.plot([1, 2])\nplt.show()": [
        new_output("display_data", {"text/plain": "<Figure size 100x100 with 1 Axes>"})
    ],
}
SECOND = {"print('x' * 90_000)": [new_output("stream", text="x" * 90_000 + "\n")]}


def chapter(cells: dict[str, Any]) -> Any:
    """Return a notebook as `make notebooks` stores it."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    code = [
        new_code_cell(
            source,
            id=f"cell-{count}",
            execution_count=count,
            outputs=outputs,
            metadata={"mystnb": {"image": {"alt": "A figure."}}},
        )
        for count, (source, outputs) in enumerate(cells.items(), start=1)
    ]
    return new_notebook(
        cells=code, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )


@dataclass
class Ended:
    """How a command ended: its status, what it said, and of what it complained."""

    status: int
    said: str
    complained: str


@dataclass
class Repository:
    """The small repository in a folder."""

    root: Path

    def fill(self) -> None:
        """Write its files."""
        for name in REAL:
            self.write(name, (ROOT / name).read_text(encoding="utf-8"))
        for path in (ROOT / "book/_tools").glob("*.py"):
            self.write(f"book/_tools/{path.name}", path.read_text(encoding="utf-8"))
        for name, text in STAND_INS.items():
            self.write(f"stand_ins/{name}", text)
        code = Path(__file__).with_name("stand_ins.py").read_text(encoding="utf-8")
        self.write("stand_ins/site/stand_ins.py", code)
        self.write("adam_tutorial/__init__.py", PACKAGE)
        self.write("trouble", "none")
        for name, cells in (("first", FIRST), ("second", SECOND)):
            self.write(
                f"book/part/{name}.ipynb", nbformat.writes(chapter(cells)) + "\n"
            )

    def write(self, name: str, text: str) -> None:
        """Write a file; one that begins with #! is a program."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if text.startswith("#!"):
            path.chmod(0o755)

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return (self.root / name).read_text(encoding="utf-8")

    def copy(self, to: Path) -> Repository:
        """Copy it with all that was built."""
        shutil.copytree(self.root, to, symlinks=True)
        return Repository(to)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command as a terminal does: in a group of its own."""
        # The tests may be run by make: its settings are not those of a person.
        of_make = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
        outside = {k: v for k, v in os.environ.items() if k not in of_make}
        path = f"{self.root}/stand_ins/path{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            command,
            cwd=self.root,
            env={**outside, "PATH": path, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # As a terminal has it: pytest may run where it is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def make(self, *arguments: str, **environment: str) -> Ended:
        """Run make to its end."""
        process = self.start(
            *("make", *arguments, f"PYTHON={self.root}/stand_ins/python"),
            **environment,
        )
        # A busy machine may need minutes for what takes seconds alone.
        said, complained = process.communicate(timeout=500)
        return Ended(process.returncode, said, complained)

    def compare(self, **environment: str) -> Ended:
        """Compare the outputs of the chapters, as `make test` does."""
        recipe = "compare: ; @$(BIN)/python book/_tools/compare.py $(CHAPTERS)\n"
        self.write("compare.mk", recipe)
        both = ("-f", "Makefile", "-f", "compare.mk")
        return self.make(*both, "compare", **environment)
