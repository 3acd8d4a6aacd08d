"""List the experiments: ``python -m adam_tutorial.study.experiments``."""

from __future__ import annotations

import ast
import contextlib
from importlib.resources import files

from adam_tutorial.study.experiments import stored_runs


def main() -> None:
    """Print a line for each experiment: its name, its time, and what it asks."""
    folder = files("adam_tutorial.study.experiments")
    print("make experiments STUDY=NAME does one; minutes are those of one core.\n")
    for file in sorted(folder.iterdir(), key=lambda found: found.name):
        source = file.read_text(encoding="utf-8") if file.name.endswith(".py") else ""
        # What runs has a guard of its own; the other modules help.
        if file.name.startswith("_") or 'if __name__ == "__main__"' not in source:
            continue
        name = file.name.removesuffix(".py")
        title = str(ast.get_docstring(ast.parse(source))).partition("\n\n")[0]
        minutes = "not stored"
        with contextlib.suppress(ValueError):
            minutes = f"{stored_runs(name)['minutes']:.1f} min"
        print(f"{name:16}{minutes:>10}  {' '.join(title.split())}")


if __name__ == "__main__":
    main()
