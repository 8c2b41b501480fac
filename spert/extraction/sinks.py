"""What `spert predict` writes: JSON Lines, SpERT JSON or Parquet, in shards that are joined into one file or stay."""

import datetime
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..corpora.spert_json import spert_json_line
from ..files import atomic_file, atomic_writer, partial_path
from ..prediction import as_spert_json
from .sources import TEXT_FIELDS

RESULT_FIELDS = ("text", "words", "entities", "relations")

Pair = tuple[Any, dict[str, Any]]
"""An entry as it was read, and what was found in it."""


@dataclass(frozen=True)
class Sink:
    """How results become files.

    Args:
        shard_ending: of the shards' names.
        write: writes one shard, whole or not at all.
        join: makes one file of shards, whole or not at all.
    """

    shard_ending: str
    write: Callable[[Path, Iterable[Pair]], None]
    join: Callable[[Path, Sequence[Path]], None]


def sink_of(output: Path) -> Sink:
    """The sink for a file by its ending; a folder gets shards of JSON Lines.

    Raises:
        ValueError: the ending is unknown.
    """
    ending = "" if output.is_dir() else output.suffix
    if ending not in _SINKS:
        raise ValueError(
            f"{output}: expected a file that ends in .json (SpERT JSON) or .jsonl (JSON Lines) or .parquet, or a "
            f"folder."
        )
    return _SINKS[ending]


def carried(entry: Any) -> dict[str, Any]:
    """The fields of an input record that go along with what was found: all but its text and annotations."""
    if not isinstance(entry, dict):
        return {}
    return {name: value for name, value in entry.items() if name not in (*TEXT_FIELDS, *RESULT_FIELDS)}


def write_lines(path: Path, records: Iterable[Any]) -> None:
    """Write JSON Lines, whole or not at all."""
    with atomic_writer(path) as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False, default=_json_value) + "\n")


def join_lines(target: Path, shards: Sequence[Path]) -> None:
    """One file of all shards' lines, whole or not at all."""
    with atomic_file(target) as partial, open(partial, "wb") as joined:
        for shard in shards:
            with open(shard, "rb") as part:
                shutil.copyfileobj(part, joined, 2**20)


def _write_json_lines(path: Path, pairs: Iterable[Pair]) -> None:
    write_lines(path, (carried(entry) | found for entry, found in pairs))


def _write_spert_lines(path: Path, pairs: Iterable[Pair]) -> None:
    def lines() -> Iterable[str]:
        for entry, found in pairs:
            (record,) = as_spert_json([found])
            identifier = carried(entry)
            yield spert_json_line(record | {"id": identifier.get("orig_id", identifier.get("id"))})

    with atomic_writer(path) as file:
        for line in lines():
            file.write(line + "\n")


def _join_spert_json(target: Path, shards: Sequence[Path]) -> None:
    with atomic_writer(target) as file:
        file.write("[")
        separator = "\n"
        for shard in shards:
            with open(shard, encoding="utf-8") as lines:
                for line in lines:
                    file.write(separator + line.rstrip("\n"))
                    separator = ",\n"
        file.write("\n]\n")


_FOUND = pa.schema(
    [
        ("text", pa.string()),
        ("words", pa.list_(pa.list_(pa.int32()))),
        (
            "entities",
            pa.list_(
                pa.struct(
                    [
                        ("type", pa.string()),
                        ("start", pa.int32()),
                        ("end", pa.int32()),
                        ("word_start", pa.int32()),
                        ("word_end", pa.int32()),
                        ("text", pa.string()),
                        ("score", pa.float64()),
                    ]
                )
            ),
        ),
        (
            "relations",
            pa.list_(
                pa.struct([("type", pa.string()), ("head", pa.int32()), ("tail", pa.int32()), ("score", pa.float64())])
            ),
        ),
    ]
)


def result_table(pairs: Iterable[Pair]) -> pa.Table:
    """Results as a table: the fields that are carried along, then what was found."""
    collected = list(pairs)
    found = pa.Table.from_pylist([one for _, one in collected], schema=_FOUND)
    others = [carried(entry) for entry, _ in collected]
    names = list(dict.fromkeys(name for one in others for name in one))
    columns = {name: pa.array([one.get(name) for one in others]) for name in names}
    return pa.table(columns | {name: found[name] for name in found.column_names})


def _write_parquet(path: Path, pairs: Iterable[Pair]) -> None:
    table = result_table(pairs)
    with atomic_file(path) as partial:
        pq.write_table(table, partial)


def _join_parquet(target: Path, shards: Sequence[Path]) -> None:
    schema = pa.unify_schemas([pq.read_schema(shard) for shard in shards], promote_options="permissive")
    with atomic_file(target) as partial, pq.ParquetWriter(partial, schema) as writer:
        for shard in shards:
            table = pq.read_table(shard)
            for name in schema.names:
                if name not in table.column_names:  # no record of this shard has the field
                    table = table.append_column(name, pa.nulls(len(table)))
            writer.write_table(table.select(schema.names).cast(schema))


_SINKS = {
    "": Sink(".jsonl", _write_json_lines, join_lines),
    ".jsonl": Sink(".jsonl", _write_json_lines, join_lines),
    ".json": Sink(".lines", _write_spert_lines, _join_spert_json),
    ".parquet": Sink(".parquet", _write_parquet, _join_parquet),
}


def _json_value(value: Any) -> Any:
    """What Parquet and datasets know and JSON does not."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    raise TypeError(f"expected a value that JSON can hold, got {type(value).__name__}")


def remove_folder(folder: str | os.PathLike[str]) -> None:
    """Remove a folder so that what is left of it after a kill is not taken for one."""
    trash = partial_path(folder)
    os.replace(folder, trash)
    shutil.rmtree(trash)
