"""Parquet with the columns `tokens`, `entities`, `relations` and `orig_id`, as SpERT corpora on the Hub have them.

Where records have a text of their own, there are also the columns `text` and `words`; where predictions have scores,
entities and relations have the field `score`. Pages are written with checksums, and checked where a file has them. A
file whose entities count characters (a column `text`, none of `tokens`) is read as JSON Lines are.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...files import atomic_folder
from ..reading import Item, Reading, Writing
from .rows import records_of_row


def items(path: Path, reading: Reading) -> Iterator[Item]:
    """The rows of a file."""
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path, page_checksum_verification=True).to_pylist()
    except FileNotFoundError:
        raise
    except (ValueError, OSError, NotImplementedError) as error:  # pyarrow's errors are kinds of these
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: expected a Parquet file, but it cannot be read: {reason}") from error
    for number, row in enumerate(rows):
        where = f"{path}, row {number}"
        yield where, partial(records_of_row, row, where, str(number))


def write(path: Path, records: Sequence[Mapping[str, Any]], writing: Writing) -> None:
    """Write records; their `id` becomes `orig_id`."""
    import pyarrow.parquet

    from ..columnar import checked_table  # which imports datasets

    table = checked_table(list(records), str(path)).rename_columns({"id": "orig_id"})
    for column in ("entities", "relations"):
        table = _with_scores(table, column, records)
    with atomic_folder(path.parent) as staging:
        pyarrow.parquet.write_table(table, staging / path.name, write_page_checksum=True)


def _with_scores(table: Any, column: str, records: Sequence[Mapping[str, Any]]) -> Any:
    """A table whose column of entities or relations has the field `score`, where any of them has one."""
    import pyarrow as pa

    scores = [one.get("score") for record in records for one in record[column]]
    if all(score is None for score in scores):
        return table
    lists = table[column].combine_chunks()
    values = lists.values
    names = [field.name for field in values.type]
    parts = [values.field(name) for name in names] + [pa.array(scores, pa.float64())]
    scored = pa.ListArray.from_arrays(lists.offsets, pa.StructArray.from_arrays(parts, [*names, "score"]))
    return table.set_column(table.column_names.index(column), column, scored)
