from __future__ import annotations

import copy
import inspect
import io
import math
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from adam_tutorial import optim
from adam_tutorial.optim import Adam, AdamW, Lion

RULES: list[Any] = [getattr(optim, name) for name in optim.__all__]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
SHAPES = ((3, 4), (5,), (), (2, 0))


def new_parameters(dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype))
        for shape in SHAPES
    ]


def copies(parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    return [nn.Parameter(parameter.detach().clone()) for parameter in parameters]


def take_steps(
    optimizer: Optimizer, parameters: list[nn.Parameter], steps: range
) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(1000 + step)
        for parameter in parameters:
            noise = torch.randn(
                parameter.shape, generator=generator, dtype=torch.float64
            )
            parameter.grad = (noise * 10 ** math.sin(step / 7) + 0.2).to(
                parameter.dtype
            )
        optimizer.step()


def trained(
    make: Any, parameters: list[nn.Parameter] | None = None, **settings: Any
) -> Any:
    parameters = new_parameters() if parameters is None else parameters
    optimizer = make(parameters, **settings)
    take_steps(optimizer, parameters, range(20))
    return optimizer


def parameters_of(optimizer: Optimizer) -> list[nn.Parameter]:
    return [
        parameter for group in optimizer.param_groups for parameter in group["params"]
    ]


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    return loaded


def frozen(value: Any) -> Any:
    """The value with its tensors as text, in all digits, to compare before and after."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)} {value.tolist()}"
    if isinstance(value, dict):
        return {key: frozen(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [frozen(entry) for entry in value]
    return value


def snapshot(optimizer: Optimizer) -> Any:
    return frozen([optimizer.state_dict(), parameters_of(optimizer)])


# Exchange with torch

PAIRS = [
    ("Adam", {"amsgrad": False}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"amsgrad": False}),
    ("AdamW", {"amsgrad": True}),
    ("Adamax", {}),
    ("NAdam", {}),
    ("NAdam", {"decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"decoupled_weight_decay": True}),
]
EXCHANGES = [
    (name, flags, flag)
    for name, flags in PAIRS
    for flag in ("", "foreach", "fused")
    if flag in ("", *inspect.signature(getattr(torch.optim, name)).parameters)
]


@pytest.mark.parametrize(("name", "flags", "flag"), EXCHANGES, ids=str)
@pytest.mark.parametrize("direction", ["to torch", "from torch"])
def test_checkpoint_of_mid_training_continues_in_the_other_class_for_a_hundred_steps(
    name: str, flags: dict[str, Any], flag: str, direction: str
) -> None:
    before, after = getattr(torch.optim, name), getattr(optim, name)
    if direction == "to torch":
        before, after = after, before
    settings = {
        "lr": 0.03,
        "betas": (0.7, 0.9),
        "weight_decay": 0.1,
        "maximize": True,
        **flags,
    }
    if flag:
        settings[flag] = True
    first = trained(before, **settings)
    parameters = copies(parameters_of(first))
    # Where the class takes it from its name, the kind of decay is not repeated.
    second = after(parameters, **({} if name in ("Adam", "AdamW") else flags))
    second.load_state_dict(through_a_file(first.state_dict()))
    take_steps(first, parameters_of(first), range(20, 120))
    take_steps(second, parameters, range(20, 120))
    # torch's NAdam keeps the product of its momenta in float32.
    rtol = 1e-6 if name == "NAdam" else 1e-10
    for one, other in zip(parameters_of(first), parameters, strict=True):
        torch.testing.assert_close(other, one, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"])
@pytest.mark.parametrize("kind", [int, float])
def test_checkpoint_of_an_old_torch_with_few_settings_and_plain_counters_is_understood(
    name: str, kind: type
) -> None:
    first = trained(getattr(torch.optim, name), lr=0.03, weight_decay=0.1)
    old = copy.deepcopy(first.state_dict())
    known = ("params", "lr", "betas", "eps", "weight_decay", "momentum_decay")
    old["param_groups"] = [
        {key: value for key, value in group.items() if key in known}
        for group in old["param_groups"]
    ]
    for entry in old["state"].values():
        entry["step"] = kind(entry["step"])
        if "mu_product" in entry:
            entry["mu_product"] = float(entry["mu_product"])
    parameters = copies(parameters_of(first))
    # Settings that did not exist then are off, whatever the new optimizer had.
    second = getattr(optim, name)(parameters, maximize=True, capturable=True)
    second.load_state_dict(through_a_file(old))
    assert not second.param_groups[0]["maximize"]
    assert not second.param_groups[0]["capturable"]
    take_steps(first, parameters_of(first), range(20, 60))
    take_steps(second, parameters, range(20, 60))
    for one, other in zip(parameters_of(first), parameters, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-6, atol=1e-7)
    for entry in second.state.values():
        assert entry["step"].item() == 60


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(torch.optim.Adam, AdamW), (torch.optim.AdamW, Adam), (Adam, AdamW)],
)
def test_checkpoint_without_decay_may_go_from_one_kind_of_decay_to_the_other(
    theirs: Any, ours: Any
) -> None:
    first = trained(theirs, lr=0.03, weight_decay=0)
    parameters = copies(parameters_of(first))
    second = ours(parameters)
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["decoupled_weight_decay"] is (ours is AdamW)
    take_steps(first, parameters_of(first), range(20, 40))
    take_steps(second, parameters, range(20, 40))
    for one, other in zip(parameters_of(first), parameters, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)


def test_setting_that_torch_lacks_stays_as_it_is_when_its_checkpoint_is_loaded() -> (
    None
):
    optimizer = Adam(new_parameters(), nonfinite="skip")
    optimizer.load_state_dict(trained(torch.optim.Adam).state_dict())
    assert optimizer.param_groups[0]["nonfinite"] == "skip"
    optimizer.load_state_dict(trained(Adam, nonfinite="raise").state_dict())
    assert optimizer.param_groups[0]["nonfinite"] == "raise"


# Precision and independence


@each_rule
@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64],
    ids=str,
)
def test_run_resumed_from_a_file_is_the_same_to_the_last_bit(
    rule: Any, dtype: torch.dtype
) -> None:
    first = trained(rule, new_parameters(dtype), lr=0.03)
    parameters = copies(parameters_of(first))
    second = rule(parameters, lr=99)
    second.load_state_dict(through_a_file(first.state_dict()))
    assert snapshot(second) == snapshot(first)
    take_steps(first, parameters_of(first), range(20, 40))
    take_steps(second, parameters, range(20, 40))
    assert snapshot(second) == snapshot(first)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_moments_of_half_precision_weights_stay_float32_through_a_file(
    dtype: torch.dtype,
) -> None:
    first = trained(AdamW, new_parameters(dtype))
    saved = through_a_file(first.state_dict())
    second = AdamW(copies(parameters_of(first)))
    second.load_state_dict(saved)
    for state in (saved["state"], second.state_dict()["state"]):
        for entry in state.values():
            assert entry["exp_avg"].dtype == entry["exp_avg_sq"].dtype == torch.float32
    lost = saved["state"][0]["exp_avg_sq"].to(dtype).float()
    assert not torch.equal(lost, second.state_dict()["state"][0]["exp_avg_sq"])


def test_bfloat16_moments_of_torch_are_loaded_as_float32() -> None:
    first = trained(torch.optim.AdamW, new_parameters(torch.bfloat16))
    second = AdamW(copies(parameters_of(first)))
    second.load_state_dict(first.state_dict())
    for one, other in zip(first.state.values(), second.state.values(), strict=True):
        assert one["exp_avg"].dtype == torch.bfloat16
        assert other["exp_avg"].dtype == other["exp_avg_sq"].dtype == torch.float32
        assert torch.equal(one["exp_avg"].float(), other["exp_avg"])
    take_steps(second, parameters_of(second), range(20, 30))
    assert all(parameter.isfinite().all() for parameter in parameters_of(second))


@each_rule
@pytest.mark.parametrize("rate", [0.03, torch.tensor(0.03)], ids=["float", "tensor"])
def test_checkpoint_and_the_optimizers_that_loaded_it_share_no_memory(
    rule: Any, rate: float | Tensor
) -> None:
    first = trained(rule, lr=rate)
    checkpoint = first.state_dict()
    before = frozen(checkpoint)
    second, third = (rule(copies(parameters_of(first))) for _ in range(2))
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


# What does not fit


def changed(
    change: Callable[[dict[str, Any]], Any], make: Any = Adam, **settings: Any
) -> Any:
    state = copy.deepcopy(trained(make, **settings).state_dict())
    change(state)
    return state


def in_the_entry(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda state: state["state"][1].__setitem__(key, value)


def in_the_group(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda state: state["param_groups"][0].__setitem__(key, value)


UNFIT: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "two groups": (
        lambda: Adam(
            [{"params": new_parameters()[:2]}, {"params": new_parameters()[2:]}]
        ).state_dict(),
        ValueError,
        "different number of parameter groups: 2, but the optimizer has 1",
    ),
    "fewer parameters": (
        lambda: trained(Adam, new_parameters()[:3]).state_dict(),
        ValueError,
        (
            r"doesn't match the size of optimizer's group: sizes \[3\], but the"
            r" optimizer has \[4\]"
        ),
    ),
    "other shapes": (
        lambda: changed(in_the_entry("exp_avg", torch.zeros(1, 5))),
        ValueError,
        r"exp_avg of parameter 1 has the shape \(1, 5\), but the parameter has \(5,\)",
    ),
    "shape that would be stretched": (
        lambda: changed(in_the_entry("exp_avg_sq", torch.zeros(()))),
        ValueError,
        r"exp_avg_sq of parameter 1 has the shape \(\)",
    ),
    "AMSGrad's maximum of another shape": (
        lambda: changed(in_the_entry("max_exp_avg_sq", torch.zeros(6)), amsgrad=True),
        ValueError,
        r"max_exp_avg_sq of parameter 1 has the shape \(6,\)",
    ),
    "SGD": (
        lambda: trained(torch.optim.SGD, lr=0.1, momentum=0.9).state_dict(),
        ValueError,
        (
            r"the state of parameter 0 has no 'step', only \['momentum_buffer'\].*not"
            r" made by Adam"
        ),
    ),
    "Lion": (
        lambda: trained(Lion).state_dict(),
        ValueError,
        "the state of parameter 0 has no 'exp_avg_sq'",
    ),
    "Adamax": (
        lambda: trained(torch.optim.Adamax).state_dict(),
        ValueError,
        "has no 'exp_avg_sq'",
    ),
    "moment that is no tensor": (
        lambda: changed(in_the_entry("exp_avg", [0.0] * 5)),
        TypeError,
        "exp_avg of parameter 1 must be a tensor",
    ),
    "moment that is complex": (
        lambda: changed(in_the_entry("exp_avg", torch.zeros(5, dtype=torch.complex64))),
        TypeError,
        (
            "exp_avg of parameter 1 must be a tensor as torch.float64 needs it, got"
            " torch.complex64"
        ),
    ),
    "negative step": (
        lambda: changed(in_the_entry("step", torch.tensor(-1.0))),
        ValueError,
        "step of parameter 1 must be finite and not negative",
    ),
    "step that is no number": (
        lambda: changed(in_the_entry("step", torch.tensor(math.nan))),
        ValueError,
        "step of parameter 1 must be finite and not negative",
    ),
    "endless step": (
        lambda: changed(in_the_entry("step", math.inf)),
        ValueError,
        "step of parameter 1 must be finite and not negative, got inf",
    ),
    "invalid learning rate": (
        lambda: changed(in_the_group("lr", -1.0)),
        ValueError,
        "Invalid learning rate: -1.0",
    ),
    "invalid betas": (
        lambda: changed(in_the_group("betas", (0.9, 1.0))),
        ValueError,
        "Invalid beta parameter at index 1: 1.0",
    ),
    "invalid flag": (
        lambda: changed(in_the_group("amsgrad", "yes")),
        TypeError,
        "amsgrad must be True or False",
    ),
    "contradicting flags": (
        lambda: changed(
            lambda state: state["param_groups"][0].update(fused=True, foreach=True)
        ),
        ValueError,
        "cannot be `True` together",
    ),
    "no state": (
        lambda: {"param_groups": trained(Adam).state_dict()["param_groups"]},
        ValueError,
        r"a state dict needs the key 'state', got \['param_groups'\]",
    ),
    "no groups": (
        lambda: {"state": trained(Adam).state_dict()["state"]},
        ValueError,
        "a state dict needs the key 'param_groups'",
    ),
    "nothing": (dict, ValueError, "a state dict needs the key 'state', got"),
    "decoupled decay": (
        lambda: trained(AdamW, weight_decay=0.1).state_dict(),
        ValueError,
        "decoupled_weight_decay=True, AdamW's decay of the weights",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_checkpoint_that_does_not_fit_is_refused_and_nothing_has_changed(
    case: str,
) -> None:
    make, error, message = UNFIT[case]
    optimizer = trained(Adam, lr=0.5)
    before = snapshot(optimizer)
    entries = {p: dict(entry) for p, entry in optimizer.state.items()}
    checkpoint = make()
    given = frozen(checkpoint)
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(checkpoint)
    assert snapshot(optimizer) == before
    assert frozen(checkpoint) == given
    for parameter, entry in entries.items():
        for name, value in entry.items():
            assert optimizer.state[parameter][name] is value
    take_steps(optimizer, parameters_of(optimizer), range(20, 22))


@each_rule
def test_checkpoint_of_every_other_rule_is_refused_unless_its_state_is_the_same(
    rule: Any,
) -> None:
    same = {"Adam", "AdamW", "RAdam", "NAdam"}
    for other in RULES:
        optimizer = trained(rule)
        before = snapshot(optimizer)
        needed = {"step", *rule.moments, *(name for name, _ in rule.scalars)}
        has = {"step", *other.moments, *(name for name, _ in other.scalars)}
        if needed <= has:
            assert (
                other is rule or rule is Lion or {rule.__name__, other.__name__} <= same
            )
            continue
        with pytest.raises(ValueError, match=f"it was not made by {rule.__name__}"):
            optimizer.load_state_dict(trained(other, weight_decay=0).state_dict())
        assert snapshot(optimizer) == before


def test_state_that_belongs_to_no_parameter_is_kept() -> None:
    state = trained(Adam).state_dict()
    state["state"]["epoch"] = {"number": 7}
    optimizer = Adam(new_parameters())
    optimizer.load_state_dict(state)
    assert optimizer.state_dict()["state"]["epoch"] == {"number": 7}


def test_entry_that_someone_else_added_to_a_parameter_is_kept() -> None:
    state = trained(Adam).state_dict()
    state["state"][0]["mask"] = torch.ones(2)
    optimizer = Adam(new_parameters())
    optimizer.load_state_dict(state)
    assert torch.equal(optimizer.state_dict()["state"][0]["mask"], torch.ones(2))


def test_checkpoint_from_before_the_first_step_is_loaded() -> None:
    optimizer = trained(Adam)
    optimizer.load_state_dict(Adam(new_parameters(), lr=0.7).state_dict())
    assert not optimizer.state
    assert optimizer.param_groups[0]["lr"] == 0.7
    take_steps(optimizer, parameters_of(optimizer), range(2))


# Copies, hooks, names


@each_rule
@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda optimizer: pickle.loads(pickle.dumps(optimizer)),
    ],
    ids=["deepcopy", "pickle"],
)
def test_copy_of_an_optimizer_continues_on_the_same_path_and_apart(
    rule: Any, copied: Callable[[Any], Any]
) -> None:
    optimizer = trained(rule, nonfinite="skip")
    before = snapshot(optimizer)
    twin = copied(optimizer)
    assert type(twin) is rule
    take_steps(twin, parameters_of(twin), range(20, 30))
    assert snapshot(optimizer) == before
    take_steps(optimizer, parameters_of(optimizer), range(20, 30))
    assert snapshot(twin) == snapshot(optimizer)
    twin.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
    assert twin.param_groups[1]["nonfinite"] == "skip"


def test_hooks_of_saving_and_loading_are_called_and_may_replace_the_state() -> None:
    optimizer = trained(Adam, lr=0.5)
    seen: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda _: seen.append("before saving"))

    def after_saving(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        seen.append("after saving")
        return {**state, "note": 1}

    optimizer.register_state_dict_post_hook(after_saving)
    state = optimizer.state_dict()
    assert state["note"] == 1

    def before_loading(_: Optimizer, given: dict[str, Any]) -> dict[str, Any]:
        seen.append("before loading")
        groups = [{**group, "lr": 0.125} for group in given["param_groups"]]
        given.pop("note")  # of a copy: the caller's dictionary stays as it is
        return {**given, "param_groups": groups}

    def after_loading(loaded: Optimizer) -> None:
        seen.append(f"after loading: {loaded.param_groups[0]['lr']}")

    optimizer.register_load_state_dict_pre_hook(before_loading)
    optimizer.register_load_state_dict_post_hook(after_loading)
    optimizer.load_state_dict(state)
    assert state["note"] == 1
    assert seen == [
        "before saving",
        "after saving",
        "before loading",
        "after loading: 0.125",
    ]


def test_hook_that_returns_nothing_leaves_the_state_as_it_is() -> None:
    optimizer = Adam(new_parameters())
    optimizer.register_load_state_dict_pre_hook(lambda *_: None)
    optimizer.load_state_dict(trained(Adam, lr=0.5).state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """Names of the optimizers that a global hook has seen."""
    seen: list[str] = []
    handles = [
        register_optimizer_step_pre_hook(
            lambda o, *_: seen.append(f"before {type(o).__name__}")
        ),
        register_optimizer_step_post_hook(
            lambda o, *_: seen.append(f"after {type(o).__name__}")
        ),
    ]
    yield seen
    for handle in handles:
        handle.remove()


@each_rule
def test_hooks_of_the_step_are_called_the_global_ones_outside(
    rule: Any, calls: list[str]
) -> None:
    parameters = new_parameters()
    optimizer = rule(parameters)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before this"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after this"))
    take_steps(optimizer, parameters, range(1))
    name = rule.__name__
    assert calls == [f"before {name}", "before this", "after this", f"after {name}"]


@each_rule
def test_names_of_parameters_go_through_a_file(rule: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).double()
    parameters = list(model.parameters())
    optimizer = rule(model.named_parameters())
    take_steps(optimizer, parameters, range(3))
    saved = through_a_file(optimizer.state_dict())
    names = ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert saved["param_groups"][0]["param_names"] == names
    renamed = rule([(f"new.{i}", p) for i, p in enumerate(copies(parameters))])
    renamed.load_state_dict(saved)
    assert renamed.param_groups[0]["param_names"] == names  # as torch does
    assert frozen(renamed.state_dict()) == frozen(optimizer.state_dict())


@each_rule
def test_checkpoint_without_names_leaves_the_names_of_the_optimizer(rule: Any) -> None:
    model = nn.Linear(2, 3).double()
    optimizer = rule(model.named_parameters())
    optimizer.load_state_dict(
        trained(rule, copies(list(model.parameters()))).state_dict()
    )
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]


@each_rule
def test_printed_optimizer_names_itself_and_all_its_settings(rule: Any) -> None:
    optimizer = trained(rule, lr=0.25)
    text = repr(optimizer)
    assert text.startswith(f"{rule.__name__} (\nParameter Group 0\n")
    for name in inspect.signature(rule).parameters:
        assert name == "params" or f"    {name}: " in text
    assert "    lr: 0.25\n" in text


@each_rule
def test_state_dict_of_the_same_run_is_the_same_in_order_and_value(rule: Any) -> None:
    first, second = trained(rule), trained(rule)
    for optimizer in (second, first):
        assert frozen(optimizer.state_dict()) == frozen(first.state_dict())
        assert list(optimizer.state_dict()["state"]) == [0, 1, 2, 3]
        assert [list(group) for group in optimizer.state_dict()["param_groups"]] == [
            list(group) for group in first.state_dict()["param_groups"]
        ]
    reloaded = rule(new_parameters())
    reloaded.load_state_dict(first.state_dict())
    assert frozen(reloaded.state_dict()) == frozen(first.state_dict())
    assert [list(entry) for entry in reloaded.state_dict()["state"].values()] == [
        list(entry) for entry in first.state_dict()["state"].values()
    ]


# Schedulers


# torch 2.6 warns of what its own SequentialLR does.
@pytest.mark.filterwarnings("ignore:The epoch parameter in:UserWarning")
def test_scheduler_and_optimizer_resume_together() -> None:
    def make() -> tuple[list[nn.Parameter], Adam, Any]:
        parameters = new_parameters()
        optimizer = Adam(parameters, lr=0.1)
        warm = lr_scheduler.LinearLR(optimizer, 0.1, 1.0, total_iters=10)
        decay = lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)
        return (
            parameters,
            optimizer,
            lr_scheduler.SequentialLR(optimizer, [warm, decay], [10]),
        )

    def run(parameters: Any, optimizer: Any, scheduler: Any, steps: range) -> None:
        for step in steps:
            take_steps(optimizer, parameters, range(step, step + 1))
            scheduler.step()

    parameters, optimizer, scheduler = make()
    run(parameters, optimizer, scheduler, range(15))
    saved = through_a_file(
        {"optimizer": optimizer.state_dict(), "schedule": scheduler.state_dict()}
    )
    weights = [parameter.detach().clone() for parameter in parameters]
    run(parameters, optimizer, scheduler, range(15, 35))
    resumed, fresh, schedule = make()
    for one, value in zip(resumed, weights, strict=True):
        one.data = value
    schedule.load_state_dict(saved["schedule"])
    fresh.load_state_dict(saved["optimizer"])
    run(resumed, fresh, schedule, range(15, 35))
    assert snapshot(fresh) == snapshot(optimizer)


def test_scheduler_writes_into_a_learning_rate_that_is_a_tensor() -> None:
    rate = torch.tensor(0.5, dtype=torch.float64)
    parameters, plain = new_parameters(), new_parameters()
    optimizer, other = Adam(parameters, lr=rate), Adam(plain, lr=0.5)
    schedules = [lr_scheduler.ExponentialLR(o, gamma=0.5) for o in (optimizer, other)]
    for step in range(5):
        take_steps(optimizer, parameters, range(step, step + 1))
        take_steps(other, plain, range(step, step + 1))
        for schedule in schedules:
            schedule.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.5**6
    for one, two in zip(parameters, plain, strict=True):
        assert torch.equal(one, two)


def test_plateau_lowers_the_rate_that_the_next_step_takes() -> None:
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Adam([theta], lr=1.0, eps=0)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.25, patience=0)
    for loss in (1.0, 1.0):
        theta.grad = torch.ones(1, dtype=torch.float64)
        optimizer.step()
        schedule.step(loss)
    assert theta.item() == pytest.approx(-2)
    optimizer.step()
    assert theta.item() == pytest.approx(-2.25)


# torch.distributed.checkpoint

alone = pytest.mark.filterwarnings(
    "ignore:torch.distributed is .*unavailable or uninitialized:UserWarning",
    "ignore:TypedStorage is deprecated:UserWarning",
)


def new_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()


@alone
@each_rule
def test_distributed_checkpoint_saves_and_loads_the_optimizer(
    rule: Any, tmp_path: Path
) -> None:
    from torch.distributed.checkpoint.state_dict import (
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )
    from torch.distributed.checkpoint.state_dict_loader import load
    from torch.distributed.checkpoint.state_dict_saver import save

    model, other = new_model(), new_model()
    optimizer, fresh = (
        rule(model.parameters(), lr=0.03),
        rule(other.parameters(), lr=0.5),
    )
    take_steps(optimizer, parameters_of(optimizer), range(10))
    other.load_state_dict(model.state_dict())
    named = get_optimizer_state_dict(model, optimizer)
    assert set(named["state"]) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    save({"optimizer": named}, checkpoint_id=str(tmp_path))
    # torch makes the state of the fresh one with a step that must not move anything.
    place = {"optimizer": get_optimizer_state_dict(other, fresh)}
    assert frozen(list(other.parameters())) == frozen(list(model.parameters()))
    load(place, checkpoint_id=str(tmp_path))
    set_optimizer_state_dict(other, fresh, place["optimizer"])
    assert snapshot(fresh) == snapshot(optimizer)
    take_steps(optimizer, parameters_of(optimizer), range(10, 20))
    take_steps(fresh, parameters_of(fresh), range(10, 20))
    assert snapshot(fresh) == snapshot(optimizer)
