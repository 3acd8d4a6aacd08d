"""The command ``python -m adam_tutorial.bench``."""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adam_tutorial.bench import (
    CANDIDATES,
    TOPICS,
    WORKLOADS,
    draw_growth,
    draw_ratios,
    run,
)

ABOUT = """\
Measure how long a step of Adam takes, as this package, PyTorch and other libraries
compute it. All take turns in one process, round after round, and are compared within
each round, so that a busy machine slows all of them alike. The table says how many
times as fast as PyTorch's fused Adam each one is: 2.00 means half its time.

topics:
  step      the step on its own (what is measured if you name no topic)
  clip      clipping the norm of the gradients, then the step
  growth    the time against the number of elements and of tensors
  numpy     Adam in NumPy: as in a textbook, in place, block by block
"""
EPILOG = """\
workloads:
  32M           one tensor of 2**25 elements (10M: of 10**7)
  resnet50      the 161 tensors of ResNet-50, 25.6 M elements
  gpt2-half     the 76 tensors of DistilGPT-2, 82 M elements
  mlp           the 6 tensors of a small perceptron, 55 k elements
  1000x64       1000 tensors of 64 elements; any two numbers will do
  32M-bf16      the same as 32M in bfloat16; works behind any name

candidates (those with a star only if you name them):
{candidates}

What is not installed is left out, and the table says so.

examples:
  python -m adam_tutorial.bench --quick
  python -m adam_tutorial.bench --workloads mlp 1000x64 --threads 1
  python -m adam_tutorial.bench growth --json growth.json --picture growth.png
"""
PICTURES = (".png", ".svg", ".pdf")
QUICK = ("mlp", "1000x64", "200x4096")


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    width = max(map(len, CANDIDATES)) + 2
    listed = "\n".join(
        f"  {name:{width}}{candidate.about}{'' if candidate.default else ' *'}"
        for name, candidate in CANDIDATES.items()
    )
    made = argparse.ArgumentParser(
        prog="python -m adam_tutorial.bench",
        description=ABOUT,
        epilog=EPILOG.format(candidates=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "topic", nargs="?", choices=TOPICS, default="step", help="what to measure"
    )
    made.add_argument("--workloads", nargs="+", metavar="NAME", help="what to step")
    made.add_argument("--candidates", nargs="+", metavar="NAME", help="what to measure")
    made.add_argument(
        "--reference", metavar="NAME", help="the candidate to compare with"
    )
    made.add_argument(
        "--threads", nargs="+", type=int, metavar="N", help="default: 1 and all CPUs"
    )
    made.add_argument(
        "--rounds", type=int, metavar="N", help="turns of each candidate; default: 15"
    )
    made.add_argument("--device", choices=("cpu", "cuda"), help="default: cpu")
    made.add_argument(
        "--memory",
        type=float,
        metavar="GIB",
        help="what the tensors may fill; default: three quarters of what is free",
    )
    made.add_argument(
        "--quick", action="store_true", help="small workloads, one thread, three rounds"
    )
    made.add_argument(
        "--json", type=Path, metavar="FILE", help="save all times, with the machine"
    )
    made.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw them: FILE.png, .svg or .pdf"
    )
    return made


def settings(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of :func:`run` that a command line asks for."""
    chosen: dict[str, Any] = {"workloads": WORKLOADS, **TOPICS[asked.topic]}
    if asked.quick:
        small = [n for n in chosen["workloads"] if n in QUICK] or chosen["workloads"][
            :4
        ]
        chosen |= {"workloads": small, "threads": [1], "rounds": 3}
    for name in (
        *("workloads", "candidates", "reference", "threads", "rounds", "device"),
        "memory",
    ):
        if getattr(asked, name) is not None:
            chosen[name] = getattr(asked, name)
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write the files that are asked for."""
    reader = parser()
    asked = reader.parse_args(arguments)
    # Better now than after the measurement.
    for option in ("json", "picture"):
        file = getattr(asked, option)
        if file and (file.is_dir() or not file.parent.is_dir()):
            reader.error(
                f"--{option} must be a file in a folder that exists, got {file}"
            )
    if asked.picture and asked.picture.suffix not in PICTURES:
        reader.error(
            f"--picture must end in {', '.join(PICTURES)}, got {asked.picture.name}"
        )
    if asked.picture and importlib.util.find_spec("matplotlib") is None:
        reader.error("--picture needs matplotlib: pip install matplotlib")
    try:
        result = run(
            **settings(asked), report=lambda line: print(line, file=sys.stderr)
        )
    except (TypeError, ValueError, RuntimeError) as error:
        reader.error(str(error))
    given = sys.argv[1:] if arguments is None else arguments
    result = replace(
        result, command=shlex.join(["python", "-m", "adam_tutorial.bench", *given])
    )
    if asked.json:  # first: the reader of what is printed may have gone
        result.save(asked.json)
    print(result)
    if asked.picture:
        draw = draw_growth if asked.topic == "growth" else draw_ratios
        try:
            draw(result).savefig(asked.picture)
        except ValueError as error:  # growth of workloads that do not grow
            reader.error(f"--picture: {error}")


if __name__ == "__main__":
    main()
