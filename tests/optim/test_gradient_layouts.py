"""A gradient that is not dense is refused, whichever sparse layout it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adam_tutorial import optim

RULES: list[Any] = [getattr(optim, name) for name in optim.__all__]
# A gradient has the layout of its parameter, but for an embedding's: only a sparse
# parameter has a compressed gradient.
SPARSE: dict[str, Callable[[Tensor], Tensor]] = {
    "sparse_coo": Tensor.to_sparse_coo,
    "sparse_csr": Tensor.to_sparse_csr,
    "sparse_csc": Tensor.to_sparse_csc,
    "sparse_bsr": lambda dense: dense.to_sparse_bsr((2, 2)),
    "sparse_bsc": lambda dense: dense.to_sparse_bsc((2, 2)),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("layout", SPARSE)
@pytest.mark.filterwarnings("ignore:Sparse .* tensor support:UserWarning")
def test_sparse_gradient_of_every_layout_is_refused_before_any_parameter_moves(
    rule: Any, layout: str
) -> None:
    dense = nn.Parameter(torch.ones(3))
    sparse = nn.Parameter(SPARSE[layout](torch.eye(4)))
    dense.grad = torch.ones(3)
    sparse.grad = SPARSE[layout](torch.eye(4))
    optimizer = rule([dense, sparse], lr=0.1)
    with pytest.raises(TypeError, match=f"got one of layout torch.{layout} for"):
        optimizer.step()
    assert dense.tolist() == [1, 1, 1]
    assert not optimizer.state
