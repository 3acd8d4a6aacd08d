"""The step of Adam in machine code, for tensors in the memory of a CPU.

Numba compiles these functions when they are first called. They are handed addresses,
not tensors: one call moves all parameters of one type, without Python between them.

Numba has no type for half precision on a CPU. Such numbers travel here as integers with
the same bits: bfloat16 as uint16, float16 as int16.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

__all__ = ["adam", "count_adam", "count_and_move_adam", "sum_of_squares"]


def compiled(function: Callable[..., Any], **more: Any) -> Any:
    """Have a function compiled at its first call, and what was compiled kept on disk.

    Numba may divide by zero only with the error model of NumPy; with Python's, it
    would check every division, and could not use vector instructions.
    """
    options = {"nogil": True, "error_model": "numpy", **more}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in can be written to
        return njit(**options)(function)


# Sums may be taken in another order; nothing else that is not exact is allowed.
compiled_freely = functools.partial(compiled, fastmath={"reassoc"})

# How a table of tensors is laid out: a row for each of these, a column for each tensor.
FIRST, SIZE, PARAMETER, GRADIENT, AVERAGE, SQUARES, LARGEST, STEP, CHUNKS = range(9)
# Of moments in 8 bits: scales, and how many blocks with a scale lie before a tensor.
AVERAGE_SCALE, SQUARES_SCALE, LARGEST_SCALE, BLOCKS = range(9, 13)
ROWS = 13

# Which row has the addresses of which entry of the state.
ROW_OF = {
    "exp_avg": AVERAGE,
    "exp_avg_code": AVERAGE,
    "exp_avg_scale": AVERAGE_SCALE,
    "exp_avg_sq": SQUARES,
    "exp_avg_sq_code": SQUARES,
    "exp_avg_sq_scale": SQUARES_SCALE,
    "max_exp_avg_sq": LARGEST,
    "max_exp_avg_sq_code": LARGEST,
    "max_exp_avg_sq_scale": LARGEST_SCALE,
    "step": STEP,
}

# What the user set, one column for each group.
LR, BETA1, BETA2, EPS, PENALTY, DECAY, FACTOR = range(7)
SETTINGS = 7

# What a step of one tensor multiplies and adds: a column for each tensor.
G_FACTOR, G_PENALTY, M_KEPT, M_WEIGHT, V_KEPT, V_WEIGHT = range(6)
SHRINK, STEP_SIZE, ROOT, ADDED = range(6, 10)
NUMBERS = 10

# The sum of squares is a sum of sums over so many elements: then it does not depend on
# how many threads share the work.
CHUNK = 2**16


# Numba hands over the type, and takes away the first argument: no checker follows.
machine: Any = intrinsic


@machine
def pointer(typing_context: Any, address: Any) -> Any:
    """Return the pointer to an address."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.inttoptr(given[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), code


@machine
def bits_of(typing_context: Any, number: Any) -> Any:
    """Return the bits of a float32 as a uint32."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.bitcast(given[0], context.get_value_type(types.uint32))

    return types.uint32(types.float32), code


@machine
def float_of(typing_context: Any, bits: Any) -> Any:
    """Return the float32 that has these bits."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.bitcast(given[0], context.get_value_type(types.float32))

    return types.float32(types.uint32), code


def widened(stored: Any) -> Any:
    """Return the number that is stored in one of the four formats."""
    raise NotImplementedError


@overload(widened)
def _widened(stored: Any) -> Any:
    return {types.uint16: _from_bfloat16, types.int16: _from_float16}.get(
        stored, _as_is
    )


def narrowed(number: Any, stored: Any) -> Any:
    """Return a number in the format of ``stored``, rounded to the nearest."""
    raise NotImplementedError


@overload(narrowed)
def _narrowed(number: Any, stored: Any) -> Any:
    return {types.uint16: _to_bfloat16, types.int16: _to_float16}.get(stored, _kept)


def _as_is(stored: Any) -> Any:
    return stored


def _kept(number: Any, stored: Any) -> Any:
    return number


def _from_bfloat16(stored: Any) -> Any:
    return float_of(np.uint32(stored) << np.uint32(16))


def _from_float16(stored: Any) -> Any:
    half = np.uint32(np.uint16(stored))
    sign = (half & np.uint32(0x8000)) << np.uint32(16)
    # The exponent of a float32 counts from 127, that of a float16 from 15: numbers
    # below the normal range come out right as well, by a multiplication.
    size = float_of((half & np.uint32(0x7FFF)) << np.uint32(13)) * np.float32(2.0**112)
    bits = bits_of(size)
    if half & np.uint32(0x7C00) == np.uint32(0x7C00):  # infinite, or NaN
        bits |= np.uint32(0x7F800000)
    return float_of(bits | sign)


def _to_bfloat16(number: Any, stored: Any) -> Any:
    bits = bits_of(number)
    # Half of the last place that stays, and the last bit: ties go to even.
    last = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + np.uint32(0x7FFF) + last) >> np.uint32(16)
    if number != number:
        rounded = np.uint32(0x7FC0)
    return np.uint16(rounded)


def _to_float16(number: Any, stored: Any) -> Any:
    bits = bits_of(number)
    sign = (bits >> np.uint32(16)) & np.uint32(0x8000)
    size = bits & np.uint32(0x7FFFFFFF)
    last = (size >> np.uint32(13)) & np.uint32(1)
    # 112 less in the exponent, and rounded to 10 bits of 23.
    normal = (size - np.uint32(0x38000000) + np.uint32(0xFFF) + last) >> np.uint32(13)
    # Below the normal range a place is worth 2**-24: so is the last one of a float32
    # between 0.5 and 1, where adding 0.5 has the number rounded.
    small = bits_of(float_of(size) + np.float32(0.5)) - np.uint32(0x3F000000)
    half = normal if size >= np.uint32(0x38800000) else small
    if size >= np.uint32(0x477FF000):  # rounds to more than 65504
        half = np.uint32(0x7C00)
    if size > np.uint32(0x7F800000):
        half = np.uint32(0x7E00)
    return np.int16(np.uint16(half | sign))


@compiled
def one_minus_power(beta: float, t: float) -> float:
    """Return ``1 - beta**t`` to full precision."""
    return -math.expm1(t * math.log(beta)) if beta > 0 else 1.0


@compiled
def count_adam(table: Any, settings: Any, groups: Any, numbers: Any) -> None:
    """Count a step of each tensor, and compute the numbers it is taken with.

    Parameters
    ----------
    table : array of int64, shape (ROWS, tensors)
        Its row STEP has the addresses of the counts, which are float64.
    settings : array of float64, shape (SETTINGS, groups)
        Of each group.
    groups : array of int64, shape (tensors,)
        Each tensor's column of ``settings``.
    numbers : array, shape (NUMBERS, tensors)
        Is filled. In the type of the arithmetic: float64 for parameters of that type,
        float32 for all others.
    """
    before = 0.0
    for i in range(table.shape[1]):
        count = carray(pointer(table[STEP, i]), 1, np.float64)
        count[0] += 1
        t = count[0]
        if i > 0 and t == before and groups[i] == groups[i - 1]:
            # As for the tensor before: the powers take longer than a small tensor.
            numbers[:, i] = numbers[:, i - 1]
            continue
        before = t
        lr, beta1, beta2, eps, penalty, decay, factor = settings[:, groups[i]]
        numbers[G_FACTOR, i] = factor
        numbers[G_PENALTY, i] = penalty
        numbers[M_KEPT, i] = beta1
        numbers[M_WEIGHT, i] = 1 - beta1
        numbers[V_KEPT, i] = beta2
        numbers[V_WEIGHT, i] = 1 - beta2
        numbers[SHRINK, i] = 1 - lr * decay
        numbers[STEP_SIZE, i] = lr / one_minus_power(beta1, t)
        numbers[ROOT, i] = 1 / math.sqrt(one_minus_power(beta2, t))
        numbers[ADDED, i] = eps


@compiled
def adam(
    table: Any, numbers: Any, first: int, last: int, stored: Any, amsgrad: bool
) -> None:
    """Move the elements from ``first`` to ``last``, counted through all tensors.

    Parameters
    ----------
    table : array of int64, shape (ROWS, tensors)
        Addresses, and each tensor's number of elements and of elements before it.
    numbers : array, shape (NUMBERS, tensors)
        From :func:`count_adam`.
    first, last : int
        What this call moves; other threads move the rest.
    stored : array of no element
        Has the type of the parameters and gradients.
    amsgrad : bool
        Whether there is a largest v.
    """
    i = np.searchsorted(table[FIRST], first, side="right") - 1
    while first < last:
        start = first - table[FIRST, i]
        size = min(last - table[FIRST, i], table[SIZE, i]) - start
        # Addresses count bytes.
        halves, wholes = start * stored.itemsize, start * numbers.itemsize
        p = carray(pointer(table[PARAMETER, i] + halves), size, stored.dtype)
        g = carray(pointer(table[GRADIENT, i] + halves), size, stored.dtype)
        m = carray(pointer(table[AVERAGE, i] + wholes), size, numbers.dtype)
        v = carray(pointer(table[SQUARES, i] + wholes), size, numbers.dtype)
        if amsgrad:
            largest = carray(pointer(table[LARGEST, i] + wholes), size, numbers.dtype)
            move_adam_with_largest(p, g, m, v, largest, numbers[:, i])
        else:
            move_adam(p, g, m, v, numbers[:, i])
        first += size
        i += 1


@compiled
def count_and_move_adam(
    table: Any, settings: Any, groups: Any, numbers: Any, stored: Any, amsgrad: bool
) -> None:
    """Count a step of each tensor and move them all: Ctrl-C comes before or after."""
    count_adam(table, settings, groups, numbers)
    size = table[FIRST, -1] + table[SIZE, -1]
    adam(table, numbers, 0, size, stored, amsgrad)


@compiled
def move_adam(p: Any, g: Any, m: Any, v: Any, numbers: Any) -> None:
    """Move one tensor by Algorithm 1."""
    factor, penalty, m_kept, m_weight, v_kept, v_weight = numbers[:6]
    shrink, step_size, root, eps = numbers[6:]
    for i in range(p.size):
        theta = widened(p[i])
        gradient = widened(g[i]) * factor
        if penalty != 0:
            gradient += penalty * theta
        m[i] = m[i] * m_kept + gradient * m_weight
        v[i] = v[i] * v_kept + gradient * gradient * v_weight
        update = m[i] / (math.sqrt(v[i]) * root + eps)
        p[i] = narrowed(theta * shrink - step_size * update, p[i])


@compiled
def move_adam_with_largest(
    p: Any, g: Any, m: Any, v: Any, largest: Any, numbers: Any
) -> None:
    """Move one tensor by AMSGrad."""
    factor, penalty, m_kept, m_weight, v_kept, v_weight = numbers[:6]
    shrink, step_size, root, eps = numbers[6:]
    for i in range(p.size):
        theta = widened(p[i])
        gradient = widened(g[i]) * factor
        if penalty != 0:
            gradient += penalty * theta
        m[i] = m[i] * m_kept + gradient * m_weight
        v[i] = v[i] * v_kept + gradient * gradient * v_weight
        if not (largest[i] >= v[i] or largest[i] != largest[i]):  # NaN stays
            largest[i] = v[i]
        update = m[i] / (math.sqrt(largest[i]) * root + eps)
        p[i] = narrowed(theta * shrink - step_size * update, p[i])


@compiled
def sum_of_squares(table: Any, sums: Any, first: int, last: int, stored: Any) -> None:
    """Fill the sums over the chunks from ``first`` to ``last`` of all gradients.

    Parameters
    ----------
    table : array of int64, shape (ROWS, tensors)
        As for :func:`adam`. Row CHUNKS counts the chunks before each tensor.
    sums : array of float64, shape (chunks,)
        Is filled.
    first, last : int
        Which chunks.
    stored : array of no element
        Has the type of the gradients.
    """
    i = np.searchsorted(table[CHUNKS], first, side="right") - 1
    for chunk in range(first, last):
        while i + 1 < table.shape[1] and table[CHUNKS, i + 1] <= chunk:
            i += 1
        start = (chunk - table[CHUNKS, i]) * CHUNK
        size = min(table[SIZE, i] - start, CHUNK)
        address = table[GRADIENT, i] + start * stored.itemsize
        sums[chunk] = square_norm(carray(pointer(address), size, stored.dtype))


@compiled_freely
def square_norm(g: Any) -> float:
    """Return the sum of the squares, in whatever order is fastest."""
    total = 0.0
    for i in range(g.size):
        gradient = np.float64(widened(g[i]))
        total += gradient * gradient
    return total
