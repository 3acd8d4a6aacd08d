"""What the page *Threats* says of the package and of what it downloads."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Modules that make objects of bytes by running what the bytes say.
UNSAFE = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
UNSAFE |= {"marshal"}
CALLS = {"torch.load", "np.load", "numpy.load", "eval", "exec", "torch.hub.load"}
# No file is involved: one copies a figure that this process has drawn, the other runs
# functions of this package with lines that a notebook changes.
ALLOWED = {("study/narrow.py", "pickle"), ("study/notebook.py", "exec")}


def unsafe_in(source: str) -> set[str]:
    """Return the unsafe modules that a program imports, and the unsafe calls."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names} & UNSAFE
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module).partition(".")[0]} & UNSAFE
        elif isinstance(node, ast.Call):
            found |= {ast.unparse(node.func)} & CALLS
    return found


def test_what_unpickles_is_seen() -> None:
    assert unsafe_in("import pickle.other as p") == {"pickle"}
    assert unsafe_in("from joblib import load") == {"joblib"}
    assert unsafe_in("x = torch.load(f)['a']") == {"torch.load"}
    assert unsafe_in("safetensors.torch.load(f), model.eval()") == set()


def test_the_package_unpickles_no_file() -> None:
    package = ROOT / "adam_tutorial"
    found = {
        (path.relative_to(package).as_posix(), name)
        for path in package.rglob("*.py")
        for name in unsafe_in(path.read_text(encoding="utf-8"))
    }
    assert found == ALLOWED


def test_each_script_and_font_of_the_site_has_a_digest() -> None:
    lock = json.loads((ROOT / "book/_web/package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert len(packages) >= 5
    for entry in packages.values():
        assert entry["integrity"].startswith("sha512-")


def test_the_packages_of_the_book_have_exact_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 100
    assert all(re.match(r"[\w.\[\]-]+==[\w.!+]+( ;.*)?$", pin) for pin in pins)


def code_of(notebook: Path) -> list[str]:
    """Return the sources of a notebook's cells of code."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_page_names_the_chapters_that_start_processes() -> None:
    starting = {
        path.stem
        for path in (ROOT / "book").rglob("*.ipynb")
        if any(
            re.search(r"\bsubprocess\.|\bmultiprocessing\b|\bos\.fork\b", source)
            for source in code_of(path)
        )
    }
    page = (ROOT / "book/reference/threats.md").read_text(encoding="utf-8")
    section = page.partition("## A notebook is a program")[2].partition("##")[0]
    plain = section.replace("../", "").replace(".ipynb", "")
    (sentence,) = re.findall(r"[^.]*start processes of their own", plain)
    assert set(re.findall(r"engineering/(\w+)", sentence)) == starting
