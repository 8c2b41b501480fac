"""`spert experiments`: every run that was made, in one table for each corpus."""

from pathlib import Path
from typing import Annotated

import typer

_ABOUT = """\
Every run that was made, as its folder tells of it, those that lost and those that did not end included. Printed by
`spert experiments FOLDER … --output FILE`. Scores are micro F1: of entities, of relations with the right spans
(boundary), and of relations with the right types besides (strict). Dev scores are those of the epoch whose model is the
result, or of the last one so far. Settings are those that differ from the defaults; means are over runs that differ in
nothing but seed and fold, with the sample standard deviation."""


def experiments(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs, or folders that hold such, at any depth.")],
    output: Annotated[
        Path | None, typer.Option(help="A file for the tables, Markdown. Default: they are printed.")
    ] = None,
) -> None:
    """Settings, scores, time and size of every run, finished or not, as Markdown."""
    from ..files import atomic_writer
    from ..studies.experiments import experiments_in, markdown_of_experiments

    runs = experiments_in(folders)
    text = markdown_of_experiments(runs)
    if output is None:
        typer.echo(text)
        return
    with atomic_writer(output) as file:
        file.write(f"# Experiments\n\n{_ABOUT}\n\n{text}\n")
    typer.echo(f"{output}: {len(runs)} run(s).")
