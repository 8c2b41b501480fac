"""Mean and standard deviation of scores over runs, as a table.

    python -m benchmarks.mean_scores outputs/conll04-42 outputs/conll04-43 outputs/conll04-44

Each argument is an output folder of training, with its `metrics.json`.
"""

import argparse
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from spert.evaluation.scores import TASKS
from spert.files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="output folders of training")
    folders = parser.parse_args().folders
    metrics = {folder: read_json(Path(folder) / "metrics.json") for folder in folders}
    table = Table(title="Micro scores of the final models", title_justify="left")
    table.add_column("Run")
    columns = [f"{task}_micro_{name}" for task in TASKS for name in ("precision", "recall", "f1")]
    for column in columns:
        table.add_column(column.replace("_micro_", " ").replace("_", " "), justify="right")
    for folder, scores in metrics.items():
        table.add_row(Path(folder).name, *(f"{scores[column]:.4f}" for column in columns))
    table.add_section()
    values = [[scores[column] for scores in metrics.values()] for column in columns]
    table.add_row("mean", *(f"{statistics.mean(one):.4f}" for one in values))
    if len(metrics) > 1:
        table.add_row("deviation", *(f"{statistics.stdev(one):.4f}" for one in values))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
