"""Results of `spert predict`, read again one by one, in constant memory, whichever of its forms they have.

Annotated JSON Lines and SpERT JSON of people are read, too: their entities and relations have no scores.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from .files import STANDARD_STREAM, matching
from .schemas import PARTIAL, Share, check_value, parse_checked

FORMATS = (".jsonl", ".json", ".parquet")
"""Endings of files with results; a folder holds shards, `part-00000.jsonl` and so on."""

_SHARDS = "part-*.jsonl"


class FoundEntity(TypedDict):
    """An entity of a result: characters of the text, half-open."""

    type: str
    start: int
    end: int
    score: NotRequired[Share | None]


class FoundRelation(TypedDict):
    """A relation of a result: `head` and `tail` index its entities."""

    type: str
    head: int
    tail: int
    score: NotRequired[Share | None]


class Result(TypedDict):
    """What was found in a document; see the README. Other fields are not read."""

    id: NotRequired[str | int | float | None]
    orig_id: NotRequired[str | int | float | None]
    text: str
    sentences: NotRequired[list[list[int]] | None]
    entities: list[FoundEntity]
    relations: list[FoundRelation]


class _WordEntity(TypedDict):
    type: str
    start: int
    end: int


class _WordRecord(TypedDict):
    """A record of SpERT JSON."""

    id: NotRequired[str | int | float | None]
    orig_id: NotRequired[str | int | float | None]
    tokens: list[str]
    entities: list[_WordEntity]
    relations: list[FoundRelation]


for _schema in (FoundEntity, FoundRelation, Result, _WordEntity, _WordRecord):
    setattr(_schema, "__pydantic_config__", PARTIAL)  # noqa: B010  # a TypedDict declares no such attribute
_RESULT, _WORD_RECORD = TypeAdapter(Result), TypeAdapter(_WordRecord)


@dataclass(frozen=True)
class Found:
    """A result, and where it stands.

    Args:
        file: the file's name, as it was given.
        record: the number of the result in the file, counted from 0.
        where: file and line (or record) as messages name it.
        result: checked: every span lies in the text, every relation joins two of the entities.
    """

    file: str
    record: int
    where: str
    result: Result

    @property
    def id(self) -> str | None:
        """The `id` (or `orig_id`) that the input's record had."""
        value = self.result.get("id")
        value = self.result.get("orig_id") if value is None else value
        return None if value is None else str(value)


def read_found(names: Sequence[str]) -> Iterator[Found]:
    """The results of files, one by one.

    Args:
        names: files that end in one of `FORMATS`, folders of shards, patterns such as `found/*.jsonl`, and `-` for
            JSON Lines from standard input.

    Raises:
        FileNotFoundError: nothing has that name, or matches that pattern.
        ValueError: a file is of another form, or a result is not as it should be; the message names file and record.
    """
    for path in [path for name in names for path in files_of(name)]:
        yield from _read(path)


def files_of(name: str) -> list[str]:
    """The files of that name: itself, those that match it as a pattern, or the shards of a folder.

    Raises:
        FileNotFoundError: there are none.
        ValueError: a file ends otherwise than results do.
    """
    if name == STANDARD_STREAM:
        return [name]
    files: list[str] = []
    for path in matching(name):
        if path.is_dir():
            shards = sorted(path.glob(_SHARDS))
            if not shards:
                raise FileNotFoundError(f"{path}: expected a folder of shards ({_SHARDS}), got one without any.")
            files += map(str, shards)
        elif path.suffix not in FORMATS:
            raise ValueError(
                f"{path}: expected results in a file that ends in .jsonl, .json (SpERT JSON) or .parquet, or a folder "
                f"of shards."
            )
        else:
            files.append(str(path))
    return files


def _read(name: str) -> Iterator[Found]:
    if name == STANDARD_STREAM:
        yield from _json_lines("standard input", sys.stdin.buffer)
    elif name.endswith(".jsonl"):
        with open(name, "rb") as lines:
            yield from _json_lines(name, lines)
    elif name.endswith(".parquet"):
        yield from _parquet(name)
    else:
        yield from _spert_json(name)


def _json_lines(name: str, lines: IO[bytes]) -> Iterator[Found]:
    record = 0
    for number, line in enumerate(lines, start=1):
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        yield _checked(name, record, where, parse_checked(line, _RESULT, where))
        record += 1


def _parquet(name: str) -> Iterator[Found]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(name, page_checksum_verification=True) as file:
            present = set(file.schema_arrow.names)
            columns = [column for column in Result.__annotations__ if column in present]
            record = 0
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for row in batch.to_pylist():
                    where = f"{name}, row {record}"
                    yield _checked(name, record, where, check_value(row, _RESULT, where))
                    record += 1
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: expected a Parquet file, but it cannot be read: {error}") from error


def _spert_json(name: str) -> Iterator[Found]:
    from .files import read_json

    records = read_json(name)
    if not isinstance(records, list):
        raise ValueError(f"{name}: expected a list of records, got {type(records).__name__}.")
    for number, record in enumerate(records):
        where = f"{name}, record {number}"
        yield _checked(name, number, where, _by_characters(check_value(record, _WORD_RECORD, where), where))


def _by_characters(record: _WordRecord, where: str) -> Result:
    """A record of words as a result: its words are joined by one space."""
    ranges: list[tuple[int, int]] = []
    start = 0
    for word in record["tokens"]:
        ranges.append((start, start + len(word)))
        start += len(word) + 1
    entities: list[FoundEntity] = []
    for number, entity in enumerate(record["entities"]):
        first, last = entity["start"], entity["end"]
        _refuse_outside(where, f"entity {number}", first, last, len(ranges), "words")
        entities.append({"type": entity["type"], "start": ranges[first][0], "end": ranges[last - 1][1]})
    made: Result = {"text": " ".join(record["tokens"]), "entities": entities, "relations": record["relations"]}
    if "id" in record:
        made["id"] = record["id"]
    if "orig_id" in record:
        made["orig_id"] = record["orig_id"]
    return made


def _checked(name: str, record: int, where: str, result: Result) -> Found:
    length, number_of_entities = len(result["text"]), len(result["entities"])
    for number, entity in enumerate(result["entities"]):
        _refuse_outside(where, f"entity {number}", entity["start"], entity["end"], length, "characters")
    for number, sentence in enumerate(result.get("sentences") or ()):
        if len(sentence) != 2:
            raise ValueError(f"{where}, sentence {number}: expected [start, end] in characters, got {sentence}.")
        _refuse_outside(where, f"sentence {number}", sentence[0], sentence[1], length, "characters")
    for number, relation in enumerate(result["relations"]):
        for end in (relation["head"], relation["tail"]):
            if not 0 <= end < number_of_entities:
                raise ValueError(
                    f"{where}, relation {number}: expected head and tail to be two of the {number_of_entities} "
                    f"entities, counted from 0, got {end}."
                )
    return Found(name, record, where, result)


def _refuse_outside(where: str, what: str, start: int, end: int, length: int, counted: str) -> None:
    if not 0 <= start < end <= length:
        raise ValueError(f"{where}, {what}: expected a range of the {length} {counted}, got [{start}, {end}).")


def count_found(found: Iterable[Found], counts: dict[str, Any]) -> Iterator[Found]:
    """Pass results on, and count them under `records`, `entities` and `relations`."""
    for one in found:
        for name, number in (
            ("records", 1),
            ("entities", len(one.result["entities"])),
            ("relations", len(one.result["relations"])),
        ):
            counts[name] = counts.get(name, 0) + number
        yield one
