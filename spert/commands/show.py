"""`spert show`: results in the terminal."""

from typing import Annotated

import typer


def show(
    found: Annotated[
        list[str],
        typer.Argument(
            help="Results of `spert predict`: .jsonl, .json, .parquet, folders, patterns, or - (JSON Lines)."
        ),
    ],
    number: Annotated[int | None, typer.Option(min=1, help="Show so many results. Default: all.")] = None,
    skip: Annotated[int, typer.Option(min=0, help="Pass over so many results first.")] = 0,
    width: Annotated[int | None, typer.Option(min=20, help="Columns. Default: the terminal's, or 100.")] = None,
) -> None:
    """Show what was found: texts with their entities, however they overlap, and relations below."""
    import itertools

    from ..found import read_found
    from ..showing import console_of, print_result

    console = console_of(width)
    shown = 0
    for one in itertools.islice(read_found(found), skip, None if number is None else skip + number):
        title = one.where if one.id is None else f"{one.where}, id {one.id}"
        print_result(console, one.result, title=title)
        shown += 1
    if not shown:
        raise ValueError(f"{', '.join(found)}: expected more than {skip} results, got no more.")
