"""Scores of several runs (seeds, folds): each run, and mean and standard deviation over them, in one table."""

import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..files import read_json
from .scores import AVERAGES, FIGURES, TASKS

METRICS = "metrics.json"
METRICS_WITHOUT_OVERLAPPING = "metrics_without_overlapping.json"
SUMMARY = "summary.json"

_NUMBERS = [f"{task}_{average}_{figure}" for task in TASKS for average in AVERAGES for figure in FIGURES]
_KINDS = {"all spans": METRICS, "without overlapping": METRICS_WITHOUT_OVERLAPPING}


def summarize(folders: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """Mean and sample standard deviation of every score over runs.

    Args:
        folders: output folders of training.

    Returns:
        For `all spans`, and for `without overlapping` where every run has those, `runs` (folder name to its scores),
        `mean` and `deviation` (which a single run does not have).

    Raises:
        FileNotFoundError: a folder holds no `metrics.json`.
    """
    if not folders:
        raise ValueError("summarize: expected at least one folder of a finished run, got none.")
    summary: dict[str, Any] = {}
    for kind, name in _KINDS.items():
        files = {str(folder): Path(folder) / name for folder in folders}
        if name != METRICS and not all(file.is_file() for file in files.values()):
            continue
        scores = {folder: read_json(file) for folder, file in files.items()}
        values = {number: [one[number] for one in scores.values()] for number in _NUMBERS}
        summary[kind] = {
            "runs": {Path(folder).name: {number: one[number] for number in _NUMBERS} for folder, one in scores.items()},
            "mean": {number: statistics.mean(all_values) for number, all_values in values.items()},
        }
        if len(folders) > 1:
            summary[kind]["deviation"] = {number: statistics.stdev(all_values) for number, all_values in values.items()}
    return summary


def print_summary(summary: Mapping[str, Any], title: str, console: Console | None = None) -> None:
    """Print the micro scores of each run, their mean and their deviation."""
    console = console or Console(width=160)
    columns = [f"{task}_micro_{figure}" for task in TASKS for figure in FIGURES]
    for kind, content in summary.items():
        table = Table(title=f"{title}: micro scores, {kind}", title_justify="left")
        table.add_column("Run")
        for column in columns:
            table.add_column(column.replace("_micro_", " ").replace("_", " "), justify="right")
        for run, scores in content["runs"].items():
            table.add_row(run, *(f"{scores[column]:.4f}" for column in columns))
        table.add_section()
        for name in ("mean", "deviation"):
            if name in content:
                table.add_row(name, *(f"{content[name][column]:.4f}" for column in columns), style="bold")
        console.print(table)
