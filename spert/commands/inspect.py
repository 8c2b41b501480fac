"""`spert inspect`: a model's mistakes, in a page and in numbers."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..loading import load_model
from .shared import BatchSize

if TYPE_CHECKING:
    from ..corpora import CorpusTypes


def inspect(
    model: Annotated[str | None, typer.Option(help="A trained model: a folder, or a repository on the Hub.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Or predictions: SpERT JSON, or .jsonl of `spert predict`, which has scores.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A corpus by name, or a folder or file of SpERT JSON.")] = None,
    references: Annotated[Path | None, typer.Option(help="Or gold annotations in SpERT JSON.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="The folder that holds a named corpus's files.")] = None,
    split: Annotated[str, typer.Option(help="Which part of the corpus; a single file has one.")] = "test",
    fold: Annotated[int | None, typer.Option(help="One fold of the corpus, counted from 0.")] = None,
    num_folds: Annotated[int | None, typer.Option(help="Cut the corpus into this many folds.")] = None,
    types: Annotated[Path | None, typer.Option(help="A type file, beside --references.")] = None,
    train_file: Annotated[
        Path | None, typer.Option(help="What was trained on, in SpERT JSON. Default: the corpus's train split.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels that the page saved, to show and count them.")] = None,
    output: Annotated[Path, typer.Option(help="A folder for report.html and report.json.")] = Path("inspection"),
    batch_size: BatchSize = 16,
) -> None:
    """Look into a model's mistakes: classes, an oracle ladder, breakdowns, and every sentence."""
    from ..corpora import read_spert_json, read_types, types_of
    from ..files import write_json
    from ..inspection.files import read_labels, read_scored_predictions
    from ..inspection.inspected import Inspected, shown_name, system_of
    from ..inspection.page import write_page
    from ..inspection.printing import print_report
    from ..inspection.readings import reading_of
    from ..inspection.report import report_of

    _exactly_one("--model or --predictions", model, predictions)
    _exactly_one("--dataset or --references", dataset, references)
    if references is not None and (fold is not None or num_folds is not None):
        raise ValueError("--fold and --num-folds go with --dataset: a file of references is scored as it is.")
    known: CorpusTypes | None = None
    training: list[dict[str, Any]] | None = None
    if dataset is not None:
        if types is not None:
            raise ValueError("--types: goes with --references; a corpus brings its own types.")
        from ..corpora import load_corpus

        corpus = load_corpus(dataset, data_dir, fold=fold, num_folds=num_folds)
        if Path(dataset).is_file() and fold is None:
            split = next(iter(corpus))
        if split not in corpus:
            raise ValueError(f"--split: expected one of {', '.join(corpus)}, got {split!r}.")
        known, records, where = types_of(corpus), corpus[split].to_list(), f"{dataset}, {split}"
        if split != "train" and "train" in corpus and train_file is None:
            training = corpus["train"].to_list()
    else:
        assert references is not None
        known = read_types(types) if types is not None else None
        records, where = read_spert_json(references, known), str(references)
    if not records:
        raise ValueError(f"{where}: expected at least one sentence, got none.")
    if train_file is not None:
        training = read_spert_json(train_file)
    symmetric = list(known.symmetric_relations) if known else []
    if model is not None:
        from ..inspection.predicting import read_with_model

        loaded, processor = load_model(model)
        symmetric = list(loaded.config.symmetric_relations)
        predicted = read_with_model(loaded, processor, records, batch_size=batch_size, progress=sys.stderr.isatty())
        threshold = loaded.config.relation_threshold
        lowest = min(threshold.values(), default=0.4) if isinstance(threshold, dict) else threshold
        system = system_of(shown_name(model), records, predicted.readings, symmetric, lowest, predicted.given)
    else:
        assert predictions is not None
        found = read_scored_predictions(predictions, records, where, known)
        system = system_of(shown_name(predictions), records, [reading_of(one, symmetric) for one in found], symmetric)
    where_shown = f"{shown_name(dataset)}, {split}" if dataset is not None else shown_name(references)
    about = {
        "read by": system.name,
        "sentences": f"{len(records):,} of {where_shown}",
        "symmetric relations": ", ".join(symmetric) or "none",
    }
    inspected = Inspected.of(
        f"Mistakes of {system.name} on {where_shown}", about, records, [system], symmetric, training
    )
    saved = read_labels(labels) if labels is not None else {}
    report = report_of(inspected, saved)
    write_json(output / "report.json", report)
    write_page(output / "report.html", inspected, report, saved)
    print_report(report)
    if labels is not None:
        here = {row["mistake"] for row in report["systems"][0]["mistakes"]}
        typer.echo(f"{len(saved.keys() & here)} of the {len(saved)} labels in {labels} are of mistakes in this report.")
    typer.echo(f"Written: {output / 'report.html'}, {output / 'report.json'}")


def _exactly_one(flags: str, *values: Any) -> None:
    given = sum(value is not None for value in values)
    if given != 1:
        raise ValueError(f"inspect: expected either {flags}, got {'both' if given else 'neither'}.")
