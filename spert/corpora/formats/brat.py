"""brat standoff: `NAME.txt` beside `NAME.ann`, a folder of them or one.

`T1<tab>Person 0 8<tab>Ada Park` is an entity, `R1<tab>works_for Arg1:T1 Arg2:T2` a relation, `*<tab>knows T1 T2` an
equivalence. Other lines (events, attributes, notes) are counted and left out.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from ...files import atomic_folder
from ..documents import Document, Reading, check_words_have_no_space, document_of, records_of

_ENTITY = re.compile(r"(T\S+)\t(\S+) (\d+) (\d+)\t(.*)")
_RELATION = re.compile(r"(R\S+)\t(\S+) Arg1:(T\S+) Arg2:(T\S+)\s*")
_EQUIVALENCE = re.compile(r"\*\t(\S+) (T\S+) (T\S+)\s*")


def read(path: Path, reading: Reading) -> Iterator[dict[str, Any]]:
    """The records of a folder, in the order of file names, or of one `.ann` (or `.txt`) file with its partner."""
    texts = sorted(path.glob("*.txt")) if path.is_dir() else [path.with_suffix(".txt")]
    if not texts:
        raise FileNotFoundError(f"{path}: expected NAME.txt beside NAME.ann, got no .txt file.")
    for text in texts:
        annotations = text.with_suffix(".ann")
        for needed in (text, annotations):
            if not needed.is_file():
                raise FileNotFoundError(f"{needed}: expected {text.name} and {annotations.name} beside each other.")
        with open(text, encoding="utf-8", newline="") as file:
            content = file.read()  # offsets count every character, also those of line ends
        yield from records_of(_document(annotations, content, reading), reading, str(annotations))


def _document(annotations: Path, text: str, reading: Reading) -> Document:
    entities: list[tuple[str, int, int]] = []
    index: dict[str, int] = {}
    relations: list[tuple[str, str, str, str]] = []
    for number, line in enumerate(annotations.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{annotations}, line {number}"
        if not line.strip():
            continue
        if line.startswith("T"):
            if re.match(r"T\S+\t\S+ [\d ]+;", line):
                raise ValueError(f"{where}: expected a span in one piece, got the discontinuous {line!r}.")
            match = _ENTITY.fullmatch(line)
            if match is None:
                raise ValueError(f"{where}: expected an entity, 'T1<tab>Type START END<tab>text', got {line!r}.")
            name, kind, start, end, covered = match.groups()
            if " ".join(text[int(start) : int(end)].split()) != " ".join(covered.split()):
                raise ValueError(
                    f"{where}: expected {covered!r}, but the text at [{start}, {end}) is "
                    f"{text[int(start) : int(end)]!r}."
                )
            index[name] = len(entities)
            entities.append((kind, int(start), int(end)))
        elif match := _RELATION.fullmatch(line):
            _, kind, head, tail = match.groups()
            relations.append((kind, head, tail, where))
        elif match := _EQUIVALENCE.fullmatch(line):
            kind, head, tail = match.groups()
            relations.append((kind, head, tail, where))
        elif line[0] in "RT*":
            raise ValueError(f"{where}: expected a relation of two entities, got {line!r}.")
        else:
            reading.lost["lines that are neither entity nor relation"] += 1
    pairs = []
    for kind, head, tail, where in relations:
        for end in (head, tail):
            if end not in index:
                raise ValueError(f"{where}: expected an entity of this file, got {end!r}.")
        pairs.append((kind, index[head], index[tail]))
    return Document(unquote(annotations.stem), text, entities, pairs)


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write a folder with two files for each record, named by its id."""
    with atomic_folder(path) as staging:
        for record in records:
            check_words_have_no_space(record, "brat")
            document = document_of(record, joined=True)
            for kind in [one[0] for one in (*document.entities, *document.relations)]:
                if kind.split() != [kind]:
                    raise ValueError(f"brat: record {document.id!r}: expected types without white space, got {kind!r}.")
            name = quote(document.id, safe=" ")
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
