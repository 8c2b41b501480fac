"""The picture of a study: scores of its rows with deviations, and below them its breakdowns."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation.report import TASK_TITLES
from ..evaluation.scores import TASKS
from .breakdown import BREAKDOWNS

PICTURE = "study.png"
_LOGARITHMIC_FROM = 20
"""An axis is logarithmic where the largest value is so many times the smallest."""


def draw_study(path: str | os.PathLike[str], numbers: Mapping[str, Any]) -> None:
    """Draw the micro F1 of each row: as lines where a setting of the grid is a number, or else as bars.

    Args:
        numbers: what `report.study_numbers` returns.
    """
    rows = numbers["rows"]
    breakdowns = [name for name in BREAKDOWNS if any(name in row.get("by", {}) for row in rows)]
    axis = numeric_axis(rows, numbers["varying"])
    height = 4.0 if axis is not None else 1.6 + 0.4 * len(rows)
    figure = Figure(figsize=(13, height + 3.8 * len(breakdowns)), layout="constrained")
    grid = figure.add_gridspec(1 + len(breakdowns), len(TASKS), height_ratios=[height] + [3.8] * len(breakdowns))
    panels = [figure.add_subplot(grid[0, column]) for column in range(len(TASKS))]
    for panel, task in zip(panels, TASKS):
        if axis is not None:
            _draw_lines(panel, rows, f"{task}_micro_f1", axis, numbers["varying"])
        else:
            _draw_bars(panel, rows, f"{task}_micro_f1")
        panel.set_title(TASK_TITLES[task])
        panel.grid(alpha=0.3)
    if axis is None:
        for panel in panels[1:]:
            panel.set_yticklabels([])
    for number, name in enumerate(breakdowns, start=1):
        _draw_breakdown(figure.add_subplot(grid[number, :]), rows, name)
    split = f"{numbers['sentences']} sentences of {numbers['split']}" if numbers["split"] else "finished runs"
    figure.suptitle(f"{numbers['study']}: micro F1, mean and deviation over runs, {split}")
    figure.savefig(Path(path), dpi=120, format="png", metadata={"Software": None})


def numeric_axis(rows: Sequence[Mapping[str, Any]], varying: Sequence[str]) -> list[str] | None:
    """The settings of a study that make an axis of numbers.

    Args:
        rows: as `report.study_numbers` returns them.
        varying: the settings that differ between them.

    Returns:
        Names of settings that have one number in each row (linked settings), all different ones if that is one setting
        alone and others vary with it; `None` where no setting has three numbers or more.
    """
    numeric = [name for name in varying if all(_is_number(row["settings"].get(name)) for row in rows)]
    values = {name: [row["settings"][name] for row in rows] for name in numeric}
    best = max(numeric, key=lambda name: len(set(values[name])), default=None)
    if best is None or len(set(values[best])) < 3:
        return None
    return [name for name in numeric if values[name] == values[best]]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _draw_lines(
    panel: Axes, rows: Sequence[Mapping[str, Any]], score: str, axis: Sequence[str], varying: Sequence[str]
) -> None:
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        others = {name: row["settings"].get(name) for name in varying if name not in axis}
        lines.setdefault(", ".join(f"{name}={_text(value)}" for name, value in others.items()), []).append(row)
    for label, of_line in lines.items():
        ordered = sorted(of_line, key=lambda row: row["settings"][axis[0]])
        panel.errorbar(
            [row["settings"][axis[0]] for row in ordered],
            [row["mean"][score] for row in ordered],
            yerr=[row.get("deviation", {}).get(score, math.nan) for row in ordered],
            marker=".",
            capsize=3,
            label=label,
        )
    values = sorted({row["settings"][axis[0]] for row in rows})
    if values[0] > 0 and values[-1] / values[0] >= _LOGARITHMIC_FROM:
        panel.set_xscale("log")
    panel.set_xticks(values, [_text(value) for value in values], minor=False)
    panel.minorticks_off()
    panel.set_xlabel(" = ".join(axis))
    if len(lines) > 1:
        panel.legend()


def _draw_bars(panel: Axes, rows: Sequence[Mapping[str, Any]], score: str) -> None:
    places = range(len(rows))
    panel.barh(
        places,
        [row["mean"][score] for row in rows],
        xerr=[row.get("deviation", {}).get(score, math.nan) for row in rows],
        color=[f"C{place % 10}" for place in places],
        alpha=0.8,
        capsize=3,
    )
    panel.set_yticks(places, [row["label"].replace(", ", "\n") for row in rows])
    panel.invert_yaxis()
    panel.set_xlim(0, 1)


def _draw_breakdown(panel: Axes, rows: Sequence[Mapping[str, Any]], name: str) -> None:
    breakdown = BREAKDOWNS[name]
    broken = [row for row in rows if name in row.get("by", {})]
    for row in broken:
        scores = [math.nan if bucket["f1"] is None else bucket["f1"] for bucket in row["by"][name]]
        panel.plot(scores, marker=".", label=row["label"])
    buckets = broken[0]["by"][name]
    panel.set_xticks(range(len(buckets)), [f"{bucket['bucket']}\n({bucket['support']} gold)" for bucket in buckets])
    panel.set(xlabel=breakdown.title, ylabel="micro F1", title=f"{TASK_TITLES[breakdown.task]}, by {breakdown.title}")
    panel.set_ylim(0, 1)
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small", loc="best")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
