"""Label Studio: its JSON export with relations is read, pre-annotations to import are written.

A task is `{"id", "data": {"text"}, "annotations": [{"result": […]}]}`, a result a labelled region or a relation between
two. Pre-annotations have `predictions` in place of `annotations`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files import write_json
from ..documents import Document, Reading, check_words_have_no_space, document_of, records_of
from ..spert_json import read_list


def read(path: Path, reading: Reading) -> Iterator[dict[str, Any]]:
    """The records of an export. Skipped (cancelled) annotations and results of other kinds are counted."""
    for number, task in enumerate(read_list(path)):
        where = f"{path}, task {number}"
        try:
            document = _document(task, reading, where, number)
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{where}: expected a task of Label Studio with data.text: {error!r}.") from error
        yield from records_of(document, reading, where)


def _document(task: Mapping[str, Any], reading: Reading, where: str, number: int) -> Document:
    kept = [one for one in task.get("annotations") or [] if not one.get("was_cancelled")]
    reading.lost["cancelled annotations"] += len(task.get("annotations") or []) - len(kept)
    sources = kept or task.get("predictions") or []
    if len(sources) > 1:
        raise ValueError(f"{where}: expected one annotation, got {len(sources)}: decide which of them holds.")
    index: dict[str, int] = {}
    entities: list[tuple[str, int, int]] = []
    relations: list[tuple[str, int, int]] = []
    results = sources[0]["result"] if sources else []
    for result in results:
        if result["type"] == "labels":
            value = result["value"]
            for kind in value["labels"]:
                index.setdefault(result["id"], len(entities))
                entities.append((kind, value["start"], value["end"]))
        elif result["type"] != "relation":
            reading.lost[f"results of type {result['type']}"] += 1
    for result in results:
        if result["type"] == "relation":
            head, tail = index[result["from_id"]], index[result["to_id"]]
            if result.get("direction") == "left":
                head, tail = tail, head
            if not result.get("labels"):
                raise ValueError(f"{where}: expected a label on the relation from {result['from_id']!r}, got none.")
            relations += [(kind, head, tail) for kind in result["labels"]]
    data = task["data"]
    return Document(str(data.get("id", task.get("id", number))), data["text"], entities, relations)


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records as tasks with pre-annotations; `from_name` is `label`, `to_name` is `text`."""
    tasks = []
    for record in records:
        check_words_have_no_space(record, "Label Studio")
        document = document_of(record, joined=True)
        regions: list[dict[str, Any]] = [
            {
                "id": f"e{index}",
                "from_name": "label",
                "to_name": "text",
                "type": "labels",
                "value": {"start": start, "end": end, "text": document.text[start:end], "labels": [kind]},
            }
            for index, (kind, start, end) in enumerate(document.entities)
        ]
        arrows = [
            {"type": "relation", "from_id": f"e{head}", "to_id": f"e{tail}", "direction": "right", "labels": [kind]}
            for kind, head, tail in document.relations
        ]
        tasks.append(
            {"data": {"id": document.id, "text": document.text}, "predictions": [{"result": regions + arrows}]}
        )
    write_json(path, tasks)
