"""Parquet with the columns `tokens`, `entities`, `relations` and `orig_id`, as SpERT corpora on the Hub have them.

Where records have a text of their own, there are also the columns `text` and `words`. Pages are written with checksums,
and checked where a file has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from ...files import atomic_folder
from ..columnar import checked_table
from ..documents import Reading
from ..schema import count_unread


def read(path: Path, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a file, each with its place there."""
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path, page_checksum_verification=True).to_pylist()
    except FileNotFoundError:
        raise
    except (ValueError, OSError, NotImplementedError) as error:  # pyarrow's errors are kinds of these
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: expected a Parquet file, but it cannot be read: {reason}") from error
    for number, row in enumerate(rows):
        if row.get("orig_id") is None:
            row.pop("orig_id", None)
        count_unread(row, reading.lost)
        yield f"{path}, row {number}", row


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records; their `id` becomes `orig_id`."""
    rows = Dataset(checked_table(list(records), str(path))).rename_column("id", "orig_id")
    with atomic_folder(path.parent) as staging:
        rows.to_parquet(str(staging / path.name), write_page_checksum=True)
