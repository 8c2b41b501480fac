"""What `spert predict` reads: JSON Lines, SpERT JSON, text, Parquet, and datasets on disk or on the Hub.

A source gives numbered entries. All but SpERT JSON, which is one JSON list, are read in constant memory.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..corpora.spert_json import read_list
from ..prediction import Refused, Sentence

Wanted = Callable[[int], bool]
"""Whether an entry is wanted, by its number, counted from 0; others are passed over as cheaply as can be."""

TEXT_FIELDS = ("tokens", "text")


class Source:
    """Numbered entries of an input.

    Args:
        name: the input, as it was named.
        length: how many entries there are.
        identity: changes when the input does.
        read: the wanted entries in order, each with its number; a broken one is `Refused`.
        where: what an entry is called in messages, by number.
    """

    def __init__(
        self,
        name: str,
        length: int,
        identity: str,
        read: Callable[[Wanted], Iterator[tuple[int, Any]]],
        where: Callable[[int], str],
    ):
        self.name = name
        self.length = length
        self.identity = identity
        self.read = read
        self.where = where


def open_source(name: str, split: str = "train") -> Source:
    """The input of that name.

    Args:
        name: a file that ends in `.jsonl`, `.json` (SpERT JSON), `.txt` (a text a line) or `.parquet`; a folder that
            `Dataset.save_to_disk` wrote; or a dataset on the Hub.
        split: of a dataset that has several.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the ending is none of these.
    """
    path = Path(name)
    if path.suffix in _FILES and not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f"{name}: expected a file to read sentences from, got none of that name.")
        return _FILES[path.suffix](path)
    if path.is_dir() or (not path.exists() and not path.suffix and name.count("/") <= 1):
        return _dataset(name, split)
    raise ValueError(
        f"{name}: expected an input that ends in .json (SpERT JSON) or .jsonl (JSON Lines), .txt or .parquet, a folder "
        f"that Dataset.save_to_disk wrote, or a dataset on the Hub."
    )


def sentence_of(entry: Any, where: str, column: str | None = None) -> Sentence | Refused:
    """The text or words of an entry: a text, a list of words, or a record that holds either.

    Args:
        where: the entry, named in the reason of a refusal.
        column: the field that holds it. Default: `tokens` or `text`.
    """
    if isinstance(entry, Refused):
        return entry
    field = ""
    if isinstance(entry, dict):
        names = TEXT_FIELDS if column is None else (column,)
        name = next((name for name in names if name in entry), None)
        if name is None:
            expected = " or ".join(f"'{name}'" for name in names)
            return Refused(f"{where}: expected a field {expected}, got only {sorted(entry)}.")
        field, entry = f", field '{name}'", entry[name]
    if isinstance(entry, str) or (isinstance(entry, list) and all(isinstance(word, str) for word in entry)):
        return entry
    return Refused(f"{where}{field}: expected a text or a list of words, got {entry!r}.")


def _json_lines(path: Path) -> Source:
    def read(wanted: Wanted) -> Iterator[tuple[int, Any]]:
        with open(path, "rb") as lines:
            number = 0
            for line_number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                if wanted(number):
                    yield number, _parsed(line, f"{path}, line {line_number}")
                number += 1

    with open(path, "rb") as lines:
        length = sum(1 for line in lines if line.strip())
    return Source(str(path), length, _file_identity(path), read, lambda number: f"{path}, record {number}")


def _parsed(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except UnicodeDecodeError as error:
        return Refused(f"{where}: expected UTF-8, but byte {error.start} is none: {error.reason}.")
    except json.JSONDecodeError as error:
        return Refused(f"{where}: expected JSON: {error.msg}.")


def _spert_json(path: Path) -> Source:
    entries = read_list(path)

    def read(wanted: Wanted) -> Iterator[tuple[int, Any]]:
        return ((number, entry) for number, entry in enumerate(entries) if wanted(number))

    return Source(str(path), len(entries), _file_identity(path), read, lambda number: f"{path}, record {number}")


def _text(path: Path) -> Source:
    def read(wanted: Wanted) -> Iterator[tuple[int, Any]]:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines):
                if wanted(number):
                    try:
                        yield number, {"text": line.decode("utf-8").rstrip("\r\n")}
                    except UnicodeDecodeError as error:
                        where = f"{path}, line {number + 1}"
                        yield number, Refused(f"{where}: expected UTF-8, but byte {error.start} is none.")

    with open(path, "rb") as lines:
        length = sum(1 for _ in lines)
    return Source(str(path), length, _file_identity(path), read, lambda number: f"{path}, line {number + 1}")


def _parquet(path: Path) -> Source:
    import pyarrow.parquet as pq

    def read(wanted: Wanted) -> Iterator[tuple[int, Any]]:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                if any(wanted(number + offset) for offset in range(len(batch))):
                    for offset, record in enumerate(batch.to_pylist()):
                        if wanted(number + offset):
                            yield number + offset, record
                number += len(batch)

    length = pq.read_metadata(path).num_rows
    return Source(str(path), length, _file_identity(path), read, lambda number: f"{path}, row {number}")


def _dataset(name: str, split: str) -> Source:
    import datasets

    found = datasets.load_from_disk(name) if Path(name).is_dir() else datasets.load_dataset(name)
    if isinstance(found, datasets.DatasetDict):
        if split not in found:
            raise ValueError(f"{name}: expected a --split out of {', '.join(found)}, got {split!r}.")
        found = found[split]

    def read(wanted: Wanted) -> Iterator[tuple[int, Any]]:
        for first in range(0, len(found), 1024):
            block = range(first, min(first + 1024, len(found)))
            if any(map(wanted, block)):
                for number, record in zip(block, found.select(block).to_list()):
                    if wanted(number):
                        yield number, record

    return Source(name, len(found), found._fingerprint, read, lambda number: f"{name}, {split}, row {number}")


_FILES: dict[str, Callable[[Path], Source]] = {
    ".jsonl": _json_lines,
    ".json": _spert_json,
    ".txt": _text,
    ".parquet": _parquet,
}


def _file_identity(path: Path) -> str:
    about = os.stat(path)
    return f"{about.st_size} bytes, {about.st_mtime_ns}"
