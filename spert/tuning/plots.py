"""Reliability diagram and precision-recall curve, as pictures."""

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..evaluation.report import score_text
from .calibration import BINS
from .sweep import Curve
from .tuner import Calibrated, Tuned

CALIBRATION = "calibration.png"
PRECISION_RECALL = "precision_recall.png"


def draw_calibration(path: str | os.PathLike[str], tuned: Tuned) -> None:
    """Draw how often scores are right, before and after tuning, with one panel for entities and one for relations."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, calibrated, title in zip(
        panels, (tuned.entity_temperature, tuned.relation_temperature), ("entities", "relations")
    ):
        _draw_reliability(panel, calibrated)
        panel.set(xlim=(0, 1), ylim=(0, 1), xlabel="score", ylabel="fraction right", title=title)
        panel.legend()
        panel.grid(alpha=0.3)
    _save(figure, path)


def draw_precision_recall(path: str | os.PathLike[str], tuned: Tuned, split: str) -> None:
    """Draw precision and recall of relations for every threshold, of all types together and of each."""
    decisions = tuned.relation_decisions
    figure = Figure(figsize=(7, 5.5), layout="constrained")
    panel = figure.subplots()
    gold = decisions.gold.sum(axis=0)
    for index, (kind, threshold) in enumerate(tuned.relations.after.items()):
        of_type = decisions.types == index
        curve = Curve.of(decisions.scores[of_type], decisions.correct[of_type])
        (line,) = panel.plot(*_recall_and_precision(curve, int(gold[index])), alpha=0.5, linewidth=1, label=kind)
        at = curve.cut_at(threshold)
        if at:
            recall = curve.correct[at] / max(int(gold[index]), 1)
            panel.plot(recall, curve.correct[at] / curve.found[at], ".", color=line.get_color())
    whole = Curve.of(decisions.scores, decisions.correct)
    panel.plot(*_recall_and_precision(whole, int(gold.sum())), color="black", label="all types, one threshold")
    for figures, marker, name in zip(tuned.relations.on_split, ("o", "*"), ("untuned", "tuned")):
        label = f"{name}: F1 {score_text(figures['f1'])}"
        panel.plot(figures["recall"], figures["precision"], marker, color="black", markersize=9, label=label)
    panel.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title=f"relations, strict ({split})")
    panel.legend()
    panel.grid(alpha=0.3)
    _save(figure, path)


def _draw_reliability(panel, calibrated: Calibrated) -> None:  # type: ignore[no-untyped-def]  # matplotlib's
    panel.plot([0, 1], [0, 1], color="gray", linestyle="dashed", linewidth=1)
    temperatures = (calibrated.before, calibrated.after)
    for bins, name, temperature in zip(calibrated.reliability, ("before", "after"), temperatures):
        filled = bins.counts > 0
        label = f"{name}: temperature {temperature:g}, error {bins.error:.4f}"
        panel.plot(bins.scores[filled], bins.right[filled], marker="o", label=label)
    counts = calibrated.reliability[1].counts
    beside = panel.twinx()
    beside.bar((np.arange(BINS) + 0.5) / BINS, counts, width=0.9 / BINS, alpha=0.15, color="gray")
    beside.set(yscale="log", ylabel="scores in the bin, after")


def _recall_and_precision(curve: Curve, num_gold: int) -> tuple[np.ndarray, np.ndarray]:
    return curve.correct[1:] / max(num_gold, 1), curve.correct[1:] / np.maximum(curve.found[1:], 1)


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    figure.savefig(Path(path), dpi=120, format="png", metadata={"Software": None})
