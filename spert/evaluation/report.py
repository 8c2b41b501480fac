"""Scores as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from .scores import AVERAGES, FIGURES, TASKS

_TITLES = {
    "ner": "Entities (span and type)",
    "rel_boundary": "Relations, boundaries (type and both spans)",
    "rel_strict": "Relations, strict (entity types as well)",
}


def print_scores(scores: Mapping[str, Any], title: str | None = None, console: Console | None = None) -> None:
    """Print per-type, micro and macro scores of each task, in percent."""
    console = console or Console()
    if title:
        console.print(f"\n[bold]{title}[/bold]")
    for task in TASKS:
        table = Table(title=_TITLES[task], title_justify="left")
        table.add_column("Type")
        for name in ("Precision", "Recall", "F1", "Support"):
            table.add_column(name, justify="right")
        per_type = scores[f"{task}_per_type"]
        for kind, values in per_type.items():
            table.add_row(kind, *_percent(values), str(values["support"]))
        table.add_section()
        support = sum(values["support"] for values in per_type.values())
        for average in AVERAGES:
            values = {name: scores[f"{task}_{average}_{name}"] for name in FIGURES}
            table.add_row(average, *_percent(values), str(support), style="bold")
        console.print(table)


def _percent(values: Mapping[str, float]) -> list[str]:
    return [f"{100 * values[name]:.2f}" for name in FIGURES]
