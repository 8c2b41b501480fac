"""SpERT JSON: a list of `{"tokens", "entities", "relations", "orig_id"}`, the original's format. Spans count words."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..files import atomic_writer, read_json
from .schema import TEXT_FIELDS, checked_record
from .types import CorpusTypes
from .validation import shown


def read_spert_json(path: str | os.PathLike[str], types: CorpusTypes | None = None) -> list[dict[str, Any]]:
    """The records of a file, as `schema.checked_record` returns them.

    Args:
        path: the file.
        types: refuse other types than these.

    Raises:
        ValueError: the file is not a list, or a record is refused (see `schema.checked_record`).
    """
    return [checked_record(record, str(path), number, types) for number, record in enumerate(read_list(path))]


def read_list(path: str | os.PathLike[str]) -> list[Any]:
    """The entries of a JSON file that holds a list."""
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{path}: expected a list of records, got {shown(content)}.")
    return content


def write_spert_json(path: str | os.PathLike[str], records: Iterable[Mapping[str, Any]]) -> None:
    """Write records, one a line, whole or not at all. A record's `id` becomes its `orig_id`."""
    with atomic_writer(path) as file:
        file.write("[")
        for number, record in enumerate(records):
            file.write(("\n" if number == 0 else ",\n") + spert_json_line(record))
        file.write("\n]\n")


def spert_json_line(record: Mapping[str, Any]) -> str:
    """One record on one line. Its `id` becomes its `orig_id`."""
    out = {name: record[name] for name in ("tokens", "entities", "relations")}
    out |= {name: record[name] for name in TEXT_FIELDS if record.get(name) is not None}
    if record.get("id") is not None:
        out["orig_id"] = record["id"]
    return json.dumps(out, ensure_ascii=False)
