"""Is one system better than another? A paired bootstrap over the sentences that both were scored on.

A system is one list of predictions, or several of them: those of its runs with different seeds. Each resample draws as
many sentences as there are, with replacement, the same ones for both systems and all runs; the score of a system is the
mean over its runs. (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; for systems of this kind
Berg-Kirkpatrick, Burkett and Klein, "An Empirical Investigation of Statistical Significance in NLP", 2012.)
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..terminal import cell
from .report import TASK_TITLES, is_main, score_text
from .scores import AVERAGES, FIGURES, TASKS, Record, count_by_sentence

RESAMPLES = 10_000
CONFIDENCE = 0.95
_AT_ONCE = 500
"""Resamples that are drawn together, which bounds the memory."""


def compare(
    references: Sequence[Record],
    first: Sequence[Sequence[Record]],
    second: Sequence[Sequence[Record]],
    *,
    symmetric_relations: Iterable[str] = (),
    without_overlapping: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """The scores of two systems, and how sure their differences are.

    Args:
        references: gold annotations, one record a sentence.
        first, second: the predictions of each run of a system, in the order of the references.
        symmetric_relations, without_overlapping: as for `compute_scores`.
        resamples: of the bootstrap.
        seed: of its random generator.

    Returns:
        `scores`: for each `{task}_{average}_{figure}` a row with `first` and `second` (means over runs), `difference`
        (second minus first), `interval` (the middle 95 % of the resampled differences) and `p`; `per_type`: such a row
        for the F1 of each type of each task, with what each system finds (`correct`, `spurious` and `missed` things,
        means over runs); `sentences`, `runs` and `resamples`.

        `p` is two-sided: twice the share of resamples in which the difference has the other sign or is zero, each side
        counted with one resample more than was seen, so that it is never 0.

    Raises:
        ValueError: a system has no predictions, there are no sentences, or lengths differ.
    """
    if not first or not second:
        raise ValueError("compare: expected at least one list of predictions of each system, got none.")
    if not references:
        raise ValueError("compare: expected at least one sentence, got none.")
    if resamples < 1:
        raise ValueError(f"compare: expected at least one resample, got {resamples}.")
    counted = [
        [
            count_by_sentence(
                references, run, symmetric_relations=list(symmetric_relations), without_overlapping=without_overlapping
            )
            for run in system
        ]
        for system in (first, second)
    ]
    types = {
        task: sorted({kind for system in counted for run in system for sentence in run for kind in sentence[task]})
        for task in TASKS
    }
    counts = [[_as_array(run, types) for run in system] for system in counted]
    everything = np.ones((1, len(references)))
    actual = [_scores(everything, system, types) for system in counts]
    generator = np.random.default_rng(seed)
    differences: dict[tuple[str, ...], list[np.ndarray]] = {}
    left = resamples
    while left > 0:
        number = min(left, _AT_ONCE)
        left -= number
        weights = generator.multinomial(len(references), np.full(len(references), 1 / len(references)), size=number)
        one, other = (_scores(weights.astype(float), system, types) for system in counts)
        for name in one:
            differences.setdefault(name, []).append(other[name] - one[name])

    def row(name: tuple[str, ...]) -> dict[str, Any]:
        before, after = (float(scores[name][0]) for scores in actual)
        return {"first": before, "second": after, "difference": after - before} | _spread(
            np.concatenate(differences[name])
        )

    return {
        "sentences": len(references),
        "runs": [len(first), len(second)],
        "resamples": resamples,
        "scores": {
            f"{task}_{average}_{figure}": row((task, average, figure))
            for task in TASKS
            for average in AVERAGES
            for figure in FIGURES
        },
        "per_type": {
            task: {
                kind: row((task, "type", kind))
                | {
                    name: _outcomes(system, task, index)
                    for name, system in zip(("found_by_first", "found_by_second"), counts)
                }
                for index, kind in enumerate(types[task])
            }
            for task in TASKS
        },
    }


def print_comparison(comparison: Mapping[str, Any], names: Sequence[str], console: Console | None = None) -> None:
    """Print the micro and macro scores of two systems, and the F1 of each type, with differences and their p.

    Args:
        comparison: what `compare` returns.
        names: of the first and the second system.
    """
    if not is_main():
        return
    console = console or Console(width=140)
    runs = [f"{name} ({number} run{'s' if number > 1 else ''})" for name, number in zip(names, comparison["runs"])]
    numbers = f"{comparison['sentences']} sentences, {comparison['resamples']} resamples"
    console.print(cell(f"First: {runs[0]}. Second: {runs[1]}. {numbers}."))
    columns = ("First", "Second", "Difference", f"{CONFIDENCE:.0%} interval", "p")
    table = Table(title="Scores", title_justify="left")
    _add_columns(table, ("Task", "Average", "Figure"), columns)
    for task in TASKS:
        for average in AVERAGES:
            for figure in FIGURES:
                row = comparison["scores"][f"{task}_{average}_{figure}"]
                table.add_row(TASK_TITLES[task], average, figure, *_cells(row), style=_style(row))
        table.add_section()
    console.print(table)
    table = Table(title="F1 by type, and correct + spurious + missed", title_justify="left")
    _add_columns(table, ("Task", "Type"), (*columns, "By first", "By second"))
    for task in TASKS:
        for kind, row in comparison["per_type"][task].items():
            found = [
                " + ".join(f"{row[name][what]:.4g}" for what in ("correct", "spurious", "missed"))
                for name in ("found_by_first", "found_by_second")
            ]
            table.add_row(TASK_TITLES[task], cell(kind), *_cells(row), *found, style=_style(row))
        table.add_section()
    console.print(table)


def _add_columns(table: Table, names: Sequence[str], numbers: Sequence[str]) -> None:
    for name in names:
        table.add_column(name)
    for number in numbers:
        table.add_column(number, justify="right")


def _style(row: Mapping[str, Any]) -> str | None:
    """Differences that chance hardly explains stand out."""
    return "bold" if row["p"] < 1 - CONFIDENCE else None


def _cells(row: Mapping[str, Any]) -> list[str]:
    low, high = row["interval"]
    return [
        score_text(row["first"]),
        score_text(row["second"]),
        f"{row['difference']:+.4f}",
        f"{low:+.4f} to {high:+.4f}",
        f"{row['p']:.4f}",
    ]


def _as_array(
    run: Sequence[Mapping[str, Mapping[str, tuple[int, int, int]]]], types: Mapping[str, Sequence[str]]
) -> dict[str, np.ndarray]:
    """The counts of a run.

    Shapes:
        result: for each task `(sentences, types, 3)`, of correct, found and expected things
    """
    arrays = {task: np.zeros((len(run), len(kinds), 3)) for task, kinds in types.items()}
    for task, kinds in types.items():
        index = {kind: number for number, kind in enumerate(kinds)}
        for number, sentence in enumerate(run):
            for kind, numbers in sentence[task].items():
                arrays[task][number, index[kind]] = numbers
    return arrays


def _scores(
    weights: np.ndarray, system: Sequence[Mapping[str, np.ndarray]], types: Mapping[str, Sequence[str]]
) -> dict[tuple[str, ...], np.ndarray]:
    """The mean scores of a system's runs on resamples.

    Shapes:
        weights: `(resamples, sentences)`, how often a resample holds a sentence
        result: for each (task, average, figure) and each (task, "type", type) `(resamples,)`
    """
    sums: dict[tuple[str, ...], np.ndarray] = {}
    for run in system:
        for task, counts in run.items():
            by_type = np.einsum("rs,stc->rtc", weights, counts, optimize=True)  # (resamples, types, 3)
            occurs = by_type[..., 1:].sum(axis=-1) > 0
            micro = _precision_recall_f1(by_type.sum(axis=1))
            each = _precision_recall_f1(by_type)
            number = occurs.sum(axis=-1).clip(min=1)
            scores = {(task, "micro", figure): micro[figure] for figure in FIGURES}
            scores |= {(task, "macro", figure): (each[figure] * occurs).sum(axis=-1) / number for figure in FIGURES}
            scores |= {(task, "type", kind): each["f1"][:, index] for index, kind in enumerate(types[task])}
            for name, values in scores.items():
                sums[name] = sums.get(name, 0) + values / len(system)
    return sums


def _precision_recall_f1(counts: np.ndarray) -> dict[str, np.ndarray]:
    """The figures of counts whose last axis is correct, found, expected; 0 where a denominator is 0."""
    correct, found, expected = np.moveaxis(counts, -1, 0)

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

    return {
        "precision": share(correct, found),
        "recall": share(correct, expected),
        "f1": share(2 * correct, found + expected),
    }


def _spread(differences: np.ndarray) -> dict[str, Any]:
    """The interval and the p of resampled differences."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    opposite = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return {
        "interval": [float(low), float(high)],
        "p": min(1.0, 2 * (opposite + 1) / (len(differences) + 1)),
    }


def _outcomes(system: Sequence[Mapping[str, np.ndarray]], task: str, index: int) -> dict[str, float]:
    """How many things of a type a system gets right, makes up and misses: means over its runs."""
    correct, found, expected = np.mean([run[task][:, index].sum(axis=0) for run in system], axis=0).tolist()
    return {"correct": correct, "spurious": found - correct, "missed": expected - correct}
