"""Annotations by characters, as tools for people write them, and their way to words and back."""

import bisect
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..sentences_spert import split_sentences
from ..words_spert import join_words, split_words
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
    """

    id: str
    text: str
    entities: list[tuple[str, int, int]]
    relations: list[tuple[str, int, int]]
    words: list[Span] | None = None
    entity_places: list[str] | None = None
    relation_places: list[str] | None = None

    def place(self, kind: str, number: int, where: str) -> str:
        """Where an entity or a relation stands; `where` is file and record."""
        places = self.entity_places if kind == "entities" else self.relation_places
        return places[number] if places is not None else f"{where}, field '{kind}', entry {number}"


@dataclass(frozen=True)
class Reading:
    """How annotated text becomes records.

    Args:
        align: what happens to an entity that cuts through a word: `strict` refuses it, `expand` widens and counts it.
        words: how words are found where the format does not know them: `split` as for raw text, `whitespace` at white
            space, which gives back the words that a conversion joined.
        split_sentences: make each sentence (`sentences_spert.split_sentences`) a record of its own. Relations between
            sentences are counted and left out. A sentence does not end inside an entity.
        lost: what was counted, by what it is: all that is not read, or read otherwise than it stands there. It is
            filled while reading.
    """

    align: str = "strict"
    words: str = "split"
    split_sentences: bool = False
    lost: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Refuse unknown choices."""
        for name, choices in (("align", ("strict", "expand")), ("words", ("split", "whitespace"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"--{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}.")


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
        records[of_head]["relations"].append({"type": kind, "head": head_index, "tail": tail_index})
    return records


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


def _text_of(text: str, words: Sequence[Span], whole: bool) -> dict[str, Any]:
    """The fields `text` and `words` of a record that is a whole document, or a sentence of one."""
    first, last = (0, len(text)) if whole or not words else (words[0][0], words[-1][1])
    return {"text": text[first:last], "words": [[start - first, end - first] for start, end in words]}


def document_of(record: Mapping[str, Any], joined: bool = False) -> Document:
    """A record as a document.

    Args:
        record: a checked record.
        joined: make the text of the words, joined by one space, also where the record has a text of its own: for
            formats that do not hold the words' ranges, so that white space tells them apart.
    """
    if record.get("text") is None or joined:
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
    )


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
