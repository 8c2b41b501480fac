"""JSON Lines by characters: what `spert predict` writes, one object a line.

`{"text", "entities": [{"type", "start", "end"}], "relations": [{"type", "head", "tail"}]}`; `words` (character ranges),
`id` and scores are read where they are there.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...files import atomic_writer
from ..documents import Document, check_covered_text, given_words, records_of, text_document_of
from ..reading import Item, Reading, Writing
from ..validation import Identifier, Name, Schema, Score, Text, count_unread_fields, validated
from .text_files import json_lines_of


class _Entity(Schema):
    type: Name
    start: int
    end: int
    text: Text | None = None
    score: Score | None = None
    word_start: int | None = None
    word_end: int | None = None
    sentence: Any = None  # of a document that `spert predict` read
    scores: Any = None  # of all types, with `--all-scores`


class _Relation(Schema):
    type: Name
    head: int
    tail: int
    score: Score | None = None


class _Line(Schema):
    text: Text
    entities: list[_Entity]
    relations: list[_Relation] = []
    words: Any = None
    id: Identifier | None = None
    orig_id: Identifier | None = None
    sentences: Any = None  # of a document that `spert predict` read
    windows: Any = None
    pairs: Any = None  # with `--all-scores`


def items(path: Path, reading: Reading) -> Iterator[Item]:
    """The lines of a file."""
    for number, where, parse in json_lines_of(path):
        yield where, partial(_records, parse, where, number)


def _records(parse: Callable[[], Any], where: str, number: int, reading: Reading) -> list[dict[str, Any]]:
    return records_of_line(parse(), where, str(number), reading)


def records_of_line(content: Any, where: str, default_id: str, reading: Reading) -> list[dict[str, Any]]:
    """The records of a line's object.

    Args:
        where: file and line, for errors.
        default_id: of a line without an id.

    Raises:
        ValueError: the line is refused; the message names the field.
    """
    line = validated(_Line, content, where)
    for found, kind in ((line, "lines"), *((one, "entities") for one in line.entities)):
        count_unread_fields(found, reading.lost, kind)
    for relation in line.relations:
        count_unread_fields(relation, reading.lost, "relations")
    if "relations" not in content:
        reading.lost["lines without the field 'relations', read as lines without relations"] += 1
    words = given_words(line.words, line.text, where, reading)
    for index, entity in enumerate(line.entities):
        place = f"{where}, field 'entities', entry {index}"
        check_covered_text(line.text, entity.start, entity.end, entity.text, place)
        _check_words_of_entity(entity, words, place)
    document = Document(
        id=next((known for known in (line.id, line.orig_id) if known is not None), default_id),
        text=line.text,
        entities=[(entity.type, entity.start, entity.end) for entity in line.entities],
        relations=[(relation.type, relation.head, relation.tail) for relation in line.relations],
        words=words,
        entity_scores=[entity.score for entity in line.entities],
        relation_scores=[relation.score for relation in line.relations],
    )
    return records_of(document, reading, where)


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


def write(path: Path, records: Sequence[Mapping[str, Any]], writing: Writing) -> None:
    """Write records, a line each, as `spert predict` does.

    Raises:
        ValueError: a record's words are not those of its text.
    """
    with atomic_writer(path) as file:
        for record in records:
            file.write(json.dumps(line_of(record, "JSON Lines"), ensure_ascii=False) + "\n")


def line_of(record: Mapping[str, Any], target: str) -> dict[str, Any]:
    """A record as the object of a line.

    Args:
        target: the format, for errors.
    """
    document = text_document_of(record, target)
    return {
        "id": document.id,
        "text": document.text,
        "words": document.words,
        "entities": [
            {
                "type": kind,
                "start": start,
                "end": end,
                "word_start": record["entities"][number]["start"],
                "word_end": record["entities"][number]["end"],
                "text": document.text[start:end],
            }
            | document.score("entities", number)
            for number, (kind, start, end) in enumerate(document.entities)
        ],
        "relations": [
            {"type": kind, "head": head, "tail": tail} | document.score("relations", number)
            for number, (kind, head, tail) in enumerate(document.relations)
        ],
    }
