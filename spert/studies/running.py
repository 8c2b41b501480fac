"""Trains the runs of a study, each in a process of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..locks import FolderLock
from ..training.arguments import TrainingArguments
from ..training.checkpoints import remove_checkpoints
from ..training.repetitions import LOG, check_once
from ..training.run_record import is_finished
from ..training.workers import Workers
from .grid import Study, sources_of


@contextmanager
def locked_study(study: Study) -> Iterator[None]:
    """Hold the lock on a study's folder.

    Raises:
        BlockingIOError: another command writes to it; the message names its process.
        OSError: the folder cannot be made or written to.
    """
    lock = FolderLock(study.output_dir, "--output_dir")
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def train_study(study: Study, num_processes: int = 1) -> list[str]:
    """Train the runs that are not finished yet; finished ones are kept, and interrupted ones continue.

    A run that ends well loses its checkpoints, since nothing resumes from them.

    Args:
        num_processes: how many runs train at the same time.

    Returns:
        The runs that failed, with their exit codes and logs.

    Raises:
        ValueError, OSError: a corpus, an encoder, a tracker or a folder is refused, before the first run starts.
        SystemExit: SIGTERM came, with the code 143. The runs have written checkpoints.
    """
    runs = study.runs
    alike: dict[tuple[Any, ...], list[TrainingArguments]] = {}
    for run in runs:
        alike.setdefault(sources_of(run), []).append(run)
    for of_one_source in alike.values():
        check_once(of_one_source)
    waiting = []
    for run in runs:
        if is_finished(run):
            remove_checkpoints(run.output_dir)  # of a command that was killed before it did
            print(f"{_name(study, run)}: already finished", flush=True)
        else:
            waiting.append(run)
    failed = []
    number = len(waiting)
    with Workers(num_processes) as workers:
        while waiting or not workers.is_idle:
            while waiting and workers.has_room:
                run = waiting.pop(0)
                workers.start(run)
                log = Path(run.output_dir) / LOG
                print(f"{_name(study, run)}: started ({number - len(waiting)} of {number}), log in {log}", flush=True)
            for run, code in workers.ended():
                if code:
                    failed.append(f"{_name(study, run)} (exit code {code}, {Path(run.output_dir) / LOG})")
                else:
                    remove_checkpoints(run.output_dir)
                print(f"{_name(study, run)}: {'finished' if code == 0 else f'exit code {code}'}", flush=True)
            if workers.is_interrupted:
                break
    return failed


def _name(study: Study, run: TrainingArguments) -> str:
    return Path(run.output_dir).relative_to(study.output_dir).as_posix()
