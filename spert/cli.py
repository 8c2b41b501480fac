"""The command `spert`: puts the commands of `spert/commands/` together."""

import io
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from .commands.compare import compare
from .commands.convert import convert
from .commands.corpus import app as corpus_app
from .commands.demo import demo
from .commands.evaluate import evaluate
from .commands.experiments import experiments
from .commands.export import export
from .commands.graph import graph
from .commands.inspect import inspect
from .commands.predict import predict
from .commands.push import push
from .commands.score import score
from .commands.search import search
from .commands.show import show
from .commands.study import study
from .commands.summary import summary
from .commands.train import train
from .commands.tune import tune
from .terminal import visible_lines


class SuggestingCommand(TyperCommand):
    """Says which option was meant by a misspelt one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # NoSuchOption, which typer has of its own or of click, by its version
            close = getattr(error, "possibilities", None)
            if close and hasattr(error, "message"):
                error.message = f"{error.message.rstrip('.')}. Did you mean {' or '.join(sorted(close))}?"
                error.possibilities = None  # type: ignore[attr-defined]  # or they are listed again
            raise


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


for command in (
    convert,
    predict,
    show,
    graph,
    demo,
    evaluate,
    inspect,
    tune,
    score,
    summary,
    experiments,
    compare,
    export,
    push,
):
    app.command()(command)
app.command(context_settings={"ignore_unknown_options": True})(train)  # they are flags of the script
for running in (study, search):  # they take the flags of train_accelerate.py as well
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(running)
app.add_typer(corpus_app, name="corpus")
for group in (app, corpus_app):
    for registered in group.registered_commands:
        registered.cls = SuggestingCommand


def main() -> None:
    """Run the command. What a user, a file or the machine did wrong is one message; a fault of ours is a traceback."""
    _open_standard_streams()
    try:
        try:
            app(prog_name="spert")
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
        typer.echo(f"spert: {visible_lines(str(error))}", err=True)
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
