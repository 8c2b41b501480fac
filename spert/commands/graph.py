"""`spert graph`: a graph of what was found."""

import shutil
import sys
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer


class Merge(StrEnum):
    """Which entities are one node."""

    text = "text"
    none = "none"


class Format(StrEnum):
    """The endings of graphs' files."""

    graphml = "graphml"
    ttl = "ttl"
    csv = "csv"
    html = "html"
    json = "json"


def graph(
    found: Annotated[
        list[str],
        typer.Argument(
            help="Results of `spert predict`: .jsonl, .json, .parquet, folders, patterns, or - (JSON Lines)."
        ),
    ],
    output: Annotated[
        str, typer.Option(help="A file: .graphml, .ttl, .csv, .html or .json, by the ending; or - with --format.")
    ],
    format: Annotated[Format | None, typer.Option(help="Of the output. Default: by its ending.")] = None,
    merge: Annotated[
        Merge,
        typer.Option(
            help="text: entities of one type are one node where their texts are the same but for case, width and "
            "spaces. none: each is a node."
        ),
    ] = Merge.text,
    symmetric: Annotated[
        list[str] | None, typer.Option(help="A relation without a direction: both directions are one edge. Repeatable.")
    ] = None,
    max_nodes: Annotated[
        int | None,
        typer.Option(min=1, help="Only the entities that were found most often. Default: all; 500 for .html."),
    ] = None,
    base_iri: Annotated[str, typer.Option(help="What the IRIs of .ttl begin with.")] = "https://example.org/",
) -> None:
    """Make a graph of what was found, for networkx, Gephi, Neo4j, RDF tools or a browser."""
    from ..extraction.outputs import Output
    from ..files import STANDARD_STREAM
    from ..found import files_of
    from ..graphs import FORMATS, writer_of

    to_stdout = output == STANDARD_STREAM
    ending = Path(output).suffix if format is None else f".{format.value}"
    if to_stdout and ending in ("", ".csv"):
        raise ValueError("--output: expected --format graphml, ttl, html or json beside -, because the name says none.")
    if not to_stdout and ending not in FORMATS:
        known = ", ".join(f"{known} ({name})" for known, name in FORMATS.items())
        raise ValueError(f"{output}: expected a file that ends in one of {known}.")
    files = [file for name in found for file in files_of(name)]
    if not to_stdout:
        place = Output(output, is_folder=False)
        place.check_writable()
        for file in files:
            if file != STANDARD_STREAM and Path(output).exists() and Path(output).samefile(file):
                raise ValueError(f"{output}: expected another file than one of those that are read.")
    with TemporaryDirectory() as folder:
        path = Path(folder, f"graph{ending}") if to_stdout else Path(output)
        lines = _make(files, writer_of(path, ending, base_iri), ending, merge.value, symmetric or [], max_nodes)
        if to_stdout:
            with open(path, "rb") as made:
                shutil.copyfileobj(made, sys.stdout.buffer)
            return
    for line in lines:
        typer.echo(line)


def _make(  # type: ignore[no-untyped-def]  # the writer's type would import what `spert --help` does not need
    files: list[str], write, ending: str, merge: str, symmetric: list[str], max_nodes: int | None
) -> list[str]:
    """Read, merge and write; what there is to say about it."""
    from ..found import count_found, read_found
    from ..graphs import PAGE_NODES, store_of

    counts: dict[str, int] = {}
    results = count_found(read_found(files), counts)
    with store_of(results, merge=merge, symmetric=symmetric, keep_sentences=ending == ".html") as store:
        if not counts:
            raise ValueError(f"{', '.join(files)}: expected at least one result, got none.")
        relations = store.types()[1]
        unknown = sorted(set(symmetric) - set(relations))
        if unknown:
            known = ", ".join(relations) or "none, as no relation was found"
            raise ValueError(f"--symmetric: expected relations out of {known}, got {', '.join(unknown)}.")
        if max_nodes is None and ending == ".html":
            max_nodes = PAGE_NODES
        if max_nodes is not None:
            store.keep_most_frequent(max_nodes)
        lines = write(store)
        left_out = [store.left_out] if store.left_out else []
    numbers = f"{counts['records']} records, {counts['entities']} entities, {counts['relations']} relations"
    return [f"Read: {numbers}.", *lines, *left_out]
