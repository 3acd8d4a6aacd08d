"""Runs of two ranks: gradients averaged or summed. Run by ``test_ranks``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from adam_tutorial.doctor import watch


def gathered(
    operation: Callable[[torch.Tensor], object],
) -> Callable[[nn.Module], None]:
    def gather(model: nn.Module) -> None:
        for parameter in model.parameters():
            assert parameter.grad is not None
            dist.all_reduce(parameter.grad)
            operation(parameter.grad)

    return gather


def nothing(_: object) -> None:
    pass


def run(gather: Callable[[nn.Module], None], *, ddp: bool, parts: int) -> list[str]:
    torch.manual_seed(0)
    model: nn.Module = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
    model = DistributedDataParallel(model) if ddp else model
    optimizer = torch.optim.AdamW(model.parameters())
    data = torch.Generator().manual_seed(dist.get_rank())
    with watch(optimizer, model, every=1) as doctor:
        for _ in range(25):
            optimizer.zero_grad()
            for _ in range(parts):
                x = torch.randn(16, 8, generator=data)
                loss = (model(x) - x.sum(dim=1, keepdim=True)).square().mean() / parts
                loss.backward()
            gather(model)
            optimizer.step()
    assert not doctor._contributions._handles
    return [finding.name for finding in doctor.report().findings]


def main(store: str, rank: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    found = {
        "sum": run(gathered(nothing), ddp=False, parts=1),
        "mean": run(gathered(lambda g: g.div_(2)), ddp=False, parts=1),
        "ddp, accumulated": run(nothing, ddp=True, parts=3),
    }
    print(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
