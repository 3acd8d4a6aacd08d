"""The page that lists the differences from PyTorch names a test for each."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "book/reference/api/optim.md"


def test_each_difference_from_torch_has_the_test_that_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    section = text.split("## Where they differ from PyTorch")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    named = [re.search(r"`(tests/[\w/]+\.py)::(\w+)` \|$", row) for row in rows]
    assert len(named) >= 8
    for row, found in zip(rows, named, strict=True):
        assert found, row
        tree = ast.parse((ROOT / found[1]).read_text(encoding="utf-8"))
        functions = {
            node.name for node in tree.body if isinstance(node, ast.FunctionDef)
        }
        assert found[2] in functions, row
