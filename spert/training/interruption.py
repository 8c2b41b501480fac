"""SIGTERM, which clusters send before they stop a process."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Self

import torch
from accelerate import Accelerator

EXIT_CODE = 128 + signal.SIGTERM
"""143, as if the signal had ended the process: `train && push` does not continue."""


class Interruption:
    """Remembers that SIGTERM came, so that the training loop can write a checkpoint and exit at a suitable moment.

    As a context manager, it handles the signal within the block only. A second signal ends the process at once.

    Args:
        then: called when the signal comes.
    """

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self.requested = False
        self._then = then

    def __enter__(self) -> Self:
        self._previous = signal.signal(signal.SIGTERM, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._previous)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(signal.SIGTERM, self._previous)
        if self._then is not None:
            self._then()


def agreed(accelerator: Accelerator, is_requested: bool) -> bool:
    """Whether any process was asked to stop; all of them get the same answer."""
    if accelerator.num_processes == 1:
        return is_requested
    flag = torch.tensor(int(is_requested), device=accelerator.device)
    return bool(accelerator.reduce(flag, reduction="sum").item())
