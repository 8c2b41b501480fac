"""Prodigy: the JSONL of its interface for relations (`rel.manual`), of `ner.manual` and `spans.manual`.

A line is `{"text", "tokens": [{"text", "start", "end", "id", "ws"}], "spans": [{"start", "end", "label"}], "relations":
[{"head", "child", "head_span", "child_span", "label"}], "answer"}`. `head` and `child` are the last tokens of the two
spans, and `token_end` is inclusive. Gold is only what a person accepted: rejected, ignored and unanswered lines are
left out, counted and named. Lines of one text by several people have one `_input_hash`. Offsets count Unicode code
points, as spaCy's tokens do.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...files import atomic_writer
from ..agreement import Annotated, settle
from ..documents import Document, check_covered_text, records_of, text_document_of
from ..reading import Item, Reading, Writing
from ..schema import checked_words
from ..validation import Identifier, Name, Schema, Score, Text, count_unread_fields, shown, validated
from .text_files import json_lines_of

_GIVEN_BY_PRODIGY = (
    "_input_hash",
    "_task_hash",
    "_session_id",
    "_annotator_id",
    "_view_id",
    "_timestamp",
    "_is_binary",
)


class _Token(Schema):
    text: Text
    start: int
    end: int


class _Span(Schema):
    start: int
    end: int
    label: Name | None = None
    text: Text | None = None
    score: Score | None = None
    token_start: int | None = None
    token_end: int | None = None
    type: Any = None


class _Relation(Schema):
    label: Name | None = None
    head: int
    child: int
    head_span: _Span | None = None
    child_span: _Span | None = None
    score: Score | None = None
    color: Any = None


class _Line(Schema):
    text: Text
    tokens: list[_Token] | None = None
    spans: list[_Span]
    relations: list[_Relation] = []
    answer: Text | None = None
    id: Identifier | None = None
    meta: Any = None


def items(path: Path, reading: Reading) -> Iterator[Item]:
    """The texts of an export: the lines of one `_input_hash` are one item."""
    groups: dict[Any, list[tuple[str, Any]]] = {}
    first: dict[Any, int] = {}
    for number, where, parse in json_lines_of(path):
        key = _group_of(parse, number)
        groups.setdefault(key, []).append((where, parse))
        first.setdefault(key, number)
    for key, lines in groups.items():
        yield lines[0][0], partial(_records, lines, first[key])


def _group_of(parse: Callable[[], Any], number: int) -> Any:
    try:
        content = parse()
    except ValueError:  # found again when the item is read
        return number
    known_as = content.get("_input_hash") if isinstance(content, Mapping) else None
    return ("hash", known_as) if type(known_as) is int else number


_NO_ANSWER = {"reject": "lines that were rejected", "ignore": "lines that were ignored"}


def _records(lines: Sequence[tuple[str, Callable[[], Any]]], number: int, reading: Reading) -> list[dict[str, Any]]:
    annotated = []
    for where, parse in lines:
        line = validated(_Line, parse(), where)
        if line.answer not in (None, "accept", *_NO_ANSWER):
            raise ValueError(f"{where}, field 'answer': expected accept, reject or ignore, got {shown(line.answer)}.")
        if line.answer in _NO_ANSWER:
            reading.leave_out(_NO_ANSWER[line.answer], where)
        elif line.answer is None and not reading.predictions:
            reading.leave_out("lines that nobody answered", where)
        else:
            extra = line.model_extra or {}
            names = tuple(str(extra[name]) for name in ("_annotator_id", "_session_id") if extra.get(name) is not None)
            created = f"{extra.get('_timestamp') or 0!s:>20}"
            annotated.append(Annotated(names, _document(line, where, str(number), reading), created))
    place = lines[0][0] if len(lines) == 1 else f"{lines[0][0]}, field '_input_hash'"
    document = settle(annotated, reading, place) if annotated else None
    return records_of(document, reading, lines[0][0]) if document is not None else []


def _document(line: _Line, where: str, default_id: str, reading: Reading) -> Document:
    for name in sorted((line.model_extra or {}).keys() - set(_GIVEN_BY_PRODIGY)):
        reading.lost[f"fields {shown(name)} of lines not read"] += 1
    if "relations" not in line.model_fields_set:
        reading.lost["lines without the field 'relations', read as lines without relations"] += 1
    words = None
    if line.tokens is not None:
        ranges = [[token.start, token.end] for token in line.tokens]
        for index, ((start, end), token) in enumerate(
            zip(checked_words(ranges, line.text, None, where, field="tokens"), line.tokens)
        ):
            if line.text[start:end] != token.text:
                raise ValueError(
                    f"{where}, field 'tokens', entry {index}: expected {shown(token.text)}, but the text at [{start}, "
                    f"{end}) is {shown(line.text[start:end])}."
                )
        words = [(token.start, token.end) for token in line.tokens if token.text.strip()]
    entities: list[tuple[str, int, int]] = []
    places: list[str] = []
    scores: list[float | None] = []
    index_of: dict[tuple[Any, ...], int] = {}
    last_token: dict[int, int] = {}
    is_prediction = line.answer is None
    for number, span in enumerate(line.spans):
        place = f"{where}, field 'spans', entry {number}"
        count_unread_fields(span, reading.lost, "spans")
        check_covered_text(line.text, span.start, span.end, span.text, place)
        if span.label is None:
            reading.leave_out("spans without a label", place)
            continue
        for key in ((span.start, span.end, span.label), (span.start, span.end)):
            index_of.setdefault(key, len(entities))
        last_token.setdefault(_last_token(line, span), len(entities))
        entities.append((span.label, span.start, span.end))
        places.append(place)
        scores.append(span.score if is_prediction else None)
    relations: list[tuple[str, int, int]] = []
    relation_places: list[str] = []
    relation_scores: list[float | None] = []
    for number, relation in enumerate(line.relations):
        place = f"{where}, field 'relations', entry {number}"
        count_unread_fields(relation, reading.lost, "relations")
        if relation.label is None:
            reading.leave_out("relations without a label", place)
            continue
        ends = []
        for name in ("head", "child"):
            span, token = getattr(relation, f"{name}_span"), getattr(relation, name)
            found = last_token.get(token)
            if span is not None:  # spans can overlap: the one of the same label is meant
                found = index_of.get((span.start, span.end, span.label), index_of.get((span.start, span.end)))
            if found is not None:
                ends.append(found)
            elif line.tokens is not None and not 0 <= token < len(line.tokens):
                raise ValueError(f"{place}, field '{name}': expected one of {len(line.tokens)} tokens, got {token}.")
        if len(ends) < 2:
            reading.leave_out("relations of tokens that no span marks", place)
            continue
        relations.append((relation.label, ends[0], ends[1]))
        relation_places.append(place)
        relation_scores.append(relation.score if is_prediction else None)
    known_as = default_id if line.id is None else line.id
    return Document(known_as, line.text, entities, relations, words, places, relation_places, scores, relation_scores)


def _last_token(line: _Line, span: _Span) -> int:
    """The number of a span's last token; -1 where no token ends with it."""
    if span.token_end is not None:
        return span.token_end
    return next((index for index, token in enumerate(line.tokens or ()) if token.end == span.end), -1)


def write(path: Path, records: Sequence[Mapping[str, Any]], writing: Writing) -> None:
    """Write records as tasks for `rel.manual`, or as accepted answers.

    Raises:
        ValueError: a record's words are not those of its text.
    """
    with atomic_writer(path) as file:
        for record in records:
            document = text_document_of(record, "Prodigy")
            words = document.words or []
            spans = [
                {
                    "start": start,
                    "end": end,
                    "token_start": record["entities"][index]["start"],
                    "token_end": record["entities"][index]["end"] - 1,
                    "label": kind,
                }
                for index, (kind, start, end) in enumerate(document.entities)
            ]
            relations = [
                {
                    "head": spans[head]["token_end"],
                    "child": spans[tail]["token_end"],
                    "head_span": spans[head],
                    "child_span": spans[tail],
                    "label": kind,
                }
                for kind, head, tail in document.relations
            ]
            line: dict[str, Any] = {
                "text": document.text,
                "tokens": [
                    {
                        "text": document.text[start:end],
                        "start": start,
                        "end": end,
                        "id": index,
                        "ws": document.text[end : end + 1] == " ",
                    }
                    for index, (start, end) in enumerate(words)
                ],
                "spans": [span | _score(document, "entities", index, writing) for index, span in enumerate(spans)],
                "relations": [
                    relation | _score(document, "relations", index, writing) for index, relation in enumerate(relations)
                ],
                "id": document.id,
            }
            file.write(json.dumps(line | ({"answer": "accept"} if writing.annotations else {}), ensure_ascii=False))
            file.write("\n")


def _score(document: Document, kind: str, index: int, writing: Writing) -> dict[str, float]:
    if writing.annotations:
        return {}
    return document.score(kind, index)
