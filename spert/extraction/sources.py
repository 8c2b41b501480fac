"""What `spert predict` reads: JSON Lines, SpERT JSON, text, Parquet, and datasets on disk or on the Hub.

A source gives numbered entries. All but SpERT JSON, which is one JSON list, are read in constant memory.
"""

import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ..files import matching, parse_json
from ..prediction import Refused

Wanted = Callable[[int], bool]
"""Whether an entry is wanted, by its number, counted from 0; others are passed over as cheaply as can be."""

_BLOCK = 1024
"""Rows of a table that are read together."""


class Entry(NamedTuple):
    """An entry of an input.

    Args:
        number: counted from 0.
        place: what the input's own count says: a line from 1, a record or row from 0.
        value: a text, words or a record; `Refused` where it cannot be read.
        file: the file that it is from, of an input of several.
    """

    number: int
    place: int
    value: Any
    file: str | None = None


@dataclass(frozen=True)
class Source:
    """Numbered entries of an input.

    Args:
        name: the input, as it was named.
        unit: what an entry is called in messages: `line`, `record` or `row`.
        length: how many entries there are.
        identity: changes when the input does.
        read: the wanted entries in order.
        schema: the types of the fields, of an input that has some.
        files: that it is read from; empty for a dataset.
    """

    name: str
    unit: str
    length: int
    identity: str
    read: Callable[[Wanted], Iterator[Entry]]
    schema: pa.Schema | None = None
    files: tuple[Path, ...] = ()

    def where(self, entry: Entry) -> str:
        """What an entry is called in messages."""
        return f"{entry.file or self.name}, {self.unit} {entry.place}"


def open_source(name: str, split: str = "train") -> Source:
    """The input of that name.

    Args:
        name: a file that ends in `.jsonl`, `.json` (SpERT JSON), `.txt` (a text a line) or `.parquet`; a pattern that
            matches files of one of these endings; a folder that `Dataset.save_to_disk` wrote; or a dataset on the Hub.
        split: of a dataset that has several.

    Raises:
        FileNotFoundError: there is no such file, or none that matches.
        ValueError: the ending is none of these, or the file cannot be read at all.
    """
    path = Path(name)
    if path.suffix in _FILES and not path.is_dir():
        if not path.is_file() and glob.has_magic(name):
            return _several(name, matching(name))
        if not path.is_file():
            raise FileNotFoundError(f"{name}: expected a file to read sentences from, got none of that name.")
        return open_file(path)
    if path.is_dir() or (not path.exists() and not path.suffix and name.count("/") <= 1 and not glob.has_magic(name)):
        return _dataset(name, split)
    if not path.exists() and glob.has_magic(name):
        return _several(name, matching(name))
    raise ValueError(
        f"{name}: expected an input that ends in .json (SpERT JSON) or .jsonl (JSON Lines), .txt or .parquet, a folder "
        f"that Dataset.save_to_disk wrote, or a dataset on the Hub."
    )


def open_file(path: Path) -> Source:
    """The entries of a file, in the format of its ending."""
    return replace(_FILES[path.suffix](path), files=(path,))


def _several(name: str, paths: list[Path]) -> Source:
    """The entries of several files, one file after the other."""
    endings = sorted({path.suffix for path in paths})
    if len(endings) > 1 or endings[0] not in _FILES or not all(path.is_file() for path in paths):
        raise ValueError(
            f"{name}: expected a pattern that matches files of one ending out of {', '.join(_FILES)}, got "
            f"{len(paths)} matches such as {paths[0]}, with the endings {', '.join(map(repr, endings))}."
        )
    sources = [open_file(path) for path in paths]
    for source in sources:
        if source.schema != sources[0].schema:
            raise ValueError(
                f"{name}: expected Parquet files of one schema, but that of {source.name} is another than that of "
                f"{sources[0].name}."
            )

    def read(wanted: Wanted) -> Iterator[Entry]:
        first = 0
        for source in sources:
            for entry in source.read(lambda number, first=first: wanted(number + first)):  # type: ignore[misc]
                yield entry._replace(number=entry.number + first, file=source.name)
            first += source.length

    identity = hashlib.sha256("\n".join(f"{source.name}: {source.identity}" for source in sources).encode())
    return Source(
        name,
        sources[0].unit,
        sum(source.length for source in sources),
        f"{len(sources)} files, {identity.hexdigest()}",
        read,
        sources[0].schema,
        tuple(paths),
    )


def lines_of_stream(name: str, lines: Iterable[bytes], ending: str) -> Source:
    """The entries of a stream, of which nobody knows yet how many there are; they can be read once.

    Args:
        name: for messages.
        ending: `.jsonl` or `.txt`.
    """

    def read(wanted: Wanted) -> Iterator[Entry]:
        number = 0
        for place, line in _numbered(lines):
            if ending == ".jsonl" and not line.strip():
                continue
            yield Entry(number, place, _parsed(line) if ending == ".jsonl" else _decoded(line))
            number += 1

    return Source(name, "line", -1, "", read)


def _json_lines(path: Path) -> Source:
    def read(wanted: Wanted) -> Iterator[Entry]:
        number = 0
        for line_number, line in _lines(path):
            if not line.strip():
                continue
            if wanted(number):
                yield Entry(number, line_number, _parsed(line))
            number += 1

    length = sum(1 for _, line in _lines(path) if line.strip())
    return Source(str(path), "line", length, _file_identity(path), read)


def _spert_json(path: Path) -> Source:
    entries = _list_in(path)

    def read(wanted: Wanted) -> Iterator[Entry]:
        return (Entry(number, number, entry) for number, entry in enumerate(entries) if wanted(number))

    return Source(str(path), "record", len(entries), _file_identity(path), read)


def _text(path: Path) -> Source:
    def read(wanted: Wanted) -> Iterator[Entry]:
        for line_number, line in _lines(path):
            if wanted(line_number - 1):
                yield Entry(line_number - 1, line_number, _decoded(line))

    length = sum(1 for _ in _lines(path))
    return Source(str(path), "line", length, _file_identity(path), read)


def _parquet(path: Path) -> Source:
    import pyarrow.parquet as pq

    def read(wanted: Wanted) -> Iterator[Entry]:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                yield from _rows(file.iter_batches(batch_size=_BLOCK), wanted)
        except (pa.ArrowException, OSError) as error:
            raise _damaged_parquet(path, error) from error

    try:
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as error:
        raise _damaged_parquet(path, error) from error
    return Source(str(path), "row", metadata.num_rows, _file_identity(path), read, schema)


def _damaged_parquet(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path}: expected a Parquet file, but it cannot be read: {' '.join(str(error).split())}")


def _dataset(name: str, split: str) -> Source:
    import datasets

    found = datasets.load_from_disk(name) if Path(name).is_dir() else datasets.load_dataset(name)
    if isinstance(found, datasets.DatasetDict):
        if split not in found:
            raise ValueError(f"{name}: expected a --split out of {', '.join(found)}, got {split!r}.")
        found = found[split]
    tables = found.with_format("arrow")

    def read(wanted: Wanted) -> Iterator[Entry]:
        firsts = range(0, len(found), _BLOCK)
        blocks = (tables[first : min(first + _BLOCK, len(found))] for first in firsts)
        yield from _rows(blocks, wanted)

    return Source(f"{name}, {split}", "row", len(found), found._fingerprint, read, found.features.arrow_schema)


def _rows(blocks: Iterable[Any], wanted: Wanted) -> Iterator[Entry]:
    """The rows of record batches or tables."""
    number = 0
    for block in blocks:
        if any(wanted(number + offset) for offset in range(len(block))):
            for offset, record in enumerate(_records_of(block)):
                if wanted(number + offset):
                    yield Entry(number + offset, number + offset, record)
        number += len(block)


def _records_of(block: Any) -> list[Any]:
    try:
        return block.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException) as error:  # text that is no UTF-8, a year beyond Python's
        if len(block) == 1:
            return [Refused(f"expected values that Python can hold: {error}.")]
        return [record for offset in range(len(block)) for record in _records_of(block.slice(offset, 1))]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file, numbered."""
    with open(path, "rb") as lines:
        yield from _numbered(lines)


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines, counted from 1; a byte order mark is no part of the first."""
    for number, line in enumerate(lines, start=1):
        yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _decoded(line: bytes) -> Any:
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        return Refused(f"expected UTF-8, but byte {error.start} cannot be decoded: {error.reason}.")


def _parsed(line: bytes) -> Any:
    try:
        return _STRICT.decode(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return Refused(_reason(error, line))


def _list_in(path: Path) -> list[Any]:
    """The entries of a JSON list. One that is well formed but not as it should be, for example with NaN in it, is
    refused alone.

    Raises:
        ValueError: the file is not JSON, or not a list.
    """
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        entries = _STRICT.decode(content.decode("utf-8"))
    except (ValueError, RecursionError):
        entries = _entries_one_by_one(path, content)
    if not isinstance(entries, list):
        raise ValueError(f"{path}: expected a list of records, got {type(entries).__name__}.")
    return entries


def _entries_one_by_one(path: Path, content: bytes) -> Any:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return _whole(path, content)
    position = _SPACE.match(text).end()  # type: ignore[union-attr]
    if not text.startswith("[", position):
        return _whole(path, content)
    entries: list[Any] = []
    position = _SPACE.match(text, position + 1).end()  # type: ignore[union-attr]
    while True:
        try:
            _, end = _LENIENT.raw_decode(text, position)
        except RecursionError:
            raise ValueError(f"{path}, record {len(entries)}: expected JSON, got values nested too deep.") from None
        except ValueError:
            return _whole(path, content)
        entries.append(_parsed(text[position:end].encode()))
        position = _SPACE.match(text, end).end()  # type: ignore[union-attr]
        if text.startswith("]", position):
            position = _SPACE.match(text, position + 1).end()  # type: ignore[union-attr]
            return entries if position == len(text) else _whole(path, content)
        if not text.startswith(",", position):
            return _whole(path, content)
        position = _SPACE.match(text, position + 1).end()  # type: ignore[union-attr]


def _whole(path: Path, content: bytes) -> Any:
    """The file as one value, for the message that says where it is not JSON."""
    try:
        return parse_json(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _reason(error: Exception, line: bytes) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"expected UTF-8, but byte {error.start} cannot be decoded: {error.reason}."
    if isinstance(error, json.JSONDecodeError):
        return f"expected JSON: {error.msg}, at character {error.pos}."
    if isinstance(error, RecursionError):
        return "expected JSON, got values nested too deep."
    if isinstance(error, _NotJsonError):
        return f"expected JSON: {error}."
    return "expected JSON, got an integer with too many digits."


class _NotJsonError(ValueError):
    """What `json` takes for JSON, and is none or has more than one meaning."""


def _refuse_constant(name: str) -> Any:
    raise _NotJsonError(f"{name} is no JSON")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _NotJsonError(f"the number {digits[:40]} is too large")
    return value


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _NotJsonError(f"the field {twice!r} stands there twice")
    return record


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite_float, object_pairs_hook=_unique_names)
_LENIENT = json.JSONDecoder(parse_int=str)
_SPACE = re.compile(r"[ \t\r\n]*")

_FILES: dict[str, Callable[[Path], Source]] = {
    ".jsonl": _json_lines,
    ".json": _spert_json,
    ".txt": _text,
    ".parquet": _parquet,
}


def _file_identity(path: Path) -> str:
    about = os.stat(path)
    return f"{about.st_size} bytes, {about.st_mtime_ns}"
