"""What a record is: its columns, and the checks that every record passes on its way in."""

from collections.abc import Mapping
from typing import Any

from datasets import Features, List, Value

from .types import CorpusTypes

FEATURES = Features(
    {
        "id": Value("string"),
        "tokens": List(Value("string")),
        "entities": List({"type": Value("string"), "start": Value("int64"), "end": Value("int64")}),
        "relations": List({"type": Value("string"), "head": Value("int64"), "tail": Value("int64")}),
    }
)
"""The columns of every corpus. `start` and `end` are a half-open range of words; `head` and `tail` index `entities`."""


def checked_record(record: Any, file: str, number: int, types: CorpusTypes | None = None) -> dict[str, Any]:
    """A record with the columns of `FEATURES`, of one in SpERT JSON.

    Args:
        record: with `tokens`, `entities`, `relations` and, where it has one, `orig_id`.
        file, number: where the record stands; they are named in errors. Numbers start at 0.
        types: refuse other types than these.

    Raises:
        ValueError: a field is missing or has the wrong type; a span lies outside of the words; a type is unknown; a
            relation names an entity that is not there, or one entity twice. The message names file, record, field
            and value.
    """
    where = f"{file}, record {number}"
    if not isinstance(record, Mapping):
        raise ValueError(f"{where}: expected an object with tokens, entities and relations, got {record!r}.")
    tokens = _checked_tokens(_field(record, "tokens", where), where)
    entities = []
    for index, entity in enumerate(_checked_list(_field(record, "entities", where), f"{where}, field 'entities'")):
        entities.append(_checked_entity(entity, len(tokens), f"{where}, field 'entities', entry {index}", types))
    relations = []
    for index, relation in enumerate(_checked_list(_field(record, "relations", where), f"{where}, field 'relations'")):
        relations.append(
            _checked_relation(relation, len(entities), f"{where}, field 'relations', entry {index}", types)
        )
    identifier = record.get("id", record.get("orig_id", number))
    if isinstance(identifier, bool) or not isinstance(identifier, (int, str)):
        raise ValueError(f"{where}, field 'orig_id': expected a string or a whole number, got {identifier!r}.")
    _refuse_surrogates(str(identifier), f"{where}, field 'orig_id'")
    return {"id": str(identifier), "tokens": tokens, "entities": entities, "relations": relations}


def _checked_tokens(tokens: Any, where: str) -> list[str]:
    for index, token in enumerate(_checked_list(tokens, f"{where}, field 'tokens'")):
        if not isinstance(token, str):
            raise ValueError(f"{where}, field 'tokens', entry {index}: expected a string, got {token!r}.")
        _refuse_surrogates(token, f"{where}, field 'tokens', entry {index}")
    return list(tokens)


def _checked_entity(entity: Any, num_tokens: int, where: str, types: CorpusTypes | None) -> dict[str, Any]:
    if not isinstance(entity, Mapping):
        raise ValueError(f"{where}: expected an object with type, start and end, got {entity!r}.")
    start, end = (_whole_number(entity, name, where) for name in ("start", "end"))
    if not 0 <= start < end <= num_tokens:
        raise ValueError(
            f"{where}: expected a half-open range of words with 0 <= start < end <= {num_tokens}, the number of "
            f"tokens, got start {start}, end {end}."
        )
    return {"type": _type_name(entity, where, list(types.entities) if types else None), "start": start, "end": end}


def _checked_relation(relation: Any, num_entities: int, where: str, types: CorpusTypes | None) -> dict[str, Any]:
    if not isinstance(relation, Mapping):
        raise ValueError(f"{where}: expected an object with type, head and tail, got {relation!r}.")
    head, tail = (_whole_number(relation, name, where) for name in ("head", "tail"))
    for name, entity in (("head", head), ("tail", tail)):
        if not 0 <= entity < num_entities:
            raise ValueError(
                f"{where}, field '{name}': expected the index of one of the record's {num_entities} entities, "
                f"got {entity}."
            )
    if head == tail:
        raise ValueError(f"{where}: expected a relation between two entities, got entity {head} as head and tail.")
    return {"type": _type_name(relation, where, list(types.relations) if types else None), "head": head, "tail": tail}


def _field(record: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in record:
        raise ValueError(f"{where}: expected a field '{name}', got only {sorted(record)}.")
    return record[name]


def _checked_list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list, got {value!r}.")
    return value


def _whole_number(entry: Mapping[str, Any], name: str, where: str) -> int:
    value = _field(entry, name, where)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where}, field '{name}': expected a whole number, got {value!r}.")
    return value


def _type_name(entry: Mapping[str, Any], where: str, known: list[str] | None) -> str:
    name = _field(entry, "type", where)
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where}, field 'type': expected the name of a type, got {name!r}.")
    _refuse_surrogates(name, f"{where}, field 'type'")
    if known is not None and name not in known:
        raise ValueError(f"{where}, field 'type': expected one of {known}, got {name!r}.")
    return name


def _refuse_surrogates(text: str, where: str) -> None:
    """Half of a surrogate pair, which JSON can escape, is no character, and no file can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: expected characters, got half of a surrogate pair in {text!r}.") from error
