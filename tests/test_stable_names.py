"""The names that others may build upon exist, and the page lists exactly them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "book/reference/api/package.md"
STABLE = {
    "adam_tutorial": "check_optimizer",
    "adam_tutorial.optim": "AdaBelief Adafactor Adam AdamW Adamax Lion NAdam RAdam",
    "adam_tutorial.reference": (
        "adabelief adadelta adafactor adagrad adam adam_efficient adam_l2 adam_regret"
        " adamax adamw amsgrad gradient_descent lion momentum nadam radam rmsprop"
        " temporal_average rule trajectory walk"
    ),
    "adam_tutorial.checking": "Finding Report from_rule from_torch plain_adam",
    "adam_tutorial.checkpoint": (
        "CheckpointError Loaded Saver ShuffledBatches latest load save"
    ),
    "adam_tutorial.doctor": "Doctor Finding ParameterReport Report watch",
    "adam_tutorial.libraries": "Convention Translation conventions follow translate",
}


def test_stable_names_are_offered_by_their_modules() -> None:
    for module, names in STABLE.items():
        offered = importlib.import_module(module)
        for name in names.split():
            assert name in offered.__all__
            assert callable(getattr(offered, name))


def test_page_lists_the_stable_names() -> None:
    text = PAGE.read_text(encoding="utf-8")
    section = text.split("## What is stable")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(adam_tutorial[\w.]*)` \| (.*) \|$", section, re.MULTILINE)
    listed = {module: re.findall(r"`(\w+)`", names) for module, names in rows}
    assert listed == {module: names.split() for module, names in STABLE.items()}
    assert sum(map(len, listed.values())) == 52
    assert "Fifty-two names" in section
