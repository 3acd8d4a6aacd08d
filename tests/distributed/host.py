"""What the process on each of two hosts runs; the first prints what it found."""

from __future__ import annotations

import json
from typing import Any

import torch.distributed as dist

from adam_tutorial.study.experiments.link import join, measure, set_link
from adam_tutorial.study.train_distributed import Settings, train
from tests.distributed.four import RUN_STEPS, few_digits
from tests.distributed.launch import measured

MEGABITS = 50
DELAY = 5
"""Milliseconds on the way there, and as many on the way back."""
SIZES = (2**16, 2**18)


@measured()
def main() -> None:
    rank = join()
    found: dict[str, Any] = {
        "fingerprint": train(few_digits(), RUN_STEPS, Settings()).fingerprint
    }
    set_link(MEGABITS)
    dist.barrier()
    found["seconds"] = measure(SIZES, 3)
    try:
        set_link(MEGABITS, delay=DELAY)
    except OSError as error:
        found["no delay"] = str(error)
    else:
        dist.barrier()
        found["delayed"] = measure(SIZES, 3)
    if rank == 0:
        print(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
