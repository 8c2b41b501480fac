"""`spert export`: graphs for other runtimes."""

from pathlib import Path
from typing import Annotated

import typer

from .shared import Model


def export(
    model: Model,
    output: Annotated[Path, typer.Option(help="The folder for the graphs, with configuration and processor.")],
    format: Annotated[str, typer.Option(help="onnx, onnx-int8 or torch.")] = "onnx",
) -> None:
    """Export a model for other runtimes; `spert predict` and `spert evaluate` take the folder like a model's."""
    from ..exported import export_model
    from ..modeling_spert import SpertModel
    from ..processing_spert import SpertProcessor

    export_model(SpertModel.from_pretrained(model), SpertProcessor.from_pretrained(model), output, format)
    typer.echo(f"{output}: {', '.join(sorted(path.name for path in output.iterdir() if path.suffix != '.py'))}.")
