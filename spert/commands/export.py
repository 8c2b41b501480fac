"""`spert export`: graphs for other runtimes."""

from pathlib import Path
from typing import Annotated

import typer

from ..loading import load_saved_model
from .shared import Model


def export(
    model: Model,
    output: Annotated[Path, typer.Option(help="The folder for the graphs, with configuration and processor.")],
    format: Annotated[str, typer.Option(help="onnx, onnx-int8 or torch.")] = "onnx",
) -> None:
    """Export a model for other runtimes; `spert predict` and `spert evaluate` take the folder like a model's."""
    from ..exported import export_model

    export_model(*load_saved_model(model), output, format)
    typer.echo(f"{output}: {', '.join(sorted(path.name for path in output.iterdir() if path.suffix != '.py'))}.")
