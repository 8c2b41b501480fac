"""The table of a study: each row's mean and deviation over its runs, and how sure its difference from the first is."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..corpora import read_spert_json
from ..corpora.types import types_of
from ..evaluation.compared import PREDICTIONS
from ..evaluation.comparison import RESAMPLES, compare
from ..evaluation.report import TASK_TITLES, score_text
from ..evaluation.scores import TASKS, Record, check_same_tokens
from ..evaluation.summary import summarize
from ..files import atomic_writer, read_json, write_json
from ..markdown import plain, table
from ..training.arguments import TrainingArguments
from ..training.corpus import load_training_corpus
from ..training.run_record import RUN, is_finished
from .breakdown import BREAKDOWNS, break_down
from .grid import Row, Study, varying
from .plots import PICTURE, draw_study

NUMBERS = "study.json"
TABLE = "study.md"


class _Gold:
    """The gold annotations that runs are scored on, read once a fold.

    Args:
        study: its rows have one corpus.
    """

    def __init__(self, study: Study) -> None:
        self.read: dict[int | None, tuple[list[Record], str]] = {}
        self.symmetric_relations: tuple[str, ...] = ()
        self.study = study

    def of(self, run: TrainingArguments) -> tuple[list[Record], str]:
        """The sentences that a run is scored on, and the split's name."""
        if run.fold not in self.read:
            corpus = load_training_corpus(run)
            split = next((name for name in ("test", "validation") if name in corpus), None)
            if split is None:
                raise ValueError(
                    f"{self.study.name}: expected a test or validation split to score the runs on, got the splits "
                    f"{dict(corpus.num_rows)}."
                )
            self.symmetric_relations = types_of(corpus).symmetric_relations
            self.read[run.fold] = corpus[split].to_list(), split
        return self.read[run.fold]


def study_numbers(study: Study, resamples: int = RESAMPLES) -> dict[str, Any]:
    """What the finished runs of a study say.

    Args:
        resamples: of the bootstrap.

    Returns:
        `rows`, in the order of the grid, those without a finished run left out: `label`, `settings`, the number of
        `runs`, `mean` and `deviation` of each micro F1 over them (one run has no deviation), `seconds` (the mean of
        their training time), `difference` for each micro F1 of all rows but the first (`value`, `interval`, `p`, as
        `spert compare` has them), and `by` with each breakdown's buckets. Besides these, `split`, `sentences`,
        `varying` settings and `unfinished` runs.

        Differences are those of whole repetitions: with folds, of the seeds whose folds are all done, whose test
        sentences are put together.

    Raises:
        ValueError: no run is finished, or a file of a run is not that of the study's corpus.
        FileExistsError: a run's folder holds the result of other settings.
    """
    gold = _Gold(study)
    rows: list[dict[str, Any]] = []
    unfinished: list[str] = []
    first: list[list[Record]] | None = None
    for index, row in enumerate(study.rows):
        done = [run for run in row.runs if is_finished(_kept(run))]
        unfinished += [str(Path(run.output_dir)) for run in row.runs if run not in done]
        if not done:
            continue
        summary = summarize([run.output_dir for run in done])["all spans"]
        names = [f"{task}_micro_f1" for task in TASKS]
        numbers: dict[str, Any] = {
            "label": row.label,
            "settings": dict(row.settings),
            "runs": len(done),
            "mean": {name: summary["mean"][name] for name in names},
            "seconds": sum(_seconds(run) for run in done) / len(done),
        }
        if "deviation" in summary:
            numbers["deviation"] = {name: summary["deviation"][name] for name in names}
        repetitions = list(_repetitions(row, done, gold))
        if repetitions:
            references = repetitions[0][0]
            predictions = [of_one for _, of_one in repetitions]
            symmetric = gold.symmetric_relations
            numbers["by"] = {
                name: break_down(references, predictions, BREAKDOWNS[name], symmetric) for name in study.break_down_by
            }
            if index == 0:
                first = predictions
            elif first is not None:
                compared = compare(references, first, predictions, symmetric_relations=symmetric, resamples=resamples)[
                    "scores"
                ]
                numbers["difference"] = {
                    name: {
                        "value": compared[name]["difference"],
                        "interval": compared[name]["interval"],
                        "p": compared[name]["p"],
                    }
                    for name in names
                }
        rows.append(numbers)
    if not rows:
        raise ValueError(f"{study.output_dir}: expected at least one finished run of the study, got none.")
    return {
        "study": study.name,
        "split": next((split for _, split in gold.read.values()), None),
        "sentences": sum(len(records) for records, _ in gold.read.values()),
        "varying": varying(study.rows),
        "resamples": resamples,
        "rows": rows,
        "unfinished": unfinished,
    }


def write_report(study: Study, numbers: Mapping[str, Any]) -> None:
    """Write a study's numbers as JSON, its tables as Markdown, and its picture, into its folder."""
    write_json(study.output_dir / NUMBERS, numbers)
    parts = [_scored_on(numbers), table(*_cells(numbers, plain))]
    for name in study.break_down_by:
        parts.append(f"{_breakdown_title(name)}:")
        parts.append(table(*_breakdown_cells(numbers, name, plain)))
    with atomic_writer(study.output_dir / TABLE) as file:
        file.write("\n\n".join(parts) + "\n")
    draw_study(study.output_dir / PICTURE, numbers)


def print_report(study: Study, numbers: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a study's tables."""
    console = console or Console(width=160)
    tables = [(f"{study.name}. {_scored_on(numbers)}", _cells(numbers, escape))]
    tables += [(_breakdown_title(name), _breakdown_cells(numbers, name, escape)) for name in study.break_down_by]
    for title, (header, rows) in tables:
        printed = Table(title=escape(title), title_justify="left")
        printed.add_column(header[0], overflow="fold")
        for name in header[1:]:
            printed.add_column(name, justify="right")
        for row in rows:
            printed.add_row(*map(str, row))
        console.print(printed)


def _kept(run: TrainingArguments) -> TrainingArguments:
    """A run as it is looked for: one that was to be overwritten has been."""
    return dataclasses.replace(run, overwrite_output_dir=False)


def _seconds(run: TrainingArguments) -> float:
    return float(read_json(Path(run.output_dir) / RUN)["outcome"]["seconds"])


def _repetitions(
    row: Row, done: Sequence[TrainingArguments], gold: _Gold
) -> Iterator[tuple[list[Record], list[Record]]]:
    """References and predictions of each seed of which all folds are done."""
    for seed in row.arguments.chosen_seeds:
        runs = [run for run in row.runs if run.seed == seed]
        if not all(run in done for run in runs):
            continue
        references: list[Record] = []
        predictions: list[Record] = []
        for run in runs:
            of_fold, split = gold.of(run)
            file = Path(run.output_dir) / PREDICTIONS
            found = read_spert_json(file)
            check_same_tokens(of_fold, found, f"the {split} split", str(file))
            references += of_fold
            predictions += found
        yield references, predictions


def _scored_on(numbers: Mapping[str, Any]) -> str:
    parts = ["Micro F1, mean ± standard deviation over runs"]
    if numbers["split"] is not None:
        parts.append(
            f"{numbers['sentences']} sentences of {numbers['split']}; p against the first row by a paired bootstrap "
            f"({numbers['resamples']} resamples)"
        )
    if numbers["unfinished"]:
        parts.append(f"{len(numbers['unfinished'])} runs are not finished")
    return "; ".join(parts) + "."


def _cells(numbers: Mapping[str, Any], shown: Any) -> tuple[list[str], list[list[str]]]:
    header = ["settings", "runs"]
    for task in TASKS:
        header += [TASK_TITLES[task], "p"]
    rows = []
    for row in numbers["rows"]:
        cells = [shown(row["label"]), str(row["runs"])]
        for task in TASKS:
            name = f"{task}_micro_f1"
            deviation = f" ± {score_text(row['deviation'][name])}" if "deviation" in row else ""
            cells.append(score_text(row["mean"][name]) + deviation)
            cells.append(score_text(row["difference"][name]["p"]) if "difference" in row else "")
        rows.append(cells)
    return header, rows


def _bucket_text(bucket: Mapping[str, Any]) -> str:
    return "–" if bucket["f1"] is None else score_text(bucket["f1"])


def _breakdown_title(name: str) -> str:
    breakdown = BREAKDOWNS[name]
    return f"Micro F1 ({TASK_TITLES[breakdown.task]}) by {breakdown.title}"


def _breakdown_cells(numbers: Mapping[str, Any], name: str, shown: Any) -> tuple[list[str], list[list[str]]]:
    broken = [row for row in numbers["rows"] if name in row.get("by", {})]
    buckets = broken[0]["by"][name] if broken else []
    header = ["settings", *(f"{bucket['bucket']} ({bucket['support']})" for bucket in buckets)]
    rows = [[shown(row["label"]), *map(_bucket_text, row["by"][name])] for row in broken]
    return header, rows
