"""One run at a time: a lock on a folder of shards that the system gives back when its holder is killed."""

import datetime
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..files import read_json, write_json
from .shards import HOLDER, LOCK

_WAIT_FOR_WORKERS = 60.0
"""Seconds in which the processes of a run whose command was killed have ended."""


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder of shards, which is made where there is none.

    Raises:
        RuntimeError: another run holds it, and which.
    """
    lock = _acquired(folder)
    try:
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
        write_json(folder / HOLDER, about)
        _wait_for_workers(folder)
        yield
    finally:
        lock.release()


@contextmanager
def worker_lock(folder: Path, index: int) -> Iterator[None]:
    """Held by a process of a run of several, so that whoever resumes the run can wait for its end."""
    with FileLock(folder / f"worker-{index}.lock", timeout=_WAIT_FOR_WORKERS):
        yield


def _acquired(folder: Path) -> FileLock:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise RuntimeError(f"{folder}: another run is at work here{_holder(folder)}. Wait for its end.") from None
        except FileNotFoundError:  # that run has just ended and removed the folder
            continue
        if (folder / LOCK).exists():
            return lock
        lock.release()


def _holder(folder: Path) -> str:
    with suppress(OSError, ValueError, TypeError, KeyError):
        about = read_json(folder / HOLDER)
        return f": process {about['pid']} on {about['host']}, since {about['since']}"
    return ""


def _wait_for_workers(folder: Path) -> None:
    for file in sorted(folder.glob("worker-*.lock")):
        try:
            with FileLock(file, timeout=_WAIT_FOR_WORKERS):
                pass
        except Timeout:
            raise RuntimeError(
                f"{folder}: a process of an interrupted run is still at work here. Wait for its end, or end it."
            ) from None


def _now() -> str:
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
