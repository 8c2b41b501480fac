"""Recipes: settings in a YAML file, each checked where it stands."""

import dataclasses
import difflib
import os
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from .settings import meanings_of

STUDY_SECTIONS = ("grid", "break_down_by")
"""What a recipe of a study holds besides settings."""

Section = Callable[["SettingReader", yaml.Node, str], Any]
"""Reads a part of a recipe that is no setting, from its node; the text names file, line and part."""


@dataclasses.dataclass
class SettingReader:
    """Makes values of settings from the nodes of a YAML file.

    Args:
        path: the file, for messages.
        settings: a dataclass whose fields are made by `settings.setting`.
        loader: reads the nodes.
    """

    path: str | os.PathLike[str]
    settings: type
    loader: yaml.SafeLoader

    def __post_init__(self) -> None:
        self.fields = {field.name: field for field in dataclasses.fields(self.settings)}
        self.meanings = meanings_of(self.settings)

    def where(self, node: yaml.Node, name: object) -> str:
        """How a message names a setting: file, line, name."""
        return f"{self.path}, line {node.start_mark.line + 1}, {name}"

    def check_name(self, node: yaml.Node) -> str:
        """The setting that a node names.

        Raises:
            ValueError: there is no such setting; the message says which it may be.
        """
        name = str(node.value)
        if name not in self.fields:
            close = difflib.get_close_matches(name, self.fields, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "."
            raise ValueError(f"{self.path}, line {node.start_mark.line + 1}: unknown setting {name!r}{hint}")
        return name

    def type_of(self, name: str) -> type:
        """The type of a setting's values besides `None`."""
        return _type_of(self.fields[name])

    def value(self, name: str, node: yaml.Node, where: str) -> Any:
        """A value of a setting, of its type and within its bounds.

        Raises:
            ValueError: it is not; the message names the setting.
        """
        value = _value(self.loader, node, self.fields[name], where, self.meanings[name].secret)
        self.meanings[name].check(where, value)
        return value


def read_recipe(
    path: str | os.PathLike[str], settings: type, sections: Mapping[str, Section] | None = None
) -> dict[str, Any]:
    """The settings in a YAML file, each of the type that its flag has and within its bounds.

    Args:
        settings: a dataclass whose fields are made by `settings.setting`.
        sections: what the file may hold besides settings, by name.

    Returns:
        Settings, and what the sections' functions return, by name.

    Raises:
        ValueError: the file is not YAML, sets something twice or that does not exist, or has a value that cannot work.
            The message names file, line and setting.
        OSError: the file cannot be read.
    """
    sections = sections or {}
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}

    def read(reader: SettingReader, key: yaml.Node, node: yaml.Node) -> None:
        name = str(key.value)
        where = reader.where(key, name)
        if name in STUDY_SECTIONS and name not in sections:
            raise ValueError(f"{where}: this recipe is a study. Train its runs with `spert study`.")
        if name not in sections:
            reader.check_name(key)
        if name in values:
            raise ValueError(f"{where}: expected each setting once, but line {lines[name]} sets it as well.")
        lines[name] = key.start_mark.line + 1
        values[name] = sections[name](reader, node, where) if name in sections else reader.value(name, node, where)

    read_nodes(path, settings, read)
    return values


def read_nodes(
    path: str | os.PathLike[str], settings: type, read: Callable[[SettingReader, yaml.Node, yaml.Node], None]
) -> None:
    """Go through the names and values of a YAML file.

    Args:
        settings: as for `read_recipe`.
        read: gets the reader of the file, a name's node and its value's node.

    Raises:
        ValueError: the file is not YAML, or what `read` raises.
        OSError: the file cannot be read.
    """
    text = _read_text(path)
    try:
        loader = yaml.SafeLoader(text)
        reader = SettingReader(path, settings, loader)
        for key, node in _entries(path, loader.get_single_node()):
            read(reader, key, node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ValueError(f"{path}, line {line}: expected YAML: {error.problem or error.context}.") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"{path}, line {line}: expected YAML: {error.reason}.") from error
    except RecursionError:
        raise ValueError(
            f"{path}: expected settings, one `name: value` a line, got values nested too deeply."
        ) from None


def _read_text(path: str | os.PathLike[str]) -> str:
    content = Path(path).read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: expected UTF-8, but byte {error.start} of the file is {content[error.start]:#x}."
        ) from error


def _entries(path: str | os.PathLike[str], node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    """The keys and values of a recipe; an empty file has none."""
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        found = "a list" if isinstance(node, yaml.SequenceNode) else f"{node.value[:100]!r}"
        line = node.start_mark.line + 1
        raise ValueError(f"{path}, line {line}: expected settings, one `name: value` a line, got {found}.")
    return node.value


def _type_of(field: dataclasses.Field) -> type:
    """The type of a setting's values besides `None`."""
    (expected,) = set(typing.get_args(field.type) or (field.type,)) - {type(None)}
    return expected


def _value(loader: yaml.SafeLoader, node: yaml.Node, field: dataclasses.Field, where: str, is_secret: bool) -> Any:
    """A value of the type of its setting. `null` stands for a default of `None`."""
    expected = _type_of(field)
    if not isinstance(node, yaml.ScalarNode):
        found = "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
        raise ValueError(f"{where}: expected a value of type {expected.__name__}, got {found}.")
    try:
        value = loader.construct_object(node)
    except ValueError as error:  # a number with too many digits, a date that does not exist
        raise ValueError(f"{where}: expected a value of type {expected.__name__}, but: {error}.") from error
    if value is None and field.default is None:
        return None
    if expected is float and type(value) is int:
        return float(value)
    if expected is str and type(value) is int:  # `folds: 10`
        return node.value
    if type(value) is not expected:
        hint = " (YAML reads 5e-5 as text: write 5.0e-5)" if expected is float else ""
        found = "another one" if is_secret else repr(value)
        raise ValueError(f"{where}: expected a value of type {expected.__name__}, got {found}{hint}.")
    return value
