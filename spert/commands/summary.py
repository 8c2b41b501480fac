"""`spert summary`: mean and deviation over runs."""

from pathlib import Path
from typing import Annotated

import typer


def summary(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or a folder of such.")],
    output: Annotated[Path | None, typer.Option(help="A file for the numbers, JSON.")] = None,
) -> None:
    """Mean and standard deviation of scores over runs."""
    from ..evaluation.summary import print_summary, summarize
    from ..files import write_json

    numbers = summarize(folders)
    if output is not None:
        write_json(output, numbers)
    print_summary(numbers, f"{len(numbers['all spans']['runs'])} runs")
