"""Whether the launcher started the processes that it was asked for, and such as training works with.

No environment variable tells how many it was asked for: for a single process `accelerate launch` sets none. So its
command line is read.
"""

import os

import psutil
from accelerate import Accelerator, DistributedType
from accelerate.commands.config.config_args import default_config_file, load_config_from_file
from accelerate.commands.launch import launch_command_parser

from ..processes import command_of, is_launch


def check_number_of_processes(running: int) -> None:
    """Refuse to train on another number of processes than `accelerate launch` was asked for.

    `accelerate launch --cpu --num_processes 2` starts a single process and says nothing; so does a configuration file
    that asks for several CPU processes.

    Args:
        running: the processes that found each other.

    Raises:
        ValueError: the launcher was asked for another number; the message says how to start several on CPUs.
    """
    expected = processes_asked_for(psutil.Process().parent())
    if expected is not None and expected != running:
        raise ValueError(
            f"Expected {expected} processes, as accelerate launch was asked for, but {running} run(s). On CPUs start "
            f"them with: ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes {expected} "
            f"train_accelerate.py …"
        )


def refuse_sharded_models(accelerator: Accelerator) -> None:
    """Refuse strategies that spread one model over several processes: a checkpoint would hold a part of it.

    Raises:
        ValueError: the launcher is configured for such a strategy.
    """
    strategy = accelerator.distributed_type
    if strategy in (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM):
        raise ValueError(
            f"Expected processes that each hold the whole model, got {strategy.value}. Launch training without it: a "
            f"SpERT model is hardly larger than its encoder."
        )


def processes_asked_for(launcher: psutil.Process | None) -> int | None:
    """How many processes `accelerate launch` was asked for, by flag or configuration file; `None` if by neither.

    Args:
        launcher: this process's parent, which is `accelerate launch` or something else.
    """
    command = command_of(launcher)
    if not is_launch(command):
        return None
    arguments, _ = launch_command_parser().parse_known_args(command[command.index("launch") + 1 :])
    if arguments.num_processes is not None:
        return arguments.num_processes
    config_file = arguments.config_file or (default_config_file if os.path.isfile(default_config_file) else None)
    return load_config_from_file(config_file).num_processes if config_file else None
