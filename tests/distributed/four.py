"""What each of four processes runs; the first ones also as groups of one and two."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.utils import parameters_to_vector

from adam_tutorial.distributed import (
    LocalSteps,
    Zero1,
    fingerprint,
    tree_all_reduce,
    tree_gradients,
)
from adam_tutorial.optim import Adam
from adam_tutorial.study.experiments import stored_runs
from adam_tutorial.study.experiments.images import SIZES as IMAGES
from adam_tutorial.study.experiments.images import digit_examples
from adam_tutorial.study.experiments.local_steps import FIRST_STEPS, WAYS
from adam_tutorial.study.experiments.local_steps import train as run_of_way
from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.train_distributed import Settings, digits, train
from adam_tutorial.study.training import Examples
from tests.distributed.launch import Scenario, run_scenarios
from tests.distributed.task import (
    FULLY_SHARD_RUNS_ON_CPU,
    REPLICATED,
    STEPS,
    batch,
    in_groups,
    new_model,
    new_optimizer,
)
from tests.optimizers import Case

RANKS = 4
SIZES = (1, 2, 4)
LENGTHS = (1, 2, 3, 5, 1000)
RUN_STEPS = 12
PAUSES = {4: 5, 2: 9, 1: RUN_STEPS}
"""Number of processes, and the step up to which they train."""

SHARED: dict[str, Any] = {
    "fused": {"fused": True},
    "uint8": {"state_dtype": torch.uint8},
    "bfloat16": {"state_dtype": torch.bfloat16},
}
WIDTHS = (784, 64, 10)

_groups: dict[int, Any] = {}


def group_of(size: int) -> Any:
    """Return the group of the first processes; at the first call, all make them all."""
    if not _groups:
        _groups.update({count: dist.new_group(list(range(count))) for count in SIZES})
    return _groups[size]


@cache
def few_digits() -> Examples:
    inputs, labels = digits()["train"]
    return inputs[:240], labels[:240]


def trained(size: int, rank: int, _: Path, **options: Any) -> Any:
    group = group_of(size)
    if rank >= size:
        return None
    run = train(few_digits(), RUN_STEPS, Settings(), group=group, **options)
    return {
        "fingerprint": run.fingerprint,
        "parameters": parameters_to_vector(run.model.parameters()).detach(),
        "losses": run.losses,
        "bytes": run.bytes_sent,
    }


def resumed(rank: int, folder: Path) -> Any:
    """Train on with fewer and fewer processes, and the state divided in between."""
    for size, steps in PAUSES.items():
        group = group_of(size)
        if rank < size:
            run = train(
                few_digits(),
                steps,
                Settings(),
                checkpoints=folder / "checkpoints",
                every=4,
                group=group,
                zero=size == 2,
            )
    return {"fingerprint": run.fingerprint if rank == 0 else None}


def tree(rank: int, _: Path) -> Any:
    """Add up vectors of several lengths, and say how many bytes were sent."""
    sums = {}
    for length in LENGTHS:
        for size in SIZES:
            group = group_of(size)
            if rank < size:
                generator = torch.Generator().manual_seed(rank)
                vector = torch.randn(length, generator=generator)
                sent = tree_all_reduce(vector, group)
                sums[f"{length} of {size}"] = (vector, sent)
    return sums


def mean_of_odd_model(size: int, rank: int, _: Path) -> Any:
    """Average a model that has buffers, an unused parameter, and dropout."""
    group = group_of(size)
    if rank >= size:
        return None
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    x = torch.arange(24.0).view(8, 3)
    state = torch.get_rng_state()
    found = tree_gradients(
        model,
        lambda k: model(x[2 * k : 2 * k + 2]).square().mean(),
        4,
        seed=1,
        step=7,
        group=group,
    )
    return {
        "fingerprint": fingerprint(
            model.state_dict(), [p.grad for p in model.parameters()], found.loss
        ),
        "unused": model.unused.grad,
        "batches": model[1].num_batches_tracked,
        "generator is as before": torch.equal(state, torch.get_rng_state()),
    }


def in_step(model: nn.Module, optimizers: list[Any], step: int) -> None:
    """Step several optimizers; all processes have the gradients of the whole batch."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = 0.02 / (1 + step)
    x, y = batch(step)
    model.zero_grad()
    (model(x) - y).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()


def zero(case: Case, _rank: int, _: Path) -> Any:
    """Train with ZeRO by hand, saving and loading halfway, and without."""
    whole, divided = new_model(), new_model()
    alone = new_optimizer(case.new, whole)
    zero1 = Zero1(in_groups(divided)["params"], case.new)
    same = []
    for step in range(STEPS):
        if step == STEPS // 2:
            state = zero1.state_dict()
            same.append(fingerprint(state["state"], list(divided.parameters())))
            same.append(
                fingerprint(alone.state_dict()["state"], list(whole.parameters()))
            )
            zero1 = Zero1(in_groups(divided)["params"], case.new)
            zero1.load_state_dict(state)
        in_step(whole, [alone], step)
        in_step(divided, [zero1], step)
    return {
        "zero": fingerprint(zero1.state_dict(), list(divided.parameters())),
        "alone": fingerprint(alone.state_dict(), list(whole.parameters())),
        "pause": same,
    }


def bytes_of_state(optimizer: Any) -> int:
    values = [value for entry in optimizer.state.values() for value in entry.values()]
    return sum(getattr(v, "to_local", lambda v=v: v)().nbytes for v in values)


def zero_memory(kind: str, _rank: int, __: Path) -> int:
    model = DenseNet(WIDTHS)
    zero1 = Zero1(model.parameters(), lambda groups: Adam(groups, **SHARED[kind]))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    zero1.step()
    return bytes_of_state(zero1.optimizer)


def fsdp_memory(kind: str, _rank: int, __: Path) -> dict[str, int]:
    mesh = init_device_mesh("cpu", (RANKS,))
    model = DenseNet(WIDTHS)
    fully_shard(model, mesh=mesh)
    optimizer = Adam(model.parameters(), **SHARED[kind])
    model(torch.ones(2, *WIDTHS[:1])).sum().backward()
    optimizer.step()
    own: list[Any] = list(model.parameters())
    return {
        "parameters": sum(p.to_local().nbytes for p in own),
        "gradients": sum(p.grad.to_local().nbytes for p in own),
        "state": bytes_of_state(optimizer),
    }


def local_steps(rank: int, _: Path) -> Any:
    """Take local steps on data of one's own, and the same ones averaged by hand."""
    share = slice(2 * rank, 2 * rank + 2)

    def loss(model: nn.Module, step: int) -> Tensor:
        x, y = batch(step)
        result: Tensor = (model(x[share]) - y[share]).square().mean()
        return result

    def run(make: Any, every: int, **outer: Any) -> tuple[Tensor, int]:
        model = new_model()
        local = LocalSteps(
            model.parameters(), make(model.parameters()), every=every, **outer
        )
        for step in range(STEPS):
            model.zero_grad()
            loss(model, step).backward()
            local.step()
        return parameters_to_vector(model.parameters()).detach(), local.bytes_sent

    def by_hand(make: Any) -> Tensor:
        model = new_model()
        optimizer = make(model.parameters())
        for step in range(STEPS):
            model.zero_grad()
            loss(model, step).backward()
            optimizer.step()
            for parameter in model.parameters():
                dist.all_reduce(parameter.data)
                parameter.data /= RANKS
        return parameters_to_vector(model.parameters()).detach()

    def adam(parameters: Any) -> Any:
        return Adam(parameters, lr=0.02)

    def sgd(parameters: Any) -> Any:
        return torch.optim.SGD(parameters, lr=0.02)

    plain: dict[str, Any] = {"lr": 1.0, "momentum": 0.0}
    return {
        "adam": run(adam, 1, **plain),
        "adam by hand": by_hand(adam),
        "sgd": run(sgd, 1, **plain),
        "four": run(adam, 4),
        "three": run(adam, 3),
    }


def stored_run(_rank: int, _: Path) -> dict[str, list[float]]:
    """Take the first steps of the stored runs of local steps anew."""
    torch.set_default_dtype(torch.float64)
    try:
        examples = digit_examples(IMAGES)["train"]
        return {
            name: run_of_way(
                way,
                stored_runs("local_steps")["results"]["chosen"][name],
                0,
                examples,
                max_batches=FIRST_STEPS * way.accumulated,
            )[1]
            for name, way in WAYS.items()
        }
    finally:
        torch.set_default_dtype(torch.float32)


SCENARIOS: dict[str, Scenario] = {
    "tree": tree,
    **{f"odd-{size}": partial(mean_of_odd_model, size) for size in SIZES},
    **{f"train-{size}": partial(trained, size) for size in SIZES},
    "train-zero": partial(trained, 4, zero=True),
    "train-all-reduce-1": partial(trained, 1, all_reduce=True),
    "train-all-reduce-4": partial(trained, 4, all_reduce=True),
    "resumed": resumed,
    **{f"zero-{case}": partial(zero, case) for case in REPLICATED},
    **{f"zero-memory-{kind}": partial(zero_memory, kind) for kind in SHARED},
    "local-steps": local_steps,
    "stored-run": stored_run,
}
if FULLY_SHARD_RUNS_ON_CPU:
    SCENARIOS |= {f"fsdp-memory-{kind}": partial(fsdp_memory, kind) for kind in SHARED}

if __name__ == "__main__":
    run_scenarios(SCENARIOS)
