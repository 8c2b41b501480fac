"""Actions that all processes of a run take together: if one fails, all of them end, and one of them says why."""

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

T = TypeVar("T")
_SECONDS_TO_PUT_AWAY = 0.2


class Processes(Protocol):
    """What `Accelerator` and `PartialState` both know."""

    @property
    def num_processes(self) -> int: ...  # noqa: D102
    @property
    def is_main_process(self) -> bool: ...  # noqa: D102


def on_main(processes: Processes, action: Callable[[], T]) -> T:
    """Do something on the main process while the others wait; all get its result, which is sent between processes.

    If it fails, the main process raises the error, and the others exit without a message.
    """
    if processes.num_processes == 1:
        return action()
    result: list[Any] = [None, False]
    if processes.is_main_process:
        try:
            result = [action(), True]
        except Exception:
            broadcast_object_list(result)
            raise
    broadcast_object_list(result)
    if not result[1]:
        sys.exit(1)
    return result[0]


def end_training(accelerator: Accelerator) -> None:
    """End the trackers, and leave the group of processes.

    A thread of Gloo may still hold a lock of the group, and wait for the interpreter to put away the tensors of the
    last exchange. If this thread destroyed the group now, it would wait for that lock, and neither would ever go on.
    """
    if accelerator.num_processes > 1:
        time.sleep(_SECONDS_TO_PUT_AWAY)  # lets the other threads have the interpreter
    accelerator.end_training()


def main_first(processes: Processes, action: Callable[[], T]) -> T:
    """Do something on the main process, and then on the others, which find what it downloaded.

    Raises:
        ValueError, OSError, RuntimeError: as [`on_each`].
    """
    result: list[T] = []
    on_main(processes, lambda: result.append(action()))
    on_each(processes, lambda: None if processes.is_main_process else result.append(action()))
    return result[0]


def on_each(processes: Processes, action: Callable[[], object]) -> None:
    """Do something on every process. If it fails on one of them, the main process raises an error, and the others exit.

    Raises:
        ValueError, OSError, RuntimeError: what the main process or, if that succeeded, the first of the others raised.
    """
    if processes.num_processes == 1:
        action()
        return
    own: Exception | None = None
    try:
        action()
    except Exception as error:
        own = error
    failures = gather_object([None if own is None else (_kind_of(own), str(own))])
    failure = next((failure for failure in failures if failure is not None), None)
    if failure is None:
        return
    if not processes.is_main_process:
        sys.exit(1)
    if own is not None:
        raise own
    kind, text = failure
    raise kind(text)


def _kind_of(error: Exception) -> type[Exception]:
    """The error to raise in another process: errors of libraries may not survive the way there."""
    return next((kind for kind in (OSError, ValueError) if isinstance(error, kind)), RuntimeError)
