"""What the report looks like, in a terminal, in a log and as a picture."""

from __future__ import annotations

import csv
import dataclasses
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial import optim
from adam_tutorial.doctor import FINDINGS, Report, watch
from tests.doctor.runs import Loop, new_model, watched


@pytest.fixture(scope="module")
def healthy() -> Report:
    return watched("cnn", optim.AdamW, 60)


@pytest.fixture(scope="module")
def ill() -> Report:
    return watched("dense", partial(torch.optim.Adam, weight_decay=1e-2, eps=1.0), 60)


def test_a_healthy_run_is_a_sentence_and_a_table(healthy: Report) -> None:
    lines = str(healthy).splitlines()
    assert lines[0] == "nothing found in 60 steps"
    assert lines[1] == ""
    assert lines[2].split() == [
        *("parameter", "age", "upd/w", "step", "long"),
        *("<eps", "dead", "still", "m2/v", "decay", "|g|"),
    ]
    names = [name for name, _ in new_model("cnn").named_parameters()]
    assert [line.split()[0] for line in lines[3 : 3 + len(names)]] == names
    assert healthy.ok


def test_a_finding_says_where_and_what_to_try(ill: Report) -> None:
    text = str(ill)
    assert text.startswith("2 findings in 60 steps\nwarning: L2 penalty instead of")
    for line in ("  seen:  ", "  in:    1.weight, 1.bias, 3", "  try:   AdamW, or "):
        assert line in text
    assert "  topic: weight-decay\n" in text
    assert "  topic: epsilon\n" in text
    assert not ill.ok


def test_no_line_is_longer_than_the_page_shows(healthy: Report, ill: Report) -> None:
    long = dataclasses.replace(
        healthy.parameters[0],
        name="encoder.layers.11.attention.projection.weight",
        update_to_weight=1e-300,
        step=math.inf,
        signal_to_noise=math.nan,
        gradient_norm=-1.5e9,
        t=10**6,
    )
    many = dataclasses.replace(healthy, parameters=(long,) * 30)
    for report in (healthy, ill, many):
        assert max(map(len, str(report).splitlines())) <= 97
    shown = str(many).splitlines()
    assert "and 6 more in report.parameters" in shown
    assert shown[3].startswith("encoder..ojection.weight 1000000 1e-300    inf")
    assert shown[3].split()[-1] == "-2e9"


def test_a_run_without_a_step_has_no_table() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(2))])
    report = watch(optimizer).report()
    assert str(report) == "no step was seen (steps of a compiled graph cannot be)"
    assert report.as_dict() == {"steps": 0, "findings": 0, "spikes": 0}


def test_the_dict_is_flat_and_finite(healthy: Report, ill: Report) -> None:
    flat = healthy.as_dict()
    assert all(isinstance(name, str) for name in flat)
    assert all(math.isfinite(value) for value in flat.values())
    assert flat["steps"] == 60
    assert flat["lr/0"] == 1e-3
    assert flat["t/0.weight"] == 50
    assert flat["findings"] == 0
    assert ill.as_dict()["found/eps decides"] == 1


def test_reports_make_a_table_of_comma_separated_values(tmp_path: Path) -> None:
    model = new_model("dense")
    optimizer = optim.AdamW(model.parameters())
    rows: list[dict[str, float]] = []
    doctor = watch(optimizer, model)

    def note(step: int) -> None:
        if step % 10 == 0:
            rows.append(doctor.report().as_dict())

    Loop(after=note).run(model, optimizer, "dense", 30)
    names = list(rows[-1])
    with (tmp_path / "adam.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    with (tmp_path / "adam.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [row["steps"] for row in read] == ["10", "20", "30"]
    assert float(read[0]["gradient_norm"]) == rows[0]["gradient_norm"]


def test_the_picture_has_four_panels_and_a_line_for_each_parameter(
    healthy: Report, ill: Report
) -> None:
    figure = healthy.plot()
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == [
        *("norm of all gradients", "change over weight"),
        *("update (learning rates)", "learning rate"),
    ]
    assert len(panels[1].lines) == len(healthy.parameters) == 13
    assert panels[1].get_legend() is None
    assert ill.plot().axes[1].get_legend() is not None
    figure.canvas.draw()


def test_the_picture_of_two_groups_names_them() -> None:
    groups: list[dict[str, Any]] = [
        {"params": [nn.Parameter(torch.ones(2))]},
        {"params": [nn.Parameter(torch.ones(2))], "lr": 0.1},
    ]
    optimizer = torch.optim.Adam(groups)
    with watch(optimizer) as doctor:
        for group in optimizer.param_groups:
            group["params"][0].grad = torch.ones(2)
        optimizer.step()
    legend = doctor.report().plot().axes[3].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["group 0", "group 1"]


def test_without_matplotlib_the_picture_says_what_to_install(
    healthy: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install matplotlib"):
        healthy.plot()


def test_each_finding_has_an_advice_and_only_warnings_may_be_meant() -> None:
    for kind in FINDINGS.values():
        assert kind.advice
        assert kind.severity in {"mistake", "warning"}
