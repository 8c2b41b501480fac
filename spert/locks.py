"""A lock on a folder that one command at a time writes into.

The lock belongs to the process and is released by the operating system when the process ends, however it ends. The
lock file itself stays in the folder: removing it would let two processes hold locks on two files of one name.
"""

import os
import socket
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from .files import read_json, write_json

_LOCK = ".spert.lock"
_HOLDER = ".spert.holder"


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
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise BlockingIOError(
                f"{self.folder}: expected a folder that nobody writes to, but {self._describe_holder()} does. Wait "
                f"until it has ended, or name another folder with {self.option}."
            ) from error
        except OSError as error:
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
        """Unlock the folder. A folder in which nothing was written is removed again."""
        if not self._lock.is_locked:
            return
        try:
            self.check()
            self._holder.unlink(missing_ok=True)
            if [path.name for path in self.folder.iterdir()] == [_LOCK]:
                self._file.unlink()
                self.folder.rmdir()
        except OSError:  # the folder is gone, or can no longer be written to
            pass
        finally:
            self._lock.release()

    def _describe_holder(self) -> str:
        try:
            holder = read_json(self._holder)
            return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
        except (OSError, ValueError, KeyError, TypeError):  # it has just got the lock
            return "another process"

    def _unwritable(self, error: OSError) -> OSError:
        return type(error)(
            f"{self.folder}: expected a folder that can be written to, but: {error.strerror or error}. Name another "
            f"folder with {self.option}."
        )
