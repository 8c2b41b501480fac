"""Formats of annotated text: each module reads and writes one; here they have names and endings."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..documents import Reading
from ..schema import checked_record, count_unread, record_at
from ..spert_json import read_list, write_spert_json
from . import brat, columns, doccano, json_lines, label_studio, parquet, spacy_docs

SPERT_JSON = "spert-json"
_MODULES: dict[str, ModuleType] = {
    "json-lines": json_lines,
    "brat": brat,
    "label-studio": label_studio,
    "doccano": doccano,
    "spacy": spacy_docs,
    "columns": columns,
    "parquet": parquet,
}
FORMATS = (SPERT_JSON, *_MODULES)

_ENDINGS = {
    ".json": SPERT_JSON,
    ".jsonl": "json-lines",
    ".ann": "brat",
    ".txt": "brat",
    ".spacy": "spacy",
    ".bio": "columns",
    ".bilou": "columns",
    ".conll": "columns",
    ".iob": "columns",
    ".tsv": "columns",
    ".parquet": "parquet",
    "": "brat",
}


def format_of(path: Path, name: str | None = None) -> str:
    """The format with this name, or that of the file's ending; a name without an ending is a folder of brat files.

    Raises:
        ValueError: there is no such format.
    """
    if name is not None:
        if name not in FORMATS:
            raise ValueError(f"expected a format out of {', '.join(FORMATS)}, got {name!r}.")
        return name
    if path.suffix not in _ENDINGS:
        raise ValueError(
            f"{path}: expected one of the endings {', '.join(ending for ending in _ENDINGS if ending)}, or a format "
            f"named out of {', '.join(FORMATS)}."
        )
    return _ENDINGS[path.suffix]


def read_records(path: Path, reading: Reading, name: str | None = None) -> list[dict[str, Any]]:
    """The checked records of a file in any format.

    Raises:
        ValueError: a record is broken, or its spans cut through words; the message names file and record.
    """
    chosen = format_of(path, name)
    if chosen == SPERT_JSON:
        entries = read_list(path)
        for entry in entries:
            count_unread(entry, reading.lost)
        return [checked_record(entry, str(path), number) for number, entry in enumerate(entries)]
    places_and_records: Iterator[tuple[str, dict[str, Any]]] = _MODULES[chosen].read(path, reading)
    return [record_at(record, where, number) for number, (where, record) in enumerate(places_and_records)]


def write_records(path: Path, records: Sequence[Mapping[str, Any]], name: str | None = None) -> None:
    """Write records in any format, whole or not at all.

    Raises:
        ValueError: the format cannot carry a record; the message names it and says why.
    """
    chosen = format_of(path, name)
    if chosen == SPERT_JSON:
        write_spert_json(path, records)
    else:
        _MODULES[chosen].write(path, records)
