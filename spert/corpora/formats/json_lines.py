"""JSON Lines by characters: what `spert predict` writes, one object a line.

`{"text", "entities": [{"type", "start", "end"}], "relations": [{"type", "head", "tail"}]}`; `words` (character ranges)
and `id` are read where they are there.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files import atomic_writer, read_json_lines
from ..documents import Document, Reading, check_covered_text, document_of, records_of
from ..schema import checked_words
from ..validation import Identifier, Name, Schema, Text, count_unread_fields, validated


class _Entity(Schema):
    type: Name
    start: int
    end: int
    text: Text | None = None
    score: Any = None
    word_start: int | None = None
    word_end: int | None = None


class _Relation(Schema):
    type: Name
    head: int
    tail: int
    score: Any = None


class _Line(Schema):
    text: Text
    entities: list[_Entity]
    relations: list[_Relation] = []
    words: Any = None
    id: Identifier | None = None
    orig_id: Identifier | None = None
    sentences: Any = None  # of a document that `spert predict` read
    windows: Any = None


def read(path: Path, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a file, each with its place there."""
    for number, content in read_json_lines(path):
        where = f"{path}, line {number}"
        line = validated(_Line, content, where)
        for found, kind in ((line, "lines"), *((one, "entities") for one in line.entities)):
            count_unread_fields(found, reading.lost, kind)
        for relation in line.relations:
            count_unread_fields(relation, reading.lost, "relations")
        if "relations" not in content:
            reading.lost["lines without the field 'relations', read as lines without relations"] += 1
        words = None
        if line.words is not None:
            words = [(start, end) for start, end in checked_words(line.words, line.text, None, where)]
            outside = len("".join(line.text.split())) - sum(
                len("".join(line.text[start:end].split())) for start, end in words
            )
            if outside:
                reading.lost["characters outside of 'words', which become no words"] += outside
        for index, entity in enumerate(line.entities):
            place = f"{where}, field 'entities', entry {index}"
            check_covered_text(line.text, entity.start, entity.end, entity.text, place)
            _check_words_of_entity(entity, words, place)
        document = Document(
            id=next((known for known in (line.id, line.orig_id) if known is not None), str(number)),
            text=line.text,
            entities=[(entity.type, entity.start, entity.end) for entity in line.entities],
            relations=[(relation.type, relation.head, relation.tail) for relation in line.relations],
            words=words,
        )
        for record in records_of(document, reading, where):
            yield where, record


def _check_words_of_entity(entity: _Entity, words: list[tuple[int, int]] | None, where: str) -> None:
    """Refuse an entity whose range of words is not that of its characters, where a line has both."""
    for name, index, character, side in (
        ("word_start", entity.word_start, entity.start, 0),
        ("word_end", entity.word_end, entity.end, 1),
    ):
        if words is None or index is None:
            continue
        position = index - side
        if not 0 <= position < len(words) or words[position][side] != character:
            raise ValueError(
                f"{where}, field '{name}': expected the word {'up to' if side else 'from'} character {character}, got "
                f"{index}. Correct it, or leave the field out."
            )


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records, a line each.

    Raises:
        ValueError: a record's words are not those of its text.
    """
    with atomic_writer(path) as file:
        for record in records:
            document = document_of(record)
            for index, (token, (start, end)) in enumerate(zip(record["tokens"], document.words or ())):
                if document.text[start:end] != token:
                    raise ValueError(
                        f"JSON Lines: record {record['id']!r}, word {index}: expected the word as it stands in the "
                        f"text, {document.text[start:end]!r}, got {token!r}: this format holds the text only."
                    )
            line = {
                "id": document.id,
                "text": document.text,
                "words": document.words,
                "entities": [
                    {"type": kind, "start": start, "end": end, "text": document.text[start:end]}
                    for kind, start, end in document.entities
                ],
                "relations": [{"type": kind, "head": head, "tail": tail} for kind, head, tail in document.relations],
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
