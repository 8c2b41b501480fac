"""Label Studio: its JSON export with relations is read, pre-annotations to import are written.

A task is `{"id", "data": {"text"}, "annotations": [{"result": […]}]}`, a result a labelled region or a relation between
two. Pre-annotations have `predictions` in place of `annotations`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ...files import write_json
from ..documents import Document, Reading, check_covered_text, check_words_have_no_space, document_of, records_of
from ..spert_json import read_list
from ..validation import Identifier, Name, Schema, Text, shown, validated

_Labels = Annotated[list[Name], Field(min_length=1)]


class _Value(Schema):
    start: int
    end: int
    labels: _Labels
    text: Text | None = None


class _Region(Schema):
    id: Identifier
    value: _Value


class _Arrow(Schema):
    from_id: Identifier
    to_id: Identifier
    labels: _Labels
    direction: Literal["left", "right", "bi"] | None = None


class _Result(Schema):
    type: Text


class _Annotation(Schema):
    result: list[Any]
    was_cancelled: bool | None = None


class _Data(Schema):
    text: Text
    id: Identifier | None = None


class _Task(Schema):
    data: _Data
    id: Identifier | None = None
    annotations: list[Any] | None = None
    predictions: list[Any] | None = None


def read(path: Path, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of an export, each with its place there.

    Skipped (cancelled) annotations, results of other kinds, tasks without annotations and those with predictions in
    their place are counted.
    """
    for number, task in enumerate(read_list(path)):
        where = f"{path}, task {number}"
        for record in records_of(_document(validated(_Task, task, where), reading, where, number), reading, where):
            yield where, record


def _document(task: _Task, reading: Reading, where: str, number: int) -> Document:
    results, place = _results(task, reading, where)
    index: dict[str, int] = {}
    several: set[str] = set()
    entities: list[tuple[str, int, int]] = []
    entity_places: list[str] = []
    arrows: list[tuple[_Arrow, str]] = []
    for position, result in enumerate(results):
        here = f"{place}, entry {position}"
        kind = validated(_Result, result, here).type
        if kind == "relation":
            arrows.append((validated(_Arrow, result, here), here))
        elif kind != "labels":
            reading.lost[f"results of type {shown(kind)}"] += 1
        else:
            region = validated(_Region, result, here)
            value = region.value
            if region.id in index:
                raise ValueError(f"{here}, field 'id': expected each region's id once, got {shown(region.id)} again.")
            check_covered_text(task.data.text, value.start, value.end, value.text, f"{here}, field 'value'")
            index[region.id] = len(entities)
            if len(value.labels) > 1:
                several.add(region.id)
            entities += [(label, value.start, value.end) for label in value.labels]
            entity_places += [f"{here}, field 'value'"] * len(value.labels)
    relations: list[tuple[str, int, int]] = []
    relation_places: list[str] = []
    for arrow, here in arrows:
        for name in ("from_id", "to_id"):
            end = getattr(arrow, name)
            if end not in index:
                raise ValueError(f"{here}, field '{name}': expected the id of a labelled region, got {shown(end)}.")
            if end in several:
                raise ValueError(
                    f"{here}, field '{name}': expected a region with one label, got {shown(end)} with several."
                )
        head, tail = index[arrow.from_id], index[arrow.to_id]
        pairs = {"left": [(tail, head)], "bi": [(head, tail), (tail, head)]}.get(arrow.direction or "", [(head, tail)])
        relations += [(label, *pair) for label in arrow.labels for pair in pairs]
        relation_places += [here] * (len(arrow.labels) * len(pairs))
    known_as = next((known for known in (task.data.id, task.id) if known is not None), str(number))
    return Document(known_as, task.data.text, entities, relations, None, entity_places, relation_places)


def _results(task: _Task, reading: Reading, where: str) -> tuple[list[Any], str]:
    """The results of a task's one annotation, or of its one prediction where it has no annotation, and their place."""
    if task.annotations is None and task.predictions is None:
        raise ValueError(
            f"{where}: expected a field 'annotations' (or 'predictions') beside the text, got only "
            f"{shown(sorted(task.model_extra or ()))}."
        )
    name = "annotations" if task.annotations else "predictions"
    sources = []
    for number, source in enumerate(getattr(task, name) or ()):
        place = f"{where}, field '{name}', entry {number}"
        sources.append((validated(_Annotation, source, place), f"{place}, field 'result'"))
    kept = [(source, place) for source, place in sources if not source.was_cancelled]
    reading.lost["cancelled annotations"] += len(sources) - len(kept)
    if len(kept) > 1:
        raise ValueError(
            f"{where}, field '{name}': expected one annotation, got {len(kept)}: decide which of them holds."
        )
    if not kept:
        reading.lost["tasks without annotations, read as texts without entities"] += 1
        return [], where
    if name == "predictions":
        reading.lost["tasks without annotations, whose predictions were read"] += 1
    source, place = kept[0]
    return source.result, place


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
