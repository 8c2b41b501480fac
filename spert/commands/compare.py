"""`spert compare`: whether one system is better than another, and how sure that is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shared import WithoutOverlapping

if TYPE_CHECKING:
    from ..corpora import CorpusTypes

_SYSTEM = (
    "Predictions (SpERT JSON), a run's folder, a folder of runs (seeds), or a quoted pattern such as 'outputs/mine-*'."
)


def compare(
    first: Annotated[str, typer.Argument(help=_SYSTEM)],
    second: Annotated[str, typer.Argument(help="The same, of the system to compare with the first.")],
    references: Annotated[Path | None, typer.Option(help="Gold annotations in SpERT JSON.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Or a corpus by name, or a folder of SpERT JSON.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="The folder that holds a named corpus's files.")] = None,
    split: Annotated[str, typer.Option(help="Which part of the corpus.")] = "test",
    types: Annotated[Path | None, typer.Option(help="A type file, beside --references.")] = None,
    without_overlapping: WithoutOverlapping = False,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of the bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    output: Annotated[Path | None, typer.Option(help="A file for the numbers, JSON.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="An HTML file for the mistakes of both, beside each other. Takes one run of each."),
    ] = None,
) -> None:
    """Compare two systems by a paired bootstrap over sentences."""
    from ..corpora import read_spert_json, read_types, types_of
    from ..evaluation.compared import prediction_files, read_predictions
    from ..evaluation.comparison import compare, print_comparison
    from ..files import write_json

    if (references is None) == (dataset is None):
        got = "both" if dataset is not None else "neither"
        raise ValueError(f"compare: expected either --references or --dataset, got {got}.")
    known: CorpusTypes | None
    training = None
    files = [prediction_files(system) for system in (first, second)]
    if report is not None and (several := [name for name, runs in zip((first, second), files) if len(runs) > 1]):
        raise ValueError(
            f"--report: expected one run of each system, got several in {several[0]}. Name the predictions of one run."
        )
    if report is not None and without_overlapping:
        raise ValueError("--report: shows all entities. Leave out --without-overlapping, or --report.")
    if dataset is not None:
        if types is not None:
            raise ValueError("--types: goes with --references; a corpus brings its own types.")
        from ..corpora import load_corpus

        corpus = load_corpus(dataset, data_dir)
        if split not in corpus:
            raise ValueError(f"--split: expected one of {', '.join(corpus)}, got {split!r}.")
        known, gold, name = types_of(corpus), corpus[split].to_list(), f"{dataset}, {split}"
        training = corpus["train"].to_list() if split != "train" and "train" in corpus else None
    else:
        assert references is not None
        known = read_types(types) if types is not None else None
        gold, name = read_spert_json(references, known), str(references)
    systems = [read_predictions(of_system, gold, name, known) for of_system in files]
    numbers = compare(
        gold,
        *systems,
        symmetric_relations=known.symmetric_relations if known else (),
        without_overlapping=without_overlapping,
        resamples=resamples,
        seed=seed,
    )
    if output is not None:
        write_json(output, numbers)
    if report is not None:
        from ..inspection.comparing import write_comparison

        write_comparison(report, gold, name, [of_system[0] for of_system in files], numbers, known, training)
    print_comparison(numbers, (first, second))
    if report is not None:
        typer.echo(f"Written: {report}")
