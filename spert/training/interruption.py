"""A cluster's notice that a process has to go: SIGTERM."""

import signal
from collections.abc import Callable
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM
"""143, as of a process that the signal ended: `train && push` does not go on."""


class Interruption:
    """Remembers that SIGTERM came, so that the loop can write a checkpoint and exit at a good moment.

    A second signal ends the process at once.

    Args:
        then: called when the signal comes.
    """

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self.requested = False
        self._then = then
        self._previous = signal.signal(signal.SIGTERM, self._remember)

    def forget(self) -> None:
        """Treat the signal as before."""
        signal.signal(signal.SIGTERM, self._previous)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.forget()
        if self._then is not None:
            self._then()
