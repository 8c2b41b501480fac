"""`spert predict`: extract from files of any size."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .shared import BatchSize, Model, load_model


class Dtype(StrEnum):
    """The numbers that a model computes with."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    int8 = "int8"


def predict(
    model: Model,
    input: Annotated[
        str,
        typer.Option(help="Sentences: .jsonl, .json (SpERT JSON), .txt, .parquet, or a dataset (disk, Hub)."),
    ],
    output: Annotated[str, typer.Option(help="A file (.jsonl, .json, .parquet), or a folder for shards of .jsonl.")],
    batch_size: BatchSize = 16,
    relation_threshold: Annotated[float | None, typer.Option(help="Default: the model's own.")] = None,
    split: Annotated[str, typer.Option(help="Of a dataset.")] = "train",
    column: Annotated[str | None, typer.Option(help="The field with text or words. Default: tokens or text.")] = None,
    dtype: Annotated[Dtype, typer.Option(help="The model's numbers; int8 is for CPUs.")] = Dtype.float32,
    num_processes: Annotated[int, typer.Option(min=1, help="Processes, each with its cores or accelerator.")] = 1,
    shard_size: Annotated[int, typer.Option(min=1, help="Entries that are written, and redone, together.")] = 10_000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the shards of an interrupted run.")] = False,
    worker: Annotated[bool, typer.Option("--worker", hidden=True, help="One of several processes.")] = False,
) -> None:
    """Extract entities and relations from any number of sentences, in constant memory."""
    from ..extraction import bulk
    from ..extraction.sinks import sink_of

    folder, place = bulk.shards_folder(output), Path(output)
    sink = sink_of(place)
    plan, source = bulk.plan_of(
        model,
        input,
        split=split,
        column=column,
        relation_threshold=relation_threshold,
        dtype=dtype.value,
        shard_size=shard_size,
    )
    if not worker:
        bulk.make_plan(plan, folder, resume)
    if num_processes > 1 and not worker:
        code = bulk.launch_workers(num_processes, [*sys.argv[2:], "--worker"])
        if code:
            raise RuntimeError(f"A process ended with exit code {code}. Finished shards are kept: go on with --resume.")
    else:
        rank, of = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
        loaded, processor = load_model(model, dtype.value, int(os.environ.get("LOCAL_RANK", "0")))
        bulk.make_shards(
            plan,
            source,
            folder,
            sink,
            loaded,
            processor,
            batch_size=batch_size,
            process_index=rank,
            num_processes=of,
            progress=sys.stderr.isatty() and rank == 0,
        )
    if not worker:
        outcome = bulk.join_shards(plan, folder, sink, place)
        typer.echo(f"{output}: {outcome.entries - outcome.refused} sentences.")
        if outcome.refused:
            typer.echo(
                f"{outcome.refused} of {outcome.entries} entries were refused, see {outcome.errors}. The first: "
                f"{outcome.first_reason}",
                err=True,
            )
