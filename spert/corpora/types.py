"""The types of a corpus: their order, their names for people, and which relations are symmetric."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field

from ..files import read_json
from .validation import Name, Schema, Text, validated

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, Features

_MARK = "spert-types: "


@dataclass(frozen=True)
class TypeName:
    """How a type is shown to people."""

    short: str
    verbose: str


@dataclass(frozen=True)
class CorpusTypes:
    """The types of a corpus, in classifier order.

    Args:
        entities: name of each entity type to its names for people.
        relations: the same for relation types.
        symmetric_relations: names of the relation types whose direction has no meaning.
    """

    entities: dict[str, TypeName] = field(default_factory=dict)
    relations: dict[str, TypeName] = field(default_factory=dict)
    symmetric_relations: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The content of a type file."""
        return {
            "entities": {name: vars(shown) for name, shown in self.entities.items()},
            "relations": {
                name: vars(shown) | {"symmetric": name in self.symmetric_relations}
                for name, shown in self.relations.items()
            },
        }

    def config_fields(self) -> dict[str, Any]:
        """The fields of `SpertConfig` that a corpus decides."""
        return {
            "entity_types": list(self.entities),
            "relation_types": list(self.relations),
            "symmetric_relations": list(self.symmetric_relations),
        }


def read_types(path: str | os.PathLike[str]) -> CorpusTypes:
    """Read a type file: `{"entities": {name: {"short", "verbose"}}, "relations": {name: {…, "symmetric"}}}`.

    Raises:
        ValueError: the file has another form; the message names file, field and value.
    """
    return types_from_json(read_json(path), str(path))


class _ShownType(Schema):
    """How a type file describes a type."""

    model_config = ConfigDict(extra="forbid")

    short: Text | None = None
    verbose: Text | None = None
    symmetric: bool = False


class _TypeFile(Schema):
    """The content of a type file."""

    model_config = ConfigDict(extra="forbid")

    entities: dict[Name, _ShownType] = Field(default_factory=dict)
    relations: dict[Name, _ShownType] = Field(default_factory=dict)


def types_from_json(content: Any, file: str) -> CorpusTypes:
    """The types in a type file's content; `file` is named in errors."""
    listed = validated(_TypeFile, content, file)
    for name, shown_type in listed.entities.items():
        if shown_type.symmetric:
            raise ValueError(
                f"{file}, field 'entities', field {name!r}, field 'symmetric': expected no value but false: relations "
                f"are symmetric, entities are not."
            )
    if not listed.entities:
        raise ValueError(f"{file}, field 'entities': expected at least one entity type, got none.")
    entities, relations = (
        {
            name: TypeName(*(name if text is None else text for text in (of_type.short, of_type.verbose)))
            for name, of_type in types.items()
        }
        for types in (listed.entities, listed.relations)
    )
    symmetric = [name for name, shown_type in listed.relations.items() if shown_type.symmetric]
    return CorpusTypes(entities, relations, tuple(symmetric))


def types_in_rows(splits: "Iterable[Dataset]") -> CorpusTypes:
    """The types that rows use, by name; none of them is symmetric: data alone does not tell."""
    import pyarrow.compute as pc

    names: dict[str, set[str]] = {"entities": set(), "relations": set()}
    for split in splits:
        table = split.with_format("arrow")[:]
        for column, found in names.items():
            found.update(pc.struct_field(pc.list_flatten(table[column]), "type").unique().to_pylist())
    entities, relations = ({name: TypeName(name, name) for name in sorted(found)} for found in names.values())
    return CorpusTypes(entities, relations)


def _types_in_features(features: "Features") -> CorpusTypes | None:
    """The types of a dataset whose `type` columns are class labels, in their order; none is symmetric."""
    from datasets import ClassLabel

    names: dict[str, dict[str, TypeName]] = {}
    for column in ("entities", "relations"):
        label = getattr(features[column], "feature", {}).get("type")
        if not isinstance(label, ClassLabel):
            return None
        names[column] = {name: TypeName(name, name) for name in label.names}
    return CorpusTypes(names["entities"], names["relations"])


def described(text: str, types: CorpusTypes) -> str:
    """A dataset's description that carries the types, and so keeps them through `map`, `save_to_disk` and the Hub."""
    return f"{text}\n\n{_MARK}{json.dumps(types.to_json(), ensure_ascii=False)}"


def types_of(dataset: "Dataset | DatasetDict") -> CorpusTypes:
    """The types of a corpus that `load_corpus` returned, or of any dataset with its columns.

    A dataset that does not carry types (made otherwise) gives those that its rows use, by name.

    Raises:
        ValueError: the splits (or concatenated parts) carry different types.
    """
    splits = list(dataset.values()) if isinstance(dataset, dict) else [dataset]
    found: list[CorpusTypes] = []
    for split in splits:
        for line in (split.info.description or "").split("\n"):
            if line.startswith(_MARK):
                types = types_from_json(json.loads(line[len(_MARK) :]), "the dataset's description")
                if types not in found:
                    found.append(types)
    if not found and (named := _types_in_features(splits[0].features)):
        return named
    if not found:
        return types_in_rows(splits)
    if len(found) > 1:
        raise ValueError(
            "types_of: expected one set of types, got different ones: "
            + "; ".join(f"{list(types.entities)} and {list(types.relations)}" for types in found)
            + ". Load the parts with one type file."
        )
    return found[0]
