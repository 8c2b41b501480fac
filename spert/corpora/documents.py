"""Annotations by characters, as tools for people write them, and their way to words and back."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..words_spert import join_words, split_words

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
    """

    id: str
    text: str
    entities: list[tuple[str, int, int]]
    relations: list[tuple[str, int, int]]
    words: list[Span] | None = None


@dataclass(frozen=True)
class Reading:
    """How annotated text becomes records.

    Args:
        align: what happens to an entity that cuts through a word: `strict` refuses it, `expand` widens and counts it.
        words: how words are found where the format does not know them: `split` as for raw text, `whitespace` at white
            space, which gives back the words that a conversion joined.
        split_sentences: make each sentence (spaCy's sentencizer) a record of its own. Relations between sentences are
            counted and left out; a boundary inside an entity is none.
        lost: what was counted, by what it is; filled while reading.
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

    Args:
        where: file and record, named in errors.

    Raises:
        ValueError: a span lies outside of the text, or cuts through a word (with `align="strict"`); the message shows
            both.
    """
    words = document.words
    if words is None:
        words = split_words(document.text) if reading.words == "split" else _words_at_white_space(document.text)
    spans = [
        _word_span(document.text, words, start, end, kind, reading, f"{where}, entity {number}")
        for number, (kind, start, end) in enumerate(document.entities)
    ]
    bounds = [(0, len(words))]
    if reading.split_sentences:
        bounds = _sentences(document.text, words, spans)
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
    for kind, head, tail in document.relations:
        for end in (head, tail):
            if not 0 <= end < len(spans):
                raise ValueError(f"{where}: relation {kind!r}: expected one of {len(spans)} entities, got {end}.")
        (of_head, head_index), (of_tail, tail_index) = placed[head], placed[tail]
        if of_head != of_tail:
            reading.lost["relations between sentences"] += 1
            continue
        records[of_head]["relations"].append({"type": kind, "head": head_index, "tail": tail_index})
    return records


def document_of(record: Mapping[str, Any]) -> Document:
    """A record as a text whose words are joined by one space."""
    text, words = join_words(record["tokens"])
    return Document(
        id=str(record["id"]),
        text=text,
        entities=[
            (entity["type"], words[entity["start"]][0], words[entity["end"] - 1][1]) for entity in record["entities"]
        ],
        relations=[(relation["type"], relation["head"], relation["tail"]) for relation in record["relations"]],
        words=words,
    )


def refuse_words_that_do_not_come_back(record: Mapping[str, Any], target: str) -> None:
    """*Raises* `ValueError` for words that a format without words cannot carry: empty, or with white space."""
    for index, token in enumerate(record["tokens"]):
        if not token or token.split() != [token]:
            raise ValueError(
                f"{target}: record {record['id']!r}, word {index}: expected words without white space, which this "
                f"format keeps apart by it, got {token!r}."
            )


def _word_span(text: str, words: Sequence[Span], start: int, end: int, kind: str, reading: Reading, where: str) -> Span:
    if not 0 <= start < end <= len(text):
        raise ValueError(
            f"{where} ({kind}): expected a range of characters within [0, {len(text)}), got [{start}, {end})."
        )
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
                f"{where} ({kind}): the span {inside!r} [{start}, {end}) cuts through the words "
                f"{text[first:last]!r} [{first}, {last}). Mend it, or widen it with --align expand."
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
    import spacy

    language = spacy.blank("xx")
    language.add_pipe("sentencizer")
    language.max_length = max(language.max_length, len(text) + 1)
    starts = {sentence.start_char for sentence in language(text).sents}
    cuts = []
    for index, (start, end) in enumerate(words):
        begins = any(start <= first < end for first in starts) or (
            index > 0 and any(words[index - 1][1] <= first <= start for first in starts)
        )
        if begins and index > 0 and not any(first < index < last for first, last in spans):
            cuts.append(index)
    edges = [0, *cuts, len(words)]
    return [(first, last) for first, last in itertools.pairwise(edges) if first < last]
