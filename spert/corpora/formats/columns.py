"""CoNLL-style columns for entities only: a word and its tag a line, a blank line after each sentence.

BIO and BILOU (also written IOBES) are read, the word in the first column and the tag in the last; BIO is written. So is
IOB1 where `Reading.tags` says so: there `I-` begins an entity, and `B-` does only right behind one of the same type. A
line `# id = NAME` before a sentence names it. Entities come back in the order of the sentence. A document start as in
CoNLL-2003, a "sentence" of the one word `-DOCSTART-` with the tag `O`, is counted and left out.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...files import atomic_writer
from ..documents import check_words_have_no_space
from ..reading import Item, Reading, Writing
from ..validation import shown
from .text_files import lines_of

_ID = "# id = "
_BEGIN, _INSIDE, _LAST, _UNIT = "B", "I", "LE", "US"
_DOCUMENT_START = "-DOCSTART-"


def items(path: Path, reading: Reading) -> Iterator[Item]:
    """The sentences of a file.

    All lines of words have the same number of columns, or else a line break was lost. `-DOCSTART-` lines are free.
    """
    state = _State(path)
    lines: list[tuple[int, str]] = []
    for number, line in itertools.chain(lines_of(path, reading), [(0, "")]):
        if line.strip():
            lines.append((number, line))
        elif any(not of_sentence.startswith(_ID) for _, of_sentence in lines):
            first = next(number for number, of_sentence in lines if not of_sentence.startswith(_ID))
            yield f"{path}, line {first}", partial(_records, lines, state)
            lines = []  # an id alone waits for its sentence
    if lines:
        yield f"{path}, at the end", partial(_records, lines, state)


@dataclass
class _State:
    """What the sentences of a file share: the number of columns, and how many sentences there were."""

    path: Path
    width: int | None = None
    count: int = 0


def _records(lines: Sequence[tuple[int, str]], state: _State, reading: Reading) -> list[dict[str, Any]]:
    """The record of a sentence, or none for a document start."""
    state.count += 1
    rows: list[tuple[str, str, int]] = []
    name: str | None = None
    for number, line in lines:
        where = f"{state.path}, line {number}"
        if line.startswith(_ID):
            if rows or name is not None:
                expected = "an empty line before the next sentence" if rows else "a sentence after its id"
                raise ValueError(f"{where}: expected {expected}, got {shown(line)}.")
            name = line.removeprefix(_ID)
            if "\t" in name:
                raise ValueError(f"{where}: expected an id without tabs, got {shown(name)}: is a line break missing?")
            continue
        columns = line.split("\t") if "\t" in line else line.split()
        if len(columns) < 2 or not columns[0]:
            raise ValueError(f"{where}: expected a word and its tag, got {shown(line)}.")
        if columns[0] != _DOCUMENT_START:
            state.width = len(columns) if state.width is None else state.width
            if len(columns) != state.width:
                raise ValueError(
                    f"{where}: expected {state.width} columns, as in the lines before, got {len(columns)} in "
                    f"{shown(line)}: is a line break missing, or white space in a word?"
                )
        rows.append((columns[0], columns[-1], number))
    if not rows:
        raise ValueError(f"{state.path}, at the end: expected a sentence after its id, {shown(name)}, got none.")
    if [row[:2] for row in rows] == [(_DOCUMENT_START, "O")]:
        state.count -= 1
        reading.lost[f"{_DOCUMENT_START} lines left out"] += 1
        return []
    return [_record(rows, name if name is not None else str(state.count - 1), state.path, reading)]


def _record(rows: list[tuple[str, str, int]], name: str, path: Path, reading: Reading) -> dict[str, Any]:
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
        if reading.tags == "iob1":
            if position not in _BEGIN + _INSIDE:
                raise ValueError(f"{where}: expected O, B-{kind} or I-{kind} (IOB1), got {shown(tag)}.")
            if position in _BEGIN and kind_before != kind:
                raise ValueError(
                    f"{where}: expected I-{kind}, which begins an entity in IOB1 but right behind one of its type, got "
                    f"{shown(tag)}. Is the file BIO? Then leave --tags out."
                )
            begins = position in _BEGIN or kind_before != kind
        else:
            begins = position in _BEGIN + _UNIT
            if not begins and kind_before != kind:
                raise ValueError(
                    f"{where}: expected the entity to begin with B-{kind}, got {shown(tag)}. If the file is IOB1, say "
                    f"--tags iob1."
                )
        if begins:
            entities.append({"type": kind, "start": index, "end": index + 1})
        else:
            entities[-1]["end"] = index + 1
        kind_before = kind if position in _BEGIN + _INSIDE else None
    return {"id": name, "tokens": [word for word, _, _ in rows], "entities": entities, "relations": []}


def write(path: Path, records: Sequence[Mapping[str, Any]], writing: Writing) -> None:
    """Write records in BIO. Texts and scores are not held, which is counted.

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
            writing.lost["texts that columns do not hold, of which the words were written"] += "text" in record
            writing.lost["scores that columns do not hold"] += sum("score" in one for one in record["entities"])
            file.write(f"{_ID}{record['id']}\n")
            file.writelines(f"{word}\t{tag}\n" for word, tag in zip(record["tokens"], tags))
            file.write("\n")
