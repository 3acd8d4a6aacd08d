"""What is stepped: lists of tensors, some with the shapes of real models.

A step of Adam reads p, g, m and v, and writes p, m and v: seven numbers an element.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Workload", "find_workload"]

Shapes = list[tuple[int, ...]]


@dataclass(frozen=True)
class Workload:
    """Tensors of one dtype, which an optimizer steps.

    Parameters
    ----------
    name : str
    shapes : tuple of tuple of int
    dtype : {"float32", "bfloat16"}
        Of parameters and gradients.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"

    @property
    def tensors(self) -> int:
        """How many tensors there are."""
        return len(self.shapes)

    @property
    def elements(self) -> int:
        """How many numbers they hold together."""
        return sum(map(math.prod, self.shapes))

    @property
    def bytes(self) -> int:
        """What a step moves if the moments have the dtype of the parameters."""
        return 7 * self.elements * (2 if self.dtype == "bfloat16" else 4)


def resnet50() -> Shapes:
    """Return the shapes of ResNet-50: convolutions, their normalisations, one layer."""

    def convolution(to: int, of: int, size: int) -> Shapes:
        return [(to, of, size, size), (to,), (to,)]

    shapes = convolution(64, 3, 7)
    channels = 64
    for blocks, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for block in range(blocks):
            shapes += convolution(width, channels, 1)
            shapes += convolution(width, width, 3)
            shapes += convolution(4 * width, width, 1)
            if block == 0:  # the shortcut changes the number of channels
                shapes += convolution(4 * width, channels, 1)
            channels = 4 * width
    return [*shapes, (1000, channels), (1000,)]


def gpt2_half() -> Shapes:
    """Return the shapes of GPT-2 small with six of its twelve blocks (DistilGPT-2).

    The matrix of the output is that of the token embedding, and counts once.
    """
    width = 768
    norm: Shapes = [(width,), (width,)]

    def linear(of: int, to: int) -> Shapes:
        return [(of, to), (to,)]

    attention = linear(width, 3 * width) + linear(width, width)
    perceptron = linear(width, 4 * width) + linear(4 * width, width)
    block = norm + attention + norm + perceptron
    return [(50257, width), (1024, width), *(6 * block), *norm]


def mlp() -> Shapes:
    """Return the shapes of a perceptron for images of 28 by 28 pixels, 784-64-64-10."""
    sizes = (784, 64, 64, 10)
    pairs = zip(sizes[1:], sizes[:-1], strict=True)
    return [shape for to, of in pairs for shape in ((to, of), (to,))]


NAMED: dict[str, Callable[[], Shapes]] = {
    "32M": lambda: [(2**25,)],
    "10M": lambda: [(10**7,)],
    "resnet50": resnet50,
    "gpt2-half": gpt2_half,
    "mlp": mlp,
}
EQUAL_TENSORS = re.compile(r"([1-9]\d*)x([1-9]\d*)")
BFLOAT16 = "-bf16"


def find_workload(name: str) -> Workload:
    """Return the workload of a name.

    Parameters
    ----------
    name : str
        ``"32M"`` (one tensor of 2**25 elements), ``"10M"`` (one of 10**7),
        ``"resnet50"``, ``"gpt2-half"``, ``"mlp"``, or two numbers such as
        ``"1000x64"``: 1000 tensors of 64 elements. With ``-bf16`` behind it, parameters
        and gradients are bfloat16.

    Raises
    ------
    ValueError
        There is no such workload.

    Examples
    --------
    >>> workload = find_workload("1000x64-bf16")
    >>> workload.tensors, workload.elements, workload.dtype
    (1000, 64000, 'bfloat16')
    """
    base = str(name).removesuffix(BFLOAT16)
    dtype = "float32" if base == name else "bfloat16"
    if base in NAMED:
        return Workload(name, tuple(NAMED[base]()), dtype)
    equal = EQUAL_TENSORS.fullmatch(base)
    if equal:
        tensors, elements = map(int, equal.groups())
        return Workload(name, ((elements,),) * tensors, dtype)
    raise ValueError(
        f"workloads must be of {', '.join(NAMED)}, or TENSORSxELEMENTS such as 1000x64,"
        f" each with or without {BFLOAT16} behind it; got {name!r}"
    )
