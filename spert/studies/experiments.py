"""Every run that was made, in one table for each corpus: its settings, scores and cost, the lost runs included."""

import dataclasses
import json
import math
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError, safe_open

from ..evaluation.report import score_text
from ..evaluation.summary import METRICS
from ..files import by_number, read_json
from ..markdown import code, plain, table
from ..training.arguments import TrainingArguments
from ..training.checkpoints import complete_checkpoints
from ..training.output import DEV_SCORES
from ..training.repetitions import RECIPE
from ..training.run_record import RUN
from ..training.settings import meanings_of

_DEV = {"ner_micro_f1": "entities", "rel_strict_micro_f1": "strict"}
_TEST = {"ner_micro_f1": "entities", "rel_boundary_micro_f1": "boundary", "rel_strict_micro_f1": "strict"}
_CORPUS = ("dataset_name", "train_file")
_OF_A_RUN = ("seed", "fold")
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
_NONE = "–"


@dataclass(frozen=True)
class Experiment:
    """A run, as its folder tells of it.

    Args:
        folder: its own.
        settings: those that decide its weights; empty where the folder does not say.
        epochs: how many were trained and scored.
        is_finished: whether model and scores are there.
        dev: scores on validation, of the epoch whose model is the result, or of the last one so far.
        test: scores on the test split.
        seconds: of training; `None` where the folder does not say.
        parameters: of the model; `None` where there is none.
    """

    folder: Path
    settings: dict[str, Any]
    epochs: int
    is_finished: bool
    dev: dict[str, float]
    test: dict[str, float]
    seconds: float | None
    parameters: int | None

    @property
    def corpus(self) -> str:
        """The name of what it was trained on."""
        names = [self.settings.get(name) for name in _CORPUS]
        return next((_short(name) for name in names if name), "an unknown corpus")

    def setting(self, name: str) -> Any:
        """A setting's value; a run that is older than the setting has the default."""
        return self.settings.get(name, _DEFAULTS[name])


def experiments_in(folders: Sequence[str | os.PathLike[str]]) -> list[Experiment]:
    """The runs in some folders, at any depth.

    A run is a folder with `run.json`, with scores of epochs, with a recipe that `spert study` or `--seeds` put there,
    or with a complete checkpoint.

    Raises:
        ValueError: a folder holds no run, or a file of a run is no JSON or YAML.
    """
    found: dict[Path, Experiment] = {}
    for folder in map(Path, folders):
        places = list(_runs_below(folder))
        if not places:
            raise ValueError(
                f"{folder}: expected the folder of a run, or folders of runs in it, with {RUN}, {DEV_SCORES}, {RECIPE} "
                f"or checkpoints, got none."
            )
        for place in places:
            found.setdefault(place.resolve(), _read(place))
    return list(found.values())


def markdown_of_experiments(experiments: Sequence[Experiment]) -> str:
    """A section with a table for each corpus.

    Runs that differ in nothing but seed and fold stand together; where several of them are finished, a row holds mean
    and sample standard deviation.
    """
    common = os.path.commonpath([os.path.dirname(os.path.abspath(run.folder)) for run in experiments])
    corpora = dict.fromkeys(run.corpus for run in experiments)
    return "\n\n".join(
        _section(name, [run for run in experiments if run.corpus == name], Path(common)) for name in corpora
    )


def _section(corpus: str, runs: Sequence[Experiment], common: Path) -> str:
    names = [
        name
        for name, meaning in meanings_of(TrainingArguments).items()
        if meaning.role != "handling" and name not in (*_CORPUS, *_OF_A_RUN)
    ]
    known = [run for run in runs if run.settings]
    values = {name: {json.dumps(run.setting(name)) for run in known} for name in names}
    varying = [name for name in names if len(values[name]) > 1]
    shared = {
        name: known[0].setting(name)
        for name in names
        if known and name not in varying and known[0].setting(name) != _DEFAULTS[name]
    }
    groups: dict[str, list[Experiment]] = {}
    for run in runs:
        groups.setdefault(_settings_text(run, varying), []).append(run)
    rows: list[list[str]] = []
    for text, of_group in groups.items():
        rows += [_row(run, text, common) for run in of_group]
        finished = [run for run in of_group if run.is_finished]
        if len(finished) > 1:
            rows.append(_mean_row(finished, text))
    num_lost = sum(not run.is_finished for run in runs)
    about = f"{len(runs)} run(s)" + (f", {num_lost} of them not finished" if num_lost else "")
    if shared:
        about += f". All with {_values_text(shared)}"
    header = ["run", "settings", "seed", "epochs"]
    header += [f"dev {title}" for title in _DEV.values()] + [f"test {title}" for title in _TEST.values()]
    return f"## {plain(corpus)}\n\n{about}.\n\n{table([*header, 'minutes', 'parameters'], rows)}"


def _row(run: Experiment, settings: str, common: Path) -> list[str]:
    name = Path(os.path.relpath(os.path.abspath(run.folder), common)).as_posix()
    seed = str(run.setting("seed")) if run.settings else _NONE
    if run.settings.get("fold") is not None:
        seed += f", fold {run.settings['fold']}"
    epochs = str(run.epochs) if run.is_finished else f"{run.epochs}, not finished"
    scores = [_score(run.dev, key) for key in _DEV] + [_score(run.test, key) for key in _TEST]
    minutes = _NONE if run.seconds is None else f"{run.seconds / 60:.1f}"
    parameters = _NONE if run.parameters is None else f"{run.parameters:,}"
    return [code(name), settings, seed, epochs, *scores, minutes, parameters]


def _mean_row(runs: Sequence[Experiment], settings: str) -> list[str]:
    scores = [_mean([run.dev for run in runs], key) for key in _DEV]
    scores += [_mean([run.test for run in runs], key) for key in _TEST]
    seconds = [run.seconds for run in runs if run.seconds is not None]
    minutes = f"{statistics.mean(seconds) / 60:.1f}" if seconds else _NONE
    return [f"**mean of {len(runs)}**", settings, "", "", *scores, minutes, ""]


def _mean(scores: Sequence[Mapping[str, float]], key: str) -> str:
    values = [of_run[key] for of_run in scores if key in of_run]
    if len(values) < len(scores):
        return _NONE
    return f"**{score_text(statistics.mean(values))} ± {score_text(statistics.stdev(values))}**"


def _score(scores: Mapping[str, float], key: str) -> str:
    return score_text(scores[key]) if key in scores else _NONE


def _settings_text(run: Experiment, varying: Sequence[str]) -> str:
    if not run.settings:
        return "not recorded"
    other = {name: run.setting(name) for name in varying if run.setting(name) != _DEFAULTS[name]}
    return _values_text(other) or "defaults"


def _values_text(settings: Mapping[str, Any]) -> str:
    texts = {
        name: ",".join(map(_short, value.split(","))) if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }
    return ", ".join(code(f"{name}={text}") for name, text in texts.items())


def _short(value: str) -> str:
    """A path without the folders of a machine; a name on the Hub as it is."""
    parts = Path(value.strip()).parts
    return value.strip() if len(parts) <= 2 else "/".join(parts[-2:])


def _runs_below(folder: Path) -> Iterator[Path]:
    marks = (RUN, DEV_SCORES, RECIPE, METRICS)
    if any((folder / mark).is_file() for mark in marks) or complete_checkpoints(folder):
        yield folder
        return
    if folder.is_dir():
        inside = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        for path in sorted(inside, key=lambda path: by_number(path.name)):
            yield from _runs_below(path)


def _read(folder: Path) -> Experiment:
    record = _read_if_there(folder / RUN)
    rows = _read_if_there(folder / DEV_SCORES) or []
    checkpoints = complete_checkpoints(folder)
    outcome = record.get("outcome", {})
    is_finished = bool(record.get("finished")) and (folder / METRICS).is_file()
    own = next((row for row in rows if row["epoch"] == outcome.get("epoch_of_the_model")), rows[-1] if rows else {})
    seconds = outcome.get("seconds")
    if seconds is None and checkpoints:
        seconds = _read_if_there(checkpoints[-1] / "progress.json").get("seconds")
    has_test = "test" in record.get("corpus", {})
    test = _read_if_there(folder / METRICS) if is_finished and has_test else {}
    return Experiment(
        folder=folder,
        settings=record.get("settings") or _settings_of_unfinished(folder, checkpoints),
        epochs=len(rows),
        is_finished=is_finished,
        dev={key: own[key] for key in _DEV if key in own},
        test={key: test[key] for key in _TEST if key in test},
        seconds=seconds,
        parameters=_count_parameters(folder / "model.safetensors"),
    )


def _settings_of_unfinished(folder: Path, checkpoints: Sequence[Path]) -> dict[str, Any]:
    """The settings of a run without a record: those of its recipe, or else of its newest checkpoint."""
    if (folder / RECIPE).is_file():
        try:
            return dict(yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8")) or {})
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f"{folder / RECIPE}: expected a recipe, which is YAML: {error}") from error
    if checkpoints:
        return dict(_read_if_there(checkpoints[-1] / "manifest.json").get("identity", {}).get("settings", {}))
    return {}


def _read_if_there(file: Path) -> Any:
    return read_json(file) if file.is_file() else {}


def _count_parameters(file: Path) -> int | None:
    """How many numbers a file of weights holds; only its header is read."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as weights:
            shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{file}: expected a safetensors file: {error}.") from error
    return sum(math.prod(shape) for shape in shapes)
