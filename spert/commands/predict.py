"""`spert predict`: extract from files of any size."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from ..loading import load_configuration
from .shared import BatchSize, Model


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


class InputFormat(StrEnum):
    """Formats of an input, by the endings of their files."""

    jsonl = "jsonl"
    json = "json"
    txt = "txt"
    parquet = "parquet"


class Overlaps(StrEnum):
    """Which overlaps between entities are left."""

    all = "all"
    nested = "nested"
    none = "none"


_BY_TYPE = "A number, or TYPE=NUMBER (repeated), or JSON. Default: the model's."


def predict(
    model: Model,
    input: Annotated[
        str | None,
        typer.Option(
            help="Documents: .jsonl, .json (SpERT JSON), .txt, .parquet, a quoted pattern of such files, a dataset "
            "(disk, Hub), or - for standard input."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(help="A file (.jsonl, .json, .parquet), a folder for shards of .jsonl, or - (JSON Lines)."),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="In place of an input: a text, whose result is printed. Repeatable."),
    ] = None,
    input_format: Annotated[
        InputFormat | None, typer.Option(help="Of --input -. Default: jsonl.", show_default=False)
    ] = None,
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
    cuda_graphs: Annotated[
        bool, typer.Option("--cuda-graphs", help="On a GPU: launch batches of few padded shapes as captured graphs.")
    ] = False,
    num_processes: Annotated[
        int, typer.Option(min=1, help="Processes, each with its cores; accelerators are shared out among them.")
    ] = 1,
    shard_size: Annotated[int, typer.Option(min=1, help="Records that are written, and redone, together.")] = 10_000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the shards of an interrupted run.")] = False,
) -> None:
    """Extract entities and relations from any number of documents, in constant memory."""
    from ..extraction.choices import arguments_of, numbers_of
    from ..extraction.outputs import output_of
    from ..extraction.plan import printable
    from ..extraction.shards import how_to_go_on  # before any signal comes: of a stopped import, only half may be there
    from ..extraction.stopping import Stopped, occupy_standard_streams, say, stoppable
    from ..files import STANDARD_STREAM

    occupy_standard_streams()
    if text is None and input is None:
        raise ValueError("expected --input with documents, or --text with a text, got neither.")
    if text is not None and (input is not None or output not in (None, STANDARD_STREAM) or given_entities):
        raise ValueError(
            "--text: prints what it finds in a text, got --input, --given-entities or an --output that is a file as "
            "well. Write the text into a file, and name that as the input."
        )
    if text is None and output is None:
        raise ValueError("--output: expected the name of a file or a folder, or - for standard output, got none.")
    if input_format is not None and input != STANDARD_STREAM:
        raise ValueError("--input-format: goes with --input -, the ending of a file says its format.")
    is_printed = output in (None, STANDARD_STREAM)
    if is_printed and (resume or num_processes > 1):
        raise ValueError("--output: expected a file with --resume or --num-processes, got standard output.")
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
    ending = f".{(input_format or InputFormat.jsonl).value}"
    speed = {"batch_size": batch_size, "cuda_graphs": cuda_graphs}
    if is_printed:
        _print(model, revision, input, text, options, speed, ending, as_json=output == STANDARD_STREAM)
        return
    assert input is not None
    assert output is not None
    place = output_of(output)
    if all_scores and place.format == ".json":
        raise ValueError(f"{output}: expected .jsonl or .parquet with --all-scores, SpERT JSON has no scores.")
    try:
        with stoppable() as check:
            outcome = _run(model, revision, input, place, options, speed, num_processes, resume, check, ending)
    except Stopped as stopped:
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
    model, revision, input, place, options, speed, num_processes, resume, check, ending
):
    """Check everything, then make the plan and carry it out."""
    from contextlib import nullcontext
    from pathlib import Path

    from ..extraction.bulk import maker_of, run_plan
    from ..extraction.models import digests_of, find_model
    from ..extraction.plan import Plan
    from ..extraction.sinks import sink_of
    from ..extraction.sources import open_source
    from ..extraction.standard import read_whole
    from ..extraction.stopping import say
    from ..extraction.workers import run_workers
    from ..files import STANDARD_STREAM
    from ..options_spert import DecodingOptions

    is_stream = input == STANDARD_STREAM
    if not is_stream:
        place.refuse_input(Path(input))
    place.check_writable()
    with read_whole(ending) if is_stream else nullcontext(open_source(input, options["split"])) as source:
        for file in source.files:
            place.refuse_input(file)
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
        name = str(source.files[0]) if is_stream else input

        def with_one_process():  # type: ignore[no-untyped-def]
            return maker_of(plan, source, sink, folder, **speed, check=check)

        def with_several():  # type: ignore[no-untyped-def]
            words = ["--model", str(folder), "--input", name, "--format", place.format]
            words += ["--batch-size", str(speed["batch_size"]), *["--cuda-graphs"] * speed["cuda_graphs"]]
            return lambda shards, missing: run_workers(num_processes, [str(shards.folder), *words])

        return run_plan(
            plan,
            place,
            sink,
            with_one_process if num_processes == 1 else with_several,
            resume=resume,
            say=lambda message: say(message, to_errors=True),
        )


def _print(  # type: ignore[no-untyped-def]  # as above
    model, revision, input, texts, options, speed, ending, as_json
):
    """Write results to standard output: as JSON Lines, or, those of texts in a terminal, as people read them."""
    from contextlib import nullcontext

    from ..extraction.models import find_model
    from ..extraction.sinks import json_line
    from ..extraction.sources import open_source
    from ..extraction.standard import read_as_it_comes, write_results
    from ..extraction.stopping import say
    from ..files import STANDARD_STREAM
    from ..loading import load_model
    from ..options_spert import DecodingOptions

    settings = {name: value for name, value in options.items() if name not in ("split", "dtype", "shard_size")}
    is_stream = input == STANDARD_STREAM
    source = None if is_stream or texts else open_source(input, options["split"])
    folder = find_model(model, revision)
    DecodingOptions.of(load_configuration(str(folder))).override(**options["decoding"])
    loaded, processor = load_model(str(folder), options["dtype"])
    if not texts:
        with read_as_it_comes(ending) if is_stream else nullcontext(source) as opened:
            written = write_results(
                opened,
                loaded,
                processor,
                sys.stdout.buffer,
                lambda reason: say(f"spert: {reason}", to_errors=True),
                **speed,
                **settings,
            )
        if written.refused:
            say(f"{written.refused} of {written.entries} entries were refused.", to_errors=True)
        return
    from ..extraction.records import sentence_of
    from ..prediction import predict as predict_texts

    results = predict_texts(
        loaded,
        processor,
        [sentence_of(one, sentences=options["sentences"]) for one in texts],
        **speed,
        on_overflow=options["on_overflow"],
        sentences_per_window=options["sentences_per_window"],
        return_all_scores=options["all_scores"],
        **options["decoding"],
    )
    if as_json or not sys.stdout.isatty():
        for result in results:
            say(json_line(None, result).decode().rstrip("\n"))
        return
    from ..showing import console_of, print_result

    console = console_of()
    for result in results:
        print_result(console, result)
