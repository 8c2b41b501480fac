"""Label Studio: its exports JSON (with relations) and JSON-MIN are read, pre-annotations or annotations are written.

A task is `{"id", "data": {"text"}, "annotations": [{"result": […]}]}`, a result a labelled region or a relation between
two. Pre-annotations have `predictions` in place of `annotations`. Gold is only what a person said: skipped tasks,
predictions and regions without a label are left out, counted and named. Offsets count Unicode code points.

A record's words travel in the task's data, in the field `words`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from ...files import write_json
from ..agreement import Annotated as OnesAnnotation
from ..agreement import settle
from ..documents import Document, check_covered_text, given_words, records_of, text_document_of
from ..reading import Item, Reading, Writing
from ..spert_json import read_list
from ..validation import (
    Identifier,
    Name,
    Schema,
    Score,
    Text,
    count_unread_fields,
    refuse_surrogates,
    shown,
    validated,
)
from .html_text import text_of_html
from .offsets import from_code_points, to_code_points

UNIT = "code-points"
"""What Label Studio's offsets count; versions before 1.4 counted UTF-16 units."""

_LABELLING = ("labels", "hypertextlabels")
"""The kinds of results that are labelled regions of a text."""

_MODEL = "spert"
"""What predictions are called in Label Studio."""

_Labels = Annotated[list[Name], BeforeValidator(lambda value: [] if value is None else value)]


class _Value(Schema):
    start: int
    end: int
    labels: _Labels = []
    text: Text | None = None


class _GlobalOffsets(Schema):
    start: int
    end: int


class _HyperTextValue(Schema):
    globalOffsets: _GlobalOffsets  # noqa: N815  # Label Studio's name
    start: Any = None
    end: Any = None
    startOffset: Any = None  # noqa: N815
    endOffset: Any = None  # noqa: N815
    hypertextlabels: _Labels = []
    text: Text | None = None


class _Region(Schema):
    id: Identifier
    value: Any
    score: Score | None = None
    from_name: Text | None = None
    to_name: Text | None = None


class _Arrow(Schema):
    from_id: Identifier
    to_id: Identifier
    labels: _Labels = []
    direction: Literal["left", "right", "bi"] | None = None
    score: Score | None = None


class _Result(Schema):
    type: Text
    from_name: Text | None = None
    to_name: Text | None = None


class _Person(Schema):
    id: Identifier | None = None
    email: Text | None = None
    username: Text | None = None


class _Annotation(Schema):
    result: list[Any]
    was_cancelled: bool | None = None
    completed_by: Any = None
    created_at: Any = None


class _Task(Schema):
    data: dict[str, Any]
    id: Identifier | None = None
    annotations: list[Any] | None = None
    predictions: list[Any] | None = None


class _MinTask(Schema):
    """A task of the export JSON-MIN: its data, the results by the name of their control, and who made them."""

    id: Identifier | None = None
    annotation_id: Identifier | None
    annotator: Any = None
    created_at: Any = None


_MIN_FIELDS = {"id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time", "agreement"}


def items(path: Path, reading: Reading) -> Iterator[Item]:
    """The tasks of an export. JSON-MIN has an entry for each annotation; those of one task are one item."""
    tasks: dict[Any, list[tuple[str, Any]]] = {}
    for number, task in enumerate(read_list(path)):
        where = f"{path}, task {number}"
        if not _is_of_json_min(task):
            yield where, partial(_records, task, where, number)
        else:
            known_as = task.get("id")
            key = number if not isinstance(known_as, (int, str)) else (type(known_as), known_as)
            tasks.setdefault(key, []).append((where, task))
    for number, entries in enumerate(tasks.values()):
        yield entries[0][0], partial(_records_of_json_min, entries, number)


def _is_of_json_min(task: Any) -> bool:
    return isinstance(task, Mapping) and "annotation_id" in task and "data" not in task


def _records(content: Any, where: str, number: int, reading: Reading) -> list[dict[str, Any]]:
    task = validated(_Task, content, where)
    if task.annotations is None and task.predictions is None:
        raise ValueError(
            f"{where}: expected a field 'annotations' (or 'predictions') beside the text, got only "
            f"{shown(sorted(task.model_extra or ()))}."
        )
    text = _text_of(task.data, reading, f"{where}, field 'data'")
    for name in sorted(task.data.keys() - {reading.text_field, "id", "words"}):
        reading.lost[f"fields {shown(name)} of data not read"] += 1
    known_as = validated(_Id, {"id": task.data.get("id")}, f"{where}, field 'data'").id or task.id or str(number)
    sources = []
    for index, source in enumerate(task.annotations or ()):
        place = f"{where}, field 'annotations', entry {index}"
        sources.append((validated(_Annotation, source, place), f"{place}, field 'result'"))
    kept = [(source, place) for source, place in sources if not source.was_cancelled]
    if sources and not kept:
        reading.leave_out("tasks that were skipped (cancelled)", where)
        return []
    reading.lost["skipped (cancelled) annotations beside others"] += len(sources) - len(kept)
    if not kept:
        if not task.predictions:
            reading.leave_out("tasks that nobody annotated", where)
            return []
        if not reading.predictions:
            reading.leave_out("tasks with predictions only, which nobody annotated", where)
            return []
        reading.lost["tasks that nobody annotated, whose predictions were read"] += 1
        if len(task.predictions) > 1:
            raise ValueError(
                f"{where}, field 'predictions': expected one prediction, got {len(task.predictions)}: leave one."
            )
        place = f"{where}, field 'predictions', entry 0"
        kept = [(validated(_Annotation, task.predictions[0], place), f"{place}, field 'result'")]
    if any(_is_of_html(result) for source, _ in kept for result in source.result):
        text = _without_tags(text, reading)
    words = given_words(task.data.get("words"), text, f"{where}, field 'data'", reading)
    annotated = []
    for source, place in kept:
        if document := _document(known_as, text, words, source.result, place, reading, bool(sources)):
            annotated.append(OnesAnnotation(_names(source.completed_by, place), document, str(source.created_at or "")))
    return _settled(annotated, reading, f"{where}, field 'annotations'" if sources else where)


def _is_of_html(result: Any) -> bool:
    return isinstance(result, Mapping) and result.get("type") == "hypertextlabels"


def _without_tags(html: str, reading: Reading) -> str:
    """The text that Label Studio shows of a HyperText, whose characters its offsets count."""
    text = text_of_html(html)
    if text != html:
        reading.lost["texts of HTML, read without their tags"] += 1
    return text


def _settled(annotated: list[OnesAnnotation], reading: Reading, where: str) -> list[dict[str, Any]]:
    document = settle(annotated, reading, where) if annotated else None
    return records_of(document, reading, where) if document is not None else []


class _Id(Schema):
    id: Identifier | None = None


def _text_of(data: Mapping[str, Any], reading: Reading, where: str) -> str:
    """The text of a task's data."""
    if reading.text_field not in data:
        strings = sorted(name for name, value in data.items() if isinstance(value, str))
        raise ValueError(
            f"{where}: expected the text in a field {reading.text_field!r}, got {shown(strings)}. Name the field with "
            f"--text-field."
        )
    text = data[reading.text_field]
    if not isinstance(text, str):
        raise ValueError(f"{where}, field {reading.text_field!r}: expected a string, got {shown(text)}.")
    try:
        refuse_surrogates(text)
    except ValueError as error:
        raise ValueError(f"{where}, field {reading.text_field!r}: {error} in {shown(text)}.") from None
    return text


def _names(completed_by: Any, where: str) -> tuple[str, ...]:
    """What the person is called who made an annotation: an id, or an object with more."""
    if completed_by is None:
        return ()
    if isinstance(completed_by, Mapping):
        person = validated(_Person, completed_by, f"{where}, field 'completed_by'")
        return tuple(name for name in (person.email, person.username, person.id) if name)
    return (validated(_Id, {"id": completed_by}, f"{where}, field 'completed_by'").id or "",)


def _document(
    known_as: str,
    text: str,
    words: list[tuple[int, int]] | None,
    results: Sequence[Any],
    place: str,
    reading: Reading,
    is_persons: bool,
) -> Document | None:
    """What one annotation says; `None` where it holds nothing but regions without a label."""
    index: dict[str, int] = {}
    several: set[str] = set()
    unlabelled: set[str] = set()
    others: set[str] = set()
    entities: list[tuple[str, int, int]] = []
    places: list[str] = []
    scores: list[float | None] = []
    arrows: list[tuple[_Arrow, str]] = []
    for position, result in enumerate(results):
        here = f"{place}, entry {position}"
        about = validated(_Result, result, here)
        if about.type == "relation":
            arrows.append((validated(_Arrow, result, here), here))
            continue
        if about.type not in _LABELLING or not _is_wanted(about, reading):
            what = "other controls or texts" if about.type in _LABELLING else f"type {shown(about.type)}"
            reading.lost[f"results of {what}"] += 1
            others.add(str(result.get("id")))
            continue
        region = validated(_Region, result, here)
        if region.id in index or region.id in unlabelled:
            raise ValueError(f"{here}, field 'id': expected each region's id once, got {shown(region.id)} again.")
        start, end, labels = _span(region.value, about.type, text, reading, f"{here}, field 'value'")
        if not labels:
            unlabelled.add(region.id)
            reading.leave_out("regions without a label", here)
            continue
        index[region.id] = len(entities)
        if len(labels) > 1:
            several.add(region.id)
        entities += [(label, start, end) for label in labels]
        places += [f"{here}, field 'value'"] * len(labels)
        scores += [None if is_persons else region.score] * len(labels)
    if unlabelled and not entities:
        reading.leave_out("annotations of nothing but regions without a label", place)
        return None
    relations: list[tuple[str, int, int]] = []
    relation_places: list[str] = []
    relation_scores: list[float | None] = []
    for arrow, here in arrows:
        ends = (arrow.from_id, arrow.to_id)
        if unlabelled & set(ends):
            reading.leave_out("relations of regions without a label", here)
            continue
        if others & set(ends):
            reading.lost["relations of results that are not read"] += 1
            continue
        if not arrow.labels:
            reading.leave_out("relations without a label", here)
            continue
        for name, of_end in zip(("from_id", "to_id"), ends):
            if of_end not in index:
                raise ValueError(f"{here}, field '{name}': expected the id of a labelled region, got {shown(of_end)}.")
            if of_end in several:
                raise ValueError(
                    f"{here}, field '{name}': expected a region with one label, got {shown(of_end)} with several."
                )
        head, tail = index[arrow.from_id], index[arrow.to_id]
        pairs = {"left": [(tail, head)], "bi": [(head, tail), (tail, head)]}.get(arrow.direction or "", [(head, tail)])
        relations += [(label, *pair) for label in arrow.labels for pair in pairs]
        relation_places += [here] * (len(arrow.labels) * len(pairs))
        relation_scores += [None if is_persons else arrow.score] * (len(arrow.labels) * len(pairs))
    return Document(known_as, text, entities, relations, words, places, relation_places, scores, relation_scores)


def _is_wanted(result: _Result, reading: Reading) -> bool:
    return reading.from_name in (None, result.from_name) and reading.to_name in (None, result.to_name)


def _span(value: Any, kind: str, text: str, reading: Reading, where: str) -> tuple[int, int, list[str]]:
    """Start and end of a region in code points, and its labels."""
    unit = reading.offsets or UNIT
    if kind == "labels":
        plain = validated(_Value, value, where)
        count_unread_fields(plain, reading.lost, "regions")
        start, end = to_code_points(text, plain.start, plain.end, unit, where)
        check_covered_text(text, start, end, plain.text, where)
        return start, end, plain.labels
    of_html = validated(_HyperTextValue, value, where)
    start, end = to_code_points(text, of_html.globalOffsets.start, of_html.globalOffsets.end, unit, where)
    check_covered_text(text, start, end, of_html.text, where)
    return start, end, of_html.hypertextlabels


def _records_of_json_min(entries: Sequence[tuple[str, Any]], number: int, reading: Reading) -> list[dict[str, Any]]:
    """The records of one task of JSON-MIN, whose entries are one annotation each."""
    annotated = []
    for where, content in entries:
        entry = validated(_MinTask, content, where)
        if entry.annotation_id is None:
            reading.leave_out("tasks that nobody annotated", where)
            continue
        results = _results_of_json_min(content, where, reading)
        text = _text_of(content, reading, where)
        if any(map(_is_of_html, results)):
            text = _without_tags(text, reading)
        known_as = entry.id if entry.id is not None else str(number)
        words = given_words(content.get("words"), text, where, reading)
        document = _document(known_as, text, words, results, where, reading, is_persons=True)
        if document is not None:
            names = _names(entry.annotator, where)
            annotated.append(OnesAnnotation(names, document, str(entry.created_at or "")))
        reading.lost["annotations of JSON-MIN, an export without relations"] += 1
    return _settled(annotated, reading, entries[0][0])


def _results_of_json_min(entry: Mapping[str, Any], where: str, reading: Reading) -> list[dict[str, Any]]:
    """The regions of an entry as the full export has them: lists of objects with a start stand under their control."""
    results: list[dict[str, Any]] = []
    for name, values in entry.items():
        if name in (*_MIN_FIELDS, reading.text_field, "words"):
            continue
        is_list = isinstance(values, list) and values and all(isinstance(value, Mapping) for value in values)
        if not is_list or not all("start" in value for value in values):
            reading.lost[f"fields {shown(name)} of tasks not read"] += 1
            continue
        for value in values:
            kind = "hypertextlabels" if "hypertextlabels" in value else "labels"
            region = {"id": f"{name}-{len(results)}", "from_name": name, "type": kind, "value": value}
            results.append(region)
    return results


def write(path: Path, records: Sequence[Mapping[str, Any]], writing: Writing) -> None:
    """Write records as tasks with predictions (pre-annotations), or with annotations.

    Raises:
        ValueError: a record's words are not those of its text, or a name of a field is taken.
    """
    if writing.text_field in ("id", "words"):
        raise ValueError(f"--text-field: expected another name than those of our own fields, got {writing.text_field}.")
    tasks = []
    for record in records:
        document = text_document_of(record, "Label Studio")
        where = f"Label Studio: record {document.id!r}"
        results: list[dict[str, Any]] = []
        for index, (kind, start, end) in enumerate(document.entities):
            first, last = from_code_points(document.text, start, end, writing.offsets or UNIT, where)
            value = {"start": first, "end": last, "text": document.text[start:end], "labels": [kind]}
            region = {"id": f"e{index}", "from_name": writing.from_name, "to_name": writing.to_name, "type": "labels"}
            results.append(region | {"value": value} | document.score("entities", index))
        for index, (kind, head, tail) in enumerate(document.relations):
            arrow = {"type": "relation", "from_id": f"e{head}", "to_id": f"e{tail}", "direction": "right"}
            results.append(arrow | {"labels": [kind]} | document.score("relations", index))
        data = {"id": document.id, writing.text_field: document.text, "words": document.words}
        if writing.annotations:
            if any("score" in result for result in results):
                writing.lost["records whose scores were not written: annotations have none"] += 1
            plain = [{name: part for name, part in result.items() if name != "score"} for result in results]
            tasks.append({"data": data, "annotations": [{"result": plain, "was_cancelled": False}]})
        else:
            scores = [score for score in document.entity_scores or () if score is not None]
            least = {"score": min(scores)} if scores else {}
            tasks.append({"data": data, "predictions": [{"model_version": _MODEL} | least | {"result": results}]})
    write_json(path, tasks)
