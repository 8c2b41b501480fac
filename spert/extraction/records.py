"""From an entry of an input to what is read, and to what is carried along with the result."""

import base64
import datetime
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ..documents_spert import Sentences
from ..neighbours_spert import context_of
from ..prediction import Refused, Sentence

TEXT_FIELDS = ("tokens", "text")
RESULT_FIELDS = ("text", "words", "sentences", "windows", "entities", "relations", "pairs")
"""Fields of a result, which an input's fields of the same name make way for."""

SENTENCE_CHOICES = ("found", "line", "one")

_DEEPEST = 100
_LINE = re.compile(r"[^\r\n]*\S[^\r\n]*")


def line_ranges(text: str) -> list[tuple[int, int]]:
    r"""The character range of each line of a text that is not blank, without the spaces around it.

    ```python
    >>> line_ranges("Ada Park\n\n  of Oslo ")
    [(0, 8), (12, 19)]

    ```
    """
    ranges = []
    for match in _LINE.finditer(text):
        line = match.group()
        ranges.append((match.start() + len(line) - len(line.lstrip()), match.end() - len(line) + len(line.rstrip())))
    return ranges


def sentence_of(
    entry: Any, column: str | None = None, sentences: str | None = None, given_entities: bool = False
) -> Sentence | Refused:
    """What is read of an entry: of a text, a list of words, or a record that holds either.

    Args:
        entry: as a source gives it; what is refused already passes through.
        column: the field that holds the text or words. Default: `tokens` or `text`.
        sentences: how a text becomes sentences, one of `SENTENCE_CHOICES`. Default: as the record's `sentences` say,
            or found. Words are one sentence.
        given_entities: whether a record's `entities` are those that it has. Otherwise entities are found.
    """
    if isinstance(entry, Refused):
        return entry
    record: Mapping[str, Any] = {}
    field = ""
    if isinstance(entry, dict):
        names = TEXT_FIELDS if column is None else (column,)
        name = next((name for name in names if entry.get(name) is not None), None)
        name = name or next((name for name in names if name in entry), None)
        if name is None:
            expected = " or ".join(f"'{name}'" for name in names)
            return Refused(f"expected a field {expected}, got only {shown_names(entry)}.")
        record, entry, field = entry, entry[name], f"field '{name}': "
    entities = record.get("entities") if given_entities else None
    context = context_of(record)
    if isinstance(entry, str):
        choice = record.get("sentences") if sentences is None else _SENTENCES[sentences]
        if choice is None and entities is None and not context:
            return entry
        return {"text": entry, "sentences": choice, "entities": entities, **context}
    if isinstance(entry, list) and all(isinstance(word, str) for word in entry):
        if entities is None:
            return {"tokens": entry, **context} if context else entry
        return {"tokens": entry, "entities": _by_words(entities), **context}
    return Refused(f"{field}expected a text or a list of words, got {_shown(entry)}.")


def shown_names(record: Mapping[str, Any]) -> str:
    """The names of a record's fields, as an error shows them."""
    names = sorted(map(str, record))
    return repr(names[:20]) if len(names) <= 20 else f"{names[:20]!r} and {len(names) - 20} more"


def carried(entry: Any, column: str | None = None) -> dict[str, Any]:
    """The fields of an input record that go along with what was found: all but its text and annotations."""
    if not isinstance(entry, dict):
        return {}
    return {name: value for name, value in entry.items() if not is_reserved(name, column)}


def is_reserved(name: str, column: str | None = None) -> bool:
    """Whether a field of that name is not carried along."""
    return name in TEXT_FIELDS or name in RESULT_FIELDS or name == column


def as_json(value: Any, field: str, depth: int = 0) -> Any:
    """A carried value as JSON holds it. What JSON does not have becomes text: dates and times in ISO form, bytes in
    Base64, numbers that are not finite by their name, all else as Python shows it.

    Args:
        field: the value's, named in errors.

    Raises:
        ValueError: the value has a lone surrogate, which no file can hold, or is nested too deep.
    """
    if isinstance(value, str):
        if not value.isascii():
            _refuse_surrogates(value, field)
        return value
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")
    if isinstance(value, (dict, list, tuple)):
        if depth >= _DEEPEST:
            raise ValueError(f"field '{field}': expected values nested at most {_DEEPEST} deep, got deeper ones.")
        if isinstance(value, dict):
            return {_name_of(name, field): as_json(inner, field, depth + 1) for name, inner in value.items()}
        return [as_json(inner, field, depth + 1) for inner in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return as_json(str(value), field)


def carried_json(entry: Any, column: str | None = None) -> dict[str, Any]:
    """The fields that are carried along, as JSON holds them.

    Raises:
        ValueError: as for `as_json`.
    """
    fields = carried(entry, column)
    return {_name_of(name, name): as_json(value, name) for name, value in fields.items()}


def refusal(number: int, reason: str, entry: Any) -> str:
    """A line of the error file, which can always be written: lone surrogates stand escaped in it.

    Args:
        number: the entry's, counted from 0.
        reason: why it was refused.
        entry: as it was read; `Refused` where it could not be.
    """
    record: dict[str, Any] = {"record": number, "reason": reason}
    if isinstance(entry, Refused):
        return json.dumps(record | {"entry": None})
    try:
        return json.dumps(record | {"entry": entry}, default=lambda value: as_json(value, "entry"), allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        try:
            return json.dumps(record | {"entry": as_json(entry, "entry")})
        except (ValueError, RecursionError):
            return json.dumps(record | {"entry": None})


def text_of_value(value: Any) -> str | None:
    """A value of JSON as text: text as it is, all else as JSON writes it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


_SENTENCES: dict[str, Sentences] = {"found": True, "one": False, "line": line_ranges}

_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def _shown(value: Any) -> str:
    try:
        shown = repr(value)
    except RecursionError:
        return f"{type(value).__name__}, nested too deep"
    return shown if len(shown) <= 60 else shown[:57] + "…"


def _by_words(entities: Any) -> Any:
    """Entities of words: SpERT JSON counts words with `start` and `end`."""
    if not isinstance(entities, list):
        return entities
    return [
        {"word_start": entity["start"], "word_end": entity.get("end"), "type": entity.get("type")}
        if isinstance(entity, dict) and entity.get("word_start") is None and "start" in entity
        else entity
        for entity in entities
    ]


def _name_of(name: Any, field: str) -> str:
    text = name if isinstance(name, str) else str(name)
    if not text.isascii():
        _refuse_surrogates(text, ascii(field)[1:-1])
    return text


def _refuse_surrogates(text: str, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"field '{field}': expected text that can be written as UTF-8, got a lone surrogate, "
            f"{text[error.start]!r}, at character {error.start}."
        ) from None
