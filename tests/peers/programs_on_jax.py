"""Run the programs that train with Keras, on JAX, and print what came of it.

Usage: programs_on_jax.py FOLDER

Keras keeps the backend with which it was loaded, and the other tests load it on
PyTorch: so this is a process of its own. FOLDER has copies of the programs, as a reader
has them.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np


def main(folder: str) -> None:
    """Print one object of JSON."""
    # Not above: pytest imports every module, to look for doctests.
    import torch

    from adam_tutorial.study.experiments import two_libraries

    torch.set_num_threads(1)
    said: dict[str, Any] = {"printed": {}, "twenty steps": {}, "an epoch": {}}
    said |= {"pictures": pictures(), "compiled": compiled()}
    for task in two_libraries.TASKS:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(str(Path(folder, f"{task}_keras.py")), run_name="__main__")
        said["printed"][task] = printed.getvalue()
        for name, few in (("twenty steps", 1000), ("an epoch", None)):
            said[name][task] = two_libraries.alike(
                task, 0, epochs=1, adam=two_libraries.AdamWithHat, examples=few
            )
    print(json.dumps(said))


def pictures() -> float:
    """Change digits by the same amounts in both libraries; return what differs most."""
    import torch

    from adam_tutorial.study.arrays import digits
    from adam_tutorial.study.experiments.two_libraries import in_keras
    from adam_tutorial.study.programs import digits_torch

    (x, _), _ = digits()
    x = (x[:200] / 255).astype(np.float32)
    drawn = np.random.default_rng(0).uniform(-1, 1, (3, 200)).astype(np.float32)
    theirs, ours = in_keras("digits"), digits_torch
    layers = theirs.ShearAndZoom(), ours.ShearAndZoom()
    # Each library draws these numbers, and no others.
    uniform = SimpleNamespace(uniform=lambda *_, **__: drawn)
    vars(theirs).update(keras=SimpleNamespace(random=uniform), AMOUNT=0.2)
    half = torch.tensor((drawn + 1) / 2)
    vars(ours).update(torch=SimpleNamespace(rand=lambda *_: half, zeros=torch.zeros))
    its = np.asarray(layers[0](x, training=True))[..., 0]
    with torch.no_grad():
        torchs = layers[1](torch.tensor(x).movedim(3, 1)).numpy()[:, 0]
    import keras

    vars(theirs).update(keras=keras)
    vars(ours).update(torch=torch)
    assert np.abs(its - x[..., 0]).mean() > 0.01
    return float(np.abs(its - torchs).max())


def compiled() -> dict[str, bool]:
    """Say whether Keras compiles a model with a layer that changes pictures."""
    from adam_tutorial.study.experiments.two_libraries import in_keras

    program = in_keras("digits")
    import keras

    found = {}
    for layer in (
        program.ShearAndZoom(),
        keras.layers.RandomShear(0.2),
        keras.layers.RandomZoom(0.2),
    ):
        model = keras.Sequential([keras.Input((28, 28, 1)), layer])
        model.compile("adam", "mse")
        found[type(layer).__name__] = model.jit_compile
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
