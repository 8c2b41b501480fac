"""What `spert predict` writes: JSON Lines, SpERT JSON or Parquet, in shards that are joined into one file or stay.

**What is carried along.** The fields of a record that are not its text or annotations stand beside what was found.
What the output's format can hold is written as it is, everything else as text (`records.as_json`; in Parquet, a field
whose values have no common type). So a field never stops a run. A record with a lone surrogate in a field, or with
values nested more than 100 deep, is refused.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..corpora.spert_json import spert_json_line
from ..files import atomic_file, atomic_writer
from ..prediction import as_spert_json
from .records import carried_json

Write = Callable[[Any, dict[str, Any]], None]
"""Writes what was found in an entry. *Raises* `ValueError`, and writes nothing, where the record cannot be written."""


@dataclass(frozen=True)
class Sink:
    """How results become files.

    Args:
        shard_ending: of the shards' names.
        shard: opens one shard, which appears whole at the end of the block or not at all.
        join: makes one file of shards, whole or not at all.
    """

    shard_ending: str
    shard: Callable[[Path], AbstractContextManager[Write]]
    join: Callable[[Path, Sequence[Path]], None]


def sink_of(file_format: str, *, column: str | None = None, schema: Any = None, all_scores: bool = False) -> Sink:
    """The sink for a format.

    Args:
        file_format: one of `outputs.FORMATS`.
        column: the field of the input that is its text.
        schema: the types of the input's fields, where it has some.
        all_scores: whether results hold all scores.
    """
    if file_format == ".parquet":
        from .parquet import parquet_sink

        return parquet_sink(column, schema, all_scores)

    @contextmanager
    def json_lines(path: Path) -> Iterator[Write]:
        with atomic_file(path) as staging, open(staging, "wb") as file:

            def write(entry: Any, found: dict[str, Any]) -> None:
                file.write(json_line(entry, found, column))

            yield write

    @contextmanager
    def spert_lines(path: Path) -> Iterator[Write]:
        with atomic_file(path) as staging, open(staging, "wb") as file:

            def write(entry: Any, found: dict[str, Any]) -> None:
                fields = carried_json(entry, column)
                (record,) = as_spert_json([found])
                record["id"] = fields.get("orig_id", fields.get("id"))
                file.write((spert_json_line(record) + "\n").encode())

            yield write

    if file_format == ".json":
        return Sink(".lines", spert_lines, _join_spert_json)
    return Sink(".jsonl", json_lines, join_lines)


def json_line(entry: Any, found: dict[str, Any], column: str | None = None) -> bytes:
    """A line of JSON Lines: what was found, with what is carried along from the input.

    Raises:
        ValueError: a field of the input cannot be written.
    """
    return (_ENCODER.encode(carried_json(entry, column) | found) + "\n").encode()


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def join_lines(target: Path, shards: Sequence[Path]) -> None:
    """One file of all shards' lines, whole or not at all."""
    with atomic_file(target) as staging, open(staging, "wb") as joined:
        for shard in shards:
            with open(shard, "rb") as part:
                shutil.copyfileobj(part, joined, 2**20)


def _join_spert_json(target: Path, shards: Sequence[Path]) -> None:
    with atomic_writer(target) as file:
        file.write("[")
        separator = "\n"
        for shard in shards:
            with open(shard, encoding="utf-8", newline="\n") as lines:
                for line in lines:
                    file.write(separator + line.rstrip("\n"))
                    separator = ",\n"
        file.write("\n]\n")
