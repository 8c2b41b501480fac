"""Results as Parquet: columns for what was found, and for the fields that are carried along.

An input with types of its own, such as Parquet, gives its types to the columns. Of one without, such as JSON Lines, the
types are only known when everything has been read: shards hold such fields as JSON, and joining finds for each field
the type of all of its values, or makes it text.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..files import atomic_file
from .records import as_json, carried, carried_json, is_reserved, text_of_value
from .sinks import Sink, Write

_ROWS, _CHARACTERS = 5_000, 4_000_000
"""Of a row group, which is what is held in memory: as many records, or as many characters of text."""

_CARRIED = "__carried__"
_MISFITS = (pa.ArrowException, TypeError, ValueError, OverflowError, RecursionError)


def found_schema(all_scores: bool = False) -> pa.Schema:
    """The columns of what was found. `sentences` and `sentence` are null where words came split, `windows` where a text
    was read sentence by sentence.

    Args:
        all_scores: with `scores` of each entity, and `pairs`.
    """
    scores = pa.map_(pa.string(), pa.float64())
    ranges = pa.list_(pa.list_(pa.int32()))
    entity = [
        ("type", pa.string()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("word_start", pa.int32()),
        ("word_end", pa.int32()),
        ("text", pa.string()),
        ("score", pa.float64()),
        ("sentence", pa.int32()),
    ]
    relation = [("type", pa.string()), ("head", pa.int32()), ("tail", pa.int32()), ("score", pa.float64())]
    pair = [("head", pa.int32()), ("tail", pa.int32()), ("scores", scores)]
    fields = [
        ("text", pa.string()),
        ("words", ranges),
        ("sentences", ranges),
        ("windows", pa.int32()),
        ("entities", pa.list_(pa.struct([*entity, ("scores", scores)] if all_scores else entity))),
        ("relations", pa.list_(pa.struct(relation))),
    ]
    if all_scores:
        fields.append(("pairs", pa.list_(pa.struct(pair))))
    return pa.schema(fields)


def found_table(results: Sequence[Mapping[str, Any]], all_scores: bool = False) -> pa.Table:
    """What was found as a table, a row for each result."""
    if all_scores:
        results = [_with_score_lists(result) for result in results]
    return pa.Table.from_pylist(results, schema=found_schema(all_scores))


def result_table(records: pa.Table, results: Sequence[Mapping[str, Any]], all_scores: bool = False) -> pa.Table:
    """A table of records with what was found in place of their text and annotations."""
    names = [name for name in records.column_names if not is_reserved(name)]
    found = found_table(results, all_scores)
    for position, name in enumerate(names):
        found = found.add_column(position, name, records[name])
    return found


def parquet_sink(column: str | None, schema: pa.Schema | None, all_scores: bool) -> Sink:
    """The sink for Parquet; see `sink_of`."""
    types = None if schema is None else _carried_types_of(schema, column)
    carried_schema = pa.schema([(_CARRIED, pa.string())] if types is None else list(types.items()))
    whole_schema = pa.schema([*carried_schema, *found_schema(all_scores)])

    @contextmanager
    def shard(path: Path) -> Iterator[Write]:
        waiting: list[tuple[dict[str, Any], dict[str, Any]]] = []
        size = 0
        with atomic_file(path) as staging, pq.ParquetWriter(staging, whole_schema) as writer:

            def write(entry: Any, found: dict[str, Any]) -> None:
                nonlocal size
                if types is None:
                    fields = {_CARRIED: json.dumps(carried_json(entry, column))}
                else:
                    fields = carried(entry, column)
                    for name, value in fields.items():
                        if pa.types.is_string(types[name]) and not isinstance(value, str):
                            fields[name] = text_of_value(as_json(value, name))
                waiting.append((fields, found))
                size += len(found["text"])
                if len(waiting) >= _ROWS or size >= _CHARACTERS:
                    flush()

            def flush() -> None:
                nonlocal size
                columns = [
                    pa.array([fields.get(field.name) for fields, _ in waiting], type=field.type)
                    for field in carried_schema
                ]
                found = found_table([found for _, found in waiting], all_scores)
                writer.write_table(pa.table([*columns, *found.columns], schema=whole_schema))
                waiting.clear()
                size = 0

            yield write
            flush()

    return Sink(".parquet", shard, join_parquet)


def join_parquet(target: Path, shards: Sequence[Path]) -> None:
    """One file of all shards, whole or not at all."""
    schema = pq.read_schema(shards[0])
    if _CARRIED not in schema.names:
        _write_joined(target, schema, (group for shard in shards for group in _row_groups(shard)))
        return
    found = pa.schema([field for field in schema if field.name != _CARRIED])
    types = _types_of_values(shards)
    while True:  # until the values of every field fit; a field of text always does
        try:
            schema = pa.schema([*types.items(), *found])
            _write_joined(target, schema, (_typed(group, schema) for shard in shards for group in _row_groups(shard)))
            return
        except _MisfitError as misfit:
            types[misfit.field] = pa.string()


class _MisfitError(Exception):
    """The values of a field do not fit its type."""

    def __init__(self, field: str):
        super().__init__(field)
        self.field = field


def _write_joined(target: Path, schema: pa.Schema, groups: Iterator[pa.Table]) -> None:
    with atomic_file(target) as staging, pq.ParquetWriter(staging, schema) as writer:
        for group in groups:
            writer.write_table(group)


def _row_groups(shard: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(shard) as file:
        for index in range(file.num_row_groups):
            yield file.read_row_group(index)


def _typed(group: pa.Table, schema: pa.Schema) -> pa.Table:
    """A row group with the carried fields as columns, in place of the column that holds them as JSON."""
    records = _carried_in(group[_CARRIED])
    columns = []
    for field in schema:
        if field.name in group.column_names and field.name != _CARRIED:
            columns.append(group[field.name])
            continue
        values = [record.get(field.name) for record in records]
        if field.type == pa.string():
            values = list(map(text_of_value, values))
        try:
            columns.append(pa.array(values, type=field.type))
        except _MISFITS:
            raise _MisfitError(field.name) from None
    return pa.table(columns, schema=schema)


def _types_of_values(shards: Sequence[Path]) -> dict[str, pa.DataType]:
    """The type of each carried field: one that all values have, or text. In the order in which they first occur."""
    types: dict[str, pa.DataType] = {}
    for shard in shards:
        with pq.ParquetFile(shard) as file:
            for index in range(file.num_row_groups):
                records = _carried_in(file.read_row_group(index, columns=[_CARRIED])[_CARRIED])
                for name in dict.fromkeys(name for record in records for name in record):
                    of_values = _type_of([record.get(name) for record in records])
                    types[name] = _common_type(types.get(name, pa.null()), of_values)
    types = {name: _without_nulls(of_field) for name, of_field in types.items()}
    return {name: of_field if _is_writable(of_field) else pa.string() for name, of_field in types.items()}


def _without_nulls(of_field: pa.DataType) -> pa.DataType:
    """A type of values of JSON, with text where there were nothing but nulls: every reader knows text."""
    if pa.types.is_null(of_field):
        return pa.string()
    if pa.types.is_list(of_field):
        return pa.list_(_without_nulls(of_field.value_type))
    if pa.types.is_struct(of_field):
        return pa.struct([(field.name, _without_nulls(field.type)) for field in of_field])
    return of_field


def _carried_in(column: pa.ChunkedArray) -> list[dict[str, Any]]:
    return [json.loads(fields) for fields in column.to_pylist()]


def _type_of(values: list[Any]) -> pa.DataType:
    try:
        return pa.array(values).type
    except _MISFITS:
        return pa.string()


def _common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    schemas = [pa.schema([("", of_field)]) for of_field in (first, second)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except _MISFITS:
        return pa.string()


def _carried_types_of(schema: pa.Schema, column: str | None) -> dict[str, pa.DataType]:
    """The types of the carried fields of an input that has types; text for those that Parquet does not have."""
    types = {field.name: field.type for field in schema if not is_reserved(field.name, column)}
    return {name: _storage(of_field) if _is_writable(of_field) else pa.string() for name, of_field in types.items()}


def _storage(of_field: pa.DataType) -> pa.DataType:
    return of_field.storage_type if isinstance(of_field, pa.BaseExtensionType) else of_field


def _is_writable(of_field: pa.DataType) -> bool:
    """Whether Parquet can hold a type, and give it back: it bounds how deep a type is nested."""
    schema = pa.schema([("", _storage(of_field))])
    try:
        written = pa.BufferOutputStream()
        pq.write_table(schema.empty_table(), written)
        pq.read_table(pa.BufferReader(written.getvalue()))
    except (*_MISFITS, OSError):
        return False
    return True


def _with_score_lists(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result with scores by type as Arrow's maps take them."""

    def listed(row: Mapping[str, Any]) -> dict[str, Any]:
        return {**row, "scores": list(row["scores"].items())} if "scores" in row else dict(row)

    return {
        **result,
        "entities": list(map(listed, result["entities"])),
        "pairs": list(map(listed, result.get("pairs", ()))),
    }
