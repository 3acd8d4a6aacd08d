"""Do the runs of a study in several processes, so that a kill loses none that is done.

The runs and their rows are kept by Optuna: in a journal beside the file to write, or
in a database that ``--storage`` names, from which any number of machines take runs. The
same command goes on where an earlier one ended, however it ended. Runs that were done
by other code are not found again: their name holds a digest of the sources.

Needs the extra ``experiments``.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import importlib
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
)
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sqlalchemy.exc import DBAPIError
from tqdm import tqdm

from adam_tutorial.study.experiments.records import (
    Row,
    parser_of,
    provenance,
    write,
)
from adam_tutorial.study.experiments.study import Settings, Study, carried_out

__all__ = ["code_digest", "main"]

# How often the processes look for what is new, and, with a database, how often a
# machine shows that it is alive and after how long it counts as dead.
POLL = 0.2
HEARTBEAT, GRACE = 60, 180
PACKAGE = "adam_tutorial"
TAKEN = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.WAITING)


def code_digest(module: str) -> str:
    """Return twelve digits that change with the code that a module's runs depend on.

    That is its source, the sources of this package that it imports, directly or not,
    and the versions of Python, PyTorch and NumPy.

    Parameters
    ----------
    module : str
        Full name of the module.
    """
    sources: dict[str, bytes] = {}
    left = [module]
    while left:
        name = left.pop()
        if name in sources or not (file := _source_of(name)):
            continue
        sources[name] = file.read_bytes()
        left += [name.rpartition(".")[0], *_imported(ast.parse(sources[name]))]
    digest = hashlib.sha256()
    for version in (sys.version, torch.__version__, np.__version__):
        digest.update(version.encode())
    for name in sorted(sources):
        digest.update(name.encode() + hashlib.sha256(sources[name]).digest())
    return digest.hexdigest()[:12]


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            # What is imported from a package may be a module of it.
            module = str(node.module)
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (n for n in names if n.partition(".")[0] == PACKAGE)


def _source_of(name: str) -> Path | None:
    try:
        found = importlib.util.find_spec(name) if name else None
    except ModuleNotFoundError:  # a function of a module, not a module of a package
        return None
    return Path(found.origin) if found and found.origin else None


def main(module: str) -> None:
    """Do a study from the command line, and write its record.

    Parameters
    ----------
    module : str
        Full name of the module that holds it as ``STUDY``.

    Raises
    ------
    SystemExit
        The file cannot be written, another process is at the same study, a run failed,
        or the user interrupted it.
    """
    parser = parser_of(module)
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes on this machine"
    )
    parser.add_argument("--storage", help="URL of a database that several machines use")
    chosen = parser.parse_args()
    if chosen.workers < 1:
        parser.error(f"--workers: must be at least 1, got {chosen.workers}")
    study: Study = importlib.import_module(module).STUDY
    journal = chosen.out.with_name(f"{chosen.out.stem}.journal")
    try:
        if chosen.storage:
            _do(study, chosen.out, chosen.storage, chosen.workers)
        else:
            with _alone(journal):
                _do(study, chosen.out, str(journal), chosen.workers)
                journal.unlink()
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on from here.", file=sys.stderr)
        raise SystemExit(130) from None


def _do(study: Study, out: Path, storage: str, workers: int) -> None:
    # A run is compared bit by bit: on one thread, and the processes inherit it.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    started = time.monotonic()
    kept = _Kept(study, storage)
    spawning = multiprocessing.get_context("spawn")
    finished = spawning.Event()
    processes = [kept.worker(spawning, finished) for _ in range(workers)]
    try:
        results = carried_out(
            study, lambda stage, plan: kept.rows(stage, plan, processes)
        )
        finished.set()
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
            process.join()
    record = {
        **provenance(study.module, out, seconds=kept.seconds),
        "code": kept.code,
        "dtype": study.dtype,
        "threads": 1,
        **study.described,
        "results": results,
    }
    write(out, record, study.encode)
    wall = (time.monotonic() - started) / 60
    print(
        f"wrote {out} after {wall:.1f} minutes; all runs together took"
        f" {record['minutes']} minutes of one core",
        file=sys.stderr,
    )


class _Kept:
    """The runs of a study as Optuna keeps them; each stage is a study of Optuna's."""

    def __init__(self, study: Study, storage: str) -> None:
        self.study, self.storage = study, storage
        self.code = code_digest(study.module)
        self.opened = _opened(storage)
        self.seconds = 0.0

    def name_of(self, stage: str) -> str:
        return f"{self.study.name} {self.code} {stage}"

    def worker(self, spawning: Any, finished: Event) -> Any:
        names = {stage: self.name_of(stage) for stage in self.study.stages}
        process = spawning.Process(
            target=_work, args=(self.study.module, names, self.storage, finished)
        )
        process.start()
        return process

    def rows(self, stage: str, plan: list[Settings], processes: list[Any]) -> list[Row]:
        """Let the processes do the runs of a stage, and return their rows."""
        kept = self.planned(stage, plan)
        with tqdm(
            total=len(plan), desc=f"{self.study.name}: {stage}", unit="run"
        ) as bar:
            while True:
                optuna.storages.fail_stale_trials(kept)
                done = {
                    trial.user_attrs["number"]: trial.user_attrs
                    for trial in _trials(kept, (TrialState.COMPLETE,))
                }
                bar.update(len(done) - bar.n)
                if len(done) == len(plan):
                    break
                if any(process.exitcode is not None for process in processes):
                    raise SystemExit(
                        "A run failed, or its process was killed. What is done is kept:"
                        " the same command goes on from here."
                    )
                time.sleep(POLL)
        self.seconds += sum(attributes["seconds"] for attributes in done.values())
        return [done[number]["row"] for number in range(len(plan))]

    def planned(self, stage: str, plan: list[Settings]) -> optuna.Study:
        """Return the study of a stage, in which every run is done or waits."""
        name = self.name_of(stage)
        alone = isinstance(self.opened, JournalStorage)
        try:
            kept = optuna.create_study(study_name=name, storage=self.opened)
        except optuna.exceptions.DuplicatedStudyError:
            kept = optuna.load_study(study_name=name, storage=self.opened)
            # On another machine, somebody is making the list; if not, it died.
            end = time.monotonic() + (0 if alone else GRACE)
            while "planned" not in kept.user_attrs and time.monotonic() < end:
                time.sleep(POLL)
        # Nobody else is at a journal, so what is said to be running was killed.
        for trial in _trials(kept, (TrialState.RUNNING,)) if alone else ():
            kept.tell(trial.number, state=TrialState.FAIL)
        taken = {trial.user_attrs["number"] for trial in _trials(kept, TAKEN)}
        for number, settings in enumerate(plan):
            if number not in taken:
                kept.enqueue_trial(
                    {}, user_attrs={"number": number, "settings": settings}
                )
        kept.set_user_attr("planned", True)
        return kept


def _trials(
    kept: optuna.Study, states: tuple[TrialState, ...]
) -> list[optuna.trial.FrozenTrial]:
    trials = kept.get_trials(deepcopy=False, states=states)
    # Optuna makes a trial of its own where another process was faster at the last one.
    return [trial for trial in trials if "number" in trial.user_attrs]


def _opened(storage: str) -> BaseStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if "://" not in storage:
        return JournalStorage(JournalFileBackend(storage))
    try:
        return _database(storage)
    except DBAPIError:  # another machine made the same tables in the same moment
        time.sleep(1)
        return _database(storage)


def _database(url: str) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RDBStorage(
            url,
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )


@contextlib.contextmanager
def _alone(journal: Path) -> Iterator[None]:
    """Be the only one who works on a journal, and put it right after a kill."""
    # The lock has a file of its own, because the journal is deleted while it is held.
    lock = journal.with_name(f".{journal.name}.lock")
    with lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Another process is working on {journal}.") from None
        # Left by a process that was killed while it wrote: Optuna would wait for half a
        # minute, and could not read what follows half a line.
        Path(f"{journal}.lock").unlink(missing_ok=True)
        if journal.exists():
            content = journal.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(journal, whole)
        yield
        lock.unlink()


def _work(module: str, names: dict[str, str], storage: str, finished: Event) -> None:
    """Do runs that wait, of whatever stage, until all are done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's affair
    threading.Thread(target=_end_with_parent, daemon=True).start()
    study: Study = importlib.import_module(module).STUDY
    torch.set_num_threads(1)
    torch.set_default_dtype(getattr(torch, study.dtype))
    opened = _opened(storage)
    sampler = optuna.samplers.RandomSampler()  # never asked: the runs are fixed

    def do(stage: str, trial: optuna.Trial) -> float:
        if "number" not in trial.user_attrs:
            raise optuna.TrialPruned
        started = sum(os.times()[:4])  # of processes that it starts, too
        trial.set_user_attr("row", study.run(stage, trial.user_attrs["settings"]))
        trial.set_user_attr("seconds", sum(os.times()[:4]) - started)
        return 0.0

    while not finished.is_set():
        known = optuna.get_all_study_names(opened)
        for stage, name in names.items():
            if name not in known:
                continue
            kept = optuna.load_study(study_name=name, storage=opened, sampler=sampler)
            if _trials(kept, (TrialState.WAITING,)):
                _do_one(kept, partial(do, stage))
                break
        else:
            finished.wait(POLL)


def _do_one(kept: optuna.Study, do: Callable[[optuna.Trial], float]) -> None:
    taken = []

    def noted(trial: optuna.Trial) -> float:
        taken.append(trial.number)
        return do(trial)

    try:
        kept.optimize(noted, n_trials=1)
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        # Two processes can take the same run in the same moment, where the database
        # cannot lock a row; the slower one may no longer tell its end, and need not.
        if not taken or kept.trials[taken[0]].state is not TrialState.COMPLETE:
            raise


def _end_with_parent() -> None:
    # A parent that was killed cannot stop its children, and they would go on for hours.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
