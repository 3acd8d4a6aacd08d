"""The step of Adam in machine code, for moments in 16 or 8 bits.

The formats are those of :mod:`adam_tutorial.optim.low_precision`, which is the one to
read: here is the same for speed. A block of 256 elements is decoded, moved and encoded
before the next one is touched, so the moments are never in memory as float32. All is
arithmetic on the bits of float32, which a CPU does for 8 or 16 elements at once.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import carray

from adam_tutorial.optim.backends.kernels import (
    AVERAGE,
    AVERAGE_SCALE,
    BLOCKS,
    FIRST,
    GRADIENT,
    LARGEST,
    LARGEST_SCALE,
    PARAMETER,
    SIZE,
    SQUARES,
    SQUARES_SCALE,
    STEP,
    bits_of,
    compiled,
    count_adam,
    float_of,
    narrowed,
    pointer,
    widened,
)

__all__ = ["count", "count_and_move", "move"]

# As a call it would take as long as what it does, and vector loops could not hold it.
inlined = functools.partial(compiled, forceinline=True)

Bits = np.uint32

BLOCK = 256
KEYS = 2
"""Random numbers of an element: the second is for the largest v."""

# The bits that are dropped, and the levels that are left.
BFLOAT16 = Bits(16)
SIGNED, SIGNED_LEVELS = Bits(21), Bits(127)
UNSIGNED, UNSIGNED_LEVELS = Bits(20), Bits(255)

# Random bits as many as are dropped: the low ones for m, the high ones for v.
DROPPED, KEPT = Bits(0x1FFFFF), Bits(12)

WITHOUT_SIGN = Bits(0x7FFFFFFF)
INFINITY = Bits(0x7F800000)
NAN = Bits(0x7FC00000)
# Below this no number becomes infinite when it is rounded up.
SAFE = Bits(0x7F600000)

GOLDEN = Bits(0x61C88647)
ODD1, ODD2 = Bits(0x21F0AAAD), Bits(0x735A2D97)


@inlined
def mixed(x: Any) -> Any:
    """Return 32 bits of which each depends on all bits of the argument."""
    x = Bits(x ^ Bits(x >> Bits(16)))
    x = Bits(x * ODD1)
    x = Bits(x ^ Bits(x >> Bits(15)))
    x = Bits(x * ODD2)
    return Bits(x ^ Bits(x >> Bits(15)))


@inlined
def place_of(key: Any, start: int) -> Any:
    """Return what the random number of an element is made of; the next has GOLDEN more.

    Added in each turn, and not multiplied, since vectors multiply integers slowly.
    """
    return Bits(key + Bits(Bits(start) * GOLDEN))


@inlined
def random_bits(x: Any) -> Any:
    """Return the random number of an element."""
    return Bits(Bits(x ^ Bits(x >> Bits(16))) * ODD1)


@compiled
def count(
    table: Any, settings: Any, groups: Any, numbers: Any, seed: int, keys: Any
) -> None:
    """Count a step of each tensor, and compute what it is taken with.

    Parameters
    ----------
    table, settings, groups, numbers
        As for :func:`~adam_tutorial.optim.backends.kernels.count_adam`.
    seed : int
        Chosen by the user, below ``2**32``.
    keys : array of uint32, shape (KEYS, tensors)
        Is filled: where the random numbers of this step begin.
    """
    count_adam(table, settings, groups, numbers)
    for i in range(table.shape[1]):
        t = np.int64(carray(pointer(table[STEP, i]), 1, np.float64)[0])
        step = Bits(mixed(Bits(seed)) + Bits(t & 0xFFFFFFFF))
        for pair in range(KEYS):
            keys[pair, i] = mixed(Bits(mixed(step) + Bits(pair)))


@compiled
def move(
    table: Any,
    numbers: Any,
    keys: Any,
    first: int,
    last: int,
    stored: Any,
    amsgrad: bool,
    in_blocks: bool,
) -> None:
    """Move the elements or blocks from ``first`` to ``last``, through all tensors.

    Parameters
    ----------
    table, numbers, stored, amsgrad
        As for :func:`~adam_tutorial.optim.backends.kernels.adam`.
    keys : array of uint32, shape (KEYS, tensors)
        From :func:`count`.
    first, last : int
        What this call moves; other threads move the rest.
    in_blocks : bool
        Whether the moments are in 8 bits; otherwise they are in 16.
    """
    # The compiler leaves out what a constant rules out, but not what a variable does.
    if not in_blocks:
        move_elements(table, numbers, keys, first, last, stored, amsgrad)
    elif amsgrad:
        move_blocks(table, numbers, keys, first, last, stored, True)
    else:
        move_blocks(table, numbers, keys, first, last, stored, False)


@compiled
def count_and_move(
    table: Any,
    settings: Any,
    groups: Any,
    numbers: Any,
    seed: int,
    keys: Any,
    last: int,
    stored: Any,
    amsgrad: bool,
    in_blocks: bool,
) -> None:
    """Count a step of each tensor and move them all: Ctrl-C comes before or after."""
    count(table, settings, groups, numbers, seed, keys)
    move(table, numbers, keys, 0, last, stored, amsgrad, in_blocks)


# 16 bits


@inlined
def to_bfloat16(number: Any, added: Any) -> Any:
    """Return a float32 in 16 bits, rounded up if what is added makes it."""
    bits = bits_of(number)
    size = min(Bits(bits & WITHOUT_SIGN), NAN)
    limit = Bits(INFINITY - Bits(1)) if size < INFINITY else WITHOUT_SIGN
    size = min(Bits(size + added), limit)
    sign = Bits(bits & Bits(0x80000000))
    return np.uint16(Bits(size | sign) >> BFLOAT16)


@inlined
def move_elements(
    table: Any,
    numbers: Any,
    keys: Any,
    first: int,
    last: int,
    stored: Any,
    amsgrad: bool,
) -> None:
    i = np.searchsorted(table[FIRST], first, side="right") - 1
    while first < last:
        start = first - table[FIRST, i]
        size = min(last - table[FIRST, i], table[SIZE, i]) - start
        at = start * stored.itemsize
        p = carray(pointer(table[PARAMETER, i] + at), size, stored.dtype)
        g = carray(pointer(table[GRADIENT, i] + at), size, stored.dtype)
        m = carray(pointer(table[AVERAGE, i] + 2 * start), size, np.uint16)
        v = carray(pointer(table[SQUARES, i] + 2 * start), size, np.uint16)
        if amsgrad:
            largest = carray(pointer(table[LARGEST, i] + 2 * start), size, np.uint16)
            move_with_largest_in_bfloat16(
                p, g, m, v, largest, numbers[:, i], keys[:, i], start
            )
        else:
            move_in_bfloat16(p, g, m, v, numbers[:, i], keys[0, i], start)
        first += size
        i += 1


@compiled
def move_in_bfloat16(
    p: Any, g: Any, m: Any, v: Any, numbers: Any, key: Any, start: int
) -> None:
    factor, penalty, m_kept, m_weight, v_kept, v_weight = numbers[:6]
    shrink, step_size, root, eps = numbers[6:]
    place = place_of(key, start)
    for i in range(p.size):
        theta = widened(p[i])
        gradient = widened(g[i]) * factor
        if penalty != 0:
            gradient += penalty * theta
        average = widened(m[i]) * m_kept + gradient * m_weight
        squares = widened(v[i]) * v_kept + gradient * gradient * v_weight
        update = average / (math.sqrt(squares) * root + eps)
        p[i] = narrowed(theta * shrink - step_size * update, p[i])
        x, place = random_bits(place), Bits(place + GOLDEN)
        m[i] = to_bfloat16(average, Bits(x & Bits(0xFFFF)))
        v[i] = to_bfloat16(squares, Bits(x >> BFLOAT16))


@compiled
def move_with_largest_in_bfloat16(
    p: Any, g: Any, m: Any, v: Any, largest: Any, numbers: Any, keys: Any, start: int
) -> None:
    factor, penalty, m_kept, m_weight, v_kept, v_weight = numbers[:6]
    shrink, step_size, root, eps = numbers[6:]
    place, second = place_of(keys[0], start), place_of(keys[1], start)
    for i in range(p.size):
        theta = widened(p[i])
        gradient = widened(g[i]) * factor
        if penalty != 0:
            gradient += penalty * theta
        average = widened(m[i]) * m_kept + gradient * m_weight
        squares = widened(v[i]) * v_kept + gradient * gradient * v_weight
        greatest = greater(widened(largest[i]), squares)
        update = average / (math.sqrt(greatest) * root + eps)
        p[i] = narrowed(theta * shrink - step_size * update, p[i])
        x, y = random_bits(place), random_bits(second)
        place, second = Bits(place + GOLDEN), Bits(second + GOLDEN)
        m[i] = to_bfloat16(average, Bits(x & Bits(0xFFFF)))
        v[i] = to_bfloat16(squares, Bits(x >> BFLOAT16))
        largest[i] = to_bfloat16(greatest, Bits(y & Bits(0xFFFF)))


@inlined
def greater(known: Any, new: Any) -> Any:
    """Return the larger of two; NaN if one of them is."""
    return known if known >= new or known != known else new


# 8 bits


@inlined
def lowest(scale: Any, dropped: Any, levels: Any) -> Any:
    """Return the bits of the level below that of code 1."""
    top = bits_of(scale)
    return (
        Bits(top - Bits(levels << dropped))
        if top > Bits(levels << dropped)
        else Bits(0)
    )


@inlined
def scale_above(size: Any, dropped: Any) -> Any:
    """Return the level that no element of a block exceeds when it is rounded up."""
    return float_of(rounded(size, Bits(Bits(Bits(1) << dropped) - Bits(1)), dropped))


@inlined
def rounded(size: Any, added: Any, dropped: Any) -> Any:
    """Return the bits of a level, where the size may be that of any number."""
    size = min(size, NAN)
    up = Bits(size + added)
    if size < INFINITY:
        up = min(up, Bits(INFINITY - Bits(1)))
    return Bits(Bits(up >> dropped) << dropped)


@inlined
def signed_from(code: Any, low: Any) -> Any:
    """Return the float32 that a signed code stands for."""
    # The sign of an int8 fills all bits above the level; one of them is meant.
    bits = Bits(Bits(Bits(np.int32(code)) << SIGNED) & Bits(0x8FFFFFFF))
    return float_of(Bits(bits + low) if code & np.int8(127) else Bits(0))


@inlined
def unsigned_from(code: Any, low: Any) -> Any:
    """Return the float32 that an unsigned code stands for."""
    return float_of(Bits(Bits(Bits(code) << UNSIGNED) + low) if code else Bits(0))


@inlined
def signed_code(bits: Any, level: Any, low: Any) -> Any:
    """Return the code of a number that is rounded to this level."""
    code = Bits(Bits(max(level, low) - low) >> SIGNED)
    sign = Bits(Bits(bits >> Bits(24)) & Bits(128))
    return np.int8(np.uint8(Bits(code | sign)))


@inlined
def unsigned_code(bits: Any, level: Any, low: Any) -> Any:
    """Return the code of a number that is rounded to this level."""
    code = Bits(Bits(max(level, low) - low) >> UNSIGNED)
    return np.uint8(max(code, min(bits, Bits(1))))


@inlined
def move_blocks(
    table: Any,
    numbers: Any,
    keys: Any,
    first: int,
    last: int,
    stored: Any,
    amsgrad: bool,
) -> None:
    work = np.empty(3 * BLOCK, np.uint32)
    i = np.searchsorted(table[BLOCKS], first, side="right") - 1
    while first < last:
        own = first - table[BLOCKS, i]
        blocks = -(-table[SIZE, i] // BLOCK)
        count = min(last - table[BLOCKS, i], blocks) - own
        # Slices and arrays would be counted as references, for each block.
        chosen = (
            *(numbers[0, i], numbers[1, i], numbers[2, i], numbers[3, i]),
            *(numbers[4, i], numbers[5, i], numbers[6, i], numbers[7, i]),
            *(numbers[8, i], numbers[9, i]),
        )
        for block in range(own, own + count):
            start = block * BLOCK
            size = min(table[SIZE, i] - start, BLOCK)
            at = start * stored.itemsize
            p = carray(pointer(table[PARAMETER, i] + at), size, stored.dtype)
            g = carray(pointer(table[GRADIENT, i] + at), size, stored.dtype)
            m = carray(pointer(table[AVERAGE, i] + start), size, np.int8)
            v = carray(pointer(table[SQUARES, i] + start), size, np.uint8)
            w = carray(pointer(table[LARGEST, i] + start), size, np.uint8)
            m_scale = carray(
                pointer(table[AVERAGE_SCALE, i] + 4 * block), 1, np.float32
            )
            v_scale = carray(
                pointer(table[SQUARES_SCALE, i] + 4 * block), 1, np.float32
            )
            w_scale = carray(
                pointer(table[LARGEST_SCALE, i] + 4 * block), 1, np.float32
            )
            # All in one piece: for each pair, the compiler adds a check of overlap.
            bits = carray(pointer(work.ctypes.data), 3 * BLOCK, np.uint32)
            m_low = lowest(m_scale[0], SIGNED, SIGNED_LEVELS)
            v_low = lowest(v_scale[0], UNSIGNED, UNSIGNED_LEVELS)
            w_low = Bits(0)
            if amsgrad:
                w_low = lowest(w_scale[0], UNSIGNED, UNSIGNED_LEVELS)
            lows = m_low, v_low, w_low
            sizes = update(p, g, m, v, w, bits, lows, chosen, amsgrad)
            m_scale[0] = scale_above(sizes[0], SIGNED)
            v_scale[0] = scale_above(sizes[1], UNSIGNED)
            m_low = lowest(m_scale[0], SIGNED, SIGNED_LEVELS)
            v_low = lowest(v_scale[0], UNSIGNED, UNSIGNED_LEVELS)
            is_safe = max(sizes[0], sizes[1]) < SAFE
            encode(m, v, bits, m_low, v_low, keys[0, i], start, is_safe)
            if amsgrad:
                w_scale[0] = scale_above(sizes[2], UNSIGNED)
                w_low = lowest(w_scale[0], UNSIGNED, UNSIGNED_LEVELS)
                encode_largest(w, bits, w_low, keys[1, i], start)
        first += count
        i += 1
    # Still in use until here, and the compiler cannot see it.
    work[0] = 0


@inlined
def update(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    largest: Any,
    bits: Any,
    lows: Any,
    numbers: Any,
    amsgrad: bool,
) -> Any:
    """Move a block, fill ``bits`` with its moments, and return the largest of each."""
    factor, penalty, m_kept, m_weight, v_kept, v_weight = numbers[:6]
    shrink, step_size, root, eps = numbers[6:]
    m_size, v_size, largest_size = Bits(0), Bits(0), Bits(0)
    for i in range(p.size):
        theta = widened(p[i])
        gradient = widened(g[i]) * factor
        if penalty != 0:
            gradient += penalty * theta
        average = signed_from(m[i], lows[0]) * m_kept + gradient * m_weight
        squares = unsigned_from(v[i], lows[1]) * v_kept + gradient * gradient * v_weight
        greatest = squares
        if amsgrad:
            greatest = greater(unsigned_from(largest[i], lows[2]), squares)
            bits[2 * BLOCK + i] = bits_of(greatest)
            size = Bits(bits_of(greatest) & WITHOUT_SIGN)
            largest_size = max(largest_size, size)
        update = average / (math.sqrt(greatest) * root + eps)
        p[i] = narrowed(theta * shrink - step_size * update, p[i])
        bits[i] = bits_of(average)
        bits[BLOCK + i] = bits_of(squares)
        m_size = max(m_size, Bits(bits_of(average) & WITHOUT_SIGN))
        v_size = max(v_size, Bits(bits_of(squares) & WITHOUT_SIGN))
    return m_size, v_size, largest_size


@inlined
def encode(
    m: Any,
    v: Any,
    bits: Any,
    m_low: Any,
    v_low: Any,
    key: Any,
    start: int,
    is_safe: bool,
) -> None:
    """Store the averages and the averages of squares of a block."""
    place = place_of(key, start)
    if is_safe:
        for i in range(m.size):
            x, place = random_bits(place), Bits(place + GOLDEN)
            size = Bits(bits[i] & WITHOUT_SIGN)
            m[i] = signed_code(bits[i], Bits(size + Bits(x & DROPPED)), m_low)
            size = bits[BLOCK + i]
            v[i] = unsigned_code(size, Bits(size + Bits(x >> KEPT)), v_low)
    else:
        for i in range(m.size):
            x, place = random_bits(place), Bits(place + GOLDEN)
            size = Bits(bits[i] & WITHOUT_SIGN)
            m[i] = signed_code(bits[i], rounded(size, Bits(x & DROPPED), SIGNED), m_low)
            size = Bits(bits[BLOCK + i] & WITHOUT_SIGN)
            v[i] = unsigned_code(size, rounded(size, Bits(x >> KEPT), UNSIGNED), v_low)


@inlined
def encode_largest(largest: Any, bits: Any, low: Any, key: Any, start: int) -> None:
    """Store the largest averages of squares of a block."""
    place = place_of(key, start)
    for i in range(largest.size):
        added = Bits(random_bits(place) & Bits(DROPPED >> Bits(1)))
        place = Bits(place + GOLDEN)
        size = Bits(bits[2 * BLOCK + i] & WITHOUT_SIGN)
        largest[i] = unsigned_code(size, rounded(size, added, UNSIGNED), low)
