"""The equations of the reference pages: rules, optimizers and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adam_tutorial import optim, reference, theory
from adam_tutorial._types import Array

rates = st.floats(0.01, 0.99)
histories = st.lists(
    st.floats(-4, 4)
    .map(lambda power: 10.0**power)
    .flatmap(lambda x: st.sampled_from([x, -x])),
    min_size=1,
    max_size=15,
)


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-11)


def averages(
    history: list[float], b1: float, b2: float
) -> Iterator[tuple[int, float, float, float]]:
    m = v = 0.0
    for t, g in enumerate(history, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        yield t, g, m, v


def optim_updates(
    kind: Callable[..., torch.optim.Optimizer], history: list[float], **settings: Any
) -> tuple[list[float], list[float]]:
    """Each update, and the parameter before it; it starts at 2."""
    theta = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    optimizer = kind([theta], **settings)
    updates, before = [], []
    for g in history:
        before.append(theta.item())
        theta.grad = torch.tensor(g, dtype=torch.float64)
        optimizer.step()
        updates.append(theta.item() - before[-1])
    return updates, before


def reference_updates(rule: str, history: list[float], **settings: Any) -> Array:
    return reference.walk(getattr(reference, rule), history, **settings).updates


@pytest.mark.equation("optim-adam")
@given(histories, rates, rates, st.booleans())
def test_adam_is_its_formula(
    history: list[float], b1: float, b2: float, amsgrad: bool
) -> None:
    settings = {"lr": 0.1, "betas": (b1, b2), "eps": 1e-3, "amsgrad": amsgrad}
    updates, _ = optim_updates(optim.Adam, history, **settings)
    w = 0.0
    for t, _, m, v in averages(history, b1, b2):
        w = max(w, v) if amsgrad else v
        close(
            updates[t - 1], -0.1 / (1 - b1**t) * m / (math.sqrt(w / (1 - b2**t)) + 1e-3)
        )


@pytest.mark.equation("optim-adamw")
@given(histories, rates, rates, st.floats(0, 0.5), st.booleans())
def test_adamw_is_its_formula(
    history: list[float], b1: float, b2: float, decay: float, amsgrad: bool
) -> None:
    settings = {"lr": 0.1, "betas": (b1, b2), "eps": 1e-3, "amsgrad": amsgrad}
    updates, before = optim_updates(
        optim.AdamW, history, **settings, weight_decay=decay
    )
    w = 0.0
    for t, _, m, v in averages(history, b1, b2):
        w = max(w, v) if amsgrad else v
        step = 0.1 / (1 - b1**t) * m / (math.sqrt(w / (1 - b2**t)) + 1e-3)
        close(updates[t - 1], -0.1 * decay * before[t - 1] - step)


@pytest.mark.equation("optim-decay")
@pytest.mark.parametrize(
    "kind", [optim.Adam, optim.NAdam, optim.RAdam, optim.AdaBelief]
)
@pytest.mark.parametrize("decoupled", [False, True])
@given(history=histories, decay=st.floats(0.01, 0.5))
def test_decay_is_a_penalty_in_the_gradient_or_a_shrinking_beside_it(
    kind: type[optim.base.BaseOptimizer],
    decoupled: bool,
    history: list[float],
    decay: float,
) -> None:
    updates, before = optim_updates(
        kind, history, lr=0.1, weight_decay=decay, decoupled_weight_decay=decoupled
    )
    seen = (
        history
        if decoupled
        else [g + decay * theta for g, theta in zip(history, before, strict=True)]
    )
    assume(all(abs(g) > 1e-6 for g in seen))
    without, _ = optim_updates(kind, seen, lr=0.1, weight_decay=0)
    shrinking = [0.1 * decay * theta if decoupled else 0.0 for theta in before]
    close(updates, [step - loss for step, loss in zip(without, shrinking, strict=True)])


@pytest.mark.equation("optim-decay")
def test_defaults_of_decay_are_those_of_the_table() -> None:
    theta = torch.nn.Parameter(torch.ones(()))
    kinds = (
        optim.Adam,
        optim.Adamax,
        optim.NAdam,
        optim.RAdam,
        optim.AdamW,
        optim.AdaBelief,
    )
    decoupled = [
        kind for kind in kinds if kind([theta]).defaults.get("decoupled_weight_decay")
    ]
    assert decoupled == [optim.AdamW, optim.AdaBelief]


@pytest.mark.equation("optim-adamax")
@given(histories, rates, rates)
def test_adamax_is_its_formula(history: list[float], b1: float, b2: float) -> None:
    updates, _ = optim_updates(optim.Adamax, history, lr=0.1, betas=(b1, b2), eps=1e-3)
    u = 0.0
    for t, g, m, _ in averages(history, b1, b2):
        u = max(b2 * u, abs(g) + 1e-3)
        close(updates[t - 1], -0.1 / (1 - b1**t) * m / u)


@pytest.mark.equation("optim-nadam")
@given(histories, rates, rates, st.floats(0, 2))
def test_nadam_is_its_formula(
    history: list[float], b1: float, b2: float, psi: float
) -> None:
    updates, _ = optim_updates(
        optim.NAdam, history, lr=0.1, betas=(b1, b2), eps=1e-3, momentum_decay=psi
    )
    mu = [b1 * (1 - 0.96 ** (t * psi) / 2) for t in range(1, len(history) + 2)]
    for t, g, m, v in averages(history, b1, b2):
        ahead = mu[t] * m / (1 - math.prod(mu[: t + 1]))
        ahead += (1 - mu[t - 1]) * g / (1 - math.prod(mu[:t]))
        close(updates[t - 1], -0.1 * ahead / (math.sqrt(v / (1 - b2**t)) + 1e-3))


@pytest.mark.equation("optim-radam", "radam-rho", "radam-rectification")
@given(histories, rates, st.floats(0.8, 0.99))
def test_radam_is_its_formula(history: list[float], b1: float, b2: float) -> None:
    updates, _ = optim_updates(optim.RAdam, history, lr=0.1, betas=(b1, b2), eps=1e-3)
    longest = 2 / (1 - b2) - 1
    assert theory.radam_rho(None, b2) == pytest.approx(longest)
    for t, _, m, v in averages(history, b1, b2):
        rho = longest - 2 * t * b2**t / (1 - b2**t)
        close(theory.radam_rho(t, b2), rho)
        expected = -0.1 * m / (1 - b1**t)
        if rho > 4:
            r = math.sqrt(
                (rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho)
            )
            close(theory.radam_rectification(t, b2), r)
            if rho > 5:
                expected *= r * math.sqrt(1 - b2**t) / (math.sqrt(v) + 1e-3)
        close(updates[t - 1], expected)


def test_nadams_first_step_and_the_rise_of_its_momentum_are_those_the_page_states() -> (
    None
):
    updates, _ = optim_updates(optim.NAdam, [5.0], lr=1.0)
    assert -updates[0] == pytest.approx(1.06, abs=0.005)
    half = 4245  # half of the way from 0.45 to 0.9
    assert theory.nadam_momentum(half, 0.9, 4e-3) == pytest.approx(0.675, abs=1e-4)
    assert half * 4e-3 == pytest.approx(17, rel=2e-3)


def test_radam_is_never_adaptive_with_beta2_of_two_thirds_or_less() -> None:
    assert theory.radam_rho(None, 2 / 3) == pytest.approx(5)
    updates, _ = optim_updates(optim.RAdam, [50.0] * 100, lr=0.1, betas=(0.9, 0.66))
    close(updates, [-5.0] * 100)
    updates, _ = optim_updates(optim.RAdam, [50.0] * 100, lr=0.1, betas=(0.9, 0.7))
    assert abs(updates[-1]) < 0.2


@pytest.mark.equation("optim-adabelief")
@given(histories, rates, rates)
def test_adabelief_is_its_formula(history: list[float], b1: float, b2: float) -> None:
    updates, _ = optim_updates(
        optim.AdaBelief, history, lr=0.1, betas=(b1, b2), eps=1e-3
    )
    s = 0.0
    for t, g, m, _ in averages(history, b1, b2):
        s = b2 * s + (1 - b2) * (g - m) ** 2 + 1e-3
        close(
            updates[t - 1], -0.1 * m / (1 - b1**t) / (math.sqrt(s / (1 - b2**t)) + 1e-3)
        )


@pytest.mark.equation("optim-lion")
@given(histories, rates, rates, st.floats(0, 0.5))
def test_lion_is_its_formula(
    history: list[float], b1: float, b2: float, decay: float
) -> None:
    updates, before = optim_updates(
        optim.Lion, history, lr=0.1, betas=(b1, b2), weight_decay=decay
    )
    m = 0.0
    for update, theta, g in zip(updates, before, history, strict=True):
        average = b1 * m + (1 - b1) * g
        m = b2 * m + (1 - b2) * g
        assume(abs(average) > 1e-12 * abs(g))
        close(update, -0.1 * (math.copysign(1, average) + decay * theta))


@pytest.mark.equation("rule-momentum")
@given(histories, rates, st.booleans())
def test_momentum_is_its_formula(
    history: list[float], beta: float, nesterov: bool
) -> None:
    updates = reference_updates(
        "momentum", history, lr=0.1, beta=beta, nesterov=nesterov
    )
    b = 0.0
    for update, g in zip(updates, history, strict=True):
        b = beta * b + g
        close(update, -0.1 * (g + beta * b if nesterov else b))


@pytest.mark.equation("rule-adagrad")
@given(histories)
def test_adagrad_is_its_formula(history: list[float]) -> None:
    updates = reference_updates("adagrad", history, lr=0.1, eps=1e-3)
    for t, update in enumerate(updates, start=1):
        total = sum(g * g for g in history[:t])
        close(update, -0.1 * history[t - 1] / (math.sqrt(total) + 1e-3))


@pytest.mark.equation("rule-rmsprop")
@given(histories, rates, st.booleans())
def test_rmsprop_is_its_formula(
    history: list[float], beta: float, centered: bool
) -> None:
    updates = reference_updates(
        "rmsprop", history, lr=0.1, beta=beta, eps=1e-3, centered=centered
    )
    for t, g, m, v in averages(history, beta, beta):
        spread = v - m * m if centered else v
        # Where the variance is rounding alone, its digits are arbitrary.
        if spread > 1e-6 * v:
            np.testing.assert_allclose(
                updates[t - 1], -0.1 * g / (math.sqrt(spread) + 1e-3), rtol=1e-6
            )


@pytest.mark.equation("rule-adadelta")
@given(histories, rates)
def test_adadelta_is_its_formula(history: list[float], rho: float) -> None:
    updates = reference_updates("adadelta", history, lr=0.5, rho=rho, eps=1e-3)
    v = u = 0.0
    for update, g in zip(updates, history, strict=True):
        v = rho * v + (1 - rho) * g * g
        x = -math.sqrt(u + 1e-3) / math.sqrt(v + 1e-3) * g
        u = rho * u + (1 - rho) * x * x
        close(update, 0.5 * x)


@pytest.mark.equation("rule-regret")
@given(histories, rates, rates, st.floats(0.5, 1))
def test_regret_form_is_its_formula(
    history: list[float], b1: float, b2: float, factor: float
) -> None:
    updates = reference_updates(
        "adam_regret",
        history,
        lr=0.1,
        beta1=b1,
        beta2=b2,
        eps=1e-3,
        beta1_factor=factor,
    )
    m, product = 0.0, 1.0
    for t, g, _, v in averages(history, b1, b2):
        rate = b1 * factor ** (t - 1)
        m, product = rate * m + (1 - rate) * g, product * rate
        root = math.sqrt(v / (1 - b2**t)) + 1e-3
        close(updates[t - 1], -0.1 / math.sqrt(t) * m / (1 - product) / root)


@pytest.mark.equation("rule-average")
@given(histories, rates)
def test_temporal_average_is_its_formula(points: list[float], beta: float) -> None:
    state = None
    for t, _, mean, _ in averages(points, beta, beta):
        state, average = reference.temporal_average(state, points[t - 1], beta2=beta)
        assert float(average) == pytest.approx(mean / (1 - beta**t), rel=1e-9, abs=1e-9)


@pytest.mark.equation("rule-amsgrad-v-hat")
@given(histories, rates, rates)
def test_amsgrad_of_the_corrected_average_is_its_formula(
    history: list[float], b1: float, b2: float
) -> None:
    updates = reference_updates(
        "amsgrad", history, lr=0.1, beta1=b1, beta2=b2, eps=1e-3, maximum_of="v_hat"
    )
    largest = 0.0
    for t, _, m, v in averages(history, b1, b2):
        largest = max(largest, v / (1 - b2**t))
        close(updates[t - 1], -0.1 * m / (1 - b1**t) / (math.sqrt(largest) + 1e-3))


@pytest.mark.equation("rule-l2")
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_l2_adds_the_penalty_to_the_gradient(
    g: float, theta: float, decay: float
) -> None:
    _, update = reference.adam_l2(None, g, theta=theta, weight_decay=decay, eps=1e-3)
    _, expected = reference.adam(None, g + decay * theta, eps=1e-3)
    close(update, expected)


@pytest.mark.equation("rule-adamw-paper")
@given(histories, rates, rates, st.floats(0, 0.5))
def test_decay_of_the_paper_is_not_multiplied_by_lr(
    history: list[float], b1: float, b2: float, decay: float
) -> None:
    theta, updates, _ = reference.walk(
        reference.adamw,
        history,
        2.0,
        lr=0.1,
        beta1=b1,
        beta2=b2,
        eps=1e-3,
        weight_decay=decay,
        decay_times_lr=False,
    )
    for t, _, m, v in averages(history, b1, b2):
        step = 0.1 * m / (1 - b1**t) / (math.sqrt(v / (1 - b2**t)) + 1e-3)
        close(updates[t - 1], -decay * theta[t - 1] - step)


# Closed forms


@pytest.mark.equation("theory-decaying")
@given(rates, st.floats(0.3, 1), st.integers(1, 30))
def test_weights_with_a_decaying_rate_add_up_to_one_minus_the_product(
    beta: float, factor: float, t: int
) -> None:
    product = math.prod(beta * factor**s for s in range(t))
    assert 1 - product == pytest.approx(
        1 - beta**t * factor ** (t * (t - 1) / 2), rel=1e-9
    )
    assert theory.decaying_bias_correction(beta, factor, t) == pytest.approx(
        1 - product, rel=1e-9
    )
    # The average of ones is the sum of the weights.
    average = 0.0
    for s in range(t):
        rate = beta * factor**s
        average = rate * average + (1 - rate)
    assert average == pytest.approx(1 - product, rel=1e-9)


@pytest.mark.equation("theory-memory")
@given(
    st.lists(st.integers(0, 2000), max_size=5),
    st.sampled_from([None, "bfloat16", "uint8"]),
    st.sampled_from([("lion", 1), ("adam", 2), ("amsgrad", 3)]),
)
def test_bytes_of_a_run_are_their_formula(
    sizes: list[int], state_dtype: str | None, optimizer: tuple[str, int]
) -> None:
    name, moments = optimizer
    found = theory.memory([(n,) for n in sizes], name, state_dtype=state_dtype)
    size = {None: 4, "bfloat16": 2, "uint8": 1}[state_dtype]
    total = 0
    for n in sizes:
        scales = 4 * math.ceil(n / 256) if state_dtype == "uint8" else 0
        total += n * (4 + 4 + moments * size) + moments * scales + 8
    assert found.total == total


@pytest.mark.equation("theory-effective-memory")
@given(rates, st.integers(1, 60))
def test_half_life_memory_and_variance_are_their_formulas(beta: float, t: int) -> None:
    assert beta ** (math.log(2) / -math.log(beta)) == pytest.approx(0.5)
    assert theory.half_life(beta) == pytest.approx(math.log(2) / -math.log(beta))
    assert theory.effective_memory(beta) == pytest.approx((1 + beta) / (1 - beta))
    weights = theory.moving_average_weights(beta, t) / (1 - beta**t)
    variance = float((weights**2).sum())
    formula = (1 - beta) / (1 + beta) * (1 + beta**t) / (1 - beta**t)
    assert variance == pytest.approx(formula, rel=1e-9)
    assert theory.mean_variance(t, beta) == pytest.approx(formula, rel=1e-9)


@pytest.mark.equation("theory-rescaled")
@given(rates, st.floats(0.1, 10))
def test_rescaled_rate_halves_after_as_many_examples(beta: float, ratio: float) -> None:
    rescaled = beta**ratio
    assert theory.rescaled_decay_rate(beta, ratio) == pytest.approx(rescaled)
    assert theory.half_life(rescaled) * ratio == pytest.approx(theory.half_life(beta))


@pytest.mark.equation("theory-supremum")
@given(st.floats(0.01, 0.95), st.floats(0.01, 0.999), st.integers(1, 60))
def test_supremum_is_its_formula_and_the_bound_of_cauchy_and_schwarz(
    b1: float, b2: float, t: int
) -> None:
    assume(b1 * b1 < 0.99 * b2)
    c = b1 * b1 / b2
    formula = (1 - b1) / math.sqrt(1 - b2) * math.sqrt(1 - b2**t) / (1 - b1**t)
    formula *= math.sqrt((1 - c**t) / (1 - c))
    assert theory.step_supremum(t, b1, b2) == pytest.approx(formula, rel=1e-9)
    weights_m = theory.moving_average_weights(b1, t) / (1 - b1**t)
    weights_v = theory.moving_average_weights(b2, t) / (1 - b2**t)
    assert math.sqrt((weights_m**2 / weights_v).sum()) == pytest.approx(
        formula, rel=1e-9
    )
    limit = (1 - b1) * math.sqrt(b2 / ((1 - b2) * (b2 - b1 * b1)))
    assert theory.step_supremum(None, b1, b2) == pytest.approx(limit, rel=1e-9)


@pytest.mark.equation("theory-paper-bound")
@given(st.floats(0.01, 0.95), st.floats(0.01, 0.9999))
def test_the_papers_bound_is_less_than_the_longest_step(b1: float, b2: float) -> None:
    assume(b1 * b1 < 0.99 * b2)
    bound = theory.paper_step_bound(b1, b2)
    assert bound == max(1.0, (1 - b1) / math.sqrt(1 - b2))
    assert bound <= theory.step_supremum(None, b1, b2) * (1 + 1e-12)
    assert theory.step_supremum(None) > 2 * theory.paper_step_bound()


@pytest.mark.equation("theory-travel")
@given(st.floats(0.05, 0.9), st.floats(0.05, 0.999))
def test_travel_is_what_adam_moves_in_all_after_one_gradient(
    b1: float, b2: float
) -> None:
    assume(b1 < 0.9 * math.sqrt(b2))
    total = sum(theory.lazy_update(k, b1, b2) for k in range(400))
    assert theory.lazy_travel(b1, b2) == pytest.approx(total, rel=1e-9)
    state, position = None, 0.0
    for g in [1.0] + [0.0] * 200:
        state, update = reference.adam(state, g, lr=1.0, beta1=b1, beta2=b2, eps=0)
        position += float(update)
        if (
            state.v < 1e-250
        ):  # v would underflow; what is left of the way is far smaller
            break
    assert -position == pytest.approx(total, rel=1e-6)


@pytest.mark.equation("optim-adafactor")
@given(
    arrays(
        float,
        (6, 3, 4),
        elements=st.floats(0.1, 4).map(lambda x: (-1) ** int(10 * x) * x),
    ),
    st.floats(-1, 0),
    st.floats(1, 2),
)
def test_adafactor_is_its_formula(history: Any, tau: float, d: float) -> None:
    theta = torch.nn.Parameter(torch.full((3, 4), 0.5, dtype=torch.float64))
    settings: dict[str, Any] = {"lr": 0.5, "beta2_decay": tau, "d": d}
    optimizer = optim.Adafactor([theta], eps=(1e-2, 1e-1), **settings)
    rows, columns = np.zeros((3, 1)), np.zeros((1, 4))
    for t, g in enumerate(history, start=1):
        before = theta.detach().numpy().copy()
        theta.grad = torch.tensor(g)
        optimizer.step()
        gamma = t**tau
        rows = (1 - gamma) * rows + gamma * (g * g).mean(axis=1, keepdims=True)
        columns = (1 - gamma) * columns + gamma * (g * g).mean(axis=0, keepdims=True)
        v = rows @ columns / max(rows.mean(), 1e-2)
        u = g / np.sqrt(np.maximum(v, 1e-4))
        length = min(0.5, 1 / math.sqrt(t)) * max(0.1, np.sqrt((before**2).mean()))
        clipped = max(1, np.sqrt((u**2).mean()) / d)
        close(theta.detach().numpy() - before, -length * u / clipped)
