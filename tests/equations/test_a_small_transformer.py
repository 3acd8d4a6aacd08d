"""The equations of a small Transformer."""

from __future__ import annotations

import math

import pytest
import torch

from adam_tutorial.study.models import CausalSelfAttention


@pytest.mark.equation("causal-attention")
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("length", [1, 2, 7])
def test_each_place_gets_an_average_of_the_values_up_to_it(length: int) -> None:
    torch.manual_seed(length)
    attention = CausalSelfAttention(4, 1)
    x = torch.randn(1, length, 4)
    with torch.no_grad():
        q, k, v = (
            layer(x)[0] for layer in (attention.query, attention.key, attention.value)
        )
        # So that what comes out is the average itself.
        attention.output.weight.copy_(torch.eye(4))
        attention.output.bias.zero_()
        found = attention(x)[0]
    for t in range(length):
        powers = [math.exp(q[t] @ k[s] / math.sqrt(4)) for s in range(t + 1)]
        average = sum(p * v[s] for s, p in enumerate(powers)) / sum(powers)
        torch.testing.assert_close(found[t], average)
