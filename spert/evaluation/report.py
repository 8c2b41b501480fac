"""Scores as tables for the terminal, and how scores are written wherever people read them."""

import os
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ..terminal import cell
from .scores import AVERAGES, FIGURES, GOLD_ENTITIES, OFF_WORD_BORDERS, TASKS

TASK_TITLES = {"ner": "entities", "rel_boundary": "relations, boundaries", "rel_strict": "relations, strict"}
"""Each task in tables, pictures and cards."""

_EXPLAINED = {
    "ner": "Entities (span and type)",
    "rel_boundary": "Relations, boundaries (type and both spans)",
    "rel_strict": "Relations, strict (entity types as well)",
}


def score_text(value: float) -> str:
    """A score as people read it: a fraction with four digits, as in `metrics.json`.

    >>> score_text(0.01754)
    '0.0175'
    """
    return f"{value:.4f}"


def off_borders_text(scores: Mapping[str, Any]) -> str | None:
    """How many gold entities cannot be found in running text, for scores from text; otherwise `None`."""
    if OFF_WORD_BORDERS not in scores:
        return None
    return (
        f"{scores[OFF_WORD_BORDERS]} of {scores[GOLD_ENTITIES]} gold entities stand on no word border of the text, so "
        f"that they cannot be found."
    )


def is_main() -> bool:
    """Whether this is the only process, or the first of several (torchrun and `accelerate launch` set `RANK`)."""
    return os.environ.get("RANK", "0") == "0"


def print_scores(scores: Mapping[str, Any], title: str | None = None, console: Console | None = None) -> None:
    """Print per-type, micro and macro scores of each task. Of several processes, only the first one prints."""
    if not is_main():
        return
    console = console or Console()
    if title:
        console.print(f"\n[bold]{cell(title)}[/bold]")
    for task in TASKS:
        table = Table(title=_EXPLAINED[task], title_justify="left")
        table.add_column("Type")
        for name in ("Precision", "Recall", "F1", "Support"):
            table.add_column(name, justify="right")
        per_type = scores[f"{task}_per_type"]
        for kind, values in per_type.items():
            table.add_row(cell(kind), *(score_text(values[name]) for name in FIGURES), str(values["support"]))
        table.add_section()
        support = sum(values["support"] for values in per_type.values())
        for average in AVERAGES:
            shown = [score_text(scores[f"{task}_{average}_{name}"]) for name in FIGURES]
            table.add_row(average, *shown, str(support), style="bold")
        console.print(table)
    if off_borders := off_borders_text(scores):
        console.print(off_borders)
