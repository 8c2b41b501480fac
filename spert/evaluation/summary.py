"""Scores of several runs (seeds, folds): each run, and mean and standard deviation over them, in one table."""

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, create_model
from rich.console import Console
from rich.table import Table

from ..files import by_number
from ..schemas import PARTIAL, Share, read_checked
from ..terminal import cell
from .report import is_main, score_text
from .scores import AVERAGES, FIGURES, TASKS

METRICS = "metrics.json"
METRICS_WITHOUT_OVERLAPPING = "metrics_without_overlapping.json"
METRICS_FROM_TEXT = "metrics_from_text.json"
SUMMARY = "summary.json"
RUN = "run.json"

_Count = Annotated[int, Field(ge=0)]

_NUMBERS = [f"{task}_{average}_{figure}" for task in TASKS for average in AVERAGES for figure in FIGURES]
_KINDS = {
    "all spans": METRICS,
    "without overlapping": METRICS_WITHOUT_OVERLAPPING,
    "from text": METRICS_FROM_TEXT,
}


@dataclass
class _OfType:
    __pydantic_config__: ClassVar[ConfigDict] = PARTIAL
    support: _Count


@dataclass
class _Split:
    __pydantic_config__: ClassVar[ConfigDict] = PARTIAL
    sentences: _Count


@dataclass
class _Settings:
    __pydantic_config__: ClassVar[ConfigDict] = PARTIAL
    dataset_name: str | None
    train_file: str | None
    fold: _Count | None
    folds: str | None


@dataclass
class _Record:
    """What `run.json` says about the corpus of a run."""

    __pydantic_config__: ClassVar[ConfigDict] = PARTIAL
    settings: _Settings
    corpus: dict[str, _Split]


_FIELDS: dict[str, Any] = {
    **dict.fromkeys(_NUMBERS, Share),
    **{f"{task}_per_type": dict[str, _OfType] for task in TASKS},
}
_SCORES: Any = create_model("Scores", __config__=PARTIAL, **_FIELDS)
_SCORES_SCHEMA, _RECORD_SCHEMA = TypeAdapter(_SCORES), TypeAdapter(_Record)


def summarize(folders: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """Mean and sample standard deviation of every score over runs of one corpus.

    Args:
        folders: output folders of training (or of `spert evaluate`), or a folder of such folders. Summaries that stand
            among them (`summary.json`) are passed over, so that `outputs/*` works.

    Returns:
        For `all spans`, and for `without overlapping` and `from text` where every run has those, `runs` (the run's
        name to its scores), `mean` and `deviation` (which a single run does not have). A run's name is its path from
        the folder that all runs have in common.

    Raises:
        ValueError: a folder holds no run, a run is named twice, the runs are of different corpora, or a file of scores
            is malformed.
    """
    runs = runs_in(folders)
    names = _names(runs)
    scores = {run: _read_scores(run / METRICS) for run in runs}
    _refuse_different_corpora(scores)
    summary: dict[str, Any] = {}
    for kind, file in _KINDS.items():
        if file != METRICS:
            if not all((run / file).is_file() for run in runs):
                continue
            scores = {run: _read_scores(run / file) for run in runs}
        values = {number: [of_run[number] for of_run in scores.values()] for number in _NUMBERS}
        summary[kind] = {
            "runs": {names[run]: {number: of_run[number] for number in _NUMBERS} for run, of_run in scores.items()},
            "mean": {number: statistics.mean(of_runs) for number, of_runs in values.items()},
        }
        if len(runs) > 1:
            summary[kind]["deviation"] = {number: statistics.stdev(of_runs) for number, of_runs in values.items()}
    return summary


def runs_in(folders: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The folders of finished runs among `folders`, and those inside of a folder of runs.

    Raises:
        ValueError: something is neither a run nor a folder of runs, a run of a folder of runs has not ended, or a run
            is named twice.
    """
    if not folders:
        raise ValueError("summary: expected at least one folder of a finished run, got none.")
    runs: list[Path] = []
    for folder in map(Path, folders):
        if folder.is_file() and folder.name == SUMMARY:
            continue
        if not folder.is_dir():
            raise ValueError(
                f"{folder}: expected the folder of a finished run, got {'a file' if folder.exists() else 'nothing'}."
            )
        runs.extend([folder] if (folder / METRICS).is_file() else _runs_below(folder))
    if not runs:
        raise ValueError(f"summary: expected at least one folder of a finished run, got only {SUMMARY} files.")
    places: dict[Path, Path] = {}
    for run in runs:
        place = run.resolve()
        if place in places:
            raise ValueError(f"{run}: expected each run once, got it twice (before as {places[place]}).")
        places[place] = run
    return runs


def print_summary(summary: Mapping[str, Any], title: str, console: Console | None = None) -> None:
    """Print the micro scores of each run, their mean and deviation. Of several processes, only the first one prints."""
    if not is_main():
        return
    console = console or Console(width=160)
    columns = [f"{task}_micro_{figure}" for task in TASKS for figure in FIGURES]
    for kind, content in summary.items():
        table = Table(title=cell(f"{title}: micro scores, {kind}"), title_justify="left")
        table.add_column("Run", overflow="fold")
        for column in columns:
            table.add_column(column.replace("_micro_", " ").replace("_", " "), justify="right")
        for run, scores in content["runs"].items():
            table.add_row(cell(run), *(score_text(scores[column]) for column in columns))
        table.add_section()
        for name in ("mean", "deviation"):
            if name in content:
                table.add_row(name, *(score_text(content[name][column]) for column in columns), style="bold")
        console.print(table)


def _runs_below(folder: Path) -> list[Path]:
    """The runs of a folder of runs, with `fold-10` after `fold-9`."""
    inside = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    runs = [path for path in inside if (path / METRICS).is_file()]
    unfinished = sorted(path.name for path in inside if path not in runs)
    if not runs:
        raise ValueError(
            f"{folder}: expected the folder of a finished run, with {METRICS}, or a folder of such folders, got a "
            f"folder without either."
        )
    if unfinished:
        raise ValueError(
            f"{folder}: expected finished runs only, got without {METRICS}: {', '.join(unfinished)}. Finish these "
            f"runs, or name the finished ones one by one."
        )
    return sorted(runs, key=lambda run: by_number(run.name))


def _names(runs: Sequence[Path]) -> dict[Path, str]:
    """What tells the runs apart: their paths from the folder that they have in common."""
    places = {run: os.path.abspath(run) for run in runs}
    common = os.path.commonpath([os.path.dirname(place) for place in places.values()])
    return {run: Path(os.path.relpath(place, common)).as_posix() for run, place in places.items()}


def _read_scores(file: Path) -> dict[str, Any]:
    """The content of a file of scores, checked."""
    return read_checked(file, _SCORES_SCHEMA).model_dump()


def _refuse_different_corpora(scores: Mapping[Path, Mapping[str, Any]]) -> None:
    """Refuse to average over runs that were scored on different corpora."""
    corpora = {run: _corpus_of(run, of_run) for run, of_run in scores.items()}
    first = next(iter(corpora))
    for run, corpus in corpora.items():
        if corpus != corpora[first]:
            raise ValueError(
                f"summary: expected runs on one corpus, got {first} ({_shown(corpora[first][0])}) and {run} "
                f"({_shown(corpus[0])}). "
                f"Summarize each corpus by itself."
            )


def _shown(text: str) -> str:
    """Text of a file on one line, and not too much of it."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]}…"


def _corpus_of(run: Path, scores: Mapping[str, Any]) -> tuple[str, Any]:
    """What a run was scored on: for people, and for comparison.

    A fold tests sentences of its own. Folds belong together where the corpus, the number of sentences in all splits and
    the number of folds are the same. Other runs belong together where they were scored on the same gold annotations.
    """
    gold = {
        task: {kind: values["support"] for kind, values in scores[f"{task}_per_type"].items() if values["support"]}
        for task in ("ner", "rel_boundary")
    }
    counts = f"{sum(gold['ner'].values())} gold entities, {sum(gold['rel_boundary'].values())} gold relations"
    file = run / RUN
    if not file.is_file():
        return counts, gold
    record = read_checked(file, _RECORD_SCHEMA)
    settings = record.settings
    name = settings.dataset_name or settings.train_file or "an unnamed corpus"
    sentences = sum(split.sentences for split in record.corpus.values())
    if settings.fold is not None:
        return f"{name}, {sentences} sentences in {settings.folds} folds", (Path(name).name, sentences, settings.folds)
    return f"{name}, {counts}", gold
