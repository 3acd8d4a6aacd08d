"""What the tests of the laws share: how a law is broken, and what is drawn for it.

Each law is tested on the reference and on the optimizer; a law of many rules, on all
that claim it in the table of optimizers. ``@breaks`` says how the rule is broken for
the test below it: ``test_laws_can_fail.py`` runs every law on its broken rule and
demands that it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.laws.implementations import FOREACH, OPTIM, REFERENCE, Array
from tests.optimizers import Condition, cases, is_optimizer

Law = Callable[..., None]
# By name: pytest and an import may both load the file of a law.
BROKEN: dict[str, tuple[Law, dict[str, Any]]] = {}


def breaks(**distortion: Any) -> Callable[[Law], Law]:
    """Register how the rule is broken to see this law fail."""

    def register(law: Law) -> Law:
        BROKEN[law.__name__.removeprefix("test_")] = law, distortion
        return law

    return register


def follows(**replaced: Any) -> Callable[[Law], Law]:
    """Register a broken function, to be put in ``theory`` or ``reference``."""
    return breaks(replaced=replaced)


def on(*implementations: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "implementation", implementations, ids=lambda i: i.name
    )


both = on(REFERENCE, OPTIM)
everywhere = on(REFERENCE, OPTIM, FOREACH)
in_optim = on(OPTIM, FOREACH)
in_reference = on(REFERENCE)


def each_rule(*conditions: Condition) -> pytest.MarkDecorator:
    """Parametrise a law by the name of a rule, for all rules that claim it."""
    chosen = cases(is_optimizer, *conditions, backends=["plain"])
    return pytest.mark.parametrize("rule", [case.rule.__name__ for case in chosen])


# Of laws that many rules obey. Each of them is tried on each implementation.
few = settings(max_examples=15)

# Zero is left out: with eps = 0 it gives 0/0, which P17 is about.
sizes = st.floats(-5, 5).map(lambda exponent: 10.0**exponent)
numbers = st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(
    lambda pair: pair[0] * pair[1]
)


def random_table(shape: tuple[int, int], seed: int) -> Array:
    rng = np.random.default_rng(seed)
    table: Array = 10 ** rng.uniform(-5, 5, shape) * rng.choice([-1.0, 1.0], shape)
    return table


# Hypothesis chooses every number of a small table; for a large one that takes longer
# than the test.
tables: st.SearchStrategy[Array] = st.one_of(
    arrays(float, st.tuples(st.integers(1, 6), st.integers(2, 4)), elements=numbers),
    st.builds(
        random_table,
        st.tuples(st.integers(2, 25), st.integers(2, 4)),
        st.integers(0, 10**6),
    ),
)
beta1s, beta2s = st.floats(0, 0.99), st.floats(0.01, 0.9999)
NO_EPS: dict[str, Any] = {"lr": 0.1, "eps": 0.0}


def close(actual: Any, expected: Any, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def scaled(_t: int, u: Array, _theta: Array) -> Array:
    return u * 1.01
