"""The pictures of the report, as SVG: the oracle ladder and how often scores are right."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from .ladder import RUNGS, THRESHOLD, THRESHOLD_TITLE

_DARK, _LIGHT, _START = "#2b6cb0", "#f6ad55", "#718096"


def draw_ladder(ladder: Mapping[str, Any], given: float | None = None) -> bytes:
    """Draw what `climb` returns: each rung after those before it as a bar, and by itself as a mark.

    Args:
        ladder: what `climb` returns.
        given: strict F1 on annotated entities, as measured; a dashed line.
    """
    names = ["as it is", *(_title(rung["name"]) for rung in ladder["rungs"])]
    start = ladder["start"]["rel_strict_f1"]
    together = [start, *(rung["together"]["rel_strict_f1"] for rung in ladder["rungs"])]
    alone = [rung["alone"]["rel_strict_f1"] for rung in ladder["rungs"]]
    figure = Figure(figsize=(6.4, 0.7 + 0.42 * len(names)), layout="constrained")
    panel = figure.subplots()
    rows = range(len(names))
    panel.barh(0, start, color=_START, height=0.62)
    panel.barh(list(rows)[1:], together[1:], color=_DARK, height=0.62, label="with all above it")
    panel.plot(alone, list(rows)[1:], "D", color=_LIGHT, markeredgecolor="black", label="this alone")
    for row, value in zip(rows, together):
        panel.text(1.02, row, f"{value:.3f}", ha="left", va="center", fontsize=9)
    if given is not None:
        panel.axvline(given, color="black", linestyle="dashed", linewidth=1, label="annotated entities given, measured")
    panel.set_yticks(rows, names)
    panel.invert_yaxis()
    panel.set(xlim=(0, 1), xlabel="strict relation F1")
    panel.set_axisbelow(True)
    panel.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return _svg(figure)


def draw_reliability(calibrations: Sequence[tuple[str, Mapping[str, Any] | None]], title: str) -> bytes:
    """Draw how often what was found with a score is right.

    Args:
        calibrations: the name of each system, and what `reliability_rows` returns.
        title: of the picture.
    """
    figure = Figure(figsize=(4.2, 3.9), layout="constrained")
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1], color="gray", linestyle="dashed", linewidth=1)
    for (name, calibration), color in zip(calibrations, (_DARK, "#c05621")):
        if calibration is None:
            continue
        bins = [row for row in calibration["bins"] if row["number"]]
        most = max(row["number"] for row in bins)
        scores, right = [row["mean_score"] for row in bins], [row["fraction_right"] for row in bins]
        error = f"error {calibration['expected_calibration_error']:.3f}"
        label = error if len(calibrations) == 1 else f"{name}, {error}"
        panel.plot(scores, right, color=color, linewidth=1, label=label)
        panel.scatter(scores, right, s=[8 + 90 * row["number"] / most for row in bins], color=color, zorder=3)
    panel.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="score", ylabel="fraction right", title=title)
    panel.legend(loc="upper left", fontsize=8)
    panel.grid(alpha=0.3)
    return _svg(figure)


def _title(rung: str) -> str:
    return THRESHOLD_TITLE if rung == THRESHOLD else RUNGS[rung].title


def _svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "spert", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
