"""Doccano's JSONL export with relations.

`{"id", "text", "entities": [{"id", "label", "start_offset", "end_offset"}], "relations": [{"id", "from_id", "to_id",
"type"}]}`, a document a line.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from ...files import atomic_writer, read_json_lines
from ..documents import Document, Reading, check_words_have_no_space, document_of, records_of
from ..validation import Identifier, Name, Schema, Text, count_unread_fields, shown, validated


class _Entity(Schema):
    id: Identifier
    label: Name
    start_offset: int
    end_offset: int


class _Relation(Schema):
    id: Any = None
    type: Name
    from_id: Identifier
    to_id: Identifier


class _Line(Schema):
    text: Text
    entities: list[_Entity]
    relations: list[_Relation] = []
    id: Identifier | None = None
    comments: list[Any] = Field([], alias="Comments")


def read(path: Path, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of an export, each with its place there."""
    for number, content in read_json_lines(path):
        where = f"{path}, line {number}"
        line = validated(_Line, content, where)
        count_unread_fields(line, reading.lost, "lines")
        for entity in line.entities:
            count_unread_fields(entity, reading.lost, "entities")
        for relation in line.relations:
            count_unread_fields(relation, reading.lost, "relations")
        if "relations" not in content:
            reading.lost["lines without the field 'relations', read as lines without relations"] += 1
        reading.lost["comments"] += len(line.comments)
        document = Document(
            id=str(number) if line.id is None else line.id,
            text=line.text,
            entities=[(entity.label, entity.start_offset, entity.end_offset) for entity in line.entities],
            relations=_relations(line, where),
        )
        for record in records_of(document, reading, where):
            yield where, record


def _relations(line: _Line, where: str) -> list[tuple[str, int, int]]:
    """The relations by the positions of their entities, which name each other by their ids."""
    index: dict[str, int] = {}
    for position, entity in enumerate(line.entities):
        if entity.id in index:
            raise ValueError(
                f"{where}, field 'entities', entry {position}, field 'id': expected each id once, got "
                f"{shown(entity.id)} again: relations name entities by it."
            )
        index[entity.id] = position
    relations = []
    for number, relation in enumerate(line.relations):
        for name in ("from_id", "to_id"):
            if getattr(relation, name) not in index:
                raise ValueError(
                    f"{where}, field 'relations', entry {number}, field '{name}': expected the id of an entity of this "
                    f"line, got {shown(getattr(relation, name))}."
                )
        relations.append((relation.type, index[relation.from_id], index[relation.to_id]))
    return relations


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records as Doccano imports them. Ids are counted through the file, as Doccano does."""
    entities = relations = 0
    with atomic_writer(path) as file:
        for record in records:
            check_words_have_no_space(record, "Doccano")
            document = document_of(record, joined=True)
            line = {
                "id": document.id,
                "text": document.text,
                "entities": [
                    {"id": entities + index, "label": kind, "start_offset": start, "end_offset": end}
                    for index, (kind, start, end) in enumerate(document.entities)
                ],
                "relations": [
                    {"id": relations + index, "from_id": entities + head, "to_id": entities + tail, "type": kind}
                    for index, (kind, head, tail) in enumerate(document.relations)
                ],
                "Comments": [],
            }
            entities += len(document.entities)
            relations += len(document.relations)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
