"""Other shapes and sizes, several parameters, groups."""

# Programs are called with more than each of them uses.
# ruff: noqa: ARG001, ARG005

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from adam_tutorial.checking import check_optimizer, from_torch, plain_adam
from tests.checking.lines import Make, names, on_update, only_finding

Array = Any


def where(which: Callable[[Array], bool], change: Callable[..., Array]) -> Make:
    """Return Adam that changes the update of some tensors."""
    return on_update(
        lambda u, x, g, t, m, lr: x + (change(u, g, lr) if which(g) else u)
    )


def factored(lr: float, beta1: float, beta2: float, eps: float) -> Any:
    t, m, v, rows, columns = 0, 0.0, 0.0, 0.0, 0.0

    def step(theta: Array, g: Array) -> Array:
        nonlocal t, m, v, rows, columns
        t, m = t + 1, beta1 * m + (1 - beta1) * g
        if g.ndim == 2:
            rows = beta2 * rows + (1 - beta2) * (g**2).mean(1, keepdims=True)
            columns = beta2 * columns + (1 - beta2) * (g**2).mean(0, keepdims=True)
            v = rows * columns / np.mean(rows)
        else:
            v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return theta - lr * m_hat / (np.sqrt(v_hat) + eps)

    return step


def orthogonal(u: Array, g: Array, lr: float) -> Array:
    left, _, right = np.linalg.svd(g, full_matrices=False)
    return -lr * left @ right


def refuses(u: Array, g: Array, lr: float) -> Array:
    raise ValueError("vectors only")


def in_8_bits(u: Array, g: Array, lr: float) -> Array:
    unit = np.abs(u).max() / 127
    return np.round(u / unit) * unit


SHAPES: list[tuple[Make, str, str]] = [
    (factored, "matrices", "rows and columns, as in Adafactor"),
    (where(lambda g: g.ndim == 2, orthogonal), "matrices", "as in Muon"),
    (where(lambda g: g.ndim == 2, lambda u, *_: -u), "matrices", "scaled by -1"),
    (where(lambda g: g.ndim == 4, lambda u, *_: u / 2), "four dim", "scaled by 0.5"),
    (where(lambda g: g.size >= 4096, in_8_bits), "5,000 entries", "are rounded"),
    (
        where(
            lambda g: min(g.shape) >= 128 and g.ndim == 2,
            lambda u, *_: np.repeat(u.mean(1, keepdims=True), u.shape[1], 1),
        ),
        "matrices of 136 by 130",
        "all entries of a row move alike",
    ),
    (
        where(lambda g: g.size > 4096, lambda u, *_: u * np.nan),
        "5,000 entries",
        "step 1 is not a number",
    ),
]


@pytest.mark.parametrize(("make", "shape", "seen"), SHAPES)
def test_shape_that_is_stepped_otherwise_is_named(
    make: Make, shape: str, seen: str
) -> None:
    only_finding(check_optimizer(make), shape, seen)


def test_shape_that_is_refused_is_named() -> None:
    report = check_optimizer(where(lambda g: g.ndim > 1, refuses))
    (finding,) = report.findings
    assert finding.name == "shape refused"
    assert finding.seen == "matrices: step 1 fails with ValueError: vectors only"
    assert report.not_looked_at.startswith(
        "matrices (step 1: ValueError: vectors only); tensors of four dimensions; "
    )
    assert "(5000)" in report.looked_at


def test_report_says_what_was_looked_at() -> None:
    of_function = check_optimizer(plain_adam)
    assert of_function.looked_at == (
        "up to 40 steps; tensors of the shapes (4), (3, 2), (4, 3, 2, 2), (5000),"
        " (136, 130); two programs side by side"
    )
    assert of_function.not_looked_at.endswith("several parameters in one program")
    of_class = check_optimizer(torch.optim.Adam)
    assert of_class.looked_at.endswith("1 to 3 parameters, 1 and 2 groups")
    assert "\nlooked at: up to 40 steps" in str(of_class)


class Base(torch.optim.Optimizer):
    """Adam, with places to change."""

    def __init__(
        self, params: Any, lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def gradient(self, g: Any) -> Any:
        return g

    def settings(self, group: Any) -> Any:
        return group

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            its = self.settings(group)
            beta1, beta2 = its["betas"]
            for p in group["params"]:
                state, g = self.state[p], self.gradient(p.grad)
                t = state["t"] = state.get("t", 0) + 1
                m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
                v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g**2
                m_hat, root = m / (1 - beta1**t), (v / (1 - beta2**t)).sqrt()
                p -= its["lr"] * m_hat / (root + its["eps"])


class ClipsAll(Base):
    def gradient(self, g: Any) -> Any:
        every = [p.grad for group in self.param_groups for p in group["params"]]
        norm = torch.sqrt(sum((other**2).sum() for other in every))
        return g * min(1.0, 1.0 / float(norm or 1))


class ClipsAllUpdates(Base):
    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        every = [p for group in self.param_groups for p in group["params"]]
        before = [p.clone() for p in every]
        super().step(closure)
        norm = torch.sqrt(
            sum(((p - was) ** 2).sum() for p, was in zip(every, before, strict=True))
        )
        for p, was in zip(every, before, strict=True):
            p.copy_(was + (p - was) * min(1.0, 0.1 / float(norm)))


class OfTheFirst(Base):
    which: tuple[str, ...] = ()

    def settings(self, group: Any) -> Any:
        first = self.param_groups[0]
        return group | {name: first[name] for name in self.which}


class WithoutGroups(Base):
    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        params = list(params)
        if isinstance(params[0], dict):
            raise ValueError("no groups here")
        super().__init__(params, *args, **kwargs)


class OnlyTheFirst(Base):
    """Steps the first parameter of each group only."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        before = [[p.clone() for p in g["params"]] for g in self.param_groups]
        super().step(closure)
        with torch.no_grad():
            for group, its in zip(self.param_groups, before, strict=True):
                for p, was in zip(group["params"][1:], its[1:], strict=True):
                    p.copy_(was)


def test_adam_with_places_to_change_agrees() -> None:
    assert check_optimizer(Base).ok


def test_clipping_by_the_norm_of_all_gradients_is_no_shared_state() -> None:
    assert names(check_optimizer(ClipsAll)) == [
        "norm of all parameters",
        "gradient clipped",
    ]


def test_clipping_by_the_norm_of_all_updates_is_no_shared_state() -> None:
    assert names(check_optimizer(ClipsAllUpdates)) == [
        "norm of all parameters",
        "update clipped",
    ]


@pytest.mark.parametrize(
    "which", [("lr",), ("eps",), ("betas",), ("lr", "betas", "eps")], ids=str
)
def test_group_that_is_stepped_with_settings_of_the_first_is_named(
    which: tuple[str, ...],
) -> None:
    optimizer = type("Wrong", (OfTheFirst,), {"which": which})
    (finding,) = check_optimizer(optimizer).findings
    assert finding.name == "settings of the first group"
    for name in which:
        assert name.removesuffix("s") in finding.seen


def test_optimizer_without_groups_is_told_so() -> None:
    (finding,) = check_optimizer(WithoutGroups).findings
    assert finding.name == "groups refused"
    assert "ValueError: no groups here" in finding.seen


def test_parameter_that_is_forgotten_beside_another_is_found() -> None:
    report = check_optimizer(OnlyTheFirst)
    assert not report.ok
    assert names(report) == ["state shared"]
    assert "two parameters side by side" in report.looked_at
    assert "groups" in report.not_looked_at


class OnlyTheFirstOfGroups(OnlyTheFirst):
    """Steps the first parameter of each group only, where there are two groups."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        if len(self.param_groups) > 1:
            super().step(closure)
        else:
            Base.step(self, closure)


def test_parameter_that_is_forgotten_among_groups_is_found() -> None:
    (finding,) = check_optimizer(OnlyTheFirstOfGroups).findings
    assert finding.name == "parameters not stepped as alone"
    assert "number 2 moves otherwise" in finding.seen


@pytest.mark.parametrize("fixed", [{"lr": 1e-3}, {"betas": (0.9, 0.999)}], ids=str)
def test_fixed_setting_is_ignored_and_no_fault_of_groups(fixed: dict[str, Any]) -> None:
    found = names(check_optimizer(from_torch(torch.optim.Adam, **fixed)))
    assert found
    assert set(found) == {"setting ignored"}


class TwoBetas(torch.optim.Adam):
    """Adam that takes its rates apart."""

    def __init__(
        self, params: Any, lr: float, beta1: float, beta2: float, eps: float
    ) -> None:
        super().__init__(params, lr, (beta1, beta2), eps)
        for options in (self.defaults, *self.param_groups):
            options.setdefault("beta1", beta1)
            options.setdefault("beta2", beta2)

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["betas"] = group["beta1"], group["beta2"]
        return super().step(closure)


def test_instance_with_separate_rates_is_checked_at_other_rates() -> None:
    theta = torch.nn.Parameter(torch.ones(2))
    assert check_optimizer(TwoBetas([theta], 0.1, 0.9, 0.999, 1e-8)).ok


def test_matrix_that_moves_where_it_should_not_is_said_so() -> None:
    def make(lr: float, beta1: float, beta2: float, eps: float) -> Any:
        adam, t = plain_adam(lr, beta1, beta2, eps), 0

        def step(theta: Array, g: Array) -> Array:
            nonlocal t
            t += 1
            moved = np.asarray(adam(theta, g))
            return moved if t % 2 or g.ndim > 1 else theta

        return step

    report = check_optimizer(make)
    assert "steps left out" in names(report)
    assert any(
        "it moves at step 2, where it should not" in f.seen for f in report.findings
    )
