"""The commands `spert corpus …`: stats and check here, the others in files of their own."""

from pathlib import Path
from typing import Annotated

import typer

from ..terminal import visible_lines
from .corpus_convert import convert
from .corpus_split import split
from .corpus_suggest import suggest

app = typer.Typer(help="Look at, check, convert and split annotated text; what to annotate next.", no_args_is_help=True)


@app.command()
def stats(
    dataset: Annotated[str, typer.Argument(help="A corpus by name, or a folder or file of SpERT JSON.")],
    data_dir: Annotated[str | None, typer.Option(help="The folder that holds a named corpus's files.")] = None,
) -> None:
    """Print a corpus's card: what it is, its counts as Markdown, how to cite it."""
    from ..corpora import CARDS, load_corpus, types_of
    from ..corpora.statistics import markdown_of

    corpus = load_corpus(dataset, data_dir)
    typer.echo(
        visible_lines(CARDS.get(dataset, "{tables}").strip().format(tables=markdown_of(corpus, types_of(corpus))))
    )


@app.command()
def check(
    path: Annotated[
        Path, typer.Argument(help="A file in any format by its ending, or a folder with train.json, … and types.json.")
    ],
    types: Annotated[Path | None, typer.Option(help="A type file.")] = None,
    max_span_width: Annotated[int, typer.Option(min=1, help="The widest span that the model will look at.")] = 10,
    model: Annotated[str | None, typer.Option(help="An encoder: find sentences that are too long for it.")] = None,
) -> None:
    """Report what is wrong with annotated data; exit code 1 where training would fail or lose gold without a word."""
    from ..corpora.checking import check_files
    from ..corpora.own import files_of
    from ..corpora.types import read_types

    files, types_beside = files_of(path)
    types = types_beside if types is None else types
    piece_counts = max_pieces = None
    if model is not None:
        from ..processing_spert import SpertProcessor

        processor = SpertProcessor.from_encoder(model)
        max_pieces, processor.max_pieces = processor.max_pieces, None

        def piece_counts(sentences: list[list[str]]) -> list[int]:
            return [len(encoded.input_ids) for encoded in processor.encode(sentences)]

    findings = check_files(
        files,
        read_types(types) if types is not None else None,
        max_span_width=max_span_width,
        piece_counts=piece_counts,
        max_pieces=max_pieces,
    )
    for kind, lines in (("error", findings.errors), ("warning", findings.warnings)):
        for line in lines:
            typer.echo(f"{kind}: {visible_lines(line)}")
    typer.echo(f"{len(findings.errors)} error(s), {len(findings.warnings)} warning(s).")
    if findings.errors:
        raise typer.Exit(1)


for command in (convert, split, suggest):
    app.command()(command)
