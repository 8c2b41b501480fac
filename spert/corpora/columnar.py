"""Records to Arrow columns, checked as a whole: as strict as `schema.checked_record`, at the speed of parsing."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features

from .columns import FEATURES, TEXT_FEATURES
from .schema import checked_record
from .types import CorpusTypes


def checked_table(records: Sequence[Any], file: str, types: CorpusTypes | None = None) -> pa.Table:
    """A table with the columns of `columns.FEATURES`, and of `columns.TEXT_FEATURES` if any record has a text.

    Whole columns are checked at once. Where anything is off, the records are checked one by one, which says what it is.

    Args:
        records, file, types: as for `schema.checked_record`.

    Raises:
        ValueError: a record is refused; the message names file, record, field and value.
    """
    try:
        return _table(records, types)
    except _FAULTS:
        checked = [checked_record(record, file, number, types) for number, record in enumerate(records)]
    return _table(checked, types)


class _IrregularError(Exception):
    """A column holds a value that it should not."""


_FAULTS = (_IrregularError, AttributeError, KeyError, OverflowError, TypeError, UnicodeEncodeError)


def _table(records: Sequence[Mapping[str, Any]], types: CorpusTypes | None) -> pa.Table:
    tokens, token_counts = _flat([record["tokens"] for record in records], str)
    entities, entity_counts = _flat([record["entities"] for record in records], dict)
    relations, relation_counts = _flat([record["relations"] for record in records], dict)
    starts, ends = (_whole_numbers(entities, name) for name in ("start", "end"))
    heads, tails = (_whole_numbers(relations, name) for name in ("head", "tail"))
    _require((starts >= 0) & (starts < ends) & (ends <= token_counts.repeat(entity_counts)))
    own_entities = entity_counts.repeat(relation_counts)
    _require((heads >= 0) & (heads < own_entities) & (tails >= 0) & (tails < own_entities) & (heads != tails))
    entity_types = _types(entities, types.entities if types else None)
    relation_types = _types(relations, types.relations if types else None)
    columns = {
        "id": pa.array(_ids(records), pa.string()),
        "tokens": _lists(pa.array(tokens, pa.string()), token_counts),
        "entities": _lists(
            pa.StructArray.from_arrays(
                [entity_types, pa.array(starts), pa.array(ends)],
                ["type", "start", "end"],
            ),
            entity_counts,
        ),
        "relations": _lists(
            pa.StructArray.from_arrays(
                [relation_types, pa.array(heads), pa.array(tails)],
                ["type", "head", "tail"],
            ),
            relation_counts,
        ),
    }
    features = Features(FEATURES)
    if any(record.get("text") is not None for record in records):
        columns |= _texts(records, token_counts)
        features |= TEXT_FEATURES
    return pa.table(columns).cast(Features(features).arrow_schema)


def _texts(records: Sequence[Mapping[str, Any]], token_counts: np.ndarray) -> dict[str, pa.Array]:
    """The columns `text` and `words`; both are null for a record without a text."""
    texts = [record.get("text") for record in records]
    _require_kinds(texts, {str, type(None)})
    words = [None if text is None else record["words"] for text, record in zip(texts, records)]
    with_text = np.array([text is not None for text in texts])
    flat, counts = _flat([of_text for of_text, has_text in zip(words, with_text) if has_text], list)
    _require(counts == token_counts[with_text])
    _require(np.fromiter(map(len, flat), np.int64, len(flat)) == 2)
    offsets = list(itertools.chain.from_iterable(flat))
    _require_kinds(offsets, {int})
    starts, ends = np.array(offsets, np.int64).reshape(-1, 2).T
    lengths = np.array([len(text) for text in texts if text is not None], np.int64)
    own_text = np.arange(len(counts)).repeat(counts)
    follows = np.concatenate(([False], own_text[1:] == own_text[:-1])) if len(own_text) else np.zeros(0, bool)
    earliest = np.where(follows, np.concatenate(([0], ends[:-1]))[: len(ends)], 0)
    _require((earliest <= starts) & (starts <= ends) & (ends <= lengths[own_text]))
    return {"text": pa.array(texts, pa.string()), "words": pa.array(words, pa.list_(pa.list_(pa.int64())))}


def _flat(lists: list[Any], kind: type) -> tuple[list[Any], np.ndarray]:
    """The entries of all lists, and the length of each."""
    _require_kinds(lists, {list})
    flat = list(itertools.chain.from_iterable(lists))
    _require_kinds(flat, {kind})
    return flat, np.fromiter(map(len, lists), np.int64, len(lists))


def _whole_numbers(entries: list[dict[str, Any]], name: str) -> np.ndarray:
    values = [entry[name] for entry in entries]
    _require_kinds(values, {int})
    return np.array(values, np.int64)


def _types(entries: list[dict[str, Any]], known: Iterable[str] | None) -> pa.Array:
    names = [entry["type"] for entry in entries]
    _require_kinds(names, {str})
    used = set(names)
    _require("" not in used and (known is None or used <= set(known)))
    return pa.array(names, pa.string())


def _ids(records: Sequence[Mapping[str, Any]]) -> list[str]:
    ids = [record.get("id", record.get("orig_id", number)) for number, record in enumerate(records)]
    _require_kinds(ids, {int, str})
    return list(map(str, ids))


def _lists(values: pa.Array, counts: np.ndarray) -> pa.ListArray:
    return pa.ListArray.from_arrays(np.concatenate(([0], counts.cumsum())).astype(np.int32), values)


def _require_kinds(values: list[Any], kinds: set[type]) -> None:
    _require(set(map(type, values)) <= kinds)


def _require(true: Any) -> None:
    if not np.all(true):
        raise _IrregularError
