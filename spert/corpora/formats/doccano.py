"""Doccano's two JSONL exports of sequence labelling: with relations, and without.

With relations, a line is `{"id", "text", "entities": [{"id", "label", "start_offset", "end_offset"}], "relations":
[{"id", "from_id", "to_id", "type"}], "Comments"}`; without, `{"id", "text", "label": [[start, end, label]],
"Comments"}`, in older versions `labels`. Offsets count UTF-16 units, as Doccano's page does, or graphemes in a project
that says so. Files are written with relations; a record's words travel in the field `words`, which Doccano keeps.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ...files import atomic_writer
from ..documents import Document, given_words, records_of, text_document_of
from ..reading import Item, Reading, Writing
from ..validation import Identifier, ListAsTuple, Name, Schema, Score, Text, count_unread_fields, shown, validated
from .offsets import from_code_points, to_code_points
from .text_files import json_lines_of

UNIT = "utf-16"
"""What Doccano's offsets count, unless a project counts graphemes."""


class _Entity(Schema):
    id: Identifier
    label: Name
    start_offset: int
    end_offset: int
    score: Score | None = None


class _Relation(Schema):
    id: Any = None
    type: Name
    from_id: Identifier
    to_id: Identifier
    score: Score | None = None


class _Line(Schema):
    text: Text
    id: Identifier | None = None
    words: Any = None
    comments: list[Any] = Field([], alias="Comments")


class _LineWithRelations(_Line):
    entities: list[_Entity]
    relations: list[_Relation] = []


_Span = Annotated[tuple[int, int, Name], ListAsTuple]


class _LineWithLabel(_Line):
    label: list[_Span]


class _LineWithLabels(_Line):
    labels: list[_Span]


def items(path: Path, reading: Reading) -> Iterator[Item]:
    """The lines of an export."""
    for number, where, parse in json_lines_of(path):
        yield where, partial(_records, parse, where, number)


def _records(parse: Callable[[], Any], where: str, number: int, reading: Reading) -> list[dict[str, Any]]:
    content = parse()
    fields = content if isinstance(content, Mapping) else {}
    if "entities" not in fields and ("label" in fields or "labels" in fields):
        schema = _LineWithLabel if "label" in fields else _LineWithLabels
        spans_only: Any = validated(schema, content, where)
        line: _Line = spans_only
        name = "label" if "label" in fields else "labels"
        marks: list[tuple[str, int, int, float | None]] = [
            (kind, start, end, None) for start, end, kind in getattr(spans_only, name)
        ]
        arrows: list[tuple[str, int, int]] = []
        scores = None
        reading.lost["lines of an export without relations"] += 1
    else:
        full = validated(_LineWithRelations, content, where)
        line, name = full, "entities"
        for entity in full.entities:
            count_unread_fields(entity, reading.lost, "entities")
        for relation in full.relations:
            count_unread_fields(relation, reading.lost, "relations")
        if "relations" not in fields:
            reading.lost["lines without the field 'relations', read as lines without relations"] += 1
        marks = [(one.label, one.start_offset, one.end_offset, one.score) for one in full.entities]
        arrows = _relations(full, where)
        scores = [relation.score for relation in full.relations]
    count_unread_fields(line, reading.lost, "lines")
    reading.lost["comments"] += len(line.comments)
    if not marks:
        reading.lost["lines without entities: Doccano does not say whether a person read them"] += 1
    unit = reading.offsets or UNIT
    places = [f"{where}, field '{name}', entry {position}" for position in range(len(marks))]
    document = Document(
        id=str(number) if line.id is None else line.id,
        text=line.text,
        entities=[
            (kind, *to_code_points(line.text, start, end, unit, place))
            for (kind, start, end, _), place in zip(marks, places)
        ],
        relations=arrows,
        words=given_words(line.words, line.text, where, reading),
        entity_places=places,
        entity_scores=[score for *_, score in marks],
        relation_scores=scores,
    )
    return records_of(document, reading, where)


def _relations(line: _LineWithRelations, where: str) -> list[tuple[str, int, int]]:
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


def write(path: Path, records: Sequence[Mapping[str, Any]], writing: Writing) -> None:
    """Write records as Doccano imports them with relations. Ids are counted through the file, as Doccano does.

    Raises:
        ValueError: a record's words are not those of its text, or a span cuts through a unit that offsets count.
    """
    entities = relations = 0
    unit = writing.offsets or UNIT
    with atomic_writer(path) as file:
        for record in records:
            document = text_document_of(record, "Doccano")
            where = f"Doccano: record {document.id!r}"
            spans = [
                (kind, *from_code_points(document.text, start, end, unit, where))
                for kind, start, end in document.entities
            ]
            line = {
                "id": document.id,
                "text": document.text,
                "words": document.words,
                "entities": [
                    {"id": entities + index, "label": kind, "start_offset": start, "end_offset": end}
                    | document.score("entities", index)
                    for index, (kind, start, end) in enumerate(spans)
                ],
                "relations": [
                    {"id": relations + index, "from_id": entities + head, "to_id": entities + tail, "type": kind}
                    | document.score("relations", index)
                    for index, (kind, head, tail) in enumerate(document.relations)
                ],
                "Comments": [],
            }
            entities += len(document.entities)
            relations += len(document.relations)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
