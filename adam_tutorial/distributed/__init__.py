"""Pieces of distributed training, each short enough to read.

``trees`` adds gradients in an order that does not depend on the number of processes,
``gradients`` computes those gradients from micro-batches, ``zero`` divides the
optimizer's state among processes, ``local_steps`` lets them talk only now and then. The
transport is :mod:`torch.distributed`: gloo between CPUs, NCCL between GPUs. Without an
initialized process group, everything runs in the one process there is.
"""

from adam_tutorial.distributed.gradients import TreeGradients, tree_gradients
from adam_tutorial.distributed.local_steps import LocalSteps
from adam_tutorial.distributed.trees import fingerprint, tree_all_reduce, tree_sum
from adam_tutorial.distributed.zero import Zero1

__all__ = [
    "LocalSteps",
    "TreeGradients",
    "Zero1",
    "fingerprint",
    "tree_all_reduce",
    "tree_gradients",
    "tree_sum",
]
