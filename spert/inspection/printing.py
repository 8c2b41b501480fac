"""The report for the terminal: classes of mistakes, proposals and the oracle ladder."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ..evaluation.report import score_text
from ..terminal import cell
from .ladder import RUNGS, THRESHOLD, THRESHOLD_TITLE
from .proposals import LABELS


def print_report(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the classes of mistakes and the oracle ladder of the first system of a report."""
    console = console or Console(width=100)
    (system,) = report["systems"][:1]
    console.print(f"\n[bold]{cell(report['title'])}, {report['sentences']} sentences[/bold]")
    table = Table(title="Classes of mistakes", title_justify="left")
    table.add_column("Task")
    table.add_column("Class")
    for name in ("Mistakes", "Missed", "Spurious"):
        table.add_column(name, justify="right")
    for task, classes in system["classes"].items():
        for name, row in sorted(classes.items(), key=lambda item: -item[1]["mistakes"]):
            numbers = (str(row[column]) for column in ("mistakes", "missed", "spurious"))
            table.add_row(task, report["classes"][task][name]["title"], *numbers)
        sums = [sum(row[column] for row in classes.values()) for column in ("mistakes", "missed", "spurious")]
        table.add_row(task, "all", *map(str, sums), style="bold")
        table.add_section()
    console.print(table)
    table = Table(title="Oracle ladder: strict relation F1", title_justify="left")
    table.add_column("Repair")
    for name in ("Alone", "Gain", "With all above"):
        table.add_column(name, justify="right")
    start = system["oracle_ladder"]["start"]["rel_strict_f1"]
    table.add_row("as it is", score_text(start), "", score_text(start))
    for rung in system["oracle_ladder"]["rungs"]:
        title = (
            f"{THRESHOLD_TITLE} ({rung['threshold']:.4g})" if rung["name"] == THRESHOLD else RUNGS[rung["name"]].title
        )
        alone, together = rung["alone"]["rel_strict_f1"], rung["together"]["rel_strict_f1"]
        table.add_row(title, score_text(alone), f"{alone - start:+.4f}", score_text(together))
    console.print(table)
    given = system["rel_strict_f1_on_given_entities"]
    if given is not None:
        console.print(f"With the annotated entities given, measured: {score_text(given)}.")
    proposed = ", ".join(f"{LABELS[name].title} {number}" for name, number in system["proposed"].items())
    console.print(f"Proposed labels: {proposed}.")
    if system["mistakes_not_listed"]:
        console.print(f"{system['mistakes_not_listed']} mistakes are counted, and not listed.")
