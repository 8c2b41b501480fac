"""`spert push`: a trained model to the Hub."""

from pathlib import Path
from typing import Annotated

import typer


def push(
    folder: Annotated[Path, typer.Argument(help="A trained model's folder.")],
    repository: Annotated[str, typer.Argument(help="org/name on the Hub; it is made where it does not exist.")],
    token: Annotated[str | None, typer.Option(help="Default: the one that `hf auth login` saved.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository a private one.")] = False,
    message: Annotated[str, typer.Option(help="The commit's message.")] = "Upload model",
) -> None:
    """Upload a trained model to the Hub: code, weights, processor, card and metrics, in one commit."""
    from ..hub import push_folder

    typer.echo(f"Uploaded: {push_folder(folder, repository, token=token, private=private or None, message=message)}")
