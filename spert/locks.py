"""Locks on a folder that one command at a time writes into.

A lock belongs to the process and is given back by the operating system when the process ends, however it ends. A
command that ends by itself removes its lock file; one that is killed leaves the file behind, which locks nothing.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from .files import read_json, write_json

_LOCK = ".spert.lock"
_HOLDER = ".spert.holder"
LOCK_FILES = (_LOCK, _HOLDER)
"""What a lock puts into a folder. These belong to no model and to no result."""

_ATTEMPTS = 100
"""To lock a folder that others lock and remove meanwhile."""

_SECONDS_FOR_HOLDER = 2.0
"""In which a process that has just got a lock has written who it is."""

_SECONDS_FOR_WORKERS = 60.0
"""In which the processes of a run whose command was killed have ended."""


class FolderLock:
    """The lock on a folder, which is made if it does not exist.

    Args:
        folder: what to lock.
        option: the option that names the folder, for messages.
    """

    def __init__(self, folder: str | os.PathLike[str], option: str) -> None:
        self.folder = Path(folder)
        self.option = option
        self._file = self.folder / _LOCK
        self._holder = self.folder / _HOLDER
        self._lock = FileLock(self._file, timeout=0)
        self._inode: int | None = None

    def acquire(self) -> None:
        """Lock the folder, and write into it who holds the lock. This also shows that the folder can be written to.

        Raises:
            BlockingIOError: another process holds the lock; the message names it.
            OSError: the folder cannot be made or written to.
        """
        for attempt in range(_ATTEMPTS):
            is_last = attempt == _ATTEMPTS - 1
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
                break
            except Timeout as error:
                if is_last or self._file.exists():
                    raise BlockingIOError(
                        f"{self.folder}: expected a folder that nobody writes to, but {self._describe_holder()} does. "
                        f"Wait until it has ended, or name another folder with {self.option}."
                    ) from error
            except OSError as error:
                if is_last or not isinstance(error, (FileNotFoundError, FileExistsError)):
                    raise self._unwritable(error) from error
        self._inode = self._file.stat().st_ino
        try:
            started = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
            write_json(self._holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": started})
        except OSError as error:
            self.release()
            raise self._unwritable(error) from error

    def check(self) -> None:
        """Make sure that the folder is still the one that was locked.

        Raises:
            FileNotFoundError: it was removed or replaced, or its disk is gone.
        """
        try:
            is_there = self._file.stat().st_ino == self._inode
        except OSError:
            is_there = False
        if not is_there:
            raise FileNotFoundError(
                f"{self.folder}: this folder was removed or replaced while a run was writing to it. Nothing more is "
                f"written. Start the run again."
            )

    def release(self) -> None:
        """Unlock the folder, and remove what the lock put into it; the folder, too, if nothing else is in it."""
        if not self._lock.is_locked:
            return
        try:
            self.check()
            self._holder.unlink(missing_ok=True)
            # Still locked: whoever opened this file meanwhile sees that it is gone, and opens another one.
            self._file.unlink()
            if not any(self.folder.iterdir()):
                self.folder.rmdir()
        except OSError:  # the folder is gone, can no longer be written to, or somebody has begun to use it
            pass
        finally:
            self._lock.release()

    def __enter__(self) -> "FolderLock":
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _describe_holder(self) -> str:
        end = time.monotonic() + _SECONDS_FOR_HOLDER
        while True:
            try:
                holder = read_json(self._holder)
                return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
            except (OSError, ValueError, KeyError, TypeError):  # it has just got the lock, and will soon say who it is
                if time.monotonic() > end:
                    return "another process"
                time.sleep(0.05)

    def _unwritable(self, error: OSError) -> OSError:
        return type(error)(
            f"{self.folder}: expected a folder that can be written to, but: {error.strerror or error}. Name another "
            f"folder with {self.option}."
        )


@contextmanager
def worker_lock(folder: str | os.PathLike[str], index: int) -> Iterator[None]:
    """Held by one of several processes of a command, so that the next command can wait for its end."""
    with FileLock(Path(folder) / f"worker-{index}.lock", timeout=_SECONDS_FOR_WORKERS):
        yield


def wait_for_workers(folder: str | os.PathLike[str]) -> None:
    """Wait until the processes of an earlier command have ended, which was killed.

    Raises:
        BlockingIOError: one of them is still at work after a minute.
    """
    for file in sorted(Path(folder).glob("worker-*.lock")):
        try:
            with FileLock(file, timeout=_SECONDS_FOR_WORKERS):
                pass
        except Timeout:
            raise BlockingIOError(
                f"{folder}: a process of an interrupted run is still at work here. Wait for its end, or end it."
            ) from None
