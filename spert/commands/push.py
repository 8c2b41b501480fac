"""`spert push`: a trained model to the Hub, and a page to try it on."""

import shlex
from pathlib import Path
from typing import Annotated

import typer


def push(
    folder: Annotated[Path, typer.Argument(help="A trained model's folder.")],
    repository: Annotated[str, typer.Argument(help="org/name on the Hub; it is made where it does not exist.")],
    token: Annotated[str | None, typer.Option(help="Default: the one that `hf auth login` saved.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository a private one.")] = False,
    message: Annotated[str, typer.Option(help="The commit's message.")] = "Upload model",
    space: Annotated[
        str | None, typer.Option(help="org/name of a Space for the model's page, which `spert demo` shows.")
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="Texts that the page offers. Default: the sentence on the model's card.")
    ] = None,
) -> None:
    """Upload a trained model to the Hub: code, weights, processor, card and metrics, in one commit."""
    from ..hub import push_folder
    from ..samples import sample_of_card, samples_of_file
    from ..spaces import push_space

    if examples is not None and space is None:
        raise ValueError("--examples: expected --space as well, which names the Space whose page offers them.")
    samples = samples_of_file(examples) if examples is not None else sample_of_card(folder)
    pushed = push_folder(folder, repository, token=token, private=private or None, message=message)
    typer.echo(f"Uploaded: {pushed.url}")
    if space is None:
        return
    words = ["spert", "push", str(folder), repository, *(["--private"] if private else []), "--space", space]
    words += ["--examples", str(examples)] if examples is not None else []
    again = f"The model is at {pushed.url}. To try again: {shlex.join(words)}"
    page = push_space(space, pushed, examples=samples, token=token, private=private or None, again=again)
    typer.echo(f"Uploaded: {page.url}")
