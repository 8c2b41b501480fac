"""What tuning found, as tables for the terminal."""

from rich.console import Console
from rich.table import Table

from ..evaluation.report import score_text
from ..evaluation.scores import FIGURES
from ..terminal import cell
from .choosing import FOLDS, LEAST_GOLD, REPEATS, Choice, Score
from .tuner import Calibrated, Thresholds, Tuned


def print_tuning(tuned: Tuned, title: str, console: Console | None = None) -> None:
    """Print temperatures, cross-validated scores and thresholds."""
    console = console or Console()
    console.print(f"\n[bold]{cell(title)}[/bold]")
    console.print(_temperatures(tuned.entity_temperature, tuned.relation_temperature))
    console.print(_cross_validated(tuned))
    console.print(_on_split(tuned))
    if tuned.entities.before != tuned.entities.after:
        console.print(_thresholds(tuned.entities, "Entity thresholds"))
    console.print(_thresholds(tuned.relations, "Relation thresholds"))
    rare = [kind for kind, number in tuned.relations.gold.items() if number < LEAST_GOLD]
    if tuned.relations.choice == Choice.by_type and rare:
        console.print(f"Fewer than {LEAST_GOLD} gold relations, so the common threshold: {cell(', '.join(rare))}")


def _temperatures(entities: Calibrated, relations: Calibrated) -> Table:
    table = Table(title="Temperatures: before, after", title_justify="left")
    for column in ("", "Scores", "Temperature", "Held-out log loss", "Calibration error", "of those found"):
        table.add_column(column, justify="right" if column else "left")
    for name, calibrated in (("entities", entities), ("relations", relations)):
        errors, errors_of_found = (
            [bins.error for bins in reliability] for reliability in (calibrated.reliability, calibrated.found)
        )
        table.add_row(
            name,
            str(calibrated.number),
            f"{calibrated.before:g}, {calibrated.after:g}",
            *(f"{before:.4f}, {after:.4f}" for before, after in (calibrated.held_out_losses, errors, errors_of_found)),
        )
    return table


def _cross_validated(tuned: Tuned) -> Table:
    table = Table(title=f"Cross-validated micro F1 ({FOLDS} folds, {REPEATS} times)", title_justify="left")
    table.add_column("Entity thresholds")
    table.add_column("Entities", justify="right")
    for choice in Choice:
        table.add_column(f"Relations: {choice}", justify="right")
    for entity_choice, scores in tuned.held_out.items():
        cells = [_score_text(tuned.entities.held_out[entity_choice])]
        for relation_choice, score in scores.items():
            is_taken = (entity_choice, relation_choice) == (tuned.entities.choice, tuned.relations.choice)
            cells.append(f"[bold]taken {_score_text(score)}[/bold]" if is_taken else _score_text(score))
        table.add_row(str(entity_choice), *cells)
    return table


def _on_split(tuned: Tuned) -> Table:
    table = Table(title="On the split itself", title_justify="left")
    for column in ("", "", "Precision", "Recall", "F1"):
        table.add_column(column, justify="right" if column else "left")
    for title, thresholds in (("entities", tuned.entities), ("relations, strict", tuned.relations)):
        for name, figures in zip(("untuned", "tuned"), thresholds.on_split):
            table.add_row(title, name, *(score_text(figures[figure]) for figure in FIGURES))
    return table


def _score_text(score: Score) -> str:
    return f"{score_text(score.mean)} ± {score_text(score.deviation)}"


def _thresholds(thresholds: Thresholds, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("Type", "Gold", "Untuned, at the new temperature", "Tuned"):
        table.add_column(column, justify="left" if column == "Type" else "right")
    for kind, after in thresholds.after.items():
        table.add_row(cell(kind), str(thresholds.gold[kind]), f"{thresholds.before[kind]:g}", f"{after:g}")
    return table
