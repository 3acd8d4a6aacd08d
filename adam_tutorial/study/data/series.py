"""MNIST-1D: sequences of 40 numbers in ten classes, generated and not fetched."""

from __future__ import annotations

import hashlib
import random

import numpy as np
from numpy.typing import NDArray

from adam_tutorial.study import needs
from adam_tutorial.study.data.fetch import DatasetCorrupt

__all__ = ["load_mnist1d"]

# Another processor may change the last bits of a value, hardly its first four decimals.
DECIMALS = 4
SHA256 = "fb9a958d9dea39ce33baa5c3639688747d41ffe953f550b774dacb95be479025"


def load_mnist1d() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Generate MNIST-1D as its authors' package does: 5,000 series, 500 of each class.

    A class is a short curve, drawn by hand after a digit. It is padded, stretched,
    shifted, tilted and covered with noise. This takes some seconds.

    Returns
    -------
    series : ndarray of float64, shape (5000, 40)
        Rounded to four decimals. The last 1,000 are the authors' test part.
    labels : ndarray of int64, shape (5000,)
        Class numbers from 0 to 9, in random order.

    Raises
    ------
    MissingLibrary
        The package ``mnist1d`` is not installed.
    DatasetCorrupt
        What it generated is not what it used to be.

    References
    ----------
    Greydanus, Kobak (2024), "Scaling Down Deep Learning with MNIST-1D".
    """
    needs("load_mnist1d", "mnist1d")
    # Imports requests and pyplot, which take a second.
    from mnist1d.data import get_dataset_args, make_dataset

    # It seeds the generators that everybody shares.
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        made = make_dataset(get_dataset_args())
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
    series = np.concatenate([made["x"], made["x_test"]]).round(DECIMALS)
    labels = np.concatenate([made["y"], made["y_test"]]).astype(np.int64)
    # As whole numbers of one byte order: 0.1234 has no bits of its own.
    whole = np.rint(series * 10**DECIMALS).astype("<i4").tobytes()
    found = hashlib.sha256(whole + labels.astype("u1").tobytes()).hexdigest()
    if found != SHA256:
        raise DatasetCorrupt(
            f"MNIST-1D: expected series with the SHA-256 {SHA256}, generated some with"
            f" {found}; is mnist1d or NumPy of another version?"
        )
    return series, labels
