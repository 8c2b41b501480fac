"""Processes that start in an instant: copies of one that has imported everything already.

A process of its own needs about five seconds until it has imported torch, transformers and the project. The first of
these processes waits for as long, too; then each is a fork of a server that has done nothing but import. What is tested
with the command line itself, a launcher or a locale needs a new interpreter instead.
"""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from tests.runs import ROOT, command, variables

_PRELOADED = ["train_accelerate", "spert.cli", "spert.extraction.workers", "tests.forked"]
_TRAIN, _SPERT = "train_accelerate.py", "spert"
_context = multiprocessing.get_context("forkserver")


class Process:
    """A process that runs `train_accelerate.py` or `spert` with some words, and leads a process group.

    Args:
        words: the command's words, after its name.
        program: `train_accelerate.py`, or else `spert`.
        log: the file that both of its streams go to.
    """

    def __init__(self, program: str, words: Sequence[object], log: Path, environment: Mapping[str, str] | None = None):
        _context.set_forkserver_preload(_PRELOADED)
        self.log = log
        arguments = (program, [str(word) for word in words], str(log), variables(**(environment or {})))
        self._process = _context.Process(target=_run, args=arguments)
        with mock.patch.dict(os.environ, variables(OMP_NUM_THREADS="1")):  # of the server, when it starts
            self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """As of a `subprocess.Popen`; `None` while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def wait(self, timeout: float = 200) -> int:
        """Wait until it has ended."""
        self._process.join(timeout)
        assert self.returncode is not None, f"this process did not end: {self.output}"
        return self.returncode

    def kill_group(self) -> None:
        """End it, and what it started in its process group, by SIGKILL."""
        os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text()


def training(output: Path, *flags: object, log: Path | None = None, **environment: str) -> Process:
    """A run of `train_accelerate.py`."""
    words = command([], output, *flags)[1:]
    return Process(_TRAIN, words, log or output.with_suffix(".log"), environment)


def extraction(words: Sequence[object], log: Path) -> Process:
    """A run of `spert` with these words."""
    return Process(_SPERT, words, log, {"OMP_NUM_THREADS": "1"})


def train_several(number: int, output: Path, *flags: object) -> SimpleNamespace:
    """A run on several processes with the variables that a launcher sets.

    Returns:
        `returncode`, which is 0 if that of all is, and `output`, what all of them printed.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(number), "LOCAL_WORLD_SIZE": str(number), "MASTER_ADDR": "localhost"}
    shared |= {"MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    processes = [
        training(output, *flags, log=output.with_suffix(f".{rank}.log"), RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank in range(number)
    ]
    codes = [process.wait() for process in processes]
    return SimpleNamespace(
        returncode=next((code for code in codes if code), 0), output="".join(process.output for process in processes)
    )


def _run(program: str, words: list[str], log: str, environment: dict[str, str]) -> None:
    """What the new process does."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    if program == _SPERT:
        from spert.cli import main

        sys.argv = [program, *words]
        main()
    else:
        import train_accelerate
        from spert.training.errors import run_script

        sys.argv = [str(ROOT / program), *words]
        run_script(train_accelerate.main)
