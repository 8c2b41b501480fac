"""Parquet with the columns `tokens`, `entities`, `relations` and `orig_id`, as SpERT corpora on the Hub have them.

Where records have a text of their own, there are also the columns `text` and `words`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from ...files import atomic_folder
from ..columnar import checked_table
from ..documents import Reading


def read(path: Path, reading: Reading) -> Iterator[dict[str, Any]]:
    """The records of a file."""
    import pyarrow.parquet

    for number, row in enumerate(pyarrow.parquet.read_table(path).to_pylist()):
        identifier = row.pop("orig_id", None)
        yield row | {"id": str(number if identifier is None else identifier)}


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records; their `id` becomes `orig_id`."""
    rows = Dataset(checked_table(list(records), str(path))).rename_column("id", "orig_id")
    with atomic_folder(path.parent) as staging:
        rows.to_parquet(str(staging / path.name))
