"""Records to Arrow columns, checked as a whole: as strict as `schema.checked_record`, at the speed of parsing."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from .schema import FEATURES, checked_record
from .types import CorpusTypes


def checked_table(records: Sequence[Any], file: str, types: CorpusTypes | None = None) -> pa.Table:
    """A table with the columns of `schema.FEATURES`.

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


class _OddError(Exception):
    """A column holds something else than it should."""


_FAULTS = (_OddError, AttributeError, KeyError, OverflowError, TypeError, UnicodeEncodeError)


def _table(records: Sequence[Mapping[str, Any]], types: CorpusTypes | None) -> pa.Table:
    tokens, token_counts = _flat([record["tokens"] for record in records], str)
    entities, entity_counts = _flat([record["entities"] for record in records], dict)
    relations, relation_counts = _flat([record["relations"] for record in records], dict)
    starts, ends = (_whole_numbers(entities, name) for name in ("start", "end"))
    heads, tails = (_whole_numbers(relations, name) for name in ("head", "tail"))
    _demand((starts >= 0) & (starts < ends) & (ends <= token_counts.repeat(entity_counts)))
    own_entities = entity_counts.repeat(relation_counts)
    _demand((heads >= 0) & (heads < own_entities) & (tails >= 0) & (tails < own_entities) & (heads != tails))
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
    return pa.table(columns).cast(FEATURES.arrow_schema)


def _flat(lists: list[Any], kind: type) -> tuple[list[Any], np.ndarray]:
    """The entries of all lists, and the length of each."""
    _demand_kinds(lists, {list})
    flat = list(itertools.chain.from_iterable(lists))
    _demand_kinds(flat, {kind})
    return flat, np.fromiter(map(len, lists), np.int64, len(lists))


def _whole_numbers(entries: list[dict[str, Any]], name: str) -> np.ndarray:
    values = [entry[name] for entry in entries]
    _demand_kinds(values, {int})
    return np.array(values, np.int64)


def _types(entries: list[dict[str, Any]], known: Iterable[str] | None) -> pa.Array:
    names = [entry["type"] for entry in entries]
    _demand_kinds(names, {str})
    used = set(names)
    _demand("" not in used and (known is None or used <= set(known)))
    return pa.array(names, pa.string())


def _ids(records: Sequence[Mapping[str, Any]]) -> list[str]:
    ids = [record.get("id", record.get("orig_id", number)) for number, record in enumerate(records)]
    _demand_kinds(ids, {int, str})
    return list(map(str, ids))


def _lists(values: pa.Array, counts: np.ndarray) -> pa.ListArray:
    return pa.ListArray.from_arrays(np.concatenate(([0], counts.cumsum())).astype(np.int32), values)


def _demand_kinds(values: list[Any], kinds: set[type]) -> None:
    _demand(set(map(type, values)) <= kinds)


def _demand(true: Any) -> None:
    if not np.all(true):
        raise _OddError
