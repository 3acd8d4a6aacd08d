"""train_distributed, in which one process kills itself after a step, once.

KILLED_AFTER says after which step, KILLED_RANK which process.
"""

from __future__ import annotations

import os
import signal

from adam_tutorial.study.train_distributed import main


def on_step(step: int, _: float) -> None:
    mine = os.environ["RANK"] == os.environ["KILLED_RANK"]
    first_life = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    if mine and first_life and step == int(os.environ["KILLED_AFTER"]):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(on_step=on_step)
