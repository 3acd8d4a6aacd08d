"""ZeRO-1 by hand: the same bits as one optimizer, and a share of its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from adam_tutorial.distributed import Zero1
from adam_tutorial.optim import Adam
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.notebook import source
from adam_tutorial.theory import memory
from tests.distributed.launch import Outcomes
from tests.distributed.task import FULLY_SHARD_RUNS_ON_CPU
from tests.optimizers import Case, each_optimizer

RANKS = 4
SHAPES = [tuple(p.shape) for p in DenseNet((784, 64, 10)).parameters()]
KINDS = {"fused": None, "uint8": "uint8", "bfloat16": "bfloat16"}
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_optimizer
def test_zero_by_hand_has_the_bits_of_one_optimizer(
    of_four: Outcomes, case: Case
) -> None:
    for outcome in of_four(f"zero-{case}"):
        assert outcome["zero"] == outcome["alone"]
        assert outcome["pause"][0] == outcome["pause"][1]


@each_kind
def test_the_fullest_process_holds_what_was_predicted(
    of_four: Outcomes, kind: str
) -> None:
    predicted = memory(SHAPES, state_dtype=KINDS[kind], ranks=RANKS)
    assert max(of_four(f"zero-memory-{kind}")) == predicted.state


@each_kind
def test_processes_hold_the_state_once_together(of_four: Outcomes, kind: str) -> None:
    alone = memory(SHAPES, state_dtype=KINDS[kind])
    assert sum(of_four(f"zero-memory-{kind}")) == alone.state


@pytest.mark.skipif(
    not FULLY_SHARD_RUNS_ON_CPU,
    reason="fully_shard of this version of torch needs a GPU",
)
@each_kind
def test_under_fully_shard_the_fullest_process_holds_what_was_predicted(
    of_four: Outcomes, kind: str
) -> None:
    predicted = memory(
        SHAPES, state_dtype=KINDS[kind], ranks=RANKS, sharded="everything"
    )
    for part in ("parameters", "gradients", "state"):
        measured = [outcome[part] for outcome in of_four(f"fsdp-memory-{kind}")]
        assert max(measured) == getattr(predicted, part)


def test_zero_by_hand_is_under_a_hundred_lines() -> None:
    assert len(source(Zero1).splitlines()) < 100


def make(**settings: Any) -> Callable[[list[dict[str, Any]]], Adam]:
    return lambda groups: Adam(groups, **settings)


def test_alone_it_is_the_optimizer_and_takes_groups() -> None:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    groups: list[dict[str, Any]] = [{"params": [a], "lr": 0.5}, {"params": iter([b])}]
    zero1 = Zero1(groups, make(lr=0.25))
    assert [group["lr"] for group in zero1.param_groups] == [0.5, 0.25]
    a.grad, b.grad = torch.ones(3), torch.ones(2)
    zero1.step()
    torch.testing.assert_close((a[0], b[0]), (torch.tensor(0.5), torch.tensor(0.75)))
    assert zero1.bytes_sent == 0
    zero1.zero_grad()
    assert a.grad is b.grad is None


def test_what_needs_all_gradients_and_what_does_not_fit_is_refused() -> None:
    theta = [nn.Parameter(torch.ones(3))]
    with pytest.raises(ValueError, match="max_grad_norm needs the gradients of all"):
        Zero1(theta, make(max_grad_norm=1.0))
    with pytest.raises(ValueError, match="no parameters"):
        Zero1([], make())
    state = Zero1([*theta, nn.Parameter(torch.ones(3))], make()).state_dict()
    message = r"groups of \[2\] parameters, this optimizer has \[1\]"
    with pytest.raises(ValueError, match=message):
        Zero1(theta, make()).load_state_dict(state)
