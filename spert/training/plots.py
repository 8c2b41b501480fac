"""Learning curves and scores by type, as pictures."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..evaluation.report import TASK_TITLES
from ..evaluation.scores import FIGURES, TASKS

LEARNING_CURVES = "learning_curves.png"
SCORES_BY_TYPE = "scores_by_type.png"


def draw_learning_curves(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the losses of each epoch, and the scores on the validation split where there are any."""
    scored = [task for task in TASKS if rows and f"{task}_micro_f1" in rows[0]]
    figure = Figure(figsize=(10, 4) if scored else (5, 4), layout="constrained")
    panels = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    epochs = [row["epoch"] for row in rows]
    for name in ("entity_loss", "relation_loss"):
        panels[0].plot(epochs, [row[name] for row in rows], marker=".", label=name.replace("_", " "))
    panels[0].set(xlabel="epoch", ylabel="loss", title="training loss")
    for task in scored:
        panels[1].plot(epochs, [row[f"{task}_micro_f1"] for row in rows], marker=".", label=TASK_TITLES[task])
    if scored:
        panels[1].set(xlabel="epoch", ylabel="micro F1", ylim=(0, 1), title="validation")
    for panel in panels:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.legend()
        panel.grid(alpha=0.3)
    _save(figure, path)


def draw_scores_by_type(path: str | os.PathLike[str], scores: Mapping[str, Any], split: str) -> None:
    """Draw precision, recall and F1 of each type, with one panel for each task."""
    counts = [max(len(scores[f"{task}_per_type"]), 1) for task in TASKS]
    figure = Figure(figsize=(8, 1.5 + 0.55 * sum(counts)), layout="constrained")
    panels = figure.subplots(len(TASKS), 1, squeeze=False, gridspec_kw={"height_ratios": counts})[:, 0]
    for panel, task in zip(panels, TASKS):
        per_type = scores[f"{task}_per_type"]
        for offset, name in enumerate(FIGURES):
            places = [row + (offset - 1) * 0.25 for row in range(len(per_type))]
            panel.barh(places, [values[name] for values in per_type.values()], height=0.23, label=name)
        panel.set_yticks(range(len(per_type)), [f"{kind} ({values['support']})" for kind, values in per_type.items()])
        panel.invert_yaxis()
        panel.set(xlim=(0, 1), title=f"{TASK_TITLES[task]} ({split})")
        panel.grid(axis="x", alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(FIGURES))
    _save(figure, path)


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    figure.savefig(Path(path), dpi=120, format="png", metadata={"Software": None})
