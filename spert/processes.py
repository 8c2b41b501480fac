"""The process that started this one: when it is gone, this one must end, too.

Launchers put their processes into sessions of their own, where a kill of the command does not reach them. A process
whose launcher was killed would go on writing into a folder that somebody may be about to use again.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_STARTED_BY = "SPERT_STARTED_BY"
_EXIT_CODE = 128 + signal.SIGTERM
_watched: list[psutil.Process | None] = []


def as_starter(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for processes that end when this process does, because they call [`watch_starters`]."""
    this = psutil.Process()
    return {**environment, _STARTED_BY: f"{this.pid} {this.create_time()}"}


def is_launch(command: Sequence[str]) -> bool:
    """Whether a command line is that of `accelerate launch`."""
    names_accelerate = any(Path(word).name == "accelerate" or "accelerate.commands" in word for word in command[:4])
    return names_accelerate and "launch" in command


@contextmanager
def watch_starters(*, seconds: float = 1.0, grace_seconds: float = 120.0) -> Iterator[None]:
    """Send this process SIGTERM when a process that started it is gone, killed perhaps.

    These are the process that made the environment with [`as_starter`], and the parent if it is a launcher
    (`accelerate launch`, `torchrun`). Any other parent, such as a shell, may end before this process does.

    Args:
        seconds: time between two looks.
        grace_seconds: how long this process may take to end by itself; then it is ended.
    """
    starters = _starters()
    if not starters:
        yield
        return
    is_over = threading.Event()

    def watch() -> None:
        while not any(map(_is_gone, starters)):
            if is_over.wait(seconds):
                return
        with suppress(OSError, ValueError):  # who reads standard error may be gone, too
            print("The process that started this one is gone: ending.", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        if not is_over.wait(grace_seconds):  # it waits for another process that is gone, too
            os._exit(_EXIT_CODE)

    _watched.extend(starters)
    threading.Thread(target=watch, name="watch_starters", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def leave_if_starter_is_gone() -> None:
    """End this process at once if a process that [`watch_starters`] has watched is gone.

    The interpreter's own end is left out: there, libraries wait for threads of theirs, now and then forever (torch's
    Gloo does), and nobody is left who would end the process.
    """
    if any(map(_is_gone, _watched)):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(_EXIT_CODE)


def _starters() -> list[psutil.Process | None]:
    """The processes that must live as long as this one; `None` stands for one that is gone already."""
    starters = []
    if _STARTED_BY in os.environ:
        number, started = os.environ[_STARTED_BY].split()
        starter = _process(int(number))
        is_another = starter is not None and abs(starter.create_time() - float(started)) > 1.0
        starters.append(None if is_another else starter)
    parent = _process(os.getppid())
    if "TORCHELASTIC_RUN_ID" in os.environ:
        starters.append(None if _is_orphan(parent) else parent)
    elif parent is not None and is_launch(command_of(parent)):
        starters.append(parent)
    return starters


def _is_orphan(parent: psutil.Process | None) -> bool:
    """Whether torch's launcher, which is a Python process, was killed before this process looked for it.

    The system then gives this process another parent: its first process, or that of the session.
    """
    command = command_of(parent)
    return parent is None or (bool(command) and "python" not in Path(command[0]).name.lower())


def command_of(process: psutil.Process | None) -> list[str]:
    """The command line of a process; empty where there is none, or it may not be read."""
    try:
        return process.cmdline() if process is not None else []
    except psutil.Error:
        return []


def _process(number: int) -> psutil.Process | None:
    try:
        return psutil.Process(number)
    except psutil.Error:
        return None


def _is_gone(process: psutil.Process | None) -> bool:
    """Whether a process has ended. Its number may belong to another one by now."""
    try:
        return process is None or not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:  # it lives, but this process may not look at it
        return False
