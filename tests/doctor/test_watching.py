"""The doctor sees what happens, and changes nothing."""

from __future__ import annotations

import copy
import gc
import io
import math
import pickle
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, CosineAnnealingLR

from adam_tutorial import optim
from adam_tutorial.doctor import watch
from adam_tutorial.doctor.pace import Pace, Sentinel
from adam_tutorial.doctor.surroundings import steps_of
from adam_tutorial.theory import step_supremum, step_supremum_gradients
from tests.doctor.runs import Loop, found, new_model

Make = Callable[..., Optimizer]
MAKES: dict[str, Make] = {
    "torch": torch.optim.Adam,
    "torch, AdamW": torch.optim.AdamW,
    "torch, single": partial(torch.optim.AdamW, foreach=False),
    "torch, foreach": partial(torch.optim.AdamW, foreach=True),
    "torch, fused": partial(torch.optim.AdamW, fused=True),
    "torch, capturable": partial(torch.optim.NAdam, foreach=False),
    "torch, tensors": lambda p: torch.optim.Adam(
        p, lr=torch.tensor(1e-3), foreach=False, capturable=False
    ),
    "ours": optim.AdamW,
    "ours, plain": partial(optim.Adam, foreach=False, fused=False),
    "ours, foreach": partial(optim.Adam, foreach=True, fused=False),
    "ours, 8 bits": partial(optim.AdamW, state_dtype=torch.uint8),
    "ours, 16 bits": partial(optim.AdamW, state_dtype=torch.bfloat16),
    "ours, clipped": partial(optim.Adam, max_grad_norm=0.5),
    "ours, amsgrad": partial(optim.Adam, amsgrad=True),
    "ours, RAdam": optim.RAdam,
}


def bits(model: nn.Module, optimizer: Optimizer) -> bytes:
    stream = io.BytesIO()
    tensors: list[Any] = [*model.parameters(), torch.get_rng_state()]
    for entry in optimizer.state_dict()["state"].values():
        tensors += entry.values()
    for tensor in tensors:
        value = torch.as_tensor(tensor).detach().contiguous()
        stream.write(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return stream.getvalue()


def run(make: Make, dtype: torch.dtype = torch.float32, **asked: Any) -> bytes:
    model = new_model("cnn").to(dtype)  # with dropout, which draws random numbers
    optimizer = make(model.parameters())
    if asked:
        with watch(optimizer, model, **asked):
            Loop().run(model, optimizer, "cnn", 12)
    else:
        Loop().run(model, optimizer, "cnn", 12)
    return bits(model, optimizer)


@pytest.mark.parametrize("name", MAKES)
def test_a_run_that_is_watched_ends_at_the_same_bits(name: str) -> None:
    assert run(MAKES[name], every=1) == run(MAKES[name])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_run_in_another_precision_ends_at_the_same_bits(dtype: torch.dtype) -> None:
    assert run(optim.AdamW, dtype, every=1) == run(optim.AdamW, dtype)


HOOKS = [
    f"_optimizer_{name}_hooks"
    for name in (
        *("step_pre", "step_post", "state_dict_pre", "state_dict_post"),
        *("load_state_dict_pre", "load_state_dict_post"),
    )
]


def hooks(optimizer: Optimizer) -> int:
    return sum(len(getattr(optimizer, name)) for name in HOOKS)


@pytest.mark.parametrize("kind", [torch.optim.Adam, optim.Adam])
def test_no_hook_is_left(kind: Make) -> None:
    theta = nn.Parameter(torch.ones(3))
    optimizer = kind([theta])
    doctor = watch(optimizer)
    assert hooks(optimizer) == 3
    doctor.close()
    doctor.close()
    assert hooks(optimizer) == 0
    with pytest.raises(ZeroDivisionError), watch(optimizer):  # noqa: PT012
        assert hooks(optimizer) == 3
        raise ZeroDivisionError
    assert hooks(optimizer) == 0
    assert theta._backward_hooks is None


@pytest.mark.parametrize("kind", [torch.optim.Adam, optim.Adam])
def test_a_copy_of_a_watched_optimizer_is_not_watched(kind: Make) -> None:
    theta = nn.Parameter(torch.ones(3))
    optimizer = kind([theta])
    with watch(optimizer) as doctor:
        for other in (
            copy.deepcopy(optimizer),
            pickle.loads(pickle.dumps(optimizer)),  # noqa: S301
        ):
            assert hooks(other) == 0
            (parameter,) = other.param_groups[0]["params"]
            parameter.grad = torch.ones(3)
            other.step()
        assert doctor.report().steps == 0


def test_a_doctor_that_is_closed_can_be_collected_with_its_optimizer() -> None:
    theta = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([theta])
    with watch(optimizer) as doctor:
        pass
    del doctor
    gc.collect()
    assert sys.getrefcount(optimizer) == 2


def test_two_doctors_see_the_same() -> None:
    model = new_model("dense")
    optimizer = torch.optim.Adam(model.parameters())
    with watch(optimizer, model) as first, watch(optimizer, model) as second:
        Loop().run(model, optimizer, "dense", 30)
    assert str(first.report()) == str(second.report())


REFUSED: dict[str, tuple[Callable[[list[Tensor]], object], str]] = {
    "SGD": (torch.optim.SGD, "got torch.optim.sgd.SGD"),
    "LBFGS": (torch.optim.LBFGS, "got torch.optim.lbfgs.LBFGS"),
    "Adamax": (torch.optim.Adamax, "Adamax"),
    "Lion": (optim.Lion, "got adam_tutorial.optim.lion.Lion"),
    "a class": (lambda _: torch.optim.Adam, "make an optimizer first"),
    "a scheduler": (
        lambda p: CosineAnnealingLR(torch.optim.Adam(p), 10),
        "it wraps one that can: hand in that Adam",
    ),
    "nothing": (lambda _: None, "must be an Adam, AdamW, NAdam or RAdam"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_an_adam_is_refused(name: str) -> None:
    make, said = REFUSED[name]
    with pytest.raises(TypeError, match=said):
        watch(make([nn.Parameter(torch.ones(3))]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"every": 0}, "every must be at least 1"),
        ({"every": 1.5}, "every must be a whole number"),
        ({"start": -1}, "start must be at least 0"),
        ({"meant": ["eps"]}, "meant must have names of findings, got 'eps'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    asked: dict[str, Any], said: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        watch(torch.optim.Adam([nn.Parameter(torch.ones(3))]), **asked)


def take(optimizer: Optimizer, *gradients: Tensor | None) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()


def test_the_numbers_of_a_first_step_are_those_of_algorithm_1() -> None:
    theta = nn.Parameter(torch.tensor([2.0, -2.0, 2.0, 2.0]))
    optimizer = torch.optim.AdamW([theta], lr=0.1, weight_decay=0.5, eps=1e-3)
    with watch(optimizer) as doctor:
        take(optimizer, torch.tensor([1.0, 1.0, 1e-6, 0.0]))
    (its,) = doctor.report().parameters
    moved = 1e-6 / (1e-6 + 1e-3)
    assert its.name == "group 0, parameter 0"
    assert (its.elements, its.t) == (4, 1)
    assert its.step == pytest.approx(((2 + moved**2) / 4) ** 0.5, rel=2e-3)
    assert its.longest == pytest.approx(1, rel=2e-3)
    assert its.bound == step_supremum(1)
    assert its.below_eps == pytest.approx(1 / 3)
    assert its.dead == 0.25
    assert its.still == 0
    assert its.signal_to_noise == pytest.approx(1)
    assert its.memory == pytest.approx(1)
    assert its.decay_to_update == pytest.approx(0.05 * 2 / (0.1 * its.step), rel=1e-3)
    assert its.gradient_norm == pytest.approx(2**0.5)


def test_the_bound_is_that_of_the_longest_step_there_can_be() -> None:
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = optim.Adam([theta], lr=0.1, eps=0.0)
    with watch(optimizer, every=1) as doctor:
        for g in step_supremum_gradients(30):
            take(optimizer, torch.tensor([g]))
    (its,) = doctor.report().parameters
    assert its.longest == pytest.approx(its.bound)
    assert its.bound > 1.3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_names_are_those_of_the_model_or_of_the_optimizer_or_places() -> None:
    model = new_model("dense")
    named = torch.optim.Adam(model.named_parameters())
    other = nn.Parameter(torch.zeros(2))
    groups: list[dict[str, Any]] = [{"params": model.parameters()}, {"params": [other]}]
    optimizer = torch.optim.Adam(groups)
    compiled: Any = torch.compile(model)
    with watch(named) as by_optimizer, watch(optimizer, compiled) as both:
        cross_entropy(model(torch.ones(2, 784)), torch.tensor([0, 1])).backward()
        other.grad = torch.ones(2)
        named.step()
        optimizer.step()
    own = [name for name, _ in model.named_parameters()]
    assert [p.name for p in by_optimizer.report().parameters] == own
    assert [p.name for p in both.report().parameters] == [
        *own,
        "group 1, parameter 0",
    ]


def test_a_closure_is_seen_with_the_gradients_that_it_makes() -> None:
    theta = nn.Parameter(torch.tensor([3.0]))
    optimizer = optim.Adam([theta], lr=0.1)

    def closure() -> float:
        optimizer.zero_grad()
        loss = theta.square().sum()
        loss.backward()
        return loss.item()

    with watch(optimizer) as doctor:
        optimizer.step(closure)
        optimizer.step(closure=closure)
    report = doctor.report()
    assert report.steps == 2
    assert report.gradient_norm == pytest.approx(2 * 2.9, rel=1e-4)


def test_parameters_without_a_gradient_are_left_out_until_they_have_one() -> None:
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([first, second])
    with watch(optimizer) as doctor:
        optimizer.step()
        assert doctor.report().parameters == ()
        take(optimizer, torch.ones(2), None)
        take(optimizer, torch.ones(2), torch.ones(2))
    assert [p.t for p in doctor.report().parameters] == [2, 1]


def test_a_sparse_gradient_is_left_to_the_optimizer() -> None:
    embedding = nn.Embedding(5, 2, sparse=True)
    optimizer = torch.optim.Adam(embedding.parameters())
    embedding(torch.tensor([1])).sum().backward()
    with watch(optimizer) as doctor, pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
    assert doctor.report().steps == 0


def test_a_step_that_fails_is_not_counted_but_its_gradient_is_named() -> None:
    theta = nn.Parameter(torch.ones(2))
    optimizer = optim.Adam([theta], nonfinite="raise")
    with watch(optimizer) as doctor:
        take(optimizer, torch.ones(2))
        with pytest.raises(FloatingPointError):
            take(optimizer, torch.tensor([1.0, float("nan")]))
        take(optimizer, torch.ones(2))
    report = doctor.report()
    assert report.steps == 2
    assert found(report) == ["non-finite values"]


def test_complex_parameters_are_two_numbers_each() -> None:
    theta = nn.Parameter(torch.tensor([1 + 1j]))
    optimizer = optim.Adam([theta], lr=0.1)
    with watch(optimizer) as doctor:
        take(optimizer, torch.tensor([1 + 0j]))
    (its,) = doctor.report().parameters
    assert its.longest == pytest.approx(1)
    assert its.dead == 0.5


@pytest.mark.parametrize("shape", [(3000, 400), (2**20 + 3,), (2, 2**19)])
def test_of_a_large_parameter_a_part_is_looked_at(shape: tuple[int, ...]) -> None:
    theta = nn.Parameter(torch.ones(shape))
    optimizer = optim.Adam([theta], lr=0.1)
    with watch(optimizer) as doctor:
        take(optimizer, torch.ones(shape))
        assert all(b.weights.numel() <= 2**18 for b in doctor._before.values())
    (its,) = doctor.report().parameters
    assert its.elements == theta.numel()
    assert its.update_to_weight == pytest.approx(0.1, rel=1e-3)


def test_memory_does_not_grow_with_the_number_of_steps() -> None:
    theta = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([theta])
    with watch(optimizer, every=5) as doctor:
        for _ in range(10_000):
            take(optimizer, torch.randn(2))
        assert len(pickle.dumps(doctor._record)) < 60_000
    report = doctor.report()
    assert (report.steps, report.measured) == (10_000, 2008)
    assert len(report.norms) <= 513
    assert len(report.moments) <= 257
    assert len(report.samples[0][1]) <= 65
    # The first and the last are there, and what is between them fairly spaced.
    steps = [step for step, _ in report.norms]
    assert (steps[0], steps[-1]) == (1, 10_000)
    assert max(b - a for a, b in pairwise(steps)) < 100


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_steps_of_a_compiled_graph_are_not_seen_and_the_report_says_so() -> None:
    theta = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([theta], lr=0.1)
    step = torch.compile(optimizer.step, backend="eager", fullgraph=False)
    with watch(optimizer) as doctor:
        for _ in range(3):
            theta.grad = torch.ones(3)
            step()
    assert torch.allclose(theta, torch.full((3,), 0.7))
    report = doctor.report()
    assert report.steps == 0
    assert report.verdict == "no step was seen (steps of a compiled graph cannot be)"


def test_a_spike_is_counted_but_is_no_finding() -> None:
    theta = nn.Parameter(torch.ones(2))
    optimizer = optim.Adam([theta])
    with watch(optimizer) as doctor:
        for step in range(60):
            take(optimizer, torch.full((2,), 50.0 if step == 40 else 1.0))
    report = doctor.report()
    assert report.spikes == 1
    assert report.ok


@pytest.mark.parametrize("stumbling", ["listen", "flush"])
def test_an_error_of_the_doctor_ends_the_watching_and_not_the_run(
    stumbling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theta = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([theta], lr=0.1)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("oh")

    with watch(optimizer) as doctor:
        take(optimizer, torch.ones(2))
        with monkeypatch.context() as patch:
            patch.setattr(doctor._listener, stumbling, fail)
            take(optimizer, torch.ones(2))
        take(optimizer, torch.ones(2))
    assert torch.allclose(theta, torch.full((2,), 0.7))
    assert doctor.report().verdict.startswith("the doctor stopped in ")
    assert "at an error of its own: ZeroDivisionError: oh" in doctor.report().verdict


def test_infinite_moments_are_no_lost_ones() -> None:
    theta = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([theta])
    with watch(optimizer) as doctor:
        take(optimizer, torch.full((2,), float("inf")))
    assert found(doctor.report()) == ["non-finite values"]


def test_gradients_whose_squares_underflow_are_not_called_zero() -> None:
    theta = nn.Parameter(torch.ones(2))
    optimizer = optim.Adam([theta])
    with watch(optimizer) as doctor:
        for _ in range(30):
            take(optimizer, torch.full((2,), 1e-30))
    assert doctor.report().ok


def test_empty_and_strided_parameters_are_measured() -> None:
    parameters = [
        nn.Parameter(torch.ones(0)),
        nn.Parameter(torch.tensor(1.0)),
        nn.Parameter(torch.ones(7, 5).t()),
        nn.Parameter(torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last)),
        nn.Parameter(torch.ones(3, dtype=torch.float16)),
        nn.Parameter(torch.ones(3, dtype=torch.float64)),
    ]
    optimizer = optim.Adam(parameters, lr=0.125)
    with watch(optimizer) as doctor:
        take(optimizer, *(torch.ones_like(p) for p in parameters))
    report = doctor.report()
    assert report.verdict == "nothing found in 1 step"
    assert [round(p.step, 3) for p in report.parameters] == [1.0] * 5


@pytest.mark.filterwarnings("ignore:Detected call")
def test_schedulers_of_all_kinds_are_counted() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.ones(2))])
    parts: list[Any] = [CosineAnnealingLR(optimizer, 10) for _ in range(2)]
    assert steps_of(parts[0]) == 0
    parts[0].step()
    assert steps_of(parts[0]) == 1
    assert steps_of(ChainedScheduler(parts)) == parts[0].last_epoch
    assert steps_of(object()) is None
    with watch(optimizer, scheduler=object()) as doctor:
        for _ in range(30):
            take(optimizer, torch.ones(2))
    assert doctor.report().ok


def test_the_norms_are_taken_at_first_and_then_at_irregular_steps() -> None:
    theta = nn.Parameter(torch.ones(2))
    pace, sentinel = Pace(50), Sentinel([theta])
    steps = [1]
    while steps[-1] < 2000:
        steps.append(pace.following(steps[-1], sentinel))
    assert steps[:64] == list(range(1, 65))
    assert all(step in steps for step in range(100, 2000, 50))
    later = steps[64:]
    assert 3.5 < 1936 / len(later) < 4.5
    # No rhythm is missed: every remainder by 2 to 8 comes up often.
    for rhythm in range(2, 9):
        for phase in range(rhythm):
            share = sum(step % rhythm == phase for step in later) / len(later)
            assert share > 0.5 / rhythm
    # Where nothing small can be read without waiting, all steps are heard.
    assert pace.following(500, Sentinel()) == 501


def test_the_sentinel_is_small_and_can_be_read() -> None:
    large, small, fifth = (nn.Parameter(torch.ones(n)) for n in (5, 2, 1))
    number = nn.Parameter(torch.ones(1, dtype=torch.complex64))
    sentinel = Sentinel([large, number, small, large, large, fifth])
    assert sentinel.parameter is small
    assert sentinel.is_calm()
    for value, calm in ((1.0, True), (math.nan, False), (-math.inf, False)):
        small.grad = torch.full((2,), value)
        assert sentinel.is_calm() is calm
