"""Follow the Adam kernel of TensorFlow, without Keras.

Usage: tensorflow_kernel.py PROBLEM.npz PATH.npy

TensorFlow gets a process of its own: next to PyTorch it can crash when Keras, which it
loads, is set to use PyTorch.
"""

from __future__ import annotations

import sys

import numpy as np


def main(problem: str, result: str) -> None:
    """Read gradients, start, rates and the epsilon of each step; write every point."""
    # Not above: pytest imports every module, to look for doctests.
    import tensorflow as tf

    given = np.load(problem)
    lr, beta1, beta2 = (given[name] for name in ("lr", "beta1", "beta2"))
    start = given["start"]
    theta, m, v = (
        tf.Variable(x, dtype=tf.float64) for x in (start, 0 * start, 0 * start)
    )
    points = [start]
    for t, (g, epsilon) in enumerate(
        zip(given["gradients"], given["epsilon"], strict=True), 1
    ):
        tf.raw_ops.ResourceApplyAdam(
            var=theta.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=beta1**t,
            beta2_power=beta2**t,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            grad=g,
        )
        points.append(theta.numpy())
    np.save(result, np.array(points))


if __name__ == "__main__":
    main(*sys.argv[1:])
