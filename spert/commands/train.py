"""`spert train`: training, with errors as one message."""

from enum import StrEnum
from typing import Annotated

import typer


class Precision(StrEnum):
    """Mixed precision."""

    no = "no"
    fp16 = "fp16"
    bf16 = "bf16"


def train(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[RECIPE.yaml] [--flag value ...]",
            help="A recipe and flags of train_accelerate.py; python train_accelerate.py --help lists the flags.",
        ),
    ],
    num_processes: Annotated[
        int,
        typer.Option(
            "--num_processes", "--num-processes", min=1, help="Each with an accelerator, or a share of the cores."
        ),
    ] = 1,
    mixed_precision: Annotated[
        Precision, typer.Option("--mixed_precision", "--mixed-precision", help="On accelerators.")
    ] = Precision.no,
) -> None:
    """Train a model: accelerate launch train_accelerate.py, on one machine, with a failure as one message."""
    from ..training.launcher import launch

    status = launch(words, num_processes=num_processes, mixed_precision=mixed_precision.value)
    if status:
        raise typer.Exit(status)
