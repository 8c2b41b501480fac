"""Rows of a table (Parquet, CSV, a dataset) as records: SpERT JSON by words, or JSON Lines by characters."""

from collections.abc import Mapping
from typing import Any

from ..reading import Reading
from ..schema import count_unread
from .json_lines import records_of_line


def records_of_row(row: Mapping[str, Any], where: str, default_id: str, reading: Reading) -> list[dict[str, Any]]:
    """The records of a row: one, unless its text is split into sentences.

    Args:
        row: by the names of columns. A row with `tokens` is SpERT JSON, one with `text` alone counts characters.
            Columns that are null in a row count as missing.
        where: file and row, for errors.
        default_id: of a row without an id.

    Raises:
        ValueError: the row is neither, or is refused; the message names the field.
    """
    present = {name: value for name, value in row.items() if value is not None}
    if "tokens" in present or "text" not in present:
        record = {name: value for name, value in row.items() if name != "orig_id" or value is not None}
        count_unread(record, reading.lost)
        return [record]
    return records_of_line(present, where, default_id, reading)
