"""Doccano's JSONL export with relations.

`{"id", "text", "entities": [{"id", "label", "start_offset", "end_offset"}], "relations": [{"id", "from_id", "to_id",
"type"}]}`, a document a line.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files import atomic_writer
from ..documents import Document, Reading, check_words_have_no_space, document_of, records_of
from .json_lines import json_objects


def read(path: Path, reading: Reading) -> Iterator[dict[str, Any]]:
    """The records of an export."""
    for number, line in json_objects(path):
        where = f"{path}, line {number}"
        try:
            index = {entity["id"]: position for position, entity in enumerate(line["entities"])}
            document = Document(
                id=str(line.get("id", number)),
                text=line["text"],
                entities=[(one["label"], one["start_offset"], one["end_offset"]) for one in line["entities"]],
                relations=[
                    (one["type"], index[one["from_id"]], index[one["to_id"]]) for one in line.get("relations", [])
                ],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{where}: expected a document of Doccano with entities: {error!r}.") from error
        if line.get("Comments"):
            reading.lost["comments"] += len(line["Comments"])
        yield from records_of(document, reading, where)


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records as Doccano imports them. Ids are counted through the file, as Doccano does."""
    entities = relations = 0
    with atomic_writer(path) as file:
        for record in records:
            check_words_have_no_space(record, "Doccano")
            document = document_of(record, joined=True)
            line = {
                "id": document.id,
                "text": document.text,
                "entities": [
                    {"id": entities + index, "label": kind, "start_offset": start, "end_offset": end}
                    for index, (kind, start, end) in enumerate(document.entities)
                ],
                "relations": [
                    {"id": relations + index, "from_id": entities + head, "to_id": entities + tail, "type": kind}
                    for index, (kind, head, tail) in enumerate(document.relations)
                ],
                "Comments": [],
            }
            entities += len(document.entities)
            relations += len(document.relations)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
