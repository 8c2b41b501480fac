"""`spert evaluate`: the scores of a model on a corpus."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..loading import load_model
from .shared import BatchSize, Model, WithoutOverlapping


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
    from ..corpora import load_corpus
    from ..evaluation.evaluator import evaluate_model
    from ..evaluation.report import print_scores
    from ..training.output import save_scores

    corpus = load_corpus(dataset, data_dir, fold=fold, num_folds=num_folds)
    if Path(dataset).is_file() and fold is None:
        split = next(iter(corpus))
    if split not in corpus:
        raise ValueError(f"--split: expected one of {', '.join(corpus)}, got {split!r}.")
    loaded, processor = load_model(model)
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
