"""Annotations by characters, as tools for people write them, and their way to words and back."""

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..sentences_spert import split_sentences
from ..words_spert import join_words, split_words
from .reading import Reading
from .schema import checked_words
from .validation import shown

Span = tuple[int, int]


@dataclass(frozen=True)
class Document:
    """A text with entities by characters.

    Args:
        id: what the tool calls it.
        text: the whole text.
        entities: (type, start, end), half-open ranges of characters.
        relations: (type, head, tail), indices into `entities`.
        words: the character ranges of its words, where the format knows them.
        entity_places, relation_places: file, record and field (or line) of each, for errors. Default: numbered fields.
        entity_scores, relation_scores: the score of each that is a prediction, `None` for the others. Default: no
            scores.
    """

    id: str
    text: str
    entities: list[tuple[str, int, int]]
    relations: list[tuple[str, int, int]]
    words: list[Span] | None = None
    entity_places: list[str] | None = None
    relation_places: list[str] | None = None
    entity_scores: list[float | None] | None = None
    relation_scores: list[float | None] | None = None

    def place(self, kind: str, number: int, where: str) -> str:
        """Where an entity or a relation stands; `where` is file and record."""
        places = self.entity_places if kind == "entities" else self.relation_places
        return places[number] if places is not None else f"{where}, field '{kind}', entry {number}"

    def score(self, kind: str, number: int) -> dict[str, float]:
        """The field `score` of an entity or a relation that has one."""
        return _score_in(self.entity_scores if kind == "entities" else self.relation_scores, number)


def records_of(document: Document, reading: Reading, where: str) -> list[dict[str, Any]]:
    """The records of a document: one, or one for each sentence, whose `id` is then `DOCUMENT/POSITION`.

    Records keep the text, unless it is nothing but the words joined by one space, which is what a record without a text
    stands for.

    Args:
        where: file and record, named in errors.

    Raises:
        ValueError: a span lies outside of the text, or cuts through a word (with `align="strict"`), and the message
            shows both; a relation names no entity, or one twice.
    """
    words = document.words
    if words is None:
        words = split_words(document.text) if reading.words == "split" else _words_at_white_space(document.text)
    spans = [
        _word_span(document.text, words, start, end, kind, reading, document.place("entities", number, where))
        for number, (kind, start, end) in enumerate(document.entities)
    ]
    bounds = [(0, len(words))]
    if reading.split_sentences:
        bounds = _sentences(document.text, words, spans)
    keeps_text = document.text != " ".join(document.text[start:end] for start, end in words)
    records: list[dict[str, Any]] = []
    placed: dict[int, tuple[int, int]] = {}  # entity to (sentence, index there)
    for position, (first, last) in enumerate(bounds):
        own = [number for number, (start, _) in enumerate(spans) if first <= start < last]
        placed |= {number: (position, index) for index, number in enumerate(own)}
        records.append(
            {
                "id": document.id if not reading.split_sentences else f"{document.id}/{position}",
                "tokens": [document.text[start:end] for start, end in words[first:last]],
                "entities": [
                    {
                        "type": document.entities[number][0],
                        "start": spans[number][0] - first,
                        "end": spans[number][1] - first,
                    }
                    | document.score("entities", number)
                    for number in own
                ],
                "relations": [],
            }
        )
        if keeps_text:
            records[-1] |= _text_of(document.text, words[first:last], whole=not reading.split_sentences)
    for number, (kind, head, tail) in enumerate(document.relations):
        place = document.place("relations", number, where)
        for name, end in (("head", head), ("tail", tail)):
            if not 0 <= end < len(spans):
                raise ValueError(f"{place} ({kind}), field '{name}': expected one of {len(spans)} entities, got {end}.")
        if head == tail:
            raise ValueError(
                f"{place} ({kind}): expected a relation between two entities, got one of an entity with itself."
            )
        (of_head, head_index), (of_tail, tail_index) = placed[head], placed[tail]
        if of_head != of_tail:
            reading.lost["relations between sentences"] += 1
            continue
        relation = {"type": kind, "head": head_index, "tail": tail_index}
        records[of_head]["relations"].append(relation | document.score("relations", number))
    return records


def _score_in(scores: Sequence[float | None] | None, number: int) -> dict[str, float]:
    score = None if scores is None else scores[number]
    return {} if score is None else {"score": score}


def check_covered_text(text: str, start: int, end: int, covered: str | None, where: str) -> None:
    """Refuse a range of characters whose text is not the one that stands beside it, but for white space.

    Args:
        covered: the text that the range is said to cover. `None` passes.

    Raises:
        ValueError: the range lies outside of the text, or covers another one.
    """
    check_range(text, start, end, where)
    if covered is not None and covered.split() != text[start:end].split():
        raise ValueError(
            f"{where}: expected {shown(covered)}, but the text at [{start}, {end}) is {shown(text[start:end])}. Were "
            f"characters counted otherwise, or was the text changed?"
        )


def check_range(text: str, start: int, end: int, where: str) -> None:
    """*Raises* `ValueError` where [start, end) is no range of a text's characters, or an empty one."""
    if not 0 <= start < end <= len(text):
        raise ValueError(f"{where}: expected a range of characters within [0, {len(text)}), got [{start}, {end}).")


def given_words(words: Any, text: str, where: str, reading: Reading) -> list[Span] | None:
    """The words that a format holds beside a text, checked; `None` where it holds none.

    Args:
        words: ranges of characters, as JSON has them, or `None`.
        where: file and record, for errors.

    Raises:
        ValueError: they are no words of the text; the message names the range.
    """
    if words is None:
        return None
    checked = [(start, end) for start, end in checked_words(words, text, None, where)]
    outside = len("".join(text.split())) - sum(len("".join(text[start:end].split())) for start, end in checked)
    if outside:
        reading.lost["characters outside of 'words', which become no words"] += outside
    return checked


def _text_of(text: str, words: Sequence[Span], whole: bool) -> dict[str, Any]:
    """The fields `text` and `words` of a record that is a whole document, or a sentence of one."""
    first, last = (0, len(text)) if whole or not words else (words[0][0], words[-1][1])
    return {"text": text[first:last], "words": [[start - first, end - first] for start, end in words]}


def document_of(record: Mapping[str, Any]) -> Document:
    """A record as a document: its own text, or its words joined by one space.

    Args:
        record: a checked record.
    """
    if record.get("text") is None:
        text, words = join_words(record["tokens"])
    else:
        text, words = record["text"], [(start, end) for start, end in record["words"]]
    return Document(
        id=str(record["id"]),
        text=text,
        entities=[
            (entity["type"], words[entity["start"]][0], words[entity["end"] - 1][1]) for entity in record["entities"]
        ],
        relations=[(relation["type"], relation["head"], relation["tail"]) for relation in record["relations"]],
        words=words,
        entity_scores=[entity.get("score") for entity in record["entities"]],
        relation_scores=[relation.get("score") for relation in record["relations"]],
    )


def text_document_of(record: Mapping[str, Any], target: str) -> Document:
    """A record as a document, for a format that holds its text and no words beside it.

    Args:
        target: the format, for errors.

    Raises:
        ValueError: a word is not the one that stands in the text, or an entity covers no character of it.
    """
    document = document_of(record)
    for index, (token, (start, end)) in enumerate(zip(record["tokens"], document.words or ())):
        if document.text[start:end] != token:
            raise ValueError(
                f"{target}: record {record['id']!r}, word {index}: expected the word as it stands in the text, "
                f"{document.text[start:end]!r}, got {token!r}: this format holds the text only."
            )
    for index, (kind, start, end) in enumerate(document.entities):
        if start == end:
            raise ValueError(
                f"{target}: record {record['id']!r}, entity {index} ({kind}): expected words of at least one "
                f"character, got none."
            )
    return document


def check_words_have_no_space(record: Mapping[str, Any], target: str) -> None:
    """Refuse words that a format cannot keep apart by white space.

    Raises:
        ValueError: a word is empty or contains white space.
    """
    for index, token in enumerate(record["tokens"]):
        if not token or token.split() != [token]:
            raise ValueError(
                f"{target}: record {record['id']!r}, word {index}: expected words without white space, which this "
                f"format keeps apart by it, got {token!r}."
            )


def _word_span(text: str, words: Sequence[Span], start: int, end: int, kind: str, reading: Reading, where: str) -> Span:
    check_range(text, start, end, f"{where} ({kind})")
    covered = [index for index, (first, last) in enumerate(words) if first < end and start < last]
    if not covered:
        raise ValueError(f"{where} ({kind}): expected a word in [{start}, {end}), got {text[start:end]!r}.")
    first, last = words[covered[0]][0], words[covered[-1]][1]
    # White space at a span's edge belongs to no word and is no fault.
    inside = text[start:end]
    tight = (start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip()))
    if tight != (first, last):
        if reading.align == "strict":
            raise ValueError(
                f"{where} ({shown(kind)}): the span {shown(inside)} [{start}, {end}) cuts through the words "
                f"{shown(text[first:last])} [{first}, {last}). Correct it, or widen it with --align expand."
            )
        reading.lost["spans widened to whole words"] += 1
    return covered[0], covered[-1] + 1


def _words_at_white_space(text: str) -> list[Span]:
    words, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        words.append((start, start + len(word)))
        start += len(word)
    return words


def _sentences(text: str, words: Sequence[Span], spans: Sequence[Span]) -> list[Span]:
    """Ranges of words; none is empty, and none ends inside an entity."""
    inside = {index for first, last in spans for index in range(first + 1, last)}
    starts = [start for start, _ in split_sentences(text)]
    cuts = []
    for index in range(1, len(words)):
        previous_end, end = words[index - 1][1], words[index][1]
        begins = bisect.bisect_left(starts, previous_end) < bisect.bisect_left(starts, end)
        if begins and index not in inside:
            cuts.append(index)
    edges = [0, *cuts, len(words)]
    return [(first, last) for first, last in itertools.pairwise(edges) if first < last]
