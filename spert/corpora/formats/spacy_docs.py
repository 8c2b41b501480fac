"""spaCy: `Doc` and `DocBin`. Entities stand in the span group `entities`, relations in the extension `relations`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import atomic_folder
from ..documents import Reading
from ..schema import TEXT_FEATURES
from ..spacy_extra import import_spacy

if TYPE_CHECKING:
    from spacy.tokens import Doc
    from spacy.vocab import Vocab

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
    doc.user_data |= {name: record[name] for name in TEXT_FEATURES if record.get(name) is not None}
    return doc


def record_of(doc: "Doc", default_id: str = "0") -> dict[str, Any]:
    """A `Doc` as a record; words that are white space alone (line ends) must not be part of it.

    Raises:
        ValueError: it has no span group `entities`.
    """
    if GROUP not in doc.spans:
        raise ValueError(f"spaCy: document {default_id}: expected a span group {GROUP!r}, got {sorted(doc.spans)}.")
    record = {
        "id": str(doc.user_data.get(_ID, default_id)),
        "tokens": [token.text for token in doc],
        "entities": [{"type": span.label_, "start": span.start, "end": span.end} for span in doc.spans[GROUP]],
        "relations": [dict(relation) for relation in (doc._.relations if doc.has_extension(EXTENSION) else [])],
    }
    if "text" in doc.user_data:
        record |= {"text": doc.user_data["text"], "words": list(map(list, doc.user_data["words"]))}
    return record


def read(path: Path, reading: Reading) -> Iterator[dict[str, Any]]:
    """The records of a `DocBin` file."""
    spacy = _spacy_with_extension()
    for number, doc in enumerate(spacy.tokens.DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab)):
        yield record_of(doc, str(number))


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
