"""A thousand steps of each peer and of ours, on random problems and hyper-parameters.

The arguments of a peer come from ``adam_tutorial.libraries``, so its claims are tested
here: where it names no difference there must be none, and where it names one there must
be one.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adam_tutorial import reference
from adam_tutorial._types import Float64Array
from adam_tutorial.libraries import translate
from adam_tutorial.libraries.table import TABLE, Library
from adam_tutorial.reference.rule import takes_theta
from adam_tutorial.theory import bias_correction, radam_rectification
from tests.optimizers import ADAM, CASES, Case
from tests.peers.paths import FOLLOW, Gradient, difference, find

STEPS = 1000
SAME = 1e-12


def rosenbrock(point: Float64Array, _: int) -> Float64Array:
    """The gradient of ``(1 - x)**2 + 100 * (y - x**2)**2``."""
    x, y = point
    return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


def problem(kind: str, seed: int) -> tuple[Gradient, Float64Array]:
    """A gradient as a function of point and step, and a starting point."""
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(4)
    noise = rng.standard_normal((STEPS, 4))
    if kind == "wild":
        sizes = 10.0 ** rng.uniform(-6, 6, (STEPS, 1))
        return (lambda _, t: sizes[t - 1] * noise[t - 1]), start
    curvature = 10.0 ** rng.uniform(-2, 2, 4)
    # Without noise the path ends where rounding decides on the sign of the gradient.
    return (lambda x, t: curvature * (x + 0.3 * noise[t - 1])), start


def both_problems(seed: int) -> tuple[Gradient, Float64Array]:
    """Both kinds next to each other; no coordinate depends on another."""
    (wild, first), (bowl, second) = problem("wild", seed), problem("noisy bowl", seed)

    def gradient(x: Float64Array, t: int) -> Float64Array:
        return np.concatenate([wild(x[:4], t), bowl(x[4:], t)])

    return gradient, np.concatenate([first, second])


problems = st.builds(both_problems, st.integers(0, 10**6))
noisy_bowls = st.builds(problem, st.just("noisy bowl"), st.integers(0, 10**6))
rates = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-4, 0.1),
        # Keras refuses a Lion with beta_1 = 0.
        "betas": st.tuples(st.floats(0.05, 0.99), st.floats(0.8, 0.9999)),
        "eps": st.sampled_from([1e-12, 1e-8, 1e-3]),
    }
)
# No search for the smallest failure: each example is a thousand steps of both problems.
few = settings(max_examples=6, phases=[Phase.generate])


def numpy_path(
    name: str, given_: tuple[Gradient, Float64Array], eps_power: float = 0.0, **h: Any
) -> Float64Array:
    """The reference's path; step t multiplies eps by ``(1 - beta2**t)**eps_power``."""
    gradient, start = given_
    rule = getattr(reference, name)
    needs_theta = takes_theta(rule)
    theta, state, points = start, None, [start]
    for t in range(1, STEPS + 1):
        now = dict(h)
        if eps_power:
            now["eps"] = h["eps"] * bias_correction(h["beta2"], t) ** eps_power
        if needs_theta:
            now["theta"] = theta
        state, update = rule(state, gradient(theta, t), **now)
        theta = theta + update
        points.append(theta)
    return np.array(points)


def spelt(settings_: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Adam's settings as the reference spells them."""
    return {**ADAM.spelt(settings_), **more}


def peer_path(
    library: Library,
    optimizer: str,
    settings_: dict[str, Any],
    given_: tuple[Gradient, Float64Array],
) -> tuple[Float64Array, tuple[str, ...]]:
    """The peer's path with our settings translated, and the differences named."""
    moved = translate(
        settings_, source="adam_tutorial", target=library, optimizer=optimizer
    )
    path = FOLLOW[library](find(moved.name), moved.arguments, *given_, STEPS)
    return path, moved.differences


def our_path(
    optimizer: str, settings_: dict[str, Any], given_: tuple[Gradient, Float64Array]
) -> Float64Array:
    return peer_path("adam_tutorial", optimizer, settings_, given_)[0]


each_same_formula = pytest.mark.parametrize(
    ("library", "case"),
    [
        pytest.param(library, case, id=f"{library}-{case.key}")
        for case in CASES
        for library in case.same_formula
    ],
)


@each_same_formula
@pytest.mark.usefixtures("float64")  # PyTorch keeps a product of NAdam's in this type
@few
@given(rates, st.sampled_from([0.0, 0.1]), problems)
def test_peer_with_the_same_formula_takes_the_same_thousand_steps(
    library: Library, case: Case, rates: dict[str, Any], decay: float, given_: Any
) -> None:
    optimizer = str(case.key)
    chosen = case.only(**rates)
    if "weight_decay" in TABLE[library][optimizer].arguments:
        chosen["weight_decay"] = decay
    theirs, differences = peer_path(library, optimizer, chosen, given_)
    assert differences == ()
    ours = our_path(optimizer, chosen, given_)
    assert difference(ours, theirs) < SAME
    plain = case.spelt(chosen)
    if case.rule_with_decay is not None:
        exact = numpy_path(case.rule_with_decay.__name__, given_, **plain)
    elif plain.pop("weight_decay", 0.0) == 0:
        exact = numpy_path(case.rule.__name__, given_, **plain)
    else:
        return  # The reference has these rules without a decay.
    assert difference(exact, theirs) < SAME


@each_same_formula
@pytest.mark.usefixtures("float64")
def test_peer_with_the_same_formula_takes_the_same_path_through_rosenbrocks_valley(
    library: Library, case: Case
) -> None:
    # Each gradient depends on all steps before. The rates are gentle: with others the
    # path is chaotic, and multiplies the last digit until nothing is left to compare.
    chosen = {"lr": 1e-3, **case.only(betas=(0.9, 0.999))}
    given_ = rosenbrock, np.array([-1.2, 1.0])
    theirs, _ = peer_path(library, str(case.key), chosen, given_)
    assert difference(our_path(str(case.key), chosen, given_), theirs) < SAME


def test_nadam_of_torch_loses_digits_where_the_default_dtype_is_float32() -> None:
    chosen, given_ = {"lr": 0.05, "betas": (0.9, 0.99)}, problem("wild", 1)
    theirs, _ = peer_path("torch", "nadam", chosen, given_)
    assert 1e-11 < difference(our_path("nadam", chosen, given_), theirs) < 1e-9


CLASSIC: dict[str, tuple[Any, dict[str, Any], str, dict[str, Any]]] = {
    "momentum": (torch.optim.SGD, {"momentum": 0.8}, "momentum", {"beta": 0.8}),
    "nesterov": (
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True},
        "momentum",
        {"beta": 0.8, "nesterov": True},
    ),
    "adagrad": (torch.optim.Adagrad, {"eps": 1e-6}, "adagrad", {"eps": 1e-6}),
    "rmsprop": (
        torch.optim.RMSprop,
        {"alpha": 0.9, "eps": 1e-6},
        "rmsprop",
        {"beta": 0.9, "eps": 1e-6},
    ),
    "centred rmsprop": (
        torch.optim.RMSprop,
        {"alpha": 0.9, "eps": 1e-3, "centered": True},
        "rmsprop",
        {"beta": 0.9, "eps": 1e-3, "centered": True},
    ),
    "adadelta": (torch.optim.Adadelta, {"rho": 0.9}, "adadelta", {"rho": 0.9}),
}


@pytest.mark.parametrize("name", CLASSIC)
@few
@given(st.floats(1e-4, 0.01), problems)
def test_classic_rules_take_the_steps_of_torch(
    name: str, lr: float, given_: Any
) -> None:
    kind, in_torch, rule, ours = CLASSIC[name]
    theirs = FOLLOW["torch"](kind, {"lr": lr, **in_torch}, *given_, STEPS)
    # v - mean**2 cancels: the centred form keeps fewer digits, in both.
    limit = 1e-9 if "centred" in name else SAME
    assert difference(numpy_path(rule, given_, lr=lr, **ours), theirs) < limit


# Other formulas: the difference is named, it is there, and it is explained to the last
# digits.


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "amsgrad"])
@few
@given(rates, problems)
def test_keras_is_ours_with_an_eps_that_changes_with_t(
    optimizer: str, rates: dict[str, Any], given_: Any
) -> None:
    chosen = {**rates, "eps": 1e-3}
    theirs, differences = peer_path("keras", optimizer, chosen, given_)
    assert (
        "adds eps=0.001 to the root of v_hat, keras to the root of v" in differences[0]
    )
    # AdamW of adam_tutorial has torch's default decay, and so has the reference.
    bridge = numpy_path(optimizer, given_, -0.5, **spelt(chosen))
    assert difference(bridge, theirs) < SAME
    assert difference(our_path(optimizer, chosen, given_), theirs) > 10 * SAME


def test_the_two_eps_differ_most_at_the_first_step() -> None:
    given_ = (lambda _, __: np.full(1, 1e-3)), np.zeros(1)
    ours, in_keras = (
        np.diff(peer_path(library, "adam", {"lr": 1.0, "eps": 1e-3}, given_)[0][:, 0])
        for library in ("adam_tutorial", "keras")
    )
    # lr * g / (|g| + eps) at every step. Keras's eps is another one at each step, 31.6
    # times as large at the first.
    assert ours == pytest.approx(-1 / 2, rel=1e-9)
    assert in_keras[0] == pytest.approx(-1 / (1 + math.sqrt(1000)), rel=1e-9)
    assert in_keras[-1] == pytest.approx(
        -1 / (1 + 1 / math.sqrt(1 - 0.999**1000)), rel=1e-9
    )


@few
@given(rates, problems)
def test_weight_decay_of_adam_in_keras_is_that_of_our_adamw(
    rates: dict[str, Any], given_: Any
) -> None:
    in_keras = translate(
        {**rates, "eps": 1e-9, "weight_decay": 0.1},
        source="adam_tutorial",
        target="keras",
        optimizer="adamw",
    )
    keras = pytest.importorskip("keras")

    theirs = FOLLOW["keras"](keras.optimizers.Adam, in_keras.arguments, *given_, STEPS)
    bridge = numpy_path(
        "adamw", given_, -0.5, **spelt({**rates, "eps": 1e-9}), weight_decay=0.1
    )
    assert difference(bridge, theirs) < SAME


def test_penalty_of_adam_has_the_substitutes_that_are_named() -> None:
    keras, optax = pytest.importorskip("keras"), pytest.importorskip("optax")
    given_ = problem("noisy bowl", 3)
    ours = our_path("adam", {"lr": 0.01, "weight_decay": 0.1}, given_)
    to_optax, to_keras = (
        translate(
            {"weight_decay": 0.1}, source="torch", target=target, optimizer="adam"
        )
        for target in ("optax", "keras")
    )
    assert (
        "optax.chain(optax.add_decayed_weights(0.1), optax.adam(...))"
        in to_optax.differences[0]
    )

    def chained(**settings_: Any) -> Any:
        return optax.chain(optax.add_decayed_weights(0.1), optax.adam(**settings_))

    theirs = FOLLOW["optax"](
        chained, {**to_optax.arguments, "learning_rate": 0.01}, *given_, STEPS
    )
    assert difference(ours, theirs) < SAME
    assert "keras.regularizers.L2(0.05) is the penalty" in to_keras.differences[-1]
    # The penalty whose gradient is 0.1 times the parameters.
    theta = torch.tensor([3.0, -1.0], requires_grad=True)
    keras.regularizers.L2(0.05)(theta).backward()
    assert theta.grad is not None
    assert theta.grad.tolist() == pytest.approx([0.3, -0.1])


@few
@given(rates, problems)
def test_amsgrad_of_optax_takes_the_maximum_of_v_hat(
    rates: dict[str, Any], given_: Any
) -> None:
    theirs, differences = peer_path("optax", "amsgrad", rates, given_)
    (said,) = differences
    assert said.startswith(
        "the maximum is taken of v, corrected afterwards, in adam_tutorial, and of the"
        " corrected v_hat in optax: they differ from t = 2 on"
    )
    exact = numpy_path("amsgrad", given_, **spelt(rates), maximum_of="v_hat")
    assert difference(exact, theirs) < SAME


def test_the_two_amsgrads_part_at_the_second_step_and_end_31_times_apart() -> None:
    given_ = (lambda _, t: np.full(1, 1.0 if t == 1 else 1e-3)), np.zeros(1)
    chosen = {"lr": 1.0, "eps": 0.0}
    in_torch, in_optax = (
        np.diff(peer_path(library, "amsgrad", chosen, given_)[0][:, 0])
        for library in ("torch", "optax")
    )
    assert in_torch[0] == in_optax[0] == pytest.approx(-1, rel=1e-12)
    # torch corrects the first v by 1 - beta2**t, Optax at every step by 1 - beta2.
    t = np.arange(1, STEPS + 1)
    assert in_torch / in_optax == pytest.approx(
        np.sqrt((1 - 0.999**t) / 1e-3), rel=1e-9
    )
    _, (said,) = peer_path("optax", "amsgrad", chosen, given_)
    assert said.endswith("in the end by a factor of 31.6")


@few
@given(rates, problems)
def test_amsgrad_of_the_paper_is_in_optax_without_bias_correction(
    rates: dict[str, Any], given_: Any
) -> None:
    beta1, beta2 = rates["betas"]
    moved = translate(
        {"alpha": rates["lr"], "beta1": beta1, "beta2": beta2},
        source="paper",
        target="optax",
        optimizer="amsgrad",
    )
    assert moved.differences == ()
    theirs = FOLLOW["optax"](find(moved.name), moved.arguments, *given_, STEPS)
    exact = numpy_path(
        "amsgrad",
        given_,
        **spelt({**rates, "eps": 0.0}),
        maximum_of="v",
        correct_bias=False,
    )
    assert difference(exact, theirs) < SAME


@few
@given(rates, problems)
def test_nadam_of_optax_has_a_constant_momentum_and_that_of_keras_warms_up_sooner(
    rates: dict[str, Any], given_: Any
) -> None:
    cases: list[tuple[Library, float]] = [("optax", 1e9), ("keras", 1.0)]
    for library, decay in cases:
        theirs, differences = peer_path(library, "nadam", rates, given_)
        assert "momentum_decay=0.004 has no counterpart" in differences[-1]
        exact = numpy_path("nadam", given_, **spelt(rates), momentum_decay=decay)
        assert difference(exact, theirs) < SAME
        assert difference(our_path("nadam", rates, given_), theirs) > 1e-9


@pytest.mark.parametrize("library", ["optax", "keras"])
@pytest.mark.parametrize("optimizer", ["nadam", "nadamw", "adamaxw"])
def test_what_a_peer_has_of_nadam_and_adamax_can_be_had_from_ours(
    library: Library, optimizer: str
) -> None:
    given_ = problem("wild", 2)
    convention = TABLE[library][optimizer]
    in_peer = {
        name: convention.defaults[key] for key, name in convention.arguments.items()
    }
    theirs = FOLLOW[library](find(convention.name), in_peer, *given_, STEPS)
    if optimizer == "adamaxw":
        assert (
            optimizer not in TABLE["torch"]
        )  # torch's Adamax knows no decoupled decay
        settings_ = {
            key: convention.defaults[key] for key in ("lr", "beta1", "beta2", "eps")
        }
        share = 1 - settings_["lr"] * convention.defaults["weight_decay"]
        exact = [given_[1]]
        state = None
        for t in range(1, STEPS + 1):
            state, update = reference.adamax(
                state, given_[0](exact[-1], t), **settings_
            )
            exact.append(share * exact[-1] + update)
        # Next to a gradient of 1e-6, Keras's eps is not negligible, and it is added
        # elsewhere.
        assert difference(np.array(exact), theirs) < (
            SAME if library == "optax" else 1e-2
        )
        return
    torch.set_default_dtype(torch.float64)
    targets: tuple[Library, ...] = ("torch", "adam_tutorial")
    for target in targets:
        moved = translate(in_peer, source=library, target=target, optimizer=optimizer)
        assert moved.differences == ()
        ours = FOLLOW[target](find(moved.name), moved.arguments, *given_, STEPS)
        assert difference(ours, theirs) < SAME


@few
@given(rates, problems)
def test_radam_of_optax_adds_eps_to_the_root_of_v_hat(
    rates: dict[str, Any], given_: Any
) -> None:
    chosen = {**rates, "eps": 1e-3}
    theirs, differences = peer_path("optax", "radam", chosen, given_)
    assert (
        "adds eps=0.001 to the root of v, optax to the root of v_hat" in differences[0]
    )
    assert difference(numpy_path("radam", given_, 0.5, **spelt(chosen)), theirs) < SAME


def test_radam_of_the_paper_adapts_a_step_before_torch_and_can_be_had_from_optax() -> (
    None
):
    given_ = problem("wild", 4)
    in_optax, in_torch = (
        translate({"alpha": 0.01}, source="paper", target=target, optimizer="radam")
        for target in ("optax", "torch")
    )
    assert in_optax.differences == ()
    assert (
        "threshold=4.0 has no counterpart: in torch it is always 5.0"
        in in_torch.differences[0]
    )
    exact = numpy_path("radam", given_, lr=0.01, eps=0.0, threshold=4.0)
    theirs = FOLLOW["optax"](find(in_optax.name), in_optax.arguments, *given_, STEPS)
    assert difference(exact, theirs) < SAME
    ones = (lambda _, __: np.ones(1)), np.zeros(1)
    paper, torchs = (
        np.diff(FOLLOW[library](find(moved.name), moved.arguments, *ones, 6)[:, 0])
        / -0.01
        for library, moved in (("optax", in_optax), ("torch", in_torch))
    )
    assert paper[:4] == pytest.approx(1)
    assert torchs[:5] == pytest.approx(1)
    assert paper[4:] == pytest.approx(
        [radam_rectification(t, 0.999) for t in (5, 6)], rel=1e-9
    )
    assert torchs[5] == pytest.approx(paper[5], rel=1e-9)


@few
@given(rates, problems, noisy_bowls)
def test_adamax_of_keras_adds_eps_to_the_maximum(
    rates: dict[str, Any], given_: Any, bowl: Any
) -> None:
    theirs, differences = peer_path("keras", "adamax", {**rates, "eps": 1e-3}, bowl)
    assert "to the |g|, keras to the u" in differences[0]
    # With an eps that is negligible, the two are the same.
    small, _ = peer_path("keras", "adamax", {**rates, "eps": 1e-30}, given_)
    assert difference(our_path("adamax", {**rates, "eps": 1e-30}, given_), small) < SAME
    # Where no gradient is so large that this eps is nothing, too, they are two.
    large = {**rates, "eps": 1e-3}
    assert difference(theirs, our_path("adamax", large, bowl)) > 1e-12


def test_adamw_of_the_paper_is_ours_with_lambda_over_lr() -> None:
    given_ = problem("noisy bowl", 0)
    moved = translate(
        {"alpha": 0.01, "lambda": 2e-3},
        source="paper",
        target="adam_tutorial",
        optimizer="adamw",
    )
    assert moved.arguments["weight_decay"] == pytest.approx(0.2)
    ours = FOLLOW["adam_tutorial"](find(moved.name), moved.arguments, *given_, STEPS)
    exact = numpy_path(
        "adamw", given_, lr=0.01, eps=1e-8, weight_decay=2e-3, decay_times_lr=False
    )
    assert difference(exact, ours) < SAME


def test_complex_parameters_are_two_reals_in_torch_and_ours_and_share_v_in_optax() -> (
    None
):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    z = 3.0 + 0.1j
    steps = []
    for make in (torch.optim.Adam, find("adam_tutorial.optim.Adam")):
        theta = torch.nn.Parameter(torch.zeros((), dtype=torch.complex128))
        optimizer = make([theta], lr=1.0)
        theta.grad = torch.tensor(z, dtype=torch.complex128)
        optimizer.step()
        steps.append(theta.item())
    with jax.enable_x64(True):
        transformation = optax.adam(1.0)
        zero = jax.numpy.zeros((), dtype="complex128")
        update, _ = transformation.update(zero + z, transformation.init(zero))
    assert steps == pytest.approx([-1 - 1j] * 2, rel=1e-6)
    assert complex(update) == pytest.approx(-z / abs(z), rel=1e-6)


def test_power_as_torch_computes_it_costs_up_to_the_ninth_digit_of_a_step() -> None:
    given_ = (lambda _, __: np.ones(1)), np.zeros(1)
    wrong = {}
    for library in ("adam_tutorial", "torch"):
        for d in (1e-4, 1e-8, 1e-10, 1e-12):
            chosen = {"lr": 1.0, "betas": (0.9, 1 - d), "eps": 0.0}
            # With a constant gradient, every step is the learning rate.
            steps = np.diff(peer_path(library, "adam", chosen, given_)[0][:, 0])
            wrong[library, d] = float(np.abs(steps + 1).max())
    assert max(wrong["adam_tutorial", d] for d in (1e-4, 1e-8, 1e-10, 1e-12)) < 1e-12
    assert wrong["torch", 1e-4] < 1e-12
    assert 1e-9 < wrong["torch", 1e-10] < 1e-8
    # 1 - t*d, the first terms of (1 - d)**t, are exact: a smaller d does less harm.
    assert wrong["torch", 1e-12] < 1e-9


def test_gradient_of_zero_in_float16_gives_nan_in_torch_and_optax_but_not_in_ours() -> (
    None
):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    points = []
    for name in ("torch.optim.Adam", "adam_tutorial.optim.Adam"):
        theta = torch.nn.Parameter(torch.ones(1, dtype=torch.float16))
        theta.grad = torch.zeros_like(theta)
        find(name)([theta]).step()
        points.append(theta.item())
    # 1e-8 is 0 in float16, and 0/0 is not a number.
    assert math.isnan(points[0])
    assert points[1] == 1
    zero = jax.numpy.zeros(1, dtype="float16")
    update, _ = optax.adam(1e-3).update(zero, optax.adam(1e-3).init(zero))
    assert math.isnan(update[0])


def test_defaults_of_the_table_are_those_of_optax_and_keras() -> None:
    for library in ("optax", "keras"):
        for convention in TABLE[library].values():
            parameters = inspect.signature(find(convention.name)).parameters
            for name, called in convention.arguments.items():
                default = parameters[called].default
                if default is not inspect.Parameter.empty:
                    assert (default or 0.0) == convention.defaults[name], (
                        convention.name,
                        name,
                    )
