"""spaCy: `Doc` and `DocBin`. Entities stand in the span group `entities`, relations in the extension `relations`."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import atomic_folder
from ..documents import Reading
from ..schema import TEXT_FIELDS
from ..spacy_extra import import_spacy
from ..validation import shown

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

MAX_UNPACKED = 2**30
"""Bytes that a file unpacks to at most."""

GROUP = "entities"
EXTENSION = "relations"
_ID = "spert_id"


def doc_of(record: Mapping[str, Any], vocab: "Vocab") -> "Doc":
    """A record as a `Doc`: `doc.spans["entities"]`, and `doc._.relations`, a list of `{type, head, tail}`."""
    tokens = _spacy_with_extension().tokens
    if "" in record["tokens"]:
        raise ValueError(f"spaCy: record {record['id']!r}: expected words that are not empty.")
    doc: Doc = tokens.Doc(vocab, words=list(record["tokens"]))
    doc.spans[GROUP] = [
        tokens.Span(doc, entity["start"], entity["end"], label=entity["type"]) for entity in record["entities"]
    ]
    doc._.relations = [dict(relation) for relation in record["relations"]]
    doc.user_data[_ID] = record["id"]
    doc.user_data |= {name: record[name] for name in TEXT_FIELDS if record.get(name) is not None}
    return doc


def record_of(doc: "Doc", default_id: str = "0", where: str = "spaCy, document") -> dict[str, Any]:
    """A `Doc` as a record; words that are white space alone (line ends) must not be part of it.

    Args:
        default_id: the `id` of a document without one.
        where: file and document, for errors.

    Raises:
        ValueError: it has no span group `entities`.
    """
    if GROUP not in doc.spans:
        raise ValueError(f"{where}: expected a span group {GROUP!r}, got {shown(sorted(doc.spans))}.")
    record = {
        "id": doc.user_data.get(_ID, default_id),
        "tokens": [token.text for token in doc],
        "entities": [{"type": span.label_, "start": span.start, "end": span.end} for span in doc.spans[GROUP]],
        "relations": _with_lists(doc._.relations if doc.has_extension(EXTENSION) else []),
    }
    return record | {name: _with_lists(doc.user_data[name]) for name in TEXT_FIELDS if name in doc.user_data}


def _with_lists(value: Any) -> Any:
    """A value whose tuples are lists: a `DocBin` gives lists back as tuples."""
    return list(map(_with_lists, value)) if isinstance(value, (list, tuple)) else value


def read(path: Path, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a `DocBin` file, each with its place there.

    Raises:
        ValueError: the file is no `DocBin`, or a document is broken; the message names file and document.
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
        if ("._.", EXTENSION, None, None) not in doc.user_data:
            reading.lost[f"documents without the extension {EXTENSION!r}, read as documents without relations"] += 1
        yield where, record_of(doc, str(number), where)


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


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
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
