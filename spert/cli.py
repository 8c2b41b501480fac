"""The command `spert`: convert, predict, evaluate, score, summary, push, corpus."""

import sys
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

Model = Annotated[str, typer.Option(help="A trained model: a folder, or a repository on the Hub.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Sentences that pass the encoder together.")]
WithoutOverlapping = Annotated[bool, typer.Option("--without-overlapping", help="Leave overlapping entities out.")]


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Option(help="A folder that the original implementation saved.")],
    types: Annotated[Path, typer.Option(help="The type file that the model was trained with.")],
    output: Annotated[Path, typer.Option(help="The folder for the model in this project's layout.")],
    lowercase: Annotated[bool, typer.Option("--lowercase", help="The model was trained on lower-cased text.")] = False,
) -> None:
    """Convert a checkpoint of the original SpERT."""
    from .conversion import convert_checkpoint
    from .corpora import read_types
    from .training.output import save_model

    model, processor = convert_checkpoint(checkpoint, read_types(types), lowercase=lowercase)
    save_model(output, model, processor)
    typer.echo(
        f"{output}: {len(model.config.entity_types)} entity and {len(model.config.relation_types)} relation types."
    )


@app.command()
def predict(
    model: Model,
    input: Annotated[Path, typer.Option(help="Sentences: SpERT JSON (.json) or JSON Lines (.jsonl).")],
    output: Annotated[Path, typer.Option(help="The file for the results, .json or .jsonl.")],
    batch_size: BatchSize = 16,
    relation_threshold: Annotated[float | None, typer.Option(help="Default: the model's own.")] = None,
) -> None:
    """Extract entities and relations from a file."""
    from .prediction import predict as predict_sentences
    from .prediction_files import check_ending, read_sentences, write_results

    check_ending(output)
    sentences, ids = read_sentences(input)
    loaded, processor = _load(model)
    results = predict_sentences(
        loaded,
        processor,
        sentences,
        batch_size=batch_size,
        relation_threshold=relation_threshold,
        progress=sys.stderr.isatty(),
    )
    write_results(output, results, ids)
    typer.echo(
        f"{output}: {sum(len(result['entities']) for result in results)} entities and "
        f"{sum(len(result['relations']) for result in results)} relations in {len(results)} sentences."
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
    folders: Annotated[list[Path], typer.Argument(help="Output folders of training: seeds, folds.")],
    output: Annotated[Path | None, typer.Option(help="A file for the numbers, JSON.")] = None,
) -> None:
    """Mean and standard deviation of scores over runs."""
    from .evaluation.summary import print_summary, summarize
    from .files import write_json

    numbers = summarize(folders)
    if output is not None:
        write_json(output, numbers)
    print_summary(numbers, f"{len(folders)} runs")


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


def _load(model: str):  # type: ignore[no-untyped-def]  # its types would import torch for `spert --help`
    import torch

    from .modeling_spert import SpertModel
    from .processing_spert import SpertProcessor

    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    return SpertModel.from_pretrained(model).eval().to(device), SpertProcessor.from_pretrained(model)


def main() -> None:
    """Run the command; what a user did wrong is one line, not a trace."""
    try:
        app()
    except (ValueError, OSError) as error:
        typer.echo(f"spert: {error}", err=True)
        sys.exit(1)
