"""The command `spert`: puts the commands of `spert/commands/` together."""

import sys

import typer

from .commands.convert import convert
from .commands.corpus import app as corpus_app
from .commands.evaluate import evaluate
from .commands.export import export
from .commands.predict import predict
from .commands.push import push
from .commands.score import score
from .commands.summary import summary
from .commands.tune import tune

app = typer.Typer(
    help="Span-based joint entity and relation extraction.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (convert, predict, evaluate, tune, score, summary, export, push):
    app.command()(command)
app.add_typer(corpus_app, name="corpus")


def main() -> None:
    """Run the command; what a user did wrong is one line, not a trace."""
    try:
        app()
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as error:
        typer.echo(f"spert: {error}", err=True)
        sys.exit(1)
