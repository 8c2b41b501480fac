"""`spert score`: the scores of anybody's predictions."""

from pathlib import Path
from typing import Annotated

import typer

from .shared import WithoutOverlapping


def score(
    references: Annotated[Path, typer.Option(help="Gold annotations in SpERT JSON.")],
    predictions: Annotated[Path, typer.Option(help="Predictions in SpERT JSON, in the same order.")],
    types: Annotated[Path | None, typer.Option(help="A type file: it says which relations are symmetric.")] = None,
    without_overlapping: WithoutOverlapping = False,
    output: Annotated[Path | None, typer.Option(help="A file for the scores, JSON.")] = None,
) -> None:
    """Score anybody's predictions."""
    from ..corpora import read_spert_json, read_types
    from ..evaluation.report import print_scores
    from ..evaluation.scores import check_same_tokens, compute_scores
    from ..files import write_json

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
