"""Runs side by side on one machine: each in a process of its own, a number of them at a time."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, Self

import spert

from ..locks import FolderLock
from .arguments import TrainingArguments
from .interruption import EXIT_CODE, Interruption
from .repetitions import LOG, prepare_run

_SECONDS_UNTIL_FREE = 150.0
"""How long a run waits for its folder: the processes of a command that was killed may need two minutes to end."""
_GRACE_SECONDS = 120.0


class _Process(Protocol):
    """What is used of a `subprocess.Popen`."""

    def poll(self) -> int | None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@dataclass
class _Running:
    run: TrainingArguments
    process: _Process
    place: int


class Workers:
    """Trains runs, up to a number of them at a time. Use it as a context manager.

    When the block ends, and when SIGTERM comes, the runs that are still being trained are asked to end, and write a
    checkpoint. After SIGTERM, the command ends with the exit code 143.

    Args:
        number: how many runs train at the same time. They share the machine's GPUs, or else its cores.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._running: list[_Running] = []
        self._interruption = Interruption(then=self._terminate)
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        self._exits.enter_context(self._interruption)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._terminate()
            self._wait_for_all()
        finally:
            self._exits.close()
        if self._interruption.requested:
            sys.exit(EXIT_CODE)

    @property
    def is_interrupted(self) -> bool:
        """Whether SIGTERM came: no further runs should be started."""
        return self._interruption.requested

    @property
    def is_idle(self) -> bool:
        """Whether no run is being trained."""
        return not self._running

    @property
    def has_room(self) -> bool:
        """Whether another run can be started now."""
        return len(self._running) < self.number and not self.is_interrupted

    def start(self, run: TrainingArguments) -> None:
        """Start a run; what it prints goes to `train.log` in its folder.

        Raises:
            BlockingIOError: another process writes to its folder, and goes on doing so.
            OSError: the folder cannot be written to.
        """
        _wait_until_free(run.output_dir)
        taken = {running.place for running in self._running}
        place = next(place for place in range(self.number) if place not in taken)
        recipe, environment = prepare_run(run, place if self.number > 1 else None)
        if self.number > 1:
            environment.setdefault("OMP_NUM_THREADS", str(max(1, _num_cores() // self.number)))
        package = str(Path(spert.__file__).resolve().parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (package, environment.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "spert.train_accelerate", str(recipe)]
        with open(Path(run.output_dir) / LOG, "ab") as log:
            process = _start_process(command, environment, log)
        self._running.append(_Running(run, process, place))

    def stop(self, run: TrainingArguments) -> None:
        """Ask a run to end. `ended` returns it when it has."""
        for running in self._running:
            if running.run is run:
                running.process.terminate()

    def ended(self, seconds: float = 0.2) -> list[tuple[TrainingArguments, int]]:
        """The runs that have ended since the last call, with their exit codes.

        Args:
            seconds: how long to wait first, if none has ended yet.
        """
        if not any(running.process.poll() is not None for running in self._running):
            time.sleep(seconds)
        codes = [(running, running.process.poll()) for running in self._running]
        ended = [(running, code) for running, code in codes if code is not None]
        self._running = [running for running, code in codes if code is None]
        return [(running.run, code) for running, code in ended]

    def _terminate(self) -> None:
        for running in self._running:
            running.process.terminate()

    def _wait_for_all(self) -> None:
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._running:
            if time.monotonic() > deadline:
                for running in self._running:
                    running.process.kill()
            self.ended()


def _start_process(command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> _Process:
    return subprocess.Popen(command, env=dict(environment), stdout=log, stderr=subprocess.STDOUT)


def _wait_until_free(folder: str) -> None:
    """Wait until no process writes to a folder."""
    lock = FolderLock(folder, "--output_dir")
    deadline = time.monotonic() + _SECONDS_UNTIL_FREE
    while True:
        try:
            lock.acquire()
            lock.release()
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
