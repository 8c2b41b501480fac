"""SIGINT and SIGTERM: the command ends between two whole files, and says how to go on."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asks the command to end.

    Args:
        number: the signal's.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """Such as `SIGINT`."""
        return signal.Signals(self.number).name

    @property
    def exit_code(self) -> int:
        """As if the signal had ended the process: 130 or 143."""
        return 128 + self.number


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Raise `Stopped` when a signal comes; a second one ends the process at once.

    Yields:
        A function that raises `Stopped` if a signal came. An exception that a signal raises can be lost, in a
        destructor for example, so that loops ask.

    Raises:
        Stopped: a signal came. That holds as well where other code turned the exception into one of its own:
            transformers reports whatever interrupts its imports as a missing module.
    """
    came: list[int] = []

    def check() -> None:
        if came:
            raise Stopped(came[0])

    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield check
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        came.append(number)
        raise Stopped(number)

    previous = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield check
    except Exception as error:
        if came:
            raise Stopped(came[0]) from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def occupy_standard_streams() -> None:
    """Open closed standard streams to nowhere: the next file would get their number, and what a library prints."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def say(message: str, to_errors: bool = False) -> None:
    """Print a line, if anybody is there to read it: a closed output is no reason to fail after the work is done."""
    stream = sys.stderr if to_errors else sys.stdout
    if stream is None:
        return
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        print(message.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except (OSError, ValueError):
        if stream is sys.__stdout__:  # or the interpreter would fail to flush it at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
