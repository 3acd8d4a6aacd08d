"""What the tests of the laws share: how a law is broken on purpose, and what is drawn for it.

Each law is proved on the reference and on the optimizer. ``@breaks`` names the way in
which a rule is broken for the test beside it: ``test_laws_can_fail.py`` runs every law
on its broken rule, and demands that it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adam_tutorial._types import Array
from tests.laws.implementations import OPTIM, REFERENCE

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
    """Register a function of ``theory`` or ``reference`` that is replaced to see the law fail."""
    return breaks(replaced=replaced)


both = pytest.mark.parametrize(
    "implementation", [REFERENCE, OPTIM], ids=lambda i: i.name
)
in_optim = pytest.mark.parametrize("implementation", [OPTIM], ids=lambda i: i.name)
in_reference = pytest.mark.parametrize(
    "implementation", [REFERENCE], ids=lambda i: i.name
)

# Zero is left out: with eps = 0 it gives 0/0, which P17 is about.
sizes = st.floats(-5, 5).map(lambda exponent: 10.0**exponent)
numbers = st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(
    lambda pair: pair[0] * pair[1]
)
tables = arrays(
    float, st.tuples(st.integers(1, 25), st.integers(2, 4)), elements=numbers
)
beta1s, beta2s = st.floats(0, 0.99), st.floats(0.01, 0.9999)
NO_EPS: dict[str, Any] = {"lr": 0.1, "eps": 0.0}


def close(actual: Any, expected: Any, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def scaled(_t: int, u: Array, _theta: Array) -> Array:
    return u * 1.01
