"""`spert predict`: extract from files of any size."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from .shared import BatchSize, Model, load_configuration


class Dtype(StrEnum):
    """The numbers that a model computes with."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    int8 = "int8"


class SentencesOfText(StrEnum):
    """How a text becomes sentences."""

    found = "found"
    line = "line"
    one = "one"


class Overflow(StrEnum):
    """What becomes of a sentence that is longer than the encoder takes."""

    windows = "windows"
    error = "error"


class Overlaps(StrEnum):
    """Which overlaps between entities are left."""

    all = "all"
    nested = "nested"
    none = "none"


_BY_TYPE = "A number, or TYPE=NUMBER (repeated), or JSON. Default: the model's."


def predict(
    model: Model,
    input: Annotated[
        str,
        typer.Option(help="Documents: .jsonl, .json (SpERT JSON), .txt, .parquet, or a dataset (disk, Hub)."),
    ],
    output: Annotated[str, typer.Option(help="A file (.jsonl, .json, .parquet), or a folder for shards of .jsonl.")],
    batch_size: BatchSize = 16,
    revision: Annotated[str | None, typer.Option(help="Of a model on the Hub.")] = None,
    split: Annotated[str, typer.Option(help="Of a dataset.")] = "train",
    column: Annotated[str | None, typer.Option(help="The field with text or words. Default: tokens or text.")] = None,
    sentences: Annotated[
        SentencesOfText | None,
        typer.Option(
            help="How a text becomes sentences: found, a line each, or one. Default: the record's own, or found."
        ),
    ] = None,
    on_overflow: Annotated[
        Overflow, typer.Option(help="A sentence longer than the encoder takes: read in windows, or refused.")
    ] = Overflow.windows,
    sentences_per_window: Annotated[
        int | None, typer.Option(min=1, help="Sentences that are read together. Default: the model's.")
    ] = None,
    given_entities: Annotated[
        bool, typer.Option("--given-entities", help="Take a record's 'entities' as they are, and find relations.")
    ] = False,
    relation_threshold: Annotated[list[str] | None, typer.Option(help=f"Least score of a relation. {_BY_TYPE}")] = None,
    entity_threshold: Annotated[list[str] | None, typer.Option(help=f"Least score of an entity. {_BY_TYPE}")] = None,
    relation_arguments: Annotated[
        str | None, typer.Option(help="Which types a relation joins: JSON, or a file with it. Default: the model's.")
    ] = None,
    overlapping_entities: Annotated[
        Overlaps | None, typer.Option(help="Overlaps that are left. Default: the model's.")
    ] = None,
    temperature: Annotated[
        list[str] | None,
        typer.Option(help="What logits are divided by: a number, or entities=NUMBER and relations=NUMBER, or JSON."),
    ] = None,
    all_scores: Annotated[bool, typer.Option("--all-scores", help="Write the scores of all types and pairs.")] = False,
    dtype: Annotated[Dtype, typer.Option(help="The model's numbers; int8 is for CPUs.")] = Dtype.float32,
    num_processes: Annotated[int, typer.Option(min=1, help="Processes, each with its cores or accelerator.")] = 1,
    shard_size: Annotated[int, typer.Option(min=1, help="Records that are written, and redone, together.")] = 10_000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the shards of an interrupted run.")] = False,
) -> None:
    """Extract entities and relations from any number of documents, in constant memory."""
    from ..extraction.choices import arguments_of, numbers_of
    from ..extraction.outputs import output_of
    from ..extraction.plan import printable
    from ..extraction.stopping import Stopped, occupy_standard_streams, say, stoppable

    occupy_standard_streams()
    place = output_of(output)
    decoding = {
        "relation_threshold": numbers_of("--relation-threshold", relation_threshold),
        "entity_threshold": numbers_of("--entity-threshold", entity_threshold),
        "relation_arguments": arguments_of("--relation-arguments", relation_arguments),
        "overlapping_entities": None if overlapping_entities is None else overlapping_entities.value,
        "temperature": numbers_of("--temperature", temperature),
    }
    options: dict[str, Any] = {
        "split": split,
        "column": column,
        "dtype": dtype.value,
        "sentences": None if sentences is None else sentences.value,
        "on_overflow": on_overflow.value,
        "sentences_per_window": sentences_per_window,
        "given_entities": given_entities,
        "all_scores": all_scores,
        "shard_size": shard_size,
        "decoding": {name: value for name, value in decoding.items() if value is not None},
    }
    if all_scores and place.format == ".json":
        raise ValueError(f"{output}: expected .jsonl or .parquet with --all-scores, SpERT JSON has no scores.")
    try:
        with stoppable() as check:
            outcome = _run(model, revision, input, place, options, batch_size, num_processes, resume, check)
    except Stopped as stopped:
        from ..extraction.bulk import how_to_go_on

        say(f"spert: stopped by {stopped.name}. {how_to_go_on(place.shards)}", to_errors=True)
        raise typer.Exit(stopped.exit_code) from None
    if outcome.is_old:
        say(f"{printable(output)}: was finished before, there is nothing to do.")
        return
    say(f"{printable(output)}: {outcome.entries - outcome.refused} records.")
    if outcome.refused:
        say(
            f"{outcome.refused} of {outcome.entries} entries were refused, see {printable(str(outcome.errors))}. The "
            f"first: {outcome.first_reason}",
            to_errors=True,
        )


def _run(  # type: ignore[no-untyped-def]  # its types would import torch for `spert --help`
    model, revision, input, place, options, batch_size, num_processes, resume, check
):
    """Check everything, then make the plan and carry it out."""
    from pathlib import Path

    from ..extraction.bulk import maker_of, run_plan
    from ..extraction.models import digests_of, find_model
    from ..extraction.plan import Plan
    from ..extraction.sinks import sink_of
    from ..extraction.sources import open_source
    from ..extraction.stopping import say
    from ..extraction.workers import run_workers
    from ..options_spert import DecodingOptions

    place.refuse_input(Path(input))
    place.check_writable()
    source = open_source(input, options["split"])
    folder = find_model(model, revision)
    DecodingOptions.of(load_configuration(str(folder))).override(**options["decoding"])
    plan = Plan(
        model=model,
        model_files=digests_of(folder),
        input=input,
        input_identity=source.identity,
        length=source.length,
        **options,
    )
    sink = sink_of(place.format, column=plan.column, schema=source.schema, all_scores=plan.all_scores)

    def with_one_process():  # type: ignore[no-untyped-def]
        return maker_of(plan, source, sink, folder, batch_size=batch_size, check=check)

    def with_several():  # type: ignore[no-untyped-def]
        words = ["--model", str(folder), "--input", input, "--format", place.format, "--batch-size", str(batch_size)]
        return lambda shards, missing: run_workers(num_processes, [str(shards.folder), *words])

    return run_plan(
        plan,
        place,
        sink,
        with_one_process if num_processes == 1 else with_several,
        resume=resume,
        say=lambda message: say(message, to_errors=True),
    )
