"""Moments in 16 or 8 bits: how a number is rounded, stored, and read back.

A float32 is a sign, 8 bits for the power of two and 23 for the digits. All formats here
drop the last digits, and differ in how many:

- *bfloat16* drops 16, and keeps the rest as it is.
- *8 bits, signed* (averages of gradients) drops 21. Of the sign, the power and two
  digits that are left, a code keeps the sign and how far the number lies below the
  largest of its block of 256: 127 levels, four in each power of two, over 31 powers or
  nine decades. Code 0 is zero.
- *8 bits, unsigned* (averages of squares) drops 20: 255 levels, eight in each power of
  two, over as many decades. Code 0 is zero, and no other number is stored as it: an
  update divides by the root.

A level is part of the bits of a float32 as they are, so there is neither a table nor a
search nor a logarithm, and what was read back is stored again without change.

Why at random
-------------
Two neighbours in bfloat16 differ by 0.4 to 0.8 %. An average of squares with beta2 =
0.999 shrinks by 0.1 % in a step without gradient: rounded to the nearest, it stays
where it is, in this step and in every later one. With 8 bits, an average of gradients
with beta1 = 0.9 stops in the same way. So a number is rounded up or down at random,
with the probability that makes the *expected* result the number itself: an average
then decays by a whole level now and then, and at the right rate.

The random bits are a function of a seed, the number of the step, the entry of the state
and the place of the element. So a run can be repeated, and the result does not depend
on how a tensor is cut up among threads.

Numbers that are not finite
---------------------------
They are stored as they are. A NaN or infinity in a gradient ruins its own parameter, as
in float32. The rest of its block loses digits, as it does beside any number that is
larger by many decades: the averages of gradients vanish there, those of squares do not,
and these parameters stop. No finite number becomes infinite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "BLOCK",
    "Dither",
    "code_of",
    "decoded",
    "encode",
    "in_memory_order",
    "key_of",
    "local",
    "real_numbers",
    "scale_of",
]

BLOCK = 256
"""How many elements, in their order in memory, share a scale."""

# What is worked on at once: intermediate results need a few bytes an element.
PIECE = 2**20

# The bits of a float32 that are dropped, and the levels that are left in a block.
BFLOAT16 = 16
SIGNED = (21, 127)
UNSIGNED = (20, 255)

INFINITY = 0x7F800000
NAN = 0x7FC00000
MASK = 0xFFFFFFFF


def code_of(name: str) -> str:
    """Return what the codes of an entry are called."""
    return f"{name}_code"


def scale_of(name: str) -> str:
    """Return what the largest level of each block of an entry is called."""
    return f"{name}_scale"


def mixed(x: Any) -> Any:
    """Return 32 bits of which each depends on all bits of the argument.

    Parameters
    ----------
    x : int or Tensor of int64
        From 0 to ``2**32 - 1``.

    Notes
    -----
    The constants are those of the *hash prospector* of C. Wellons; both are below
    ``2**31``, so no product overflows an int64.
    """
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & MASK
    x = x ^ (x >> 15)
    x = (x * 0x735A2D97) & MASK
    return x ^ (x >> 15)


def key_of(seed: int, t: Any, pair: int) -> Any:
    """Return where the random bits of a step begin, for two entries of the state."""
    step = t.to(torch.int64) if isinstance(t, Tensor) else int(t)
    return mixed((mixed((mixed(seed & MASK) + step) & MASK) + pair) & MASK)


@dataclass(frozen=True)
class Dither:
    """Random bits for one entry of the state at one step.

    Parameters
    ----------
    seed : int
        Chosen by the user.
    t : int or Tensor
        Number of the step.
    entry : int
        Which tensor of a parameter's state. Two neighbours take one random number: an
        even one its low bits, an odd one its high bits.
    """

    seed: int
    t: Any
    entry: int

    def bits(self, first: int, like: Tensor, dropped: int) -> Tensor:
        """Return random integers below ``2**dropped``, as many as ``like`` has.

        Parameters
        ----------
        first : int
            Place of the first element in its tensor, in memory order.
        like : Tensor of shape (count,)
            On the device on which they are wanted.
        dropped : int
            How many bits.
        """
        key = key_of(self.seed, self.t, self.entry // 2)
        place = torch.arange(first, first + like.numel(), device=like.device)
        # The key is random already: one round is enough to part the elements.
        x = (place * 0x61C88647 + key) & MASK
        x = ((x ^ (x >> 16)) * 0x21F0AAAD) & MASK
        x = x >> (32 - dropped) if self.entry % 2 else x & ((1 << dropped) - 1)
        bits: Tensor = x.to(torch.int32)
        return bits


def in_memory_order(tensor: Tensor) -> Tensor:
    """Return a view of a tensor without gaps, as it lies in memory."""
    if tensor.is_contiguous():
        return tensor.view(-1)
    return tensor.as_strided((tensor.numel(),), (1,))


def local(tensor: Any) -> Tensor:
    """Return the part of a DTensor that this process has; other tensors are whole."""
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part


def real_numbers(parameter: Tensor) -> Tensor:
    """Return the real numbers of a parameter, those that this process has."""
    part = local(parameter)
    return torch.view_as_real(part) if part.is_complex() else part


def decoded(
    stored: Mapping[str, Tensor], name: str, dtype: torch.dtype, *, signed: bool
) -> Tensor:
    """Return an entry of the state as numbers to compute with.

    Parameters
    ----------
    stored : mapping
        A parameter's state.
    name : str
        Of the entry.
    dtype : dtype
        The real type to compute in.
    signed : bool
        Whether the codes are signed.
    """
    if code_of(name) not in stored:
        return real_numbers(stored[name]).to(dtype)
    code, scale = stored[code_of(name)], stored[scale_of(name)]
    numbers = torch.empty(code.numel(), dtype=dtype, device=code.device)
    ordered, format_ = in_memory_order(code), SIGNED if signed else UNSIGNED
    for elements, blocks, width in _parts(code.numel()):
        codes, scales = ordered[elements].view(-1, width), scale[blocks]
        numbers[elements].view(-1, width).copy_(_from_codes(codes, scales, *format_))
    return numbers.as_strided(code.shape, code.stride())


def encode(
    stored: MutableMapping[str, Tensor],
    name: str,
    value: Tensor,
    dither: Dither | None,
    *,
    signed: bool,
) -> None:
    """Store numbers in an entry of the state, in the format that it has.

    Parameters
    ----------
    stored : mapping
        A parameter's state; its tensors are changed in place.
    name : str
        Of the entry.
    value : Tensor
        The numbers.
    dither : Dither, optional
        By default, numbers are rounded to the nearest.
    signed : bool
        Whether the codes are signed.
    """
    is_coded = code_of(name) in stored
    target = real_numbers(stored[code_of(name) if is_coded else name])
    if target.dtype not in (torch.uint8, torch.bfloat16):
        target.copy_(value.view(target.shape))
        return
    numbers = torch.empty_like(target, dtype=torch.float32)
    numbers.copy_(value.view(target.shape))
    format_ = SIGNED if signed else UNSIGNED
    dropped = format_[0] if is_coded else BFLOAT16
    for elements, blocks, width in _parts(target.numel()):
        part = in_memory_order(numbers)[elements]
        added: Tensor | int = 1 << (dropped - 1)
        if dither is not None:
            added = dither.bits(elements.start, part, dropped).view(-1, width)
        part, out = part.view(-1, width), in_memory_order(target)[elements]
        if is_coded:
            codes, scale = _to_codes(part, added, *format_)
            stored[scale_of(name)][blocks].copy_(scale)
        else:
            codes = _to_bfloat16(part, added)
        out.view(-1, width).copy_(codes)


def _parts(size: int) -> Iterator[tuple[slice, slice, int]]:
    """Yield elements, their blocks, and how many elements each of these blocks has."""
    whole = size - size % BLOCK
    for first in range(0, whole, PIECE):
        last = min(first + PIECE, whole)
        yield slice(first, last), slice(first // BLOCK, last // BLOCK), BLOCK
    if size > whole:
        yield slice(whole, size), slice(whole // BLOCK, None), size - whole


def _size(numbers: Tensor) -> Tensor:
    """Return the bits of float32 without their sign; all NaN have the same."""
    return (numbers.view(torch.int32) & 0x7FFFFFFF).clamp(max=NAN)


def _level(size: Tensor, added: Tensor | int, dropped: int) -> Tensor:
    """Return what is left of the bits when the last are dropped.

    Without a carry nothing is rounded up; ``added`` makes it.
    """
    level = (size + added) >> dropped
    largest = (INFINITY >> dropped) - 1
    return torch.where(size < INFINITY, level.clamp(max=largest), level)


def _to_bfloat16(numbers: Tensor, added: Tensor | int) -> Tensor:
    size = _level(_size(numbers), added, BFLOAT16) << BFLOAT16
    return size.view(torch.float32).copysign(numbers).to(torch.bfloat16)


def _to_codes(
    numbers: Tensor, added: Tensor | int, dropped: int, levels: int
) -> tuple[Tensor, Tensor]:
    """Return the codes of blocks, which are rows, and the largest level of each."""
    size = _size(numbers)
    top = _level(size.amax(dim=1), (1 << dropped) - 1, dropped)
    code = (_level(size, added, dropped) - _below_first(top, levels)).clamp(min=0)
    if levels == SIGNED[1]:
        code |= (numbers.view(torch.int32) >> 24) & 128
    else:
        code = code.maximum((size > 0).to(code.dtype))
    return code.to(torch.uint8), (top << dropped).view(torch.float32)


def _from_codes(code: Tensor, scale: Tensor, dropped: int, levels: int) -> Tensor:
    code = code.to(torch.int32)
    size = code & levels
    bits = (size + _below_first(scale.view(torch.int32) >> dropped, levels)) << dropped
    number = torch.where(size > 0, bits, 0).view(torch.float32)
    return torch.where((code > levels) & (size > 0), -number, number)


def _below_first(top: Tensor, levels: int) -> Tensor:
    """Return the level below that of code 1, for each block."""
    return (top - levels).clamp(min=0).unsqueeze(1)
