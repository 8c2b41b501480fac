"""A recipe of a study: settings, and a grid of those that its rows differ in.

```yaml
grid:                                   # each value of one with each of the other
  relation_context: [localized, full, cls]
  span_pooling: [max, mean]
```

As in scikit-learn's `ParameterGrid`, a grid may also be a list of such grids, whose rows follow each other: settings
that change together stand in one of them, with one value each.
"""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..training.arguments import TrainingArguments
from ..training.flags import read_flags
from ..training.recipes import SettingReader, read_recipe
from ..training.repetitions import runs_of
from ..training.settings import meanings_of
from .breakdown import BREAKDOWNS

_OF_ALL_ROWS = ("seed", "fold", "folds")
"""Settings that decide the weights, but of which every row has the same values."""
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Row:
    """A row of a study's table.

    Args:
        settings: those of the grid.
        arguments: all settings, with `seeds`.
    """

    settings: Mapping[str, Any]
    arguments: TrainingArguments

    @property
    def label(self) -> str:
        """The row's settings, for people."""
        return label_of(self.settings)

    @property
    def runs(self) -> list[TrainingArguments]:
        """The settings of each of its runs: all folds with all seeds."""
        return runs_of(self.arguments)


@dataclass(frozen=True)
class Study:
    """What a recipe of a study says.

    Args:
        name: the recipe's, without its ending.
        rows: at least one; the others are compared with the first.
        break_down_by: names of [`BREAKDOWNS`].
        output_dir: the folder of all runs, with the table and the picture.
    """

    name: str
    rows: Sequence[Row]
    break_down_by: Sequence[str]
    output_dir: Path

    @property
    def runs(self) -> list[TrainingArguments]:
        """The runs of all rows, one run of each row after the other: what is done first compares all rows."""
        runs_of_rows = [row.runs for row in self.rows]
        return [run for of_rows in itertools.zip_longest(*runs_of_rows) for run in of_rows if run is not None]


def read_study(path: str | os.PathLike[str], flags: Sequence[str] = ()) -> Study:
    """Read the recipe of a study.

    Runs write a checkpoint after each epoch unless `checkpointing_steps` says otherwise, so that a study goes on where
    it was interrupted.

    Args:
        flags: override its settings, as those of `train_accelerate.py` do.

    Raises:
        ValueError: the recipe is refused, has no grid, or a row of the grid cannot work; the message names file and
            line, or the row.
        OSError: the file cannot be read.
        SystemExit: a flag is unknown.
    """
    recipe = read_recipe(path, TrainingArguments, {"grid": _read_grid, "break_down_by": _read_breakdowns})
    if "grid" not in recipe:
        raise ValueError(
            f"{path}: expected a `grid:` of settings with lists of values, such as `relation_context: [localized, "
            f"cls]`, got none. Train a single setting with train_accelerate.py."
        )
    grid: list[dict[str, Any]] = recipe.pop("grid")
    break_down_by: list[str] = recipe.pop("break_down_by", [])
    in_grid = {name for settings in grid for name in settings}
    both = sorted(in_grid & recipe.keys()) + sorted(
        name for name in in_grid if any(word.split("=")[0] == f"--{name}" for word in flags)
    )
    if both:
        raise ValueError(f"{path}: expected settings of the grid in the grid alone, got {', '.join(both)} twice.")
    base = read_flags(flags, recipe, "spert study")
    if base["seeds"] is None:
        base["seeds"] = str(base["seed"])  # each run has a folder named by its seed, so that seeds can be added later
    if base["checkpointing_steps"] is None:
        base["checkpointing_steps"] = "epoch"
    rows = []
    for settings in grid:
        folder = str(Path(base["output_dir"]) / folder_of(settings))
        try:
            arguments = TrainingArguments(**(base | settings | {"output_dir": folder}))
        except ValueError as error:
            raise ValueError(f"{path}{' and the flags' if flags else ''}, {label_of(settings)}: {error}") from error
        rows.append(Row(settings, arguments))
    return Study(Path(path).stem, rows, break_down_by, Path(base["output_dir"]))


def label_of(settings: Mapping[str, Any]) -> str:
    """Settings as people read them.

    >>> label_of({"relation_context": "cls", "freeze_encoder": True, "layerwise_lr_decay": None})
    'relation_context=cls, freeze_encoder=true, layerwise_lr_decay=null'
    """
    return ", ".join(f"{name}={_value_text(value)}" for name, value in settings.items())


def folder_of(settings: Mapping[str, Any]) -> str:
    """The name of a row's folder: its settings, and a digest of them where the name cannot hold all of them.

    >>> folder_of({"num_negative_spans": 20, "weak_negative_relations": False})
    'num_negative_spans=20,weak_negative_relations=false'
    >>> folder_of({"model_name_or_path": "google-bert/bert-base-cased"})
    'model_name_or_path=google-bert_bert-base-cased-06912e59'
    """
    texts = {name: value if isinstance(value, str) else _value_text(value) for name, value in settings.items()}
    plain = ",".join(f"{name}={text}" for name, text in texts.items())
    name = re.sub(r"[^\w.,=+-]", "_", plain, flags=re.ASCII)
    if name == plain and len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()[:8]
    return f"{name[:_LONGEST_NAME]}-{digest}"


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        return Path(value).name if os.path.isdir(value) else value
    return json.dumps(value)


def _read_grid(reader: SettingReader, node: yaml.Node, where: str) -> list[dict[str, Any]]:
    """The settings of each row."""
    parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
    rows = [settings for part in parts for settings in _read_product(reader, part, where)]
    if not rows:
        raise ValueError(f"{where}: expected at least one setting with a list of values, got none.")
    for number, settings in enumerate(rows):
        if settings in rows[:number]:
            raise ValueError(f"{where}: expected each row once, got {label_of(settings)} twice.")
    return rows


def _read_product(reader: SettingReader, node: yaml.Node, where: str) -> list[dict[str, Any]]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{where}: expected settings with lists of values, or a list of such grids.")
    values: dict[str, list[Any]] = {}
    for key, node_of_values in node.value:
        name = reader.check_name(key)
        place = reader.where(key, f"grid, {name}")
        meaning = reader.meanings[name]
        if name in _OF_ALL_ROWS or (meaning.role != "result" and name != "model_name_or_path"):
            raise ValueError(
                f"{place}: expected a setting in which the models of the rows differ. Set this one beside the grid."
            )
        if name in values:
            raise ValueError(f"{place}: expected each setting once, got it twice.")
        nodes = node_of_values.value if isinstance(node_of_values, yaml.SequenceNode) else [node_of_values]
        if not nodes:
            raise ValueError(f"{place}: expected at least one value, got none.")
        values[name] = [reader.value(name, value, place) for value in nodes]
    return [dict(zip(values, row)) for row in itertools.product(*values.values())] if values else []


def _read_breakdowns(reader: SettingReader, node: yaml.Node, where: str) -> list[str]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    names = [str(name.value) for name in nodes]
    for name in names:
        if name not in BREAKDOWNS:
            raise ValueError(f"{where}: expected names out of {', '.join(BREAKDOWNS)}, got {name!r}.")
    return list(dict.fromkeys(names))


def varying(rows: Sequence[Row]) -> list[str]:
    """The settings of the grid of which not all rows have the same value."""
    names = dict.fromkeys(name for row in rows for name in row.settings)
    return [name for name in names if len({json.dumps(getattr(row.arguments, name)) for row in rows}) > 1]


def sources_of(arguments: TrainingArguments) -> tuple[Any, ...]:
    """What the corpus and the encoder of a run depend on."""
    names = [name for name, meaning in meanings_of(arguments).items() if meaning.role == "source"]
    return tuple(getattr(arguments, name) for name in (*names, "data_dir", "model_revision", "folds", "train_fraction"))
