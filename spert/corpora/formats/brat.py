"""brat standoff: `NAME.txt` beside `NAME.ann`, a folder of them or one.

`T1<tab>Person 0 8<tab>Ada Park` is an entity, `R1<tab>works_for Arg1:T1 Arg2:T2` a relation, `*<tab>knows T1 T2` an
equivalence. Events, attributes, normalizations and notes are counted and left out; any other line is refused.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from ...files import atomic_folder
from ..documents import (
    Document,
    Reading,
    check_covered_text,
    check_words_have_no_space,
    document_of,
    records_of,
)
from ..validation import shown
from .text_files import MAX_DIGITS, lines_of, read_text

_NUMBER = rf"([0-9]{{1,{MAX_DIGITS}}})"
_ENTITY = re.compile(rf"(T\S+)\t(\S+) {_NUMBER} {_NUMBER}\t(.*)")
_RELATION = re.compile(r"(R\S+)\t(\S+) Arg1:(T\S+) Arg2:(T\S+)\s*")
_EQUIVALENCE = re.compile(r"\*\t(\S+) (T\S+) (T\S+)\s*")
_LEFT_OUT = re.compile(
    r"""E\S+\t\S+:T\S+(\ \S+:\S+)*\s*            # an event
      | [AM]\S+\t\S+\ [TRE]\S+(\ .*)?             # an attribute
      | N\S+\t\S+\ [TRE]\S+\ \S+(\t.*)?          # a normalization
      | \#\S*\t\S+\ \S+(\t.*)?                   # a note
    """,
    re.VERBOSE,
)


def read(path: Path, reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a folder, in the order of file names, or of one `.ann` (or `.txt`) file with its partner."""
    if path.is_dir():
        texts = sorted({file.with_suffix(".txt") for pattern in ("*.txt", "*.ann") for file in path.glob(pattern)})
    else:
        texts = [path.with_suffix(".txt")]
    if not texts:
        raise FileNotFoundError(f"{path}: expected NAME.txt beside NAME.ann, got neither.")
    for text in texts:
        annotations = text.with_suffix(".ann")
        for needed in (text, annotations):
            if not needed.is_file():
                raise FileNotFoundError(f"{needed}: expected {text.name} and {annotations.name} beside each other.")
        content = read_text(text)  # offsets count every character, also those of line ends
        for record in records_of(_document(annotations, content, reading), reading, str(annotations)):
            yield str(annotations), record


def _document(annotations: Path, text: str, reading: Reading) -> Document:
    index: dict[str, int] = {}
    entities: list[tuple[str, int, int]] = []
    places: list[str] = []
    arrows: list[tuple[str, str, str, str]] = []
    relation_names: set[str] = set()
    if not annotations.stat().st_size:
        reading.lost["empty .ann files, read as texts without entities"] += 1
    for number, line in lines_of(annotations, reading):
        where = f"{annotations}, line {number}"
        if not line.strip():
            continue
        if line.startswith("T"):
            name, kind, start, end = _entity(line, text, where)
            if name in index:
                raise ValueError(f"{where}: expected each id once, got {name!r} again.")
            index[name] = len(entities)
            entities.append((kind, start, end))
            places.append(where)
        elif match := _RELATION.fullmatch(line):
            name, kind, head, tail = match.groups()
            if name in relation_names:
                raise ValueError(f"{where}: expected each id once, got {name!r} again.")
            relation_names.add(name)
            arrows.append((kind, head, tail, where))
        elif match := _EQUIVALENCE.fullmatch(line):
            kind, head, tail = match.groups()
            arrows.append((kind, head, tail, where))
        elif line[0] in "R*":
            raise ValueError(f"{where}: expected a relation of two entities, got {shown(line)}.")
        elif _LEFT_OUT.fullmatch(line):
            reading.lost["lines that are neither entity nor relation"] += 1
        else:
            raise ValueError(f"{where}: expected an annotation in brat's standoff format, got {shown(line)}.")
    for _, head, tail, where in arrows:
        for entity in (head, tail):
            if entity not in index:
                raise ValueError(f"{where}: expected an entity of this file, got {entity!r}.")
    return Document(
        unquote(annotations.stem),
        text,
        entities,
        [(kind, index[head], index[tail]) for kind, head, tail, _ in arrows],
        entity_places=places,
        relation_places=[where for *_, where in arrows],
    )


def _entity(line: str, text: str, where: str) -> tuple[str, str, int, int]:
    """The id, type, start and end of an entity's line."""
    if re.match(r"T\S+\t\S+ [\d ]+;", line):
        raise ValueError(f"{where}: expected a span in one piece, got the discontinuous {shown(line)}.")
    match = _ENTITY.fullmatch(line)
    if match is None:
        raise ValueError(f"{where}: expected an entity, 'T1<tab>Type START END<tab>text', got {shown(line)}.")
    name, kind, start, end, covered = match.groups()
    check_covered_text(text, int(start), int(end), covered, where)
    return name, kind, int(start), int(end)


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write a folder with two files for each record, named by its id.

    Raises:
        ValueError: the folder holds annotations already, or brat cannot carry a record.
    """
    used = next((file for pattern in ("*.ann", "*.txt") for file in path.glob(pattern)), None)
    if used is not None:
        raise ValueError(
            f"{path}: expected a new folder, or one without .txt and .ann files, got one with {used.name}: two corpora "
            f"would be mixed. Name another folder, or empty this one."
        )
    with atomic_folder(path) as staging:
        for record in records:
            check_words_have_no_space(record, "brat")
            document = document_of(record, joined=True)
            for kind in [one[0] for one in (*document.entities, *document.relations)]:
                if kind.split() != [kind]:
                    raise ValueError(f"brat: record {document.id!r}: expected types without white space, got {kind!r}.")
            name = quote(document.id, safe=" ")
            if not name.strip(". "):
                raise ValueError(f"brat: expected ids that can name a file, got {document.id!r}.")
            if (staging / f"{name}.txt").exists():
                raise ValueError(f"brat: expected each id once, got {document.id!r} again: files are named by it.")
            lines = [
                f"T{index}\t{kind} {start} {end}\t{document.text[start:end]}"
                for index, (kind, start, end) in enumerate(document.entities, start=1)
            ]
            lines += [
                f"R{index}\t{kind} Arg1:T{head + 1} Arg2:T{tail + 1}"
                for index, (kind, head, tail) in enumerate(document.relations, start=1)
            ]
            (staging / f"{name}.txt").write_text(document.text, encoding="utf-8")
            (staging / f"{name}.ann").write_text("".join(line + os.linesep for line in lines), encoding="utf-8")
