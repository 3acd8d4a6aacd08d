"""What people hand in: classes, optimizers, functions, rules."""

# Programs are called with more than each of them uses.
# ruff: noqa: ARG005

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch

from adam_tutorial import optim, reference
from adam_tutorial.checking import check_optimizer, plain_adam
from tests.checking.lines import names

T = torch.optim


class Numpy:
    def __init__(self, lr: float, beta1: float, beta2: float, eps: float) -> None:
        self.adam = plain_adam(lr, beta1, beta2, eps)

    def step(self, theta: Any, g: Any) -> Any:
        return self.adam(theta, g)


class WithUpdate(Numpy):
    step = None  # type: ignore[assignment]

    def update(self, theta: Any, g: Any) -> Any:
        return self.adam(theta, g)


class Passes(T.Adam):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


RIGHT = [
    T.Adam,
    T.AdamW,
    optim.Adam,
    optim.AdamW,
    Passes,
    functools.partial(T.Adam, foreach=False),
    lambda params, lr, betas, eps: T.Adam(params, lr=lr, betas=betas, eps=eps),
    lambda params, lr: T.Adam(params, lr=lr),
    reference.adam,
    reference.adamw,
    reference.adam_l2,
    reference.adam_efficient,
    Numpy,
    WithUpdate,
    plain_adam,
]


@pytest.mark.parametrize("handed", RIGHT)
def test_what_is_right_agrees_however_it_is_handed_in(handed: Any) -> None:
    report = check_optimizer(handed)
    assert report.ok, str(report)
    assert report.verdict.startswith("agrees with ")


def test_optimizer_and_its_parameters_stay_as_they_were() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    weight.grad = torch.ones(2)
    optimizer = T.Adam([weight], lr=0.3, betas=(0.5, 0.6), weight_decay=0.1)
    optimizer.step()
    before = copy.deepcopy((weight.data, weight.grad, optimizer.state_dict()))
    assert check_optimizer(optimizer).ok
    assert torch.equal(weight.data, before[0])
    assert torch.equal(weight.grad, before[1])
    assert str(optimizer.state_dict()) == str(before[2])


class Remembers(T.Adam):
    """Writes into an argument of its own."""

    def __init__(self, params: Any, lr: float = 1e-3, seen: Any = ()) -> None:
        super().__init__(params, lr=lr)
        self.defaults["seen"] = seen

    def step(self, closure: Any = None) -> Any:
        self.defaults["seen"].append(1)
        return super().step(closure)


def test_arguments_of_an_optimizer_stay_as_they_were() -> None:
    optimizer = Remembers([torch.nn.Parameter(torch.ones(2))], seen=[])
    assert check_optimizer(optimizer).ok
    assert optimizer.defaults["seen"] == []


def test_other_arguments_of_an_optimizer_count() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    for make in (T.Adam, optim.Adam):
        optimizer = make([weight], amsgrad=True)
        assert names(check_optimizer(optimizer)) == ["takes a maximum, as AMSGrad does"]
        assert check_optimizer(optimizer, rule="AMSGrad").ok


class NeedsTraining(T.Adam):
    training = False

    def train(self) -> None:
        self.training = True

    def step(self, closure: Any = None) -> Any:
        if not self.training:
            raise RuntimeError("Optimizer was not in train mode")
        return super().step(closure)


def test_optimizer_that_must_be_put_in_training_mode_is_put_there() -> None:
    report = check_optimizer(NeedsTraining)
    assert report.ok
    (remark,) = [its for its in report.remarks if its.name == "training mode"]
    assert "method train(), which was called" in remark.seen


class WithoutEps(T.Optimizer):
    """Adam whose eps is fixed."""

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas})
        self.adam = T.Adam(self.param_groups, eps=1e-8)

    def step(self, closure: Any = None) -> Any:
        return self.adam.step(closure)


class WithOneBeta(WithoutEps):
    def __init__(self, params: Any, lr: float = 1e-3, beta1: float = 0.9) -> None:
        super().__init__(params, lr, (beta1, 0.999))
        for group in self.param_groups:
            group["betas"] = (group.get("beta1", beta1), 0.999)


class TupleOfOne(WithoutEps):
    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, ...] = (0.9,)
    ) -> None:
        super().__init__(params, lr, (betas[0], 0.999))


@pytest.mark.parametrize(
    ("optimizer", "seen"),
    [
        (WithoutEps, "it takes no eps; it was compared at eps=1e-08"),
        (WithOneBeta, "it takes no beta2 and no eps; it was compared at beta2=0.999"),
        (TupleOfOne, "it takes no beta1 and no beta2 and no eps; "),
    ],
)
def test_setting_that_an_optimizer_does_not_take_is_a_remark(
    optimizer: Any, seen: str
) -> None:
    report = check_optimizer(optimizer)
    assert report.ok, str(report)
    (remark,) = [its for its in report.remarks if its.name == "settings that it lacks"]
    assert remark.seen.startswith(seen)


@pytest.mark.parametrize(
    ("optimizer", "error"),
    [
        (T.SparseAdam, "RuntimeError: SparseAdam does not support dense gradients"),
        (T.LBFGS, "TypeError: LBFGS.step() missing 1 required positional argument"),
    ],
)
def test_optimizer_that_needs_something_else_is_reported_in_its_words(
    optimizer: Any, error: str
) -> None:
    (finding,) = check_optimizer(optimizer).findings
    assert finding.name == "raises an error"
    assert f"step 1 raises {error}" in finding.seen


@pytest.mark.parametrize("name", ["adam", "lion"])
def test_function_of_optax_is_not_taken_as_it_is(name: str) -> None:
    optax = pytest.importorskip("optax")
    with pytest.raises(TypeError, match=f"that returns a step; wrap .*{name} in one"):
        check_optimizer(getattr(optax, name))


@pytest.mark.parametrize("library", ["jax", "keras", "optax", "tensorflow"])
def test_what_belongs_to_another_library_is_recognised_without_it(library: str) -> None:
    optimizer = type("Adam", (Numpy,), {"__module__": f"{library}.optimizers"})
    for handed in (optimizer, optimizer(0.1, 0.9, 0.999, 1e-8)):
        with pytest.raises(TypeError, match=f"a step; wrap .*{library}.* in one"):
            check_optimizer(handed)


def a_step(theta: Any, gradient: Any) -> Any:
    return theta - gradient


@pytest.mark.parametrize(
    ("handed", "message"),
    [
        (None, "make must be a function, .*, got None"),
        ("Adam", "make must be a function, .*, got 'Adam'"),
        (3, "make must be a function, .*, got 3"),
        ([torch.nn.Parameter(torch.ones(10_000))], "got an object of class list"),
        (57 * "x", "got 'x+'$"),
        (58 * "x", "got an object of class str"),
        (a_step, "it looks like the step itself"),
        (torch.nn.Linear, "it has no lr, beta1, beta2, eps"),
        (int, "make must"),
        (lambda lr, beta1: None, "it has no beta2, eps"),
    ],
)
def test_what_makes_no_steps_is_refused_by_name(handed: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_optimizer(handed)
