"""`spert train`: starts `train_accelerate.py` as `accelerate launch` does, and reports a failure once.

The launchers of accelerate and torch end with tracebacks of their own, below the message of the process that failed.
Here that message is the last one; a process that could not say anything, because a signal ended it, is named.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..processes import as_starter

SCRIPT = Path(__file__).resolve().parents[2] / "train_accelerate.py"


def launch(words: Sequence[str], *, num_processes: int = 1, mixed_precision: str = "no") -> int:
    """Train, and wait for the end.

    Args:
        words: the recipe and flags of `train_accelerate.py`.
        num_processes: each with an accelerator, or, where there is none, with its share of the cores.
        mixed_precision: `no`, `fp16` or `bf16`.

    Returns:
        The exit status: 0, or that of the process that failed first.

    Raises:
        FileNotFoundError: this is an installed package, which does not hold the script.
    """
    import torch
    from accelerate.commands.launch import launch_command, launch_command_parser

    if not SCRIPT.is_file():
        raise FileNotFoundError(f"{SCRIPT}: expected the training script, which a checkout of the repository holds.")
    has_accelerator = torch.accelerator.is_available() and not os.environ.get("ACCELERATE_USE_CPU")
    threads = (
        1
        if has_accelerator
        else max(
            1,
            (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
            // num_processes,
        )
    )
    flags = ["--num_machines", "1", "--dynamo_backend", "no", "--mixed_precision", mixed_precision]
    flags += ["--num_processes", str(num_processes), "--num_cpu_threads_per_process", str(threads)]
    if num_processes > 1:
        flags += ["--multi_gpu", "--main_process_port", "0"]
    os.environ.update(as_starter(os.environ))  # of the processes, which end with this one
    if not has_accelerator:
        os.environ["ACCELERATE_USE_CPU"] = "true"
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
    arguments = launch_command_parser().parse_args([*flags, str(SCRIPT), *words])
    try:
        launch_command(arguments)
    except subprocess.CalledProcessError as error:
        return _status(0, error.returncode)
    except Exception as error:
        failure = _first_failure(error)
        if failure is None:
            raise
        return _status(*failure)
    return 0


def _first_failure(error: Exception) -> tuple[int, int] | None:
    """The number and the exit status of the process that failed first, if that is what the error is about."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    if isinstance(error, SignalException):  # to this process, which passed it on
        return 0, 128 + int(error.sigval)
    if isinstance(error, ChildFailedError):
        rank, failure = error.get_first_failure()
        return rank, failure.exitcode
    return None


def _status(process: int, status: int) -> int:
    if status >= 0:
        return status
    name = signal.Signals(-status).name
    hint = ": the system may have run out of memory" if name == "SIGKILL" else ""
    print(f"spert: process {process} of the training was ended by {name}{hint}.", file=sys.stderr)
    return 128 - status
