"""Whether the launcher started what it was asked for."""

import os


def check_number_of_processes(running: int) -> None:
    """Refuse to train on fewer processes than the launcher's environment announces.

    `accelerate launch --cpu --num_processes 2` starts a single process and says nothing.

    Args:
        running: the processes that found each other.

    Raises:
        RuntimeError: the launcher announced another number; the message says how to start several on CPUs.
    """
    announced = os.environ.get("ACCELERATE_NUM_PROCESSES") or os.environ.get("WORLD_SIZE")
    if announced is not None and int(announced) != running:
        raise RuntimeError(
            f"Expected {announced} processes, as the launcher announced, but {running} run. On CPUs start them with "
            f"ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes {announced} train_accelerate.py …"
        )
