"""A program that is another rule is told which, and in which convention."""

# Programs are called with more than each of them uses.
# ruff: noqa: ARG001

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial import optim, reference
from adam_tutorial.checking import check_optimizer, from_rule, from_torch
from adam_tutorial.checking.handed import as_program
from adam_tutorial.checking.identification import identify
from adam_tutorial.checking.inputs import NUMBERS, RISING, SMALL, ZEROS
from adam_tutorial.checking.probes import Probe
from tests.checking.lines import names

PARAMETERS = [torch.nn.Parameter(torch.ones(2))]
T = torch.optim

RULES: list[tuple[Any, str, str]] = [
    (T.RAdam, "RAdam (as in PyTorch: eps beside the root of v)", "L2"),
    (T.NAdam, "NAdam (as in PyTorch: the momentum rises with psi = 0.004)", "L2"),
    (T.Adamax, "AdaMax (as in PyTorch and Optax: eps beside |g|)", "L2"),
    (T.Adafactor, "Adafactor (as in PyTorch)", "decoupled"),
    (T.Adagrad, "AdaGrad (as in PyTorch: eps beside the root)", "L2"),
    (T.Adadelta, "AdaDelta (as in its paper: eps inside both roots)", "L2"),
    (T.RMSprop, "RMSProp (as in PyTorch: eps beside the root, no bias", "L2"),
    (from_torch(T.RMSprop, centered=True), "RMSProp (centred", "L2"),
    (T.SGD, "gradient descent (lr * g)", ""),
    (
        T.SGD(PARAMETERS, lr=0.1, momentum=0.9),
        "gradient descent with momentum (as in PyTorch, with the rate 0.9)",
        "L2",
    ),
    (
        T.SGD(PARAMETERS, lr=0.1, momentum=0.9, nesterov=True),
        "gradient descent with Nesterov's momentum",
        "L2",
    ),
    (
        from_torch(T.RAdam, decoupled_weight_decay=True),
        "RAdam (as in PyTorch",
        "decoupled",
    ),
    (
        from_torch(T.NAdam, decoupled_weight_decay=True),
        "NAdam (as in PyTorch",
        "decoupled",
    ),
    (optim.RAdam, "RAdam (as in PyTorch", "L2"),
    (optim.NAdam, "NAdam (as in PyTorch", "L2"),
    (optim.Adamax, "AdaMax (as in PyTorch", "L2"),
    (optim.AdaBelief, "AdaBelief (as in its paper", "decoupled"),
    (optim.Lion, "Lion (as in its paper", "decoupled"),
    (optim.Adafactor, "Adafactor (as in PyTorch)", "decoupled"),
    (from_rule(reference.radam, threshold=4.0), "RAdam (adaptive from rho_t > 4", ""),
    (reference.radam, "RAdam (as in PyTorch", ""),
    (reference.nadam, "NAdam (as in PyTorch", ""),
    (reference.adabelief, "AdaBelief (as in its paper", ""),
    (reference.adamax, "AdaMax (as in PyTorch", ""),
    (reference.lion, "Lion (as in its paper", "decoupled"),
    (reference.adafactor, "Adafactor (as in PyTorch)", "decoupled"),
    (reference.adagrad, "AdaGrad (as in PyTorch", ""),
    (reference.adadelta, "AdaDelta (as in its paper", ""),
    (from_rule(reference.adadelta, rho=0.9), "AdaDelta (as in its paper, with rho", ""),
    (reference.rmsprop, "RMSProp (with the rate beta1", ""),
    (reference.momentum, "gradient descent with momentum", ""),
    (from_rule(reference.momentum, nesterov=True), "gradient descent with Nest", ""),
    (reference.gradient_descent, "gradient descent (lr * g)", ""),
    (reference.adam_regret, "Adam with the schedules of the regret theorem", ""),
]


def check_is(make: Any, name: str, decay: str) -> None:
    report = check_optimizer(make)
    assert report.verdict.startswith(f"this is {name}")
    assert report.verdict.endswith(", not Adam")
    (finding,) = report.findings
    assert finding.kind == "difference"
    assert not report.ok
    decays = [its.seen for its in report.remarks if its.name == "weight decay"]
    assert len(decays) == bool(decay)
    assert all(decay in seen for seen in decays)


@pytest.mark.parametrize(("make", "name", "decay"), RULES)
def test_another_rule_is_named_with_its_convention(
    make: Any, name: str, decay: str
) -> None:
    check_is(make, name, decay)


def sign_step(lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lambda theta, g: theta - lr * np.sign(g)


def signum(lr: float, beta1: float, beta2: float, eps: float) -> Any:
    m: Any = 0.0

    def step(theta: Any, g: Any) -> Any:
        nonlocal m
        m = beta1 * m + (1 - beta1) * g
        return theta - lr * np.sign(m)

    return step


@pytest.mark.parametrize(("make", "name"), [(sign_step, "signSGD"), (signum, "Signum")])
def test_steps_along_the_sign_are_named(make: Any, name: str) -> None:
    check_is(make, name, "")


def identified(make: Any) -> str:
    """Return what steps of vectors are; other shapes take these libraries long."""
    probe = Probe(as_program(make))
    traces = [probe.watch(inputs) for inputs in (NUMBERS, RISING, SMALL, ZEROS)]
    found = identify(probe, traces, "Adam")
    assert found is not None
    return found.name


OPTAX = [
    ("radam", "RAdam (as in Optax: eps beside the root of v_hat)"),
    ("nadam", "NAdam (as in Optax: the momentum is beta1 from the first step)"),
    ("adabelief", "AdaBelief (as in Optax: eps beside the root)"),
    ("adamax", "AdaMax (as in PyTorch and Optax: eps beside |g|)"),
]


@pytest.mark.parametrize(("function", "name"), OPTAX)
def test_rules_of_optax_are_named(function: str, name: str) -> None:
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")

    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        its = getattr(optax, function)(lr, b1=beta1, b2=beta2, eps=eps)
        updates, state = jax.jit(its.update), None

        def step(theta: Any, g: Any) -> Any:
            nonlocal state
            with jax.enable_x64(True):
                update, state = updates(g, state or its.init(theta), theta)
                return theta + np.asarray(update)

        return step

    assert identified(make) == name


KERAS = [
    ("Adamax", "AdaMax (as in Keras: eps beside u)"),
    ("Nadam", "NAdam (as in Keras: the momentum rises with psi = 1)"),
    ("Lion", "Lion (as in its paper"),
]


@pytest.mark.parametrize(("optimizer", "name"), KERAS)
def test_rules_of_keras_are_named(
    optimizer: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")

    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        called = {"learning_rate": lr, "beta_1": beta1, "beta_2": beta2}
        if optimizer != "Lion":
            called["epsilon"] = eps
        its: Any = getattr(keras.optimizers, optimizer)(**called)
        variable: Any = None

        def step(theta: Any, g: Any) -> Any:
            nonlocal variable
            if variable is None:
                variable = keras.Variable(theta, dtype="float64")
                its.build([variable])
            variable.assign(theta)
            its.apply([torch.from_numpy(g.copy())])
            return variable.value.detach().numpy().copy()

        return step

    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            assert identified(make).startswith(name)
    finally:
        keras.config.set_floatx(before)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (T.RAdam, "RAdam"),
        (T.NAdam, "NAdam"),
        (T.Adamax, "AdaMax"),
        (optim.AdaBelief, "AdaBelief"),
        (optim.Lion, "Lion"),
        (T.Adafactor, "Adafactor"),
    ],
)
def test_program_can_be_checked_to_be_another_rule(make: Any, rule: str) -> None:
    report = check_optimizer(make, rule=rule)
    assert report.ok, str(report)
    assert report.verdict.startswith(f"agrees with {rule} (")


def test_program_that_is_adam_where_radam_was_asked_for_is_told_so() -> None:
    report = check_optimizer(T.Adam, rule="RAdam")
    assert report.verdict == "this is Algorithm 1, not RAdam"


def test_something_added_to_another_rule_is_named() -> None:
    class Half(T.RAdam):
        def step(self, closure: Any = None) -> Any:
            before = [p.detach().clone() for p in self.param_groups[0]["params"]]
            super().step(closure)
            with torch.no_grad():
                for p, was in zip(self.param_groups[0]["params"], before, strict=True):
                    p.copy_((p + was) / 2)

    report = check_optimizer(from_torch(Half), rule="RAdam")
    assert "every step scaled" in names(report)
    assert "otherwise it agrees with RAdam" in report.verdict
