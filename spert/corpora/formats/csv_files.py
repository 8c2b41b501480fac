"""CSV: a row for each record, with JSON in the cells of `entities`, `relations`, `tokens` and `words`.

A row with the column `tokens` is SpERT JSON, whose spans count words; one with `text` alone is JSON Lines, whose spans
count characters. The second form is written, so that a spreadsheet shows running text.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ...files import atomic_writer, parse_json
from ..reading import Item, Reading, Writing
from ..validation import shown
from .json_lines import line_of
from .rows import records_of_row
from .text_files import read_text

_JSON = ("tokens", "words", "entities", "relations")
_COLUMNS = ("id", "text", "words", "entities", "relations")
_LONGEST_CELL = 2**31 - 1


def items(path: Path, reading: Reading) -> Iterator[Item]:
    """The rows of a file."""
    header, rows = _rows(path)
    for number, row in enumerate(rows):
        where = f"{path}, row {number}"
        yield where, partial(_records, header, row, where, str(number))


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    content = read_text(path)
    with _long_cells():
        try:
            rows = list(csv.reader(_physical_lines(content), strict=True))
        except csv.Error as error:
            raise ValueError(f"{path}: expected CSV with double quotes, but it cannot be read: {error}.") from error
    if not rows or not rows[0]:
        raise ValueError(f"{path}, row 0: expected a first line with the names of columns, got none.")
    header = rows[0]
    repeated = sorted(name for name, times in Counter(header).items() if times > 1)
    if repeated:
        raise ValueError(f"{path}: expected each column once, got {shown(repeated)} more than once.")
    return header, [row for row in rows[1:] if row]


def _physical_lines(text: str) -> Iterator[str]:
    """The lines of a text with their ends, which belong to cells in quotes."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


@contextmanager
def _long_cells() -> Iterator[None]:
    """Python bounds the length of a cell, for all of a process."""
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(
    header: list[str], cells: list[str], where: str, default_id: str, reading: Reading
) -> list[dict[str, Any]]:
    if len(cells) != len(header):
        raise ValueError(f"{where}: expected {len(header)} cells, as the first line has, got {len(cells)}.")
    row: dict[str, Any] = {}
    for name, cell in zip(header, cells):
        if name in _JSON and cell:
            try:
                row[name] = parse_json(cell)
            except ValueError as error:
                raise ValueError(f"{where}, field {name!r}: {error}") from error
        elif cell or name == "text":
            row[name] = cell
    return records_of_row(row, where, default_id, reading)


def write(path: Path, records: Sequence[Mapping[str, Any]], writing: Writing) -> None:
    """Write records, a row each.

    Raises:
        ValueError: a record's words are not those of its text.
    """
    with atomic_writer(path) as file:
        rows = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # else a lone CR would end a row
        rows.writerow(_COLUMNS)
        for record in records:
            line = line_of(record, "CSV")
            rows.writerow(
                [json.dumps(line[name], ensure_ascii=False) if name in _JSON else line[name] for name in _COLUMNS]
            )
