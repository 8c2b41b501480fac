"""Options that several commands take."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="A trained model: a folder, or a repository on the Hub.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Sentences that pass the encoder together.")]
WithoutOverlapping = Annotated[bool, typer.Option("--without-overlapping", help="Leave overlapping entities out.")]
