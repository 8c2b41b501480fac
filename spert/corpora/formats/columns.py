"""CoNLL-style columns for entities only: a word and its tag a line, a blank line after each sentence.

BIO and BILOU (also written IOBES) are read, the word in the first column and the tag in the last; BIO is written. A
line `# id = NAME` before a sentence names it. Entities come back in the order of the sentence. A document start as in
CoNLL-2003, a "sentence" of the one word `-DOCSTART-` with the tag `O`, is counted and left out.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...files import atomic_writer
from ..documents import Reading, check_words_have_no_space
from ..validation import shown
from .text_files import lines_of

_ID = "# id = "
_BEGIN, _INSIDE, _LAST, _UNIT = "B", "I", "LE", "US"
_DOCUMENT_START = "-DOCSTART-"


def read(path: Path, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a file, each with its place there.

    All lines of words have the same number of columns, or else a line break was lost. `-DOCSTART-` lines are free.
    """
    rows: list[tuple[str, str, int]] = []
    name: str | None = None
    width: int | None = None
    count = 0
    end = (0, "")  # an empty line, which ends the last sentence
    for number, line in itertools.chain(lines_of(path, reading), [end]):
        where = f"{path}, line {number}"
        if line.startswith(_ID):
            if rows or name is not None:
                expected = "an empty line before the next sentence" if rows else "a sentence after its id"
                raise ValueError(f"{where}: expected {expected}, got {shown(line)}.")
            name = line.removeprefix(_ID)
            if "\t" in name:
                raise ValueError(f"{where}: expected an id without tabs, got {shown(name)}: is a line break missing?")
        elif line.strip():
            columns = line.split("\t") if "\t" in line else line.split()
            if len(columns) < 2 or not columns[0]:
                raise ValueError(f"{where}: expected a word and its tag, got {shown(line)}.")
            if columns[0] != _DOCUMENT_START:
                width = len(columns) if width is None else width
                if len(columns) != width:
                    raise ValueError(
                        f"{where}: expected {width} columns, as in the lines before, got {len(columns)} in "
                        f"{shown(line)}: is a line break missing, or white space in a word?"
                    )
            rows.append((columns[0], columns[-1], number))
        elif [row[:2] for row in rows] == [(_DOCUMENT_START, "O")]:
            reading.lost[f"{_DOCUMENT_START} lines left out"] += 1
            rows, name = [], None
        elif rows:
            yield f"{path}, line {rows[0][2]}", _record(rows, name if name is not None else str(count), path)
            rows, name, count = [], None, count + 1
    if name is not None:
        raise ValueError(f"{path}, at the end: expected a sentence after its id, {shown(name)}, got none.")


def _record(rows: list[tuple[str, str, int]], name: str, path: Path) -> dict[str, Any]:
    entities: list[dict[str, Any]] = []
    kind_before = None  # the type of the entity that the word before belongs to, where it may go on
    for index, (_, tag, number) in enumerate(rows):
        where = f"{path}, line {number}"
        if tag == "O":
            kind_before = None
            continue
        position, _, kind = tag.partition("-")
        if not kind or len(position) != 1 or position not in _BEGIN + _INSIDE + _LAST + _UNIT:
            raise ValueError(f"{where}: expected O or a tag like B-Person (BIO or BILOU), got {shown(tag)}.")
        if position in _BEGIN + _UNIT:
            entities.append({"type": kind, "start": index, "end": index + 1})
        elif kind_before == kind:
            entities[-1]["end"] = index + 1
        else:
            raise ValueError(f"{where}: expected the entity to begin with B-{kind}, got {shown(tag)}.")
        kind_before = kind if position in _BEGIN + _INSIDE else None
    return {"id": name, "tokens": [word for word, _, _ in rows], "entities": entities, "relations": []}


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records in BIO.

    Raises:
        ValueError: columns cannot carry a record: it has relations, overlapping entities or no words, or it reads as a
            document start.
    """
    with atomic_writer(path) as file:
        for record in records:
            check_words_have_no_space(record, "columns")
            where = f"columns: record {record['id']!r}"
            for name in (record["id"], *(entity["type"] for entity in record["entities"])):
                if any(character in name for character in "\t\n\r"):
                    raise ValueError(f"{where}: expected names without tabs and line breaks, got {name!r}.")
            if record["relations"]:
                raise ValueError(f"{where}: expected entities only, got {len(record['relations'])} relations.")
            if not record["tokens"]:
                raise ValueError(f"{where}: expected at least one word, got none.")
            if record["tokens"] == [_DOCUMENT_START] and not record["entities"]:
                raise ValueError(f"{where}: expected a sentence, got {_DOCUMENT_START!r}, which starts a document.")
            tags = ["O"] * len(record["tokens"])
            for entity in sorted(record["entities"], key=lambda entity: entity["start"]):
                inside = range(entity["start"], entity["end"])
                if any(tags[index] != "O" for index in inside):
                    raise ValueError(f"{where}: expected entities that do not overlap, got {entity} besides another.")
                for index in inside:
                    tags[index] = ("B-" if index == entity["start"] else "I-") + entity["type"]
            file.write(f"{_ID}{record['id']}\n")
            file.writelines(f"{word}\t{tag}\n" for word, tag in zip(record["tokens"], tags))
            file.write("\n")
