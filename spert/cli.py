"""The command `spert`: puts the commands of `spert/commands/` together."""

import io
import os
import sys
from typing import Annotated

import typer

from .commands.compare import compare
from .commands.convert import convert
from .commands.corpus import app as corpus_app
from .commands.demo import demo
from .commands.evaluate import evaluate
from .commands.export import export
from .commands.predict import predict
from .commands.push import push
from .commands.score import score
from .commands.summary import summary
from .commands.tune import tune

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from . import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Span-based joint entity and relation extraction."""


for command in (convert, predict, demo, evaluate, tune, score, summary, compare, export, push):
    app.command()(command)
app.add_typer(corpus_app, name="corpus")


def main() -> None:
    """Run the command. What a user, a file or the machine did wrong is one message; a fault of ours is a traceback."""
    _open_standard_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads our output, such as `head`, has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains when it flushes at its end
        sys.exit(1)
    except UnicodeEncodeError as error:
        typer.echo(
            f"spert: expected names and text that UTF-8 can hold, got {error.object[:200]!r}. If it is the name of a "
            f"file, rename the file, or set PYTHONUTF8=1 if the locale is not one of UTF-8.",
            err=True,
        )
        sys.exit(1)
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as error:
        typer.echo(f"spert: {error}", err=True)
        sys.exit(1)


def _open_standard_streams() -> None:
    """Make standard input, output and error usable, whatever the process was started with.

    Where one is closed (`>&-`), the null device takes its place: its number would go to the next file that is opened,
    and what a library prints would be written into that file. Text that the terminal's encoding lacks is escaped.
    """
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
