"""Formats of annotated text: each module reads and writes one; here they have names and endings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ..reading import Item, Make, Reading, Writing
from ..schema import count_unread, record_at
from ..spert_json import read_list, write_spert_json
from . import brat, columns, csv_files, doccano, json_lines, label_studio, parquet, prodigy, spacy_docs

SPERT_JSON = "spert-json"
_MODULES: dict[str, ModuleType] = {
    "json-lines": json_lines,
    "brat": brat,
    "label-studio": label_studio,
    "doccano": doccano,
    "prodigy": prodigy,
    "spacy": spacy_docs,
    "columns": columns,
    "csv": csv_files,
    "parquet": parquet,
}
"""Each has `items(path, reading)`, the [`Item`]s of a file, and `write(path, records, writing)`."""

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
    ".csv": "csv",
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
        ValueError: the file cannot be read; or a record is broken, or its spans cut through words, and `on_error` is
            `stop`. The message names file and record.
    """
    chosen = format_of(path, name)
    items: Iterable[Item] = _spert_json(path) if chosen == SPERT_JSON else _MODULES[chosen].items(path, reading)
    records: list[dict[str, Any]] = []
    for number, (where, make) in enumerate(items):
        first = number if chosen == SPERT_JSON else len(records)
        records += reading.attempt(partial(_checked, make, where, first)) or []
    return records


def _checked(make: Make, where: str, first: int, reading: Reading) -> list[dict[str, Any]]:
    """The checked records of an item; those without an id are numbered from `first`."""
    return [record_at(record, where, number) for number, record in enumerate(make(reading), start=first)]


def _spert_json(path: Path) -> Iterator[Item]:
    def make(entry: Any, reading: Reading) -> list[Any]:
        count_unread(entry, reading.lost)
        return [entry]

    for number, entry in enumerate(read_list(path)):
        yield f"{path}, record {number}", partial(make, entry)


def write_records(
    path: Path, records: Sequence[Mapping[str, Any]], name: str | None = None, writing: Writing | None = None
) -> None:
    """Write records in any format, whole or not at all.

    Args:
        writing: the choices, and where it is counted what the format does not hold.

    Raises:
        ValueError: the format cannot carry a record; the message names it and says why.
    """
    chosen = format_of(path, name)
    if chosen == SPERT_JSON:
        write_spert_json(path, records)
    else:
        _MODULES[chosen].write(path, records, Writing() if writing is None else writing)
