"""The commands `spert corpus …`: stats, check, convert."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look at, check and convert annotated text.", no_args_is_help=True)


@app.command()
def stats(
    dataset: Annotated[str, typer.Argument(help="A corpus by name, or a folder or file of SpERT JSON.")],
    data_dir: Annotated[str | None, typer.Option(help="The folder that holds a named corpus's files.")] = None,
) -> None:
    """Print a corpus's card: what it is, its counts as Markdown, how to cite it."""
    from ..corpora import CARDS, load_corpus, types_of
    from ..corpora.statistics import markdown_of

    corpus = load_corpus(dataset, data_dir)
    typer.echo(CARDS.get(dataset, "{tables}").strip().format(tables=markdown_of(corpus, types_of(corpus))))


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="A SpERT JSON file, or a folder with train.json, … and types.json.")],
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
            typer.echo(f"{kind}: {line}")
    typer.echo(f"{len(findings.errors)} error(s), {len(findings.warnings)} warning(s).")
    if findings.errors:
        raise typer.Exit(1)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Annotated text in any format.")],
    target: Annotated[Path, typer.Argument(help="The file or folder to write.")],
    from_format: Annotated[str | None, typer.Option(help="The source's format. Default: by its ending.")] = None,
    to_format: Annotated[str | None, typer.Option(help="The target's format. Default: by its ending.")] = None,
    align: Annotated[
        str, typer.Option(help="Spans that cut through a word: strict (refuse) or expand (widen).")
    ] = "strict",
    words: Annotated[str, typer.Option(help="Words of raw text: split, or whitespace.")] = "split",
    split_sentences: Annotated[bool, typer.Option("--split-sentences", help="A record for each sentence.")] = False,
) -> None:
    """Convert between SpERT JSON, JSON Lines, brat, Label Studio, Doccano, spaCy, BIO columns and Parquet."""
    from ..corpora.documents import Reading
    from ..corpora.formats import format_of, read_records, write_records

    format_of(target, to_format)
    reading = Reading(align=align, words=words, split_sentences=split_sentences)
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target}: expected another file or folder to write than the one that is read.")
    records = read_records(source, reading, from_format)
    if not records:
        raise ValueError(f"{source}: expected at least one record, got none.")
    write_records(target, records, to_format)
    for what, count in sorted(reading.lost.items()):
        if count:
            typer.echo(f"{count} {what}")
    typer.echo(f"{target}: {len(records)} records.")
