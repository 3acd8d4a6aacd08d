"""The step of Adam for a GPU, compiled by Triton when it is first taken.

The formulas and the order of their operations are those of
:mod:`~adam_tutorial.optim.backends.kernels`. The kernels find their tensors by address:
one launch moves all parameters of one type, however many there are.

They were run on an NVIDIA H200, and on no other GPU. Where there is none, the tests
interpret them and compile them for one.
"""

from __future__ import annotations

import triton
from triton import language as tl

__all__ = ["adam", "numbers_of_adam", "sum_of_squares"]

# How a table of tensors is laid out: a row for each of these, a column for each tensor.
# FIRST is the number of blocks before the tensor; the last six are addresses.
FIRST, SIZE = tl.constexpr(0), tl.constexpr(1)
PARAMETER, GRADIENT = tl.constexpr(2), tl.constexpr(3)
AVERAGE, SQUARES = tl.constexpr(4), tl.constexpr(5)
LARGEST, STEP = tl.constexpr(6), tl.constexpr(7)
ROWS = 8

# What the user set, one column for each group, and the logarithms of the betas.
LR, BETA1, BETA2 = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
EPS, PENALTY, DECAY = tl.constexpr(3), tl.constexpr(4), tl.constexpr(5)
FACTOR = tl.constexpr(6)
LOG_BETA1, LOG_BETA2 = tl.constexpr(7), tl.constexpr(8)

# What a step of one tensor multiplies and adds: a column for each tensor.
G_FACTOR, G_PENALTY = tl.constexpr(0), tl.constexpr(1)
M_KEPT, M_WEIGHT = tl.constexpr(2), tl.constexpr(3)
V_KEPT, V_WEIGHT = tl.constexpr(4), tl.constexpr(5)
SHRINK, STEP_SIZE = tl.constexpr(6), tl.constexpr(7)
ROOT, ADDED = tl.constexpr(8), tl.constexpr(9)
NUMBERS = 10

# How many elements one program moves, by so many warps of threads, and for how many
# tensors one computes the numbers.
BLOCK, WARPS = 2048, 8
TENSORS = 128

# In bytes: a thread can read four float32 at once where they begin at such an address.
ALIGNMENT = tl.constexpr(16)


@triton.jit
def one_minus_exp(x):
    """Return ``1 - exp(x)`` to full precision, for float64 ``x < 0``.

    Triton has no expm1. The error of ``exp(x)`` is undone by taking its logarithm,
    where a difference would be made of the error (Kahan).
    """
    u = tl.exp(x)
    is_small = (u < 0.5) | (u == 1)
    inner = tl.where(is_small, 0.75, u)
    return tl.where(
        is_small, tl.where(u == 1, -x, 1 - u), (inner - 1) * -x / tl.log(inner)
    )


@triton.jit(do_not_specialize=["tensors", "number_of_groups"])
def numbers_of_adam(
    table,
    settings,
    groups,
    numbers,
    tensors,
    number_of_groups,
    clipping,
    scale,
    width: tl.constexpr,
):
    """Compute the numbers that each tensor is stepped with.

    This is a launch of its own since it needs float64, of which many GPUs compute
    little: each block of a tensor would compute the same.

    Parameters
    ----------
    table : pointer to int64, shape (ROWS, tensors)
        Its row STEP has the addresses of the counts, which are float64; this step is
        not counted yet.
    settings : pointer to float64, shape (9, number_of_groups)
        Of each group.
    groups : pointer to int32, shape (tensors,)
        Each tensor's column of ``settings``.
    numbers : pointer, shape (NUMBERS, tensors)
        Is filled. In the type of the arithmetic.
    tensors, number_of_groups : int
        How many there are.
    clipping, scale : pointer or None
        What the gradients are multiplied by, and what they have been multiplied by.
    width : int
        How many tensors one program is for.
    """
    i = tl.program_id(0) * width + tl.arange(0, width)
    here = i < tensors
    counts = tl.load(table + STEP * tensors + i, mask=here, other=0)
    t = 1 + tl.load(counts.to(tl.pointer_type(tl.float64)), mask=here, other=0)
    of_group = settings + tl.load(groups + i, mask=here, other=0)
    lr = tl.load(of_group + LR * number_of_groups)
    beta1 = tl.load(of_group + BETA1 * number_of_groups)
    beta2 = tl.load(of_group + BETA2 * number_of_groups)
    factor = tl.load(of_group + FACTOR * number_of_groups)
    if clipping is not None:
        factor *= tl.load(clipping).to(tl.float64)
    if scale is not None:
        factor /= tl.load(scale).to(tl.float64)
    correction1 = one_minus_exp(t * tl.load(of_group + LOG_BETA1 * number_of_groups))
    correction2 = one_minus_exp(t * tl.load(of_group + LOG_BETA2 * number_of_groups))
    penalty = tl.load(of_group + PENALTY * number_of_groups)
    decay = tl.load(of_group + DECAY * number_of_groups)
    eps = tl.load(of_group + EPS * number_of_groups)
    tl.store(numbers + G_FACTOR * tensors + i, factor, mask=here)
    tl.store(numbers + G_PENALTY * tensors + i, penalty, mask=here)
    tl.store(numbers + M_KEPT * tensors + i, beta1, mask=here)
    tl.store(numbers + M_WEIGHT * tensors + i, 1 - beta1, mask=here)
    tl.store(numbers + V_KEPT * tensors + i, beta2, mask=here)
    tl.store(numbers + V_WEIGHT * tensors + i, 1 - beta2, mask=here)
    tl.store(numbers + SHRINK * tensors + i, 1 - lr * decay, mask=here)
    tl.store(numbers + STEP_SIZE * tensors + i, lr / correction1, mask=here)
    tl.store(numbers + ROOT * tensors + i, 1 / tl.sqrt(correction2), mask=here)
    tl.store(numbers + ADDED * tensors + i, eps, mask=here)


@triton.jit(do_not_specialize=["tensors"])
def adam(
    table,
    owners,
    numbers,
    tensors,
    scale,
    found_inf,
    stored: tl.constexpr,
    computed: tl.constexpr,
    amsgrad: tl.constexpr,
    aligned: tl.constexpr,
    width: tl.constexpr,
):
    """Move one block of one tensor, and count the step with the tensor's first block.

    Parameters
    ----------
    table : pointer to int64, shape (ROWS, tensors)
        Addresses, and each tensor's number of elements and of blocks before it.
    owners : pointer to int32, shape (blocks,)
        Each block's tensor.
    numbers : pointer, shape (NUMBERS, tensors)
        From :func:`numbers_of_adam`.
    tensors : int
        How many there are.
    scale : pointer or None
        What the gradients have been multiplied by; they are divided in place.
    found_inf : pointer or None
        If there is another number than zero, nothing is changed.
    stored, computed : dtype
        The types of the parameters, and of the arithmetic and the moments.
    amsgrad : bool
        Whether there is a largest v.
    aligned : bool
        Whether all tensors begin at multiples of ALIGNMENT.
    width : int
        How many elements a block has.
    """
    block = tl.program_id(0)
    i = tl.load(owners + block)
    column = table + i
    start = (block - tl.load(column + FIRST * tensors)) * width
    left = tl.load(column + SIZE * tensors) - start
    is_first = start == 0
    if found_inf is not None:
        is_finite = tl.load(found_inf) == 0
        left = tl.where(is_finite, left, 0)
        is_first = is_first & is_finite
    if is_first:
        count = tl.load(column + STEP * tensors).to(tl.pointer_type(tl.float64))
        tl.store(count, tl.load(count) + 1)

    p = tl.load(column + PARAMETER * tensors).to(tl.pointer_type(stored))
    g = tl.load(column + GRADIENT * tensors).to(tl.pointer_type(stored))
    m = tl.load(column + AVERAGE * tensors).to(tl.pointer_type(computed))
    v = tl.load(column + SQUARES * tensors).to(tl.pointer_type(computed))
    largest = v
    if amsgrad:
        largest = tl.load(column + LARGEST * tensors).to(tl.pointer_type(computed))
    if aligned:
        p, g = tl.multiple_of(p, ALIGNMENT), tl.multiple_of(g, ALIGNMENT)
        m, v = tl.multiple_of(m, ALIGNMENT), tl.multiple_of(v, ALIGNMENT)
        largest = tl.multiple_of(largest, ALIGNMENT)
    inside = tl.arange(0, width)
    place = start + inside
    p, g, m, v, largest = p + place, g + place, m + place, v + place, largest + place
    numbers += i
    # Only without a mask can a thread read four elements at once.
    if left >= width:
        move(p, g, m, v, largest, numbers, tensors, scale, None, amsgrad)
    else:
        move(p, g, m, v, largest, numbers, tensors, scale, inside < left, amsgrad)


@triton.jit
def move(
    p,
    g,
    m,
    v,
    largest,
    numbers,
    tensors,
    scale,
    mask,
    amsgrad: tl.constexpr,
):
    """Move a block of elements by Algorithm 1 or by AMSGrad."""
    computed = m.dtype.element_ty
    # All is read before anything is written: a read does not overtake a write.
    theta = tl.load(p, mask=mask).to(computed)
    gradient = tl.load(g, mask=mask).to(computed)
    average = tl.load(m, mask=mask)
    squares = tl.load(v, mask=mask)
    if amsgrad:
        before = tl.load(largest, mask=mask)
    factor = tl.load(numbers + G_FACTOR * tensors)
    penalty = tl.load(numbers + G_PENALTY * tensors)
    m_kept = tl.load(numbers + M_KEPT * tensors)
    m_weight = tl.load(numbers + M_WEIGHT * tensors)
    v_kept = tl.load(numbers + V_KEPT * tensors)
    v_weight = tl.load(numbers + V_WEIGHT * tensors)
    shrink = tl.load(numbers + SHRINK * tensors)
    step_size = tl.load(numbers + STEP_SIZE * tensors)
    root_factor = tl.load(numbers + ROOT * tensors)
    eps = tl.load(numbers + ADDED * tensors)
    if scale is not None:
        unscaled = quotient(gradient, tl.load(scale).to(computed))
        tl.store(g, unscaled.to(g.dtype.element_ty), mask=mask)
    gradient *= factor
    gradient = tl.where(penalty != 0, gradient + penalty * theta, gradient)
    average = average * m_kept + gradient * m_weight
    squares = squares * v_kept + gradient * gradient * v_weight
    tl.store(m, average, mask=mask)
    tl.store(v, squares, mask=mask)
    if amsgrad:
        stays = (before >= squares) | (before != before)  # NaN stays
        squares = tl.where(stays, before, squares)
        tl.store(largest, squares, mask=mask)
    update = quotient(average, root(squares) * root_factor + eps)
    theta = theta * shrink - step_size * update
    tl.store(p, theta.to(p.dtype.element_ty), mask=mask)


@triton.jit
def root(x):
    """Return the square root, rounded to the nearest; Triton's own is so in float64."""
    return tl.sqrt(x) if x.dtype == tl.float64 else tl.sqrt_rn(x)


@triton.jit
def quotient(x, y):
    """Return ``x / y``, rounded to the nearest; Triton's own is so in float64."""
    return x / y if x.dtype == tl.float64 else tl.div_rn(x, y)


@triton.jit(do_not_specialize=["tensors"])
def sum_of_squares(
    table,
    owners,
    sums,
    tensors,
    stored: tl.constexpr,
    width: tl.constexpr,
):
    """Fill the sum over one block of one gradient.

    Parameters
    ----------
    table, owners, tensors, stored, width
        As for :func:`adam`.
    sums : pointer to float64, shape (blocks,)
        Is filled.
    """
    block = tl.program_id(0)
    column = table + tl.load(owners + block)
    start = (block - tl.load(column + FIRST * tensors)) * width
    left = tl.load(column + SIZE * tensors) - start
    inside = tl.arange(0, width)
    g = tl.load(column + GRADIENT * tensors).to(tl.pointer_type(stored))
    gradient = tl.load(g + start + inside, mask=inside < left, other=0)
    # Squares of float32 overflow where the norm would not.
    gradient = gradient.to(tl.float64)
    tl.store(sums + block, tl.sum(gradient * gradient))
