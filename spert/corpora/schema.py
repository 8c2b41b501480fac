"""The checks that every record passes on its way in."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from .types import CorpusTypes
from .validation import refuse_surrogates, shown

TEXT_FIELDS = ("text", "words")
"""The fields of a record with a text of its own; see `columns.TEXT_FEATURES`."""


def checked_record(record: Any, file: str, number: int, types: CorpusTypes | None = None) -> dict[str, Any]:
    """Check a record of a file. `number` counts from 0; it is the record's `id` if it has none. See [`record_at`]."""
    return record_at(record, f"{file}, record {number}", number, types)


def record_at(record: Any, where: str, default_id: int | str, types: CorpusTypes | None = None) -> dict[str, Any]:
    """Check a record in SpERT JSON.

    Args:
        record: has `tokens`, `entities` and `relations`, and may have `orig_id`, and `text` with `words`. A `text`
            without `words` has to consist of the tokens and white space. Entities and relations that are predictions
            may have a `score`.
        where: file and record (or line), for errors.
        default_id: the `id` of a record without one.
        types: the types that are allowed. Default: any.

    Returns:
        The record with the columns of `FEATURES`, and with those of `TEXT_FEATURES` if it has a text.

    Raises:
        ValueError: a field is missing or has the wrong type; a span lies outside of the words; a type is unknown; a
            relation names an entity that does not exist, or the same entity twice; the words are not in the text. The
            message names file, record, field and value.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"{where}: expected an object with tokens, entities and relations, got {shown(record)}.")
    tokens = _checked_tokens(_field(record, "tokens", where), where)
    entities = []
    for index, entity in enumerate(_checked_list(_field(record, "entities", where), f"{where}, field 'entities'")):
        entities.append(_checked_entity(entity, len(tokens), f"{where}, field 'entities', entry {index}", types))
    relations = []
    for index, relation in enumerate(_checked_list(_field(record, "relations", where), f"{where}, field 'relations'")):
        relations.append(
            _checked_relation(relation, len(entities), f"{where}, field 'relations', entry {index}", types)
        )
    identifier = record.get("id", record.get("orig_id", default_id))
    field = f"{where}, field '{'id' if 'id' in record else 'orig_id'}'"
    if isinstance(identifier, bool) or not isinstance(identifier, (int, str)):
        raise ValueError(f"{field}: expected a string or a whole number, got {shown(identifier)}.")
    _refuse_surrogates(str(identifier), field)
    checked: dict[str, Any] = {"id": str(identifier), "tokens": tokens, "entities": entities, "relations": relations}
    if record.get("text") is not None:
        checked["text"] = text = _checked_text(record["text"], where)
        if record.get("words") is not None:
            checked["words"] = checked_words(record["words"], text, len(tokens), where)
        else:
            checked["words"] = _words_in_text(text, tokens, where)
    return checked


_READ = {
    "entities": {"type", "start", "end", "score"},
    "relations": {"type", "head", "tail", "score"},
    "records": {"tokens", "entities", "relations", "id", "orig_id", *TEXT_FIELDS},
}
"""The fields that are read."""


def count_unread(record: Any, unread: Counter[str]) -> None:
    """Count the fields of a record, and of its entities and relations, that are not read: one may be misspelt."""
    if not isinstance(record, Mapping):
        return
    _count_unread({"records": [record]} | {kind: record.get(kind) for kind in ("entities", "relations")}, unread)


def _count_unread(parts: Mapping[str, Any], unread: Counter[str]) -> None:
    for kind, entries in parts.items():
        for entry in entries if isinstance(entries, list) else ():
            for name in sorted(map(str, entry.keys() - _READ[kind])) if isinstance(entry, Mapping) else ():
                unread[f"fields {shown(name)} of {kind} not read"] += 1


def _checked_text(text: Any, where: str) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{where}, field 'text': expected a string, got {shown(text)}.")
    _refuse_surrogates(text, f"{where}, field 'text'")
    return text


def checked_words(words: Any, text: str, num_tokens: int | None, where: str, field: str = "words") -> list[list[int]]:
    """Check ranges of characters that are the words of a text, in order, and do not overlap.

    Args:
        num_tokens: how many there have to be. Default: any number.
        field: what they are called, for errors.

    Raises:
        ValueError: they are not; the message names the range.
    """
    where = f"{where}, field '{field}'"
    if len(_checked_list(words, where)) != num_tokens and num_tokens is not None:
        raise ValueError(f"{where}: expected a range of characters for each of {num_tokens} tokens, got {len(words)}.")
    last_end = 0
    for index, word in enumerate(words):
        if not isinstance(word, list) or len(word) != 2 or any(type(offset) is not int for offset in word):
            raise ValueError(f"{where}, entry {index}: expected two whole numbers, [start, end), got {shown(word)}.")
        start, end = word
        if not last_end <= start <= end <= len(text):
            raise ValueError(
                f"{where}, entry {index}: expected a range of characters within [{last_end}, {len(text)}), between the "
                f"word before and the end of the text, got [{start}, {end})."
            )
        last_end = end
    return [list(word) for word in words]


def _words_in_text(text: str, tokens: list[str], where: str) -> list[list[int]]:
    """The characters of each token in a text that consists of the tokens and white space."""
    words = []
    end = 0
    for index, token in enumerate(tokens):
        start = next((place for place in range(end, len(text)) if not text[place].isspace()), len(text))
        end = start + len(token)
        if text[start:end] != token:
            raise ValueError(
                f"{where}, field 'text': expected the token {index}, {token!r}, at character {start}, got "
                f"{text[start:end]!r}. Give the tokens' ranges of characters in the field 'words', or leave 'text' out."
            )
        words.append([start, end])
    if text[end:].strip():
        raise ValueError(
            f"{where}, field 'text': expected nothing but white space after the last token, got {text[end:]!r}. Give "
            f"the tokens' ranges of characters in the field 'words', or leave 'text' out."
        )
    return words


def _checked_tokens(tokens: Any, where: str) -> list[str]:
    for index, token in enumerate(_checked_list(tokens, f"{where}, field 'tokens'")):
        if not isinstance(token, str):
            raise ValueError(f"{where}, field 'tokens', entry {index}: expected a string, got {shown(token)}.")
        _refuse_surrogates(token, f"{where}, field 'tokens', entry {index}")
    return list(tokens)


def _checked_entity(entity: Any, num_tokens: int, where: str, types: CorpusTypes | None) -> dict[str, Any]:
    if not isinstance(entity, Mapping):
        raise ValueError(f"{where}: expected an object with type, start and end, got {shown(entity)}.")
    start, end = (_whole_number(entity, name, where) for name in ("start", "end"))
    if not 0 <= start < end <= num_tokens:
        raise ValueError(
            f"{where}: expected a half-open range of words with 0 <= start < end <= {num_tokens}, the number of "
            f"tokens, got start {start}, end {end}."
        )
    kind = _type_name(entity, where, list(types.entities) if types else None)
    return {"type": kind, "start": start, "end": end} | _score(entity, where)


def _checked_relation(relation: Any, num_entities: int, where: str, types: CorpusTypes | None) -> dict[str, Any]:
    if not isinstance(relation, Mapping):
        raise ValueError(f"{where}: expected an object with type, head and tail, got {shown(relation)}.")
    head, tail = (_whole_number(relation, name, where) for name in ("head", "tail"))
    for name, entity in (("head", head), ("tail", tail)):
        if not 0 <= entity < num_entities:
            raise ValueError(
                f"{where}, field '{name}': expected the index of one of the record's {num_entities} entities, "
                f"got {entity}."
            )
    if head == tail:
        raise ValueError(f"{where}: expected a relation between two entities, got entity {head} as head and tail.")
    kind = _type_name(relation, where, list(types.relations) if types else None)
    return {"type": kind, "head": head, "tail": tail} | _score(relation, where)


def _score(entry: Mapping[str, Any], where: str) -> dict[str, float]:
    """The field `score`, where there is one."""
    score = entry.get("score")
    if score is None:
        return {}
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise ValueError(f"{where}, field 'score': expected a number from 0 to 1, got {shown(score)}.")
    return {"score": float(score)}


def _field(record: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in record:
        raise ValueError(f"{where}: expected a field '{name}', got only {shown(sorted(map(str, record)))}.")
    return record[name]


def _checked_list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where}: expected a list, got {shown(value)}.")
    return value


def _whole_number(entry: Mapping[str, Any], name: str, where: str) -> int:
    value = _field(entry, name, where)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where}, field '{name}': expected a whole number, got {shown(value)}.")
    return value


def _type_name(entry: Mapping[str, Any], where: str, known: list[str] | None) -> str:
    name = _field(entry, "type", where)
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where}, field 'type': expected the name of a type, got {shown(name)}.")
    _refuse_surrogates(name, f"{where}, field 'type'")
    if known is not None and name not in known:
        raise ValueError(f"{where}, field 'type': expected one of {known}, got {shown(name)}.")
    return name


def _refuse_surrogates(text: str, where: str) -> None:
    """Half of a surrogate pair, which JSON can escape, is no character, and no file can hold it."""
    try:
        refuse_surrogates(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error} in {shown(text)}.") from None
