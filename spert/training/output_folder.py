"""The output folder before the first step: locked, allowed to be written to, and large enough."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from ..locks import FolderLock
from ..modeling_spert import SpertModel
from .arguments import TrainingArguments
from .checkpoints import complete_checkpoints, prepare_folder
from .output import is_trained
from .run_record import is_unfinished
from .together import Processes, on_main

_ADAM_TENSORS = 2
"""What the optimizer keeps for each trained weight: two numbers of its size."""


@contextmanager
def locked(processes: Processes, output_dir: str) -> Iterator[FolderLock]:
    """Hold the lock on an output folder; the main process holds it for all.

    Raises:
        BlockingIOError: another run writes to the folder; the message names its process.
        OSError: the folder cannot be made or written to.
    """
    lock = FolderLock(output_dir, "--output_dir")
    on_main(processes, lock.acquire)
    try:
        yield lock
    finally:
        lock.release()


def prepare_output(arguments: TrainingArguments) -> None:
    """Make an output folder ready for a run, or refuse it.

    Raises:
        FileExistsError: the folder holds a trained model, or checkpoints, that the settings say nothing about.
    """
    is_resumed = arguments.resume_from_checkpoint is not None
    is_kept = not arguments.overwrite_output_dir and not (is_resumed and is_unfinished(arguments))
    if is_kept and is_trained(arguments.output_dir):
        raise FileExistsError(
            f"{arguments.output_dir}: this folder holds a trained model. Name another one with --output_dir, or "
            f"replace the model with --overwrite_output_dir."
        )
    prepare_folder(arguments.output_dir, is_resumed, arguments.overwrite_output_dir)


def refuse_full_disk(arguments: TrainingArguments, model: SpertModel) -> None:
    """Refuse to start a run whose files the disk does not hold.

    Raises:
        OSError: less is free than the run will write; the message names both numbers.
    """
    usage = shutil.disk_usage(arguments.output_dir)
    needed = bytes_to_write(arguments, model)
    if usage.total and usage.free < needed:  # some network disks do not say how large they are
        raise OSError(
            f"{arguments.output_dir}: expected {needed / 1e9:.2f} GB of free space for the model and its checkpoints, "
            f"got {usage.free / 1e9:.2f} GB. Free some, lower --save_total_limit, or name another folder with "
            f"--output_dir."
        )


def bytes_to_write(arguments: TrainingArguments, model: SpertModel) -> int:
    """About how many bytes a run will write: the model, that of the best epoch, and checkpoints.

    A checkpoint is written before the oldest one is removed. Those that are there already are counted as written.
    """
    sizes = [(parameter.nbytes, parameter.requires_grad) for parameter in model.parameters()]
    weights = sum(size for size, _ in sizes)
    moments = _ADAM_TENSORS * sum(size for size, is_trained in sizes if is_trained)
    needed = weights * (2 if arguments.keeps_best else 1)
    if arguments.checkpointing_steps is not None:
        missing = arguments.save_total_limit + 1 - len(complete_checkpoints(arguments.output_dir))
        average = 0 if arguments.ema_decay is None else weights
        needed += max(missing, 1) * (weights + moments + average)
    return needed
