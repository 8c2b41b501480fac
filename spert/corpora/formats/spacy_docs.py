"""spaCy: `Doc` and `DocBin`.

Entities are written into the span group `entities`, into `sc`, which spaCy's span categorizer reads, and into
`doc.ents` (of those that overlap, the best), relations into the extension `relations`. They are read from the first of
these that a document has, or from the one that `Reading.spans` names. The document's text is the record's, letter by
letter; scores stand where the span categorizer puts them, in `attrs["scores"]` of the group.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import atomic_folder
from ..reading import Item, Reading, Writing
from ..schema import TEXT_FIELDS, checked_words
from ..spacy_extra import import_spacy
from ..validation import shown

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

MAX_UNPACKED = 2**30
"""Bytes that a file unpacks to at most."""

GROUP = "entities"
CATEGORIZER_GROUP = "sc"
ENTS = "ents"
EXTENSION = "relations"
_ID = "spert_id"
_SCORES = "scores"


def doc_of(record: Mapping[str, Any], vocab: "Vocab") -> "Doc":
    """A record as a `Doc`.

    What its text has between two words is a token of its own, but for one space. Where words are not those of the
    text, the document consists of the words, and the text stands in `user_data`.

    Raises:
        ValueError: a word is empty, or nothing but white space.
    """
    spacy = _spacy_with_extension()
    tokens = spacy.tokens
    if not all(map(str.strip, record["tokens"])):
        raise ValueError(f"spaCy: record {record['id']!r}: expected words that are not empty, nor white space alone.")
    text, ranges = record.get("text"), record.get("words") or ()
    is_of_text = text is not None and all(
        text[start:end] == token for token, (start, end) in zip(record["tokens"], ranges)
    )
    if text is not None and is_of_text:
        words, spaces, place = _tokens_of(text, ranges)
    else:
        words, place = list(record["tokens"]), list(range(len(record["tokens"])))
        spaces = [True] * (len(words) - 1) + [False] * bool(words)
    doc: Doc = tokens.Doc(vocab, words=words, spaces=spaces)
    spans = [
        tokens.Span(doc, place[entity["start"]], place[entity["end"] - 1] + 1, label=entity["type"])
        for entity in record["entities"]
    ]
    scores = [entity.get("score") for entity in record["entities"]]
    attributes = {_SCORES: scores} if any(score is not None for score in scores) else {}
    for name in (GROUP, CATEGORIZER_GROUP):
        doc.spans[name] = tokens.SpanGroup(doc, name=name, spans=spans, attrs=dict(attributes))
    doc.ents = _without_overlaps(spans, scores)
    doc._.relations = [dict(relation) for relation in record["relations"]]
    doc.user_data[_ID] = record["id"]
    doc.user_data |= {name: record[name] for name in TEXT_FIELDS if record.get(name) is not None}
    return doc


def _tokens_of(text: str, ranges: Sequence[Sequence[int]]) -> tuple[list[str], list[bool], list[int]]:
    """The tokens of a text that its words and what lies between them make, and the token of each word."""
    words: list[str] = []
    spaces: list[bool] = []
    place = []
    end = 0
    for start, next_end in [*ranges, (len(text), len(text))]:
        gap = text[end:start]
        if words and gap.startswith(" "):
            spaces[-1], gap = True, gap[1:]
        if gap:
            words.append(gap)
            spaces.append(False)
        if next_end > start:
            place.append(len(words))
            words.append(text[start:next_end])
            spaces.append(False)
        end = next_end
    return words, spaces, place


def _without_overlaps(spans: Sequence[Any], scores: Sequence[float | None]) -> list[Any]:
    """The spans that `doc.ents` can hold: of those that overlap the one with the better score, or else the longer."""
    order = sorted(range(len(spans)), key=lambda index: (-(scores[index] or 0), -len(spans[index]), spans[index].start))
    taken: set[int] = set()
    kept = []
    for index in order:
        inside = set(range(spans[index].start, spans[index].end))
        if not taken & inside:
            taken |= inside
            kept.append(spans[index])
    return kept


def record_of(
    doc: "Doc", default_id: str = "0", where: str = "spaCy, document", reading: Reading | None = None
) -> dict[str, Any]:
    """A `Doc` as a record. Tokens of white space (line ends) are part of its text, and no words.

    Args:
        default_id: the `id` of a document without one.
        where: file and document, for errors.
        reading: says which entities, and counts what is not read.

    Raises:
        ValueError: it has no entities of that name, or one is nothing but white space.
    """
    reading = Reading() if reading is None else reading
    spans, scores = _entities_of(doc, reading, where)
    own = {name: _with_lists(doc.user_data[name]) for name in TEXT_FIELDS if name in doc.user_data}
    if own.get("text") == doc.text and "words" in own:
        ranges = checked_words(own["words"], doc.text, None, where)
        tokens = [doc.text[start:end] for start, end in ranges]
        starts = {start: index for index, (start, _) in enumerate(ranges)}
        number = {token.i: starts[token.idx] for token in doc if token.idx in starts}
    else:
        # Where the text in `user_data` is another one, all tokens are the words that stand beside it.
        words = list(doc) if own else [token for token in doc if not token.text.isspace()]
        tokens = [token.text for token in words]
        number = {token.i: index for index, token in enumerate(words)}
        if not own and doc.text != " ".join(tokens):
            own = {"text": doc.text, "words": [[token.idx, token.idx + len(token)] for token in words]}
    entities = []
    for index, (span, score) in enumerate(zip(spans, scores)):
        inside = [number[token.i] for token in span if token.i in number]
        if not inside or not span.label_:
            expected = "a span with a label" if inside else "a span of words"
            raise ValueError(f"{where}, field 'entities', entry {index}: expected {expected}, got {shown(span.text)}.")
        entity: dict[str, Any] = {"type": span.label_, "start": inside[0], "end": inside[-1] + 1}
        entities.append(entity | ({} if score is None else {"score": float(score)}))
    record = {
        "id": doc.user_data.get(_ID, default_id),
        "tokens": tokens,
        "entities": entities,
        "relations": _with_lists(doc._.relations if doc.has_extension(EXTENSION) else []),
    }
    return record | own


def _entities_of(doc: "Doc", reading: Reading, where: str) -> tuple[list[Any], list[Any]]:
    """The spans that are read, and the score of each or `None`."""
    has_ents = doc.has_annotation("ENT_IOB")
    found = [name for name in (GROUP, CATEGORIZER_GROUP) if name in doc.spans] + ([ENTS] if has_ents else [])
    name = reading.spans or (found[0] if found else GROUP)
    if name != ENTS and name not in doc.spans:
        others = sorted({*doc.spans, *([ENTS] if has_ents else [])})
        raise ValueError(
            f"{where}: expected a span group {name!r}, got {shown(others)}. Name one of them with --spans."
        )
    if name == ENTS:
        return list(doc.ents), [None] * len(doc.ents)
    group = doc.spans[name]
    known = {(span.label_, span.start, span.end) for span in group}
    if unread := sum((span.label_, span.start, span.end) not in known for span in doc.ents):
        reading.lost[f"entities of doc.ents not read, as the group {name!r} is"] += unread
    scores = group.attrs.get(_SCORES)
    if scores is None or len(scores) != len(group):
        scores = [None] * len(group)
    return list(group), list(scores)


def _with_lists(value: Any) -> Any:
    """A value whose tuples are lists: a `DocBin` gives lists back as tuples."""
    return list(map(_with_lists, value)) if isinstance(value, (list, tuple)) else value


def items(path: Path, reading: Reading) -> Iterator[Item]:
    """The documents of a `DocBin` file.

    Raises:
        ValueError: the file is no `DocBin`.
    """
    spacy = _spacy_with_extension()
    content = path.read_bytes()
    _refuse_too_much(path, content)
    try:
        docs = spacy.tokens.DocBin().from_bytes(content)
    except Exception as error:  # of many kinds: it is whatever the bytes lead to
        raise ValueError(f"{path}: expected a DocBin of spaCy, but it cannot be read: {error!r}.") from error
    made = docs.get_docs(spacy.vocab.Vocab())
    for number in range(len(docs)):
        where = f"{path}, document {number}"
        try:
            doc = next(made)
        except Exception as error:
            raise ValueError(f"{where}: expected a document of spaCy, but it cannot be read: {error!r}.") from error
        yield where, partial(_records, doc, str(number), where)


def _records(doc: "Doc", number: str, where: str, reading: Reading) -> list[dict[str, Any]]:
    if ("._.", EXTENSION, None, None) not in doc.user_data:
        reading.lost[f"documents without the extension {EXTENSION!r}, read as documents without relations"] += 1
    return [record_of(doc, number, where, reading)]


def _refuse_too_much(path: Path, content: bytes) -> None:
    """Refuse a file that unpacks to more than `MAX_UNPACKED`: spaCy would hold all of it in memory."""
    unpacking, size = zlib.decompressobj(), 0
    try:
        while content and not unpacking.eof:
            size += len(unpacking.decompress(content, 2**20))
            content = unpacking.unconsumed_tail
            if size > MAX_UNPACKED:
                raise ValueError(
                    f"{path}: expected at most {MAX_UNPACKED} bytes unpacked, got more. Divide it into several files."
                )
    except zlib.error:  # the reader says so
        return


def write(path: Path, records: Sequence[Mapping[str, Any]], writing: Writing) -> None:
    """Write records as a `DocBin` file."""
    spacy = _spacy_with_extension()
    vocab = spacy.blank("xx").vocab
    docs = spacy.tokens.DocBin(store_user_data=True, docs=[doc_of(record, vocab) for record in records])
    with atomic_folder(path.parent) as staging:
        docs.to_disk(staging / path.name)


def _spacy_with_extension() -> Any:
    """The module `spacy`, whose documents have the extension for relations."""
    spacy = import_spacy("The format 'spacy'")
    if not spacy.tokens.Doc.has_extension(EXTENSION):
        spacy.tokens.Doc.set_extension(EXTENSION, default=[])
    return spacy
