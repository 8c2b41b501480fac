"""The report as a page: one HTML file that asks nobody for anything.

Names and text of others enter the page in two ways only: through the template, which escapes them, and as JSON in which
every `<`, `>` and `&` is an escape sequence, so that no text can end the element that holds it. The script makes text
nodes of it. The policy of the page forbids every other script and every connection.
"""

import base64
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..evaluation.report import TASK_TITLES
from ..evaluation.scores import TASKS
from ..files import atomic_writer
from .files import LABELS_FORMAT
from .inspected import MOST_LISTED, Inspected
from .ladder import RUNGS, THRESHOLD, THRESHOLD_RULE, THRESHOLD_TITLE
from .mistakes import ENTITIES, RELATIONS
from .plots import draw_ladder, draw_reliability
from .proposals import LABELS
from .report import most_certain, page_data

_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def write_page(
    path: str | os.PathLike[str],
    inspected: Inspected,
    report: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the HTML file.
        inspected: what was inspected.
        report: what `report_of` makes of it; of two systems with `comparison` (see `evaluation.comparison.compare`) and
            `shared` (see `count_shared`).
        labels: what people set, by the keys of mistakes.
    """
    page = render_page(inspected, report, labels)
    with atomic_writer(path) as file:
        file.write(page)


def render_page(inspected: Inspected, report: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> str:
    """The page's HTML; arguments as for `write_page`."""
    content = page_data(inspected)
    data = _embedded(content)
    proposed = Counter(mistake[5] for sentence in content["sentences"] for mistake in sentence["m"])
    meta = {
        "digest": hashlib.sha256(data.encode()).hexdigest()[:16],
        "labels": dict(labels or {}),
        "labelsFormat": LABELS_FORMAT,
    }
    script = "\n" + _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    systems = [
        {**of_system, "has_doubtful": any(reading.doubtful for reading in system.readings)}
        for of_system, system in zip(report["systems"], inspected.systems)
    ]
    counts = [row["mistakes"] for classes in systems[0]["classes"].values() for row in classes.values()]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["dictvalues"] = lambda mapping: list(mapping.values())
    return environment.from_string(_asset("page.html.j2")).render(
        report={**report, "systems": systems},
        tasks=[(task, TASK_TITLES[task]) for task in TASKS],
        clean=sum(not any(of) for of in zip(*(system.mistakes for system in inspected.systems))),
        most_mistakes=max(1, *counts),
        most_listed=MOST_LISTED,
        labels=LABELS,
        proposed={name: proposed[index] for index, name in enumerate(LABELS)},
        rungs={THRESHOLD: {"title": THRESHOLD_TITLE, "rule": THRESHOLD_RULE}} | RUNGS,
        ladders=[
            _base64(draw_ladder(system["oracle_ladder"], system["rel_strict_f1_on_given_entities"]))
            for system in systems
        ],
        reliabilities=list(_reliabilities(systems)),
        certain=[most_certain(system) for system in systems],
        has_training=inspected.training is not None,
        joined=_joined,
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        f"base-uri 'none'; form-action 'none'",
        style=Markup(_asset("page.css")),
        script=Markup(script),
        data=Markup(data),
        meta=Markup(_embedded(meta)),
    )


def _reliabilities(systems: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    names = ["first", "second"][: len(systems)]
    for task in (ENTITIES, RELATIONS):
        calibrations = [(name, system["calibration"][task]) for name, system in zip(names, systems)]
        if any(calibration for _, calibration in calibrations):
            errors = ", ".join(
                f"{name + ' ' if len(systems) > 1 else ''}{calibration['expected_calibration_error']:.4f}"
                for name, calibration in calibrations
                if calibration
            )
            text = f"Found {task}: score and fraction right. Expected calibration error: {errors}."
            yield _base64(draw_reliability(calibrations, f"found {task}")), text


def _joined(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """The rows of two systems side by side; a group that one of them lacks is empty there."""
    by_group: list[dict[str, Mapping[str, Any]]] = [{row["group"]: row for row in rows} for rows in (first, second)]
    empty = {"expected": 0, "f1": 0.0}
    groups = [*by_group[0], *(group for group in by_group[1] if group not in by_group[0])]
    return [(group, by_group[0].get(group, empty), by_group[1].get(group, empty)) for group in groups]


def _embedded(value: Any) -> str:
    """JSON that can stand inside of a `script` element, whatever text it holds."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
