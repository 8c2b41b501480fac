"""JSON Lines by characters: what `spert predict` writes, one object a line.

`{"text", "entities": [{"type", "start", "end"}], "relations": [{"type", "head", "tail"}]}`; `words` (character ranges)
and `id` are read where they are there.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files import atomic_writer, read_json_lines
from ..documents import Document, Reading, document_of, records_of


def read(path: Path, reading: Reading) -> Iterator[dict[str, Any]]:
    """The records of a file."""
    for number, line in json_objects(path):
        where = f"{path}, line {number}"
        try:
            document = Document(
                id=str(line.get("id", line.get("orig_id", number))),
                text=line["text"],
                entities=[(one["type"], one["start"], one["end"]) for one in line.get("entities", [])],
                relations=[(one["type"], one["head"], one["tail"]) for one in line.get("relations", [])],
                words=[(start, end) for start, end in line["words"]] if "words" in line else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{where}: expected text, entities and relations by characters: {error!r}.") from error
        yield from records_of(document, reading, where)


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records, a line each."""
    with atomic_writer(path) as file:
        for record in records:
            document = document_of(record)
            line = {
                "id": document.id,
                "text": document.text,
                "words": document.words,
                "entities": [
                    {"type": kind, "start": start, "end": end, "text": document.text[start:end]}
                    for kind, start, end in document.entities
                ],
                "relations": [{"type": kind, "head": head, "tail": tail} for kind, head, tail in document.relations],
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file and the numbers of their lines. *Raises* `ValueError`, naming file and line."""
    for number, value in read_json_lines(path):
        if not isinstance(value, dict):
            raise ValueError(f"{path}, line {number}: expected an object, got {value!r}.")
        yield number, value
