"""The settings that a search varies, with their ranges, in a YAML file.

```yaml
learning_rate: {low: 1.0e-5, high: 5.0e-4, log: true}
num_train_epochs: {low: 10, high: 40, step: 10}
span_pooling: [max, mean]
```
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ..training.arguments import TrainingArguments
from ..training.recipes import SettingReader, read_nodes

if TYPE_CHECKING:
    import optuna

_FIELDS = ("low", "high", "step", "log")
_NOT_SEARCHED = ("seed", "fold", "folds", "metric_for_best_model", "train_on_validation")
"""Settings that decide the weights, but of which all trials need the same values to be compared."""


@dataclass(frozen=True)
class Range:
    """The numbers between two, both included.

    Args:
        low, high: the bounds.
        step: the distance of two numbers that may be drawn; `None` for any number between the bounds.
        log: draw the logarithm evenly.
        is_whole: whether only whole numbers are drawn.
    """

    low: float
    high: float
    step: float | None
    log: bool
    is_whole: bool

    def draw(self, trial: "optuna.Trial", name: str) -> Any:
        """The value of a trial."""
        if self.is_whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class Values:
    """Values, of which each trial gets one."""

    values: Sequence[Any]

    def draw(self, trial: "optuna.Trial", name: str) -> Any:
        """The value of a trial."""
        return trial.suggest_categorical(name, list(self.values))


Space = Mapping[str, Range | Values]


def read_space(path: str | os.PathLike[str]) -> Space:
    """Read the settings that a search varies.

    Raises:
        ValueError: the file is not YAML, names a setting that does not exist or that all trials must share, or has a
            range that cannot be; the message names file, line and setting.
        OSError: the file cannot be read.
    """
    space: dict[str, Range | Values] = {}

    def read(reader: SettingReader, key: yaml.Node, node: yaml.Node) -> None:
        name = reader.check_name(key)
        where = reader.where(key, name)
        if name in space:
            raise ValueError(f"{where}: expected each setting once, got it twice.")
        if reader.meanings[name].role != "result" or name in _NOT_SEARCHED:
            raise ValueError(
                f"{where}: expected a setting of the model or of its training, in which trials may differ. Set this "
                f"one in the recipe."
            )
        space[name] = _values(reader, name, node, where) if _is_list(node) else _range(reader, name, node, where)

    read_nodes(path, TrainingArguments, read)
    if not space:
        raise ValueError(
            f"{path}: expected at least one setting with a range, such as `learning_rate: {{low: 1.0e-5, high: 5.0e-4, "
            f"log: true}}`, or with a list of values, got none."
        )
    return space


def _is_list(node: yaml.Node) -> bool:
    return isinstance(node, yaml.SequenceNode)


def _values(reader: SettingReader, name: str, node: yaml.Node, where: str) -> Values:
    values = [reader.value(name, value, where) for value in node.value]
    if len(values) < 2 or any(value in values[:index] for index, value in enumerate(values)):
        raise ValueError(f"{where}: expected at least two different values, got {values}.")
    return Values(values)


def _range(reader: SettingReader, name: str, node: yaml.Node, where: str) -> Range:
    kind = reader.type_of(name)
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{where}: expected a list of values, or a range such as {{low: 1, high: 5}}.")
    if kind not in (int, float):
        raise ValueError(f"{where}: expected a list of values, since the setting is no number.")
    values: dict[str, Any] = {}
    for key, value in node.value:
        field = str(key.value)
        if field not in _FIELDS:
            raise ValueError(f"{where}: expected fields out of {', '.join(_FIELDS)}, got {field!r}.")
        if field in values:
            raise ValueError(f"{where}, {field}: expected each field once, got it twice.")
        if field in ("low", "high"):
            values[field] = reader.value(name, value, f"{where}, {field}")
        else:
            values[field] = reader.loader.construct_object(value)
    for field in ("low", "high"):
        if values.get(field) is None:
            raise ValueError(f"{where}: expected numbers for low and high, got no {field}.")
    low, high, step, log = values["low"], values["high"], values.get("step"), values.get("log", False)
    if not low < high:
        raise ValueError(f"{where}: expected a low number below the high one, got {low} and {high}.")
    if not isinstance(log, bool):
        raise ValueError(f"{where}, log: expected true or false, got {log!r}.")
    if step is not None and not (type(step) in ((int,) if kind is int else (int, float)) and 0 < step <= high - low):
        raise ValueError(f"{where}, step: expected a number above 0 and at most {high - low}, got {step!r}.")
    if log and (low <= 0 or step is not None):
        raise ValueError(f"{where}: expected a low number above 0, and no step, where log is true.")
    return Range(low, high, step, log, kind is int)
