"""State dicts: resuming to the last bit, exchange with PyTorch, what is shared."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from adam_tutorial.optim import Adam, AdamW
from tests.optim.steps import (
    SHAPES,
    assert_close,
    copies,
    frozen,
    new_parameters,
    parameters_of,
    shapes_in_torch,
    snapshot,
    take_steps,
    through_a_file,
    trained,
)
from tests.optimizers import (
    ADAM,
    ADAMW,
    BACKENDS,
    Case,
    each,
    each_in_torch,
    each_optimizer,
    each_optimizer_exactly,
    each_with,
)

# Resuming


@each_optimizer
def test_run_resumed_from_a_file_is_the_same_to_the_last_bit(case: Case) -> None:
    settings = {"lr": 0.03, "weight_decay": 0.1, **case.only(betas=(0.7, 0.9))}
    for dtype in case.dtypes:
        first = trained(case.new, new_parameters(dtype), **settings)
        parameters = copies(parameters_of(first))
        second = case.new(parameters, lr=99)
        second.load_state_dict(through_a_file(first.state_dict()))
        assert second.param_groups[0]["lr"] == 0.03
        assert snapshot(second) == snapshot(first)
        take_steps(first, parameters_of(first), range(20, 30))
        take_steps(second, parameters, range(20, 30))
        assert snapshot(second) == snapshot(first)
        counts = [entry["step"].item() for entry in second.state.values()]
        assert counts == [30] * len(SHAPES)


@each_optimizer_exactly
def test_run_resumed_on_another_backend_is_the_same_to_the_last_bit(
    case: Case,
) -> None:
    first = trained(case.new, lr=0.03)
    for backend in case.backends:
        parameters = copies(parameters_of(first))
        second = case.on(backend).new(parameters)
        state = through_a_file(first.state_dict())
        # A checkpoint brings its settings along, the choice of a backend among them.
        none = case.only(foreach=None, fused=None)
        state["param_groups"][0] |= {**none, **BACKENDS[backend]}
        second.load_state_dict(state)
        twin = copy.deepcopy(first)
        take_steps(twin, parameters_of(twin), range(20, 40))
        take_steps(second, parameters, range(20, 40))
        assert frozen(parameters) == frozen(parameters_of(twin))


@each_optimizer
def test_checkpoint_from_before_the_first_step_is_loaded(case: Case) -> None:
    optimizer = trained(case.new)
    optimizer.load_state_dict(case.new(new_parameters(), lr=0.7).state_dict())
    assert not optimizer.state
    assert optimizer.param_groups[0]["lr"] == 0.7
    take_steps(optimizer, parameters_of(optimizer), range(2))


@each_optimizer
@pytest.mark.parametrize("zero", [0, 0.0, torch.tensor(0.0)], ids=repr)
def test_count_of_zero_is_that_of_a_parameter_before_its_first_step(
    case: Case, zero: Any
) -> None:
    checkpoint = trained(case.new).state_dict()
    unused = case.new(new_parameters())
    take_steps(unused, parameters_of(unused), range(1))
    for entry in checkpoint["state"].values():
        for name in case.moments_of(()):
            if name in entry:
                entry[name] = torch.zeros_like(entry[name])
        for name, first in case.numbers.items():
            entry[name] = torch.tensor(first)
        entry["step"] = zero
    loaded = case.new(new_parameters())
    loaded.load_state_dict(checkpoint)
    take_steps(loaded, parameters_of(loaded), range(1))
    assert frozen(parameters_of(loaded)) == frozen(parameters_of(unused))
    assert frozen(loaded.state_dict()["state"]) == frozen(unused.state_dict()["state"])


@each_optimizer
def test_state_dict_of_the_same_run_is_the_same_in_order_and_value(case: Case) -> None:
    first, second = trained(case.new), trained(case.new)
    for optimizer in (second, first):
        assert frozen(optimizer.state_dict()) == frozen(first.state_dict())
        assert list(optimizer.state_dict()["state"]) == [0, 1, 2, 3]
        assert [list(group) for group in optimizer.state_dict()["param_groups"]] == [
            list(group) for group in first.state_dict()["param_groups"]
        ]
    reloaded = case.new(new_parameters())
    reloaded.load_state_dict(first.state_dict())
    assert frozen(reloaded.state_dict()) == frozen(first.state_dict())
    assert [list(entry) for entry in reloaded.state_dict()["state"].values()] == [
        list(entry) for entry in first.state_dict()["state"].values()
    ]


# Exchange with PyTorch


@each(lambda case: case.torch is not None, backends=list(BACKENDS))
@pytest.mark.parametrize("direction", ["to torch", "from torch"])
def test_checkpoint_of_mid_training_continues_in_the_other_class_for_a_hundred_steps(
    case: Case, direction: str
) -> None:
    settings = {
        "lr": 0.03,
        "weight_decay": 0.1,
        "maximize": True,
        **case.only(betas=(0.7, 0.9)),
    }
    flags: dict[str, Any] = BACKENDS[case.backend]
    start = new_parameters(shapes=shapes_in_torch(case))
    if direction == "to torch":
        first = trained(case.new, start, **settings)
        parameters = copies(parameters_of(first))
        second = case.new_in_torch(parameters)
    else:
        first = trained(case.new_in_torch, start, **settings, **flags)
        parameters = copies(parameters_of(first))
        second = case.new(parameters)
    second.load_state_dict(through_a_file(first.state_dict()))
    # PyTorch keeps the product of NAdam's momenta in float32.
    single = bool(case.numbers)
    take_steps(first, parameters_of(first), range(20, 40))
    take_steps(second, parameters, range(20, 40))
    assert_close(parameters, parameters_of(first), rtol=1e-6 if single else 1e-12)
    take_steps(first, parameters_of(first), range(40, 120))
    take_steps(second, parameters, range(40, 120))
    rtol = 1e-6 if single else 1e-10
    for one, other in zip(parameters_of(first), parameters, strict=True):
        torch.testing.assert_close(other, one, rtol=rtol, atol=rtol / 10)


@each(lambda case: case.torch is not None)
def test_state_has_the_names_shapes_and_types_of_that_of_torch(case: Case) -> None:
    states = []
    for make in (case.new, case.new_in_torch):
        parameters = new_parameters(shapes=shapes_in_torch(case))
        optimizer = make(parameters)
        take_steps(optimizer, parameters, range(1))
        states.append(
            [
                {name: (value.shape, value.dtype) for name, value in entry.items()}
                for entry in optimizer.state_dict()["state"].values()
            ]
        )
    # But for the numbers: PyTorch counts in float32, which ends at 2**24.
    own = dict.fromkeys(("step", *case.numbers), ((), torch.float64))
    theirs = dict.fromkeys(own, ((), torch.float32))
    for entry, expected in zip(*states, strict=True):
        assert {name: entry[name] for name in own} == own
        assert {**entry, **theirs} == expected


@each_in_torch
@pytest.mark.parametrize("kind", [int, float])
def test_checkpoint_of_an_old_torch_with_few_settings_and_plain_counters_is_understood(
    case: Case, kind: type
) -> None:
    start = new_parameters(shapes=shapes_in_torch(case))
    first = trained(case.new_in_torch, start, lr=0.03, weight_decay=0.1)
    old = copy.deepcopy(first.state_dict())
    known = {"params", *case.hyperparameters} - {"amsgrad", "decoupled_weight_decay"}
    old["param_groups"] = [
        {key: value for key, value in group.items() if key in {*known, *case.fixed}}
        for group in old["param_groups"]
    ]
    for entry in old["state"].values():
        entry["step"] = kind(entry["step"])
        for name in case.numbers:
            entry[name] = float(entry[name])
    parameters = copies(parameters_of(first))
    # Settings that did not exist then are off, whatever the new optimizer had.
    later = case.only(maximize=True, capturable=True)
    second = case.new(parameters, **later)
    second.load_state_dict(through_a_file(old))
    for name in later:
        assert not second.param_groups[0][name]
    take_steps(first, parameters_of(first), range(20, 60))
    take_steps(second, parameters, range(20, 60))
    for one, other in zip(parameters_of(first), parameters, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-7)
    for entry in second.state.values():
        assert entry["step"].item() == 60


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ADAM.new_in_torch, AdamW),
        (ADAMW.new_in_torch, Adam),
        (Adam, AdamW),
        (AdamW, Adam),
    ],
)
def test_checkpoint_without_decay_may_go_from_one_kind_of_decay_to_the_other(
    before: Any, after: Any
) -> None:
    first = trained(before, lr=0.03, weight_decay=0)
    parameters = copies(parameters_of(first))
    second = after(parameters)
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["decoupled_weight_decay"] is (after is AdamW)
    take_steps(first, parameters_of(first), range(20, 40))
    take_steps(second, parameters, range(20, 40))
    for one, other in zip(parameters_of(first), parameters, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)


@each_in_torch
def test_setting_that_torch_lacks_stays_as_it_is_when_its_checkpoint_is_loaded(
    case: Case,
) -> None:
    fresh = functools.partial(new_parameters, shapes=shapes_in_torch(case))
    optimizer = case.new(fresh(), nonfinite="skip")
    optimizer.load_state_dict(trained(case.new_in_torch, fresh()).state_dict())
    assert optimizer.param_groups[0]["nonfinite"] == "skip"
    ours = trained(case.new, fresh(), nonfinite="raise")
    optimizer.load_state_dict(ours.state_dict())
    assert optimizer.param_groups[0]["nonfinite"] == "raise"


# Precision


@each_optimizer_exactly
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_moments_of_half_precision_weights_stay_float32_through_a_file(
    case: Case, dtype: torch.dtype
) -> None:
    first = trained(case.new, new_parameters(dtype))
    saved = through_a_file(first.state_dict())
    second = case.new(copies(parameters_of(first)))
    second.load_state_dict(saved)
    loaded = second.state_dict()["state"]
    for place, shape in enumerate(SHAPES):
        for name in case.moments_of(shape):
            for state in (saved["state"], loaded):
                assert state[place][name].dtype == torch.float32
            if shape == SHAPES[0]:
                lost = saved["state"][place][name].to(dtype).float()
                assert not torch.equal(lost, loaded[place][name])


@each_in_torch
def test_bfloat16_moments_of_torch_are_loaded_as_float32(case: Case) -> None:
    shapes = shapes_in_torch(case)
    first = trained(case.new_in_torch, new_parameters(torch.bfloat16, shapes))
    second = case.new(copies(parameters_of(first)))
    second.load_state_dict(first.state_dict())
    for place, shape in enumerate(shapes):
        one, other = (o.state_dict()["state"][place] for o in (first, second))
        for name in case.moments_of(shape):
            assert one[name].dtype == torch.bfloat16
            assert other[name].dtype == torch.float32
            assert torch.equal(one[name].float(), other[name])
    take_steps(second, parameters_of(second), range(20, 30))
    assert all(parameter.isfinite().all() for parameter in parameters_of(second))


# Independence


@each_with({"lr": 0.03}, {"lr": torch.tensor(0.03)})
def test_checkpoint_and_the_optimizers_that_loaded_it_share_no_memory(
    case: Case, chosen: dict[str, Any]
) -> None:
    first = trained(case.new, **chosen)
    checkpoint = first.state_dict()
    before = frozen(checkpoint)
    second, third = (case.new(copies(parameters_of(first))) for _ in range(2))
    second.load_state_dict(checkpoint)
    third.load_state_dict(checkpoint)
    take_steps(second, parameters_of(second), range(20, 25))
    second.param_groups[0]["lr"] *= 0.5
    assert frozen(checkpoint) == before
    assert frozen(third.state_dict()) == before

    def places(optimizer: Optimizer) -> set[int]:
        values = [v for entry in optimizer.state.values() for v in entry.values()]
        return {v.data_ptr() for v in values if v.numel()}

    assert not places(first) & places(second)
    assert not places(second) & places(third)


@each_optimizer
def test_what_other_programs_added_is_kept_and_not_shared(case: Case) -> None:
    checkpoint = trained(case.new).state_dict()
    checkpoint["state"][0]["mask"] = torch.ones(2)
    checkpoint["state"][0]["notes"] = ["begun"]
    checkpoint["state"]["epoch"] = {"losses": [0.5], "best": torch.zeros(1)}
    checkpoint["param_groups"][0]["history"] = [1]
    optimizer = case.new(new_parameters())
    optimizer.load_state_dict(checkpoint)

    loaded = optimizer.state_dict()
    assert torch.equal(loaded["state"][0]["mask"], torch.ones(2))
    assert loaded["state"]["epoch"] == {"losses": [0.5], "best": torch.zeros(1)}
    entry = optimizer.state[parameters_of(optimizer)[0]]
    entry["mask"].zero_()
    entry["notes"].append("changed")
    optimizer.state["epoch"]["losses"].append(0.4)
    optimizer.state["epoch"]["best"].fill_(7)
    optimizer.param_groups[0]["history"].append(2)
    assert checkpoint["state"][0]["mask"].tolist() == [1, 1]
    assert checkpoint["state"][0]["notes"] == ["begun"]
    assert checkpoint["state"]["epoch"] == {"losses": [0.5], "best": torch.zeros(1)}
    assert checkpoint["param_groups"][0]["history"] == [1]


# torch.distributed.checkpoint


def new_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()


@pytest.mark.filterwarnings(
    "ignore:torch.distributed is .*unavailable or uninitialized:UserWarning",
    "ignore:TypedStorage is deprecated:UserWarning",
)
@each_optimizer
def test_distributed_checkpoint_saves_and_loads_the_optimizer(
    case: Case, tmp_path: Path
) -> None:
    from torch.distributed.checkpoint.state_dict import (
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )
    from torch.distributed.checkpoint.state_dict_loader import load
    from torch.distributed.checkpoint.state_dict_saver import save

    model, other = new_model(), new_model()
    optimizer = case.new(model.parameters(), lr=0.03)
    fresh = case.new(other.parameters(), lr=0.5)
    take_steps(optimizer, parameters_of(optimizer), range(10))
    other.load_state_dict(model.state_dict())
    named = get_optimizer_state_dict(model, optimizer)
    assert set(named["state"]) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    save({"optimizer": named}, checkpoint_id=str(tmp_path))
    # PyTorch makes the state of the fresh one with a step that must not move anything.
    place = {"optimizer": get_optimizer_state_dict(other, fresh)}
    assert frozen(list(other.parameters())) == frozen(list(model.parameters()))
    load(place, checkpoint_id=str(tmp_path))
    set_optimizer_state_dict(other, fresh, place["optimizer"])
    assert snapshot(fresh) == snapshot(optimizer)
    take_steps(optimizer, parameters_of(optimizer), range(10, 20))
    take_steps(fresh, parameters_of(fresh), range(10, 20))
    assert snapshot(fresh) == snapshot(optimizer)
