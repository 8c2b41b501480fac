"""The command `spert`: convert, predict, evaluate, score, summary, export, push, corpus."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .corpora.commands import app as corpus_app

app = typer.Typer(
    help="Span-based joint entity and relation extraction.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(corpus_app, name="corpus")


class Dtype(StrEnum):
    """The numbers that a model computes with."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    int8 = "int8"


Model = Annotated[str, typer.Option(help="A trained model: a folder, or a repository on the Hub.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Sentences that pass the encoder together.")]
WithoutOverlapping = Annotated[bool, typer.Option("--without-overlapping", help="Leave overlapping entities out.")]


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Option(help="A folder that the original implementation saved.")],
    types: Annotated[Path, typer.Option(help="The type file that the model was trained with.")],
    output: Annotated[Path, typer.Option(help="The folder for the model in this project's layout.")],
    lowercase: Annotated[bool, typer.Option("--lowercase", help="The model was trained on lower-cased text.")] = False,
    corpus: Annotated[
        str | None,
        typer.Option(help="The corpus that the model was trained on, by name or file: text is then split as there."),
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="The folder that holds a named corpus's files.")] = None,
) -> None:
    """Convert a checkpoint of the original SpERT."""
    from .conversion import convert_checkpoint
    from .corpora import load_corpus, read_types, words_and_texts
    from .training.output import save_model

    model, processor = convert_checkpoint(checkpoint, read_types(types), lowercase=lowercase)
    if corpus is not None:
        splits = load_corpus(corpus, data_dir)
        if "train" not in splits:
            raise ValueError(f"--corpus: expected a corpus with a split 'train', got {', '.join(splits)}.")
        processor.learn_words(*words_and_texts(splits["train"]))
    save_model(output, model, processor)
    typer.echo(
        f"{output}: {len(model.config.entity_types)} entity and {len(model.config.relation_types)} relation types."
    )


@app.command()
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
    from .extraction import bulk
    from .extraction.sinks import sink_of

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
        loaded, processor = _load(model, dtype.value, int(os.environ.get("LOCAL_RANK", "0")))
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


@app.command()
def evaluate(
    model: Model,
    dataset: Annotated[str, typer.Option(help="A corpus by name, or a folder or file of SpERT JSON.")],
    data_dir: Annotated[str | None, typer.Option(help="The folder that holds a named corpus's files.")] = None,
    split: Annotated[str, typer.Option(help="Which part of the corpus; a single file has one.")] = "test",
    fold: Annotated[int | None, typer.Option(help="One fold of the corpus, counted from 0.")] = None,
    num_folds: Annotated[int | None, typer.Option(help="Cut the corpus into this many folds.")] = None,
    without_overlapping: WithoutOverlapping = False,
    from_text: Annotated[
        bool, typer.Option("--from-text", help="Give the model text in place of words; entities count by characters.")
    ] = False,
    given_entities: Annotated[
        bool, typer.Option("--given-entities", help="Give the model the gold entities: only relations are predicted.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="A folder for metrics.json and predictions.json.")] = None,
    batch_size: BatchSize = 16,
) -> None:
    """Score a model on a corpus."""
    from .corpora import load_corpus
    from .evaluation.evaluator import evaluate_model
    from .evaluation.report import print_scores
    from .training.output import save_scores

    corpus = load_corpus(dataset, data_dir, fold=fold, num_folds=num_folds)
    if Path(dataset).is_file() and fold is None:
        split = next(iter(corpus))
    if split not in corpus:
        raise ValueError(f"--split: expected one of {', '.join(corpus)}, got {split!r}.")
    loaded, processor = _load(model)
    scores, predictions = evaluate_model(
        loaded,
        processor,
        corpus[split],
        batch_size=batch_size,
        without_overlapping=without_overlapping,
        from_text=from_text,
        given_entities=given_entities,
        progress=sys.stderr.isatty(),
    )
    if output is not None:
        save_scores(output, scores, predictions)
    print_scores(scores, title=f"{model} on {dataset}, {split}, {len(predictions)} sentences")


@app.command()
def score(
    references: Annotated[Path, typer.Option(help="Gold annotations in SpERT JSON.")],
    predictions: Annotated[Path, typer.Option(help="Predictions in SpERT JSON, in the same order.")],
    types: Annotated[Path | None, typer.Option(help="A type file: it says which relations are symmetric.")] = None,
    without_overlapping: WithoutOverlapping = False,
    output: Annotated[Path | None, typer.Option(help="A file for the scores, JSON.")] = None,
) -> None:
    """Score anybody's predictions."""
    from .corpora import read_spert_json, read_types
    from .evaluation.report import print_scores
    from .evaluation.scores import check_same_tokens, compute_scores
    from .files import write_json

    known = read_types(types) if types is not None else None
    expected, found = read_spert_json(references, known), read_spert_json(predictions, known)
    check_same_tokens(expected, found, str(references), str(predictions))
    scores = compute_scores(
        expected,
        found,
        symmetric_relations=known.symmetric_relations if known else (),
        without_overlapping=without_overlapping,
    )
    if output is not None:
        write_json(output, scores)
    print_scores(scores, title=f"{predictions} against {references}, {len(found)} sentences")


@app.command()
def summary(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or a folder of such.")],
    output: Annotated[Path | None, typer.Option(help="A file for the numbers, JSON.")] = None,
) -> None:
    """Mean and standard deviation of scores over runs."""
    from .evaluation.summary import print_summary, summarize
    from .files import write_json

    numbers = summarize(folders)
    if output is not None:
        write_json(output, numbers)
    print_summary(numbers, f"{len(numbers['all spans']['runs'])} runs")


@app.command()
def export(
    model: Model,
    output: Annotated[Path, typer.Option(help="The folder for the graphs, with configuration and processor.")],
    format: Annotated[str, typer.Option(help="onnx, onnx-int8 or torch.")] = "onnx",
) -> None:
    """Export a model for other runtimes; `spert predict` and `spert evaluate` take the folder like a model's."""
    from .exported import export_model
    from .modeling_spert import SpertModel
    from .processing_spert import SpertProcessor

    export_model(SpertModel.from_pretrained(model), SpertProcessor.from_pretrained(model), output, format)
    typer.echo(f"{output}: {', '.join(sorted(path.name for path in output.iterdir() if path.suffix != '.py'))}.")


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="A trained model's folder.")],
    repository: Annotated[str, typer.Argument(help="org/name on the Hub; it is made where it does not exist.")],
    token: Annotated[str | None, typer.Option(help="Default: the one that `hf auth login` saved.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository a private one.")] = False,
    message: Annotated[str, typer.Option(help="The commit's message.")] = "Upload model",
) -> None:
    """Upload a trained model to the Hub: code, weights, processor, card and metrics, in one commit."""
    from .hub import push_folder

    typer.echo(f"Uploaded: {push_folder(folder, repository, token=token, private=private or None, message=message)}")


def _load(model: str, dtype: str = "float32", device_index: int = 0):  # type: ignore[no-untyped-def]  # its types would import torch for `spert --help`
    import torch

    from .exported import ExportedModel, is_exported
    from .modeling_spert import SpertModel
    from .processing_spert import SpertProcessor

    if is_exported(model):
        if dtype != "float32":
            raise ValueError(f"--dtype: an exported model brings its own numbers, got {dtype}.")
        return ExportedModel(model), SpertProcessor.from_pretrained(model)
    device = torch.device("cpu")
    if torch.accelerator.is_available() and not os.environ.get("ACCELERATE_USE_CPU"):
        kind = torch.accelerator.current_accelerator()
        device = torch.device(kind.type if kind else "cpu", device_index)
    if dtype == "int8":
        from .quantization import quantize_encoder

        loaded = quantize_encoder(SpertModel.from_pretrained(model))  # says what it thinks of other devices
    else:
        loaded = SpertModel.from_pretrained(model, dtype=getattr(torch, dtype)).eval().to(device)
    return loaded, SpertProcessor.from_pretrained(model)


def main() -> None:
    """Run the command; what a user did wrong is one line, not a trace."""
    try:
        app()
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as error:
        typer.echo(f"spert: {error}", err=True)
        sys.exit(1)
