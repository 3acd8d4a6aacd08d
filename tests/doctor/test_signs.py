"""Where each threshold lies, on records that are written by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial import optim
from adam_tutorial.doctor import FINDINGS, watch
from adam_tutorial.doctor.history import Moment, Record, Sample, Track
from adam_tutorial.doctor.losses import look_at_first_step
from adam_tutorial.doctor.numbers import Before, measure
from adam_tutorial.doctor.pace import Sentinel
from adam_tutorial.doctor.roster import Hyperparameters
from adam_tutorial.doctor.signs import diagnose
from adam_tutorial.doctor.table import table

# Of a healthy parameter and of a healthy run; each test changes what it is about.
SAMPLE: dict[str, Any] = dict.fromkeys(Sample.__slots__, 0.0) | {
    "step": 1,
    "t": 1.0,
    "lr": 1e-3,
    "weight": 1.0,
    "update": 1e-3,
    "change": 1e-3,
    "v": 1.0,
    "gradient": 1.0,
    "largest": 0.5,
}
MOMENT: dict[str, Any] = {
    "step": 1,
    "lrs": (1e-3,),
    "ratio": 1e-3,
    "below_eps": 0.0,
    "still": 0.0,
    "largest": 0.5,
    "norm": 1.0,
    "scale": 1.0,
}


def new_track(name: str = "weight", **changes: Any) -> Track:
    """Return a parameter that got a gradient at each of a hundred steps."""
    parameter = nn.Parameter(torch.ones(2))
    (group,) = optim.AdamW([parameter]).param_groups
    settings = Hyperparameters.of(optim.AdamW([parameter]), group)
    track = Track(parameter, name, 0, 0, settings, with_gradient=100)
    track.shares = (0.5, 1.0)
    for name_of, value in changes.items():
        setattr(track, name_of, value)
    return track


def new_record(norms: list[float], *tracks: Track, **changes: Any) -> Record:
    """Return a run of a hundred steps."""
    record = Record(taken=100, tracks=[*tracks] or [new_track()], **changes)
    record.groups = [record.tracks[0].settings]
    record.recent.extend(norms)
    for step, norm in enumerate(norms, start=1):
        record.norms.add((step, norm))
    return record


def names(record: Record) -> list[str]:
    return [finding.name for finding in diagnose(record)]


def varied(count: int) -> list[float]:
    return [2.0 + 0.01 * number for number in range(count)]


def test_kinds_have_a_severity_and_a_sentence_of_advice() -> None:
    for kind in FINDINGS.values():
        assert kind.severity in ("mistake", "warning")
        assert len(kind.advice.split()) > 2 or "(" in kind.advice


# Clipping


@pytest.mark.parametrize(("over", "said"), [(94, []), (95, ["clipping always active"])])
def test_own_clipping_is_always_active_from_95_percent_on(
    over: int, said: list[str]
) -> None:
    assert names(new_record(varied(100), limit=1.0, over_limit=over)) == said


@pytest.mark.parametrize(("same", "said"), [(94, []), (95, ["clipping always active"])])
def test_a_norm_is_constant_from_95_percent_on(same: int, said: list[str]) -> None:
    assert names(new_record([1.0] * same + varied(100 - same))) == said


@pytest.mark.parametrize("limit", [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("power", [10, 16])
def test_a_usual_limit_over_a_power_of_two_is_that_of_scaled_gradients(
    limit: float, power: int
) -> None:
    record = new_record([limit / 2**power] * 100)
    assert names(record) == ["clipping of scaled gradients"]


@pytest.mark.parametrize("norm", [0.3 / 2**16, 1 / 2**8])
def test_another_constant_norm_is_not(norm: float) -> None:
    assert names(new_record([norm] * 100)) == ["clipping always active"]


@pytest.mark.parametrize(
    ("scales", "different", "said"),
    [
        ((2.0**16, 2.0**15), 5, ["clipping of scaled gradients"]),
        ((2.0**16, 2.0**15), 6, []),
        # At one scale it is a constant norm, or none.
        ((2.0**16,), 0, []),
    ],
)
def test_a_norm_that_is_constant_times_the_scale_needs_several_scales(
    scales: tuple[float, ...], different: int, said: list[str]
) -> None:
    record = new_record(varied(100))
    for number in range(100):
        scale = scales[number % len(scales)]
        norm = (3.0 if number < different else 1.0) / scale
        record.moments.add(Moment(**MOMENT | {"norm": norm, "scale": scale}))
    assert names(record) == said


def test_a_slope_that_is_constant_is_not_clipped() -> None:
    # Nothing was measured, so only the shares can tell.
    assert names(new_record([1.0] * 100, new_track(shares=(1.0, 1.0)))) == []


def test_an_infinite_total_has_no_shares() -> None:
    track = new_track(shares=(math.inf, 0.0))
    track.hear(1, 1.0, math.inf)
    assert track.shares == (math.inf, 0.0)
    track.hear(2, 1.0, 2.0)
    assert track.shares == (0.5, 0.5)


# Parameters


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 parameter had"), (2, "2 parameters had")]
)
def test_parameters_without_gradient_are_counted(count: int, said: str) -> None:
    without = [new_track(f"w{k}", with_gradient=0) for k in range(count)]
    (finding,) = diagnose(new_record(varied(100), new_track(), *without))
    assert finding.seen == f"{said} no gradient in 100 steps"


@pytest.mark.parametrize(
    ("drift", "count", "said"),
    [
        (0.5, 5, []),
        (0.51, 4, []),
        (0.51, 5, ["drift after a lone gradient"]),
    ],
)
def test_rows_drift_from_half_their_size_on(
    drift: float, count: int, said: list[str]
) -> None:
    track = new_track()
    for _ in range(count):
        track.samples.add(Sample(**SAMPLE | {"zeros": 0.9, "drift": drift}))
    assert names(new_record(varied(100), track)) == said


def test_each_group_has_its_own_parameters() -> None:
    first, second = (nn.Parameter(torch.ones(3)) for _ in range(2))
    groups: list[dict[str, Any]] = [
        {"params": [first]},
        {"params": [second], "weight_decay": 0.1},
    ]
    optimizer = torch.optim.Adam(groups)
    with watch(optimizer) as doctor:
        for step in range(30):
            for parameter in (first, second):
                parameter.grad = torch.tensor([1.0, -1.0, 0.1 * (step % 3)])
            optimizer.step()
    (penalty,) = (
        finding
        for finding in doctor.report().findings
        if finding.name == "L2 penalty instead of weight decay"
    )
    assert penalty.parameters == ("group 1, parameter 0",)


def test_a_parameter_counts_from_the_step_at_which_it_came() -> None:
    early, late = (nn.Parameter(torch.ones(3)) for _ in range(2))
    optimizer = torch.optim.Adam([early])
    with watch(optimizer) as doctor:
        for step in range(70):
            if step == 40:
                optimizer.add_param_group({"params": [late]})
            early.grad = torch.tensor([1.0, -1.0, 0.1 * (step % 3)])
            optimizer.step()
    (finding,) = doctor.report().findings
    assert finding.seen == "1 parameter had no gradient in 30 steps"


# Schedules and states


@pytest.mark.parametrize(("count", "said"), [(4, []), (5, ["schedule without effect"])])
def test_a_schedule_is_judged_from_five_looks_on(count: int, said: list[str]) -> None:
    record = new_record(varied(100))
    for step in range(count):
        record.schedule.add((step, step, (1e-3 / (step + 1),), (0.1,)))
    assert names(record) == said


def test_a_lost_state_is_told_in_numbers() -> None:
    numbers = {"v": 1.0, "signal": 1.0, "moved": 4.0, "first": 0.0, "t": 3.0}
    record = new_record(varied(100), start=1000)
    look_at_first_step(record, [(record.tracks[0], numbers)], scheduled=0)
    assert record.lost["state lost"][1] == {"t": 3, "start": 1000}


@pytest.mark.parametrize("gradient", [1e38, -1e38, math.inf, -math.inf, math.nan])
def test_a_sentinel_is_not_calm_at_the_limit_of_float32(gradient: float) -> None:
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    sentinel = Sentinel([parameter])
    for near in (0.99, -0.99):
        parameter.grad = torch.tensor([near * 1e38], dtype=torch.float64)
        assert sentinel.is_calm()
    parameter.grad = torch.tensor([gradient], dtype=torch.float64)
    assert not sentinel.is_calm()


def test_a_gradient_that_was_not_seen_has_no_numbers() -> None:
    track = new_track()
    state = {
        "step": torch.tensor(1.0),
        "exp_avg": torch.ones(2),
        "exp_avg_sq": torch.ones(2),
    }
    was = Before(torch.zeros(2))
    args = (track.parameter, was, state, track.settings)
    assert "largest" not in measure(*args, first=False)
    was.see(torch.tensor([0.0, -3.0]), rows=False)
    seen = measure(*args, first=False)
    assert (float(seen["largest"]), float(seen["zeros"])) == (3.0, 0.5)


# The report


def report_of(count: int, **numbers: float) -> list[str]:
    """Return the lines of the table of some parameters that are all alike."""
    optimizer = torch.optim.AdamW([nn.Parameter(torch.ones(2)) for _ in range(count)])
    with watch(optimizer) as doctor:
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.grad = torch.ones(2)
        optimizer.step()
    report = doctor.report()
    for parameter_report in report.parameters:
        for name, value in numbers.items():
            object.__setattr__(parameter_report, name, value)
    return table(report)


@pytest.mark.parametrize(("count", "more"), [(24, 0), (25, 1), (30, 6)])
def test_rows_that_have_no_place_are_counted(count: int, more: int) -> None:
    said = [line for line in report_of(count) if "more in report.parameters" in line]
    assert said == ([f"and {more} more in report.parameters"] if more else [])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0.0, "0"), (0.00999, "1e-2"), (0.01, "0.01"), (99.99, "99.99")),
        *((100.0, "100"), (999.4, "999"), (1000.0, "1e3"), (-12.345, "-12.35")),
    ],
)
def test_numbers_of_the_table_have_at_most_six_characters(
    value: float, shown: str
) -> None:
    assert report_of(1, gradient_norm=value)[2].split()[-1] == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(1, "w0"), (4, "w0, w1, w2, w3"), (6, "w0, w1, w2, w3 and 2 more")],
)
def test_a_finding_names_four_parameters_and_counts_the_others(
    count: int, shown: str
) -> None:
    model = nn.ParameterDict(
        {f"w{k}": nn.Parameter(torch.ones(2)) for k in range(count)}
    )
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=0.1)
    with watch(optimizer, model) as doctor:
        for parameter in model.values():
            parameter.grad = torch.tensor([1.0, -1.0])
        optimizer.step()
    assert f"\n  in:    {shown}\n" in str(doctor.report())


def test_the_title_of_the_picture_is_the_verdict_red_if_something_was_found() -> None:
    for decay, color in ((0.0, "#1f2328"), (0.1, "#b3123a")):
        optimizer = torch.optim.Adam([nn.Parameter(torch.ones(2))], weight_decay=decay)
        with watch(optimizer) as doctor:
            optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
            optimizer.step()
        report = doctor.report()
        title = report.plot()._suptitle  # type: ignore[attr-defined]
        assert (title.get_text(), title.get_color()) == (report.verdict, color)
