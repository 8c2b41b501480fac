"""`spert corpus convert`: annotated text from one tool's format into another's."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..corpora.reading import Reading, Writing

FAULTS_LEFT_OUT = 3
"""The exit status where everything was written but what was faulty."""

_LABEL_STUDIO = "Label Studio: "


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
    on_error: Annotated[
        str, typer.Option(help="A faulty item: stop, or skip (list all faults, convert the rest, exit with 3).")
    ] = "stop",
    text_field: Annotated[str, typer.Option(help=f"{_LABEL_STUDIO}the field of the text.")] = "text",
    from_name: Annotated[
        str | None, typer.Option(help=f"{_LABEL_STUDIO}the labelling control. Default: read all, write 'label'.")
    ] = None,
    to_name: Annotated[
        str | None, typer.Option(help=f"{_LABEL_STUDIO}the text's object. Default: read all, write 'text'.")
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Read what this person annotated: an id, a name, an e-mail address.")
    ] = None,
    agreement: Annotated[
        str, typer.Option(help="Several people annotated a text: refuse, first, or majority.")
    ] = "refuse",
    read_predictions: Annotated[
        bool, typer.Option("--read-predictions", help="Read predictions where nobody annotated.")
    ] = False,
    write_annotations: Annotated[
        bool, typer.Option("--write-annotations", help="Write what a person said, in place of predictions.")
    ] = False,
    discontinuous: Annotated[
        str, typer.Option(help="brat: spans in several pieces: refuse, or join (from first to last character).")
    ] = "refuse",
    tags: Annotated[str, typer.Option(help="Columns: bio (also BILOU, IOBES), or iob1.")] = "bio",
    spans: Annotated[
        str | None, typer.Option(help="spaCy: a span group, or ents. Default: the first of entities, sc, ents.")
    ] = None,
    from_offsets: Annotated[
        str | None, typer.Option(help="What offsets count: code-points, utf-16, graphemes. Default: as the tool does.")
    ] = None,
    to_offsets: Annotated[str | None, typer.Option(help="The same for the target.")] = None,
    types_output: Annotated[
        Path | None, typer.Option(help="Write a type file, too: from brat's annotation.conf, or from the data.")
    ] = None,
    arguments_output: Annotated[
        Path | None, typer.Option(help="Write which types each relation joins, for --relation-arguments.")
    ] = None,
) -> None:
    """Convert between SpERT JSON, JSON Lines, brat, Label Studio, Doccano, Prodigy, spaCy, columns, CSV and Parquet."""
    from ..corpora.formats import format_of, read_records, write_records
    from ..corpora.reading import Reading, Writing

    format_of(target, to_format)
    reading = Reading(
        align=align,
        words=words,
        split_sentences=split_sentences,
        on_error=on_error,
        text_field=text_field,
        from_name=from_name,
        to_name=to_name,
        annotator=annotator,
        agreement=agreement,
        predictions=read_predictions,
        discontinuous=discontinuous,
        tags=tags,
        spans=spans,
        offsets=from_offsets,
    )
    writing = Writing(
        text_field=text_field,
        from_name="label" if from_name is None else from_name,
        to_name="text" if to_name is None else to_name,
        annotations=write_annotations,
        offsets=to_offsets,
    )
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target}: expected another file or folder to write than the one that is read.")
    records = read_records(source, reading, from_format)
    report_reading(reading)
    if not records:
        raise ValueError(f"{source}: expected at least one record, got none.{_why_none(reading)}")
    write_records(target, records, to_format, writing)
    _report_counts(writing)
    if types_output is not None or arguments_output is not None:
        _write_scheme(reading, records, types_output, arguments_output)
    typer.echo(f"{target}: {len(records)} records.")
    if reading.faults:
        raise typer.Exit(FAULTS_LEFT_OUT)


def report_reading(reading: "Reading") -> None:
    """Print what reading counted and left out, how far annotators agree, and, to the errors, each fault."""
    _report_counts(reading)
    for what, places in sorted(reading.left_out.items()):
        typer.echo(f"{len(places)} {what}, left out: {'; '.join(places)}")
    if reading.compared:
        from ..evaluation.scores import compute_scores

        scores = compute_scores([first for first, _ in reading.compared], [second for _, second in reading.compared])
        typer.echo(
            f"agreement of {len(reading.compared)} pairs of annotations: entities {scores['ner_micro_f1']:.2%} F1, "
            f"relations {scores['rel_strict_micro_f1']:.2%} F1"
        )
    for fault in reading.faults:
        typer.echo(f"fault: {fault}", err=True)
    if reading.faults:
        typer.echo(f"{len(reading.faults)} faulty items, left out.", err=True)


def _report_counts(counted: "Reading | Writing") -> None:
    for what, count in sorted(counted.lost.items()):
        if count:
            typer.echo(f"{count} {what}")


def _why_none(reading: "Reading") -> str:
    left_out = sum(map(len, reading.left_out.values()))
    reasons = [f"{left_out} left out"] if left_out else []
    reasons += [f"{len(reading.faults)} faulty"] if reading.faults else []
    return f" Of what it holds, {' and '.join(reasons)} (see above)." if reasons else ""


def _write_scheme(
    reading: "Reading", records: list[dict[str, Any]], types_output: Path | None, arguments_output: Path | None
) -> None:
    """Write types and arguments: those that the source declares, or else those of the records."""
    from ..corpora.reading import Scheme
    from ..files import write_json

    scheme = Scheme.merged(reading.schemes) if reading.schemes else Scheme.of(records)
    if types_output is not None:
        write_json(types_output, scheme.types.to_json())
        typer.echo(
            f"{types_output}: {len(scheme.types.entities)} entity types, {len(scheme.types.relations)} relation types."
        )
    if arguments_output is not None:
        write_json(arguments_output, {name: list(map(list, pairs)) for name, pairs in scheme.arguments.items()})
        typer.echo(f"{arguments_output}: arguments of {len(scheme.arguments)} relation types.")
