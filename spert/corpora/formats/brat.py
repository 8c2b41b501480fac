"""brat standoff: `NAME.txt` beside `NAME.ann`, in a folder and its subfolders, or one file.

`T1<tab>Person 0 8<tab>Ada Park` is an entity, `R1<tab>works_for Arg1:T1 Arg2:T2` a relation, and
`*<tab>Equiv T1 T2 T3` says that things are the same: a relation `Equiv` of each two. A span across a line break has a
piece on each line (`14 23;24 28`), and is one span; other spans in several pieces are refused, or joined where
`Reading.discontinuous` says so. Events, attributes, normalizations and notes are counted and left out, but for the
notes that hold scores of our own; any other line is refused. The nearest `annotation.conf` says which argument is the
head, and is compared.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from ...files import atomic_folder
from ...words_spert import split_words
from ..documents import Document, check_range, check_words_have_no_space, records_of, text_document_of
from ..reading import Item, Reading, Scheme, Writing
from ..validation import shown
from .brat_scheme import EQUIVALENCE, FILE, BratScheme, read_scheme, scheme_text
from .text_files import MAX_DIGITS, lines_of, read_text

_NUMBER = rf"[0-9]{{1,{MAX_DIGITS}}}"
_PIECE = rf"{_NUMBER} {_NUMBER}"
_ENTITY = re.compile(rf"(T\S+)\t(\S+) ({_PIECE}(?:;{_PIECE})*)\t(.*)")
_RELATION = re.compile(r"(R\S+)\t(\S+) ([^\s:]+):(T\S+) ([^\s:]+):(T\S+)\s*")
_EQUIVALENCE = re.compile(r"\*\t(\S+)((?: T\S+){2,})\s*")
_SCORE = re.compile(r"#\S*\tAnnotatorNotes ([TR]\S+)\tscore (\S+)")
_LEFT_OUT = {
    "events": re.compile(r"E\S+\t\S+:T\S+(\ \S+:\S+)*\s*"),
    "attributes": re.compile(r"[AM]\S+\t\S+\ [TRE]\S+(\ .*)?"),
    "normalizations": re.compile(r"N\S+\t\S+\ [TRE]\S+\ \S+(\t.*)?"),
    "notes": re.compile(r"#\S*\t\S+\ \S+(\t.*)?"),
}
_DEFAULT_ROLES = ("Arg1", "Arg2")


def items(path: Path, reading: Reading) -> Iterator[Item]:
    """The documents of a folder and its subfolders, in the order of names, or one `.ann` (or `.txt`) file."""
    if path.is_dir():
        found = {file.with_suffix(".txt") for pattern in ("*.txt", "*.ann") for file in path.rglob(pattern)}
        texts = sorted(file for file in found if not any(part[0] == "." for part in file.relative_to(path).parts))
    else:
        texts = [path.with_suffix(".txt")]
    if not texts:
        raise FileNotFoundError(f"{path}: expected NAME.txt beside NAME.ann, got neither.")
    root = path if path.is_dir() else path.parent
    schemes: dict[Path, BratScheme | None] = {}
    for text in texts:
        scheme = _scheme_for(text.parent, root, schemes)
        if scheme is not None and scheme.scheme not in reading.schemes:
            reading.schemes.append(scheme.scheme)
        name = "/".join(map(unquote, text.relative_to(root).with_suffix("").parts))
        yield str(text.with_suffix(".ann")), partial(_records, text, name, scheme)


def _scheme_for(folder: Path, root: Path, schemes: dict[Path, BratScheme | None]) -> BratScheme | None:
    """What the nearest `annotation.conf` declares, in the folder or in one above it, up to the root."""
    if folder not in schemes:
        if (folder / FILE).is_file():
            schemes[folder] = read_scheme(folder / FILE)
        else:
            schemes[folder] = None if folder == root else _scheme_for(folder.parent, root, schemes)
    return schemes[folder]


def _records(text: Path, name: str, scheme: BratScheme | None, reading: Reading) -> list[dict[str, Any]]:
    annotations = text.with_suffix(".ann")
    for needed in (text, annotations):
        if not needed.is_file():
            raise FileNotFoundError(f"{needed}: expected {text.name} and {annotations.name} beside each other.")
    content = read_text(text)  # offsets count every character, also those of line ends
    document = _Annotations(annotations, content, reading, scheme).document(name)
    if scheme is not None:
        _compare(document, scheme.scheme, reading)
    return records_of(document, reading, str(annotations))


def _compare(document: Document, scheme: Scheme, reading: Reading) -> None:
    """Count what `annotation.conf` does not declare: brat shows it as an error, and keeps it."""
    kinds = [kind for kind, _, _ in document.entities]
    reading.lost[f"entities of types that {FILE} does not declare"] += sum(
        kind not in scheme.types.entities for kind in kinds
    )
    reading.lost[f"relations of types or arguments that {FILE} does not declare"] += sum(
        kind != EQUIVALENCE and (kinds[head], kinds[tail]) not in scheme.arguments.get(kind, [])
        for kind, head, tail in document.relations
    )


@dataclass
class _Annotations:
    """The lines of an `.ann` file."""

    path: Path
    text: str
    reading: Reading
    scheme: BratScheme | None
    index: dict[str, int] = field(default_factory=dict)
    entities: list[tuple[str, int, int]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    arrows: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Type, head, tail and place."""
    relation_names: dict[str, int] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)

    def document(self, name: str) -> Document:
        """Read all lines. *Raises* `ValueError`, naming file and line."""
        if not self.path.stat().st_size:
            self.reading.lost["empty .ann files, read as texts without entities"] += 1
        for number, line in lines_of(self.path, self.reading):
            if line.strip():
                self._read(line, f"{self.path}, line {number}")
        for _, head, tail, where in self.arrows:
            for entity in (head, tail):
                if entity not in self.index:
                    raise ValueError(f"{where}: expected an entity of this file, got {entity!r}.")
        of_relations = {number: self.scores.get(name) for name, number in self.relation_names.items()}
        return Document(
            name,
            self.text,
            self.entities,
            [(kind, self.index[head], self.index[tail]) for kind, head, tail, _ in self.arrows],
            entity_places=self.places,
            relation_places=[where for *_, where in self.arrows],
            entity_scores=[self.scores.get(name) for name in self.index],
            relation_scores=[of_relations.get(number) for number in range(len(self.arrows))],
        )

    def _read(self, line: str, where: str) -> None:
        if line.startswith("T"):
            self._read_entity(line, where)
        elif match := _RELATION.fullmatch(line):
            name, kind, *ends = match.groups()
            if name in self.relation_names:
                raise ValueError(f"{where}: expected each id once, got {name!r} again.")
            self.relation_names[name] = len(self.arrows)
            self.arrows.append((kind, *self._head_and_tail(kind, ends, where), where))
        elif match := _EQUIVALENCE.fullmatch(line):
            self.arrows += [(match[1], head, tail, where) for head, tail in combinations(match[2].split(), 2)]
        elif line[0] in "R*":
            raise ValueError(f"{where}: expected a relation of two entities, got {shown(line)}.")
        elif match := _SCORE.fullmatch(line):
            self._read_score(match[1], match[2], where)
        else:
            kind = next((kind for kind, pattern in _LEFT_OUT.items() if pattern.fullmatch(line)), None)
            if kind is None:
                raise ValueError(f"{where}: expected an annotation in brat's standoff format, got {shown(line)}.")
            self.reading.lost[f"{kind} passed over"] += 1

    def _read_entity(self, line: str, where: str) -> None:
        match = _ENTITY.fullmatch(line)
        if match is None:
            raise ValueError(f"{where}: expected an entity, 'T1<tab>Type START END<tab>text', got {shown(line)}.")
        name, kind, pieces, covered = match.groups()
        if name in self.index:
            raise ValueError(f"{where}: expected each id once, got {name!r} again.")
        spans = [(int(start), int(end)) for start, end in (piece.split(" ") for piece in pieces.split(";"))]
        for start, end in spans:
            check_range(self.text, start, end, where)
        for (_, end), (start, _) in pairwise(spans):
            gap = self.text[end:start]
            if end <= start and "\n" in gap and not gap.strip():
                continue
            if self.reading.discontinuous == "refuse" or end > start:
                raise ValueError(
                    f"{where}: expected a span in one piece, got the discontinuous {shown(line)}. Correct it, or join "
                    f"its pieces with --discontinuous join."
                )
            self.reading.lost["discontinuous spans joined"] += 1
        whole = " ".join(self.text[start:end] for start, end in spans)
        if covered.split() != whole.split():
            raise ValueError(
                f"{where}: expected {shown(covered)}, but the text at [{spans[0][0]}, {spans[-1][1]}) is "
                f"{shown(whole)}. Were characters counted otherwise, or was the text changed?"
            )
        self.index[name] = len(self.entities)
        self.entities.append((kind, spans[0][0], spans[-1][1]))
        self.places.append(where)

    def _head_and_tail(self, kind: str, ends: Sequence[str], where: str) -> tuple[str, str]:
        """The head and the tail of a relation, whose arguments stand in any order."""
        first_role, first, second_role, second = ends
        roles = self.scheme.roles.get(kind, _DEFAULT_ROLES) if self.scheme is not None else _DEFAULT_ROLES
        if (first_role, second_role) == roles:
            return first, second
        if (second_role, first_role) == roles:
            return second, first
        raise ValueError(
            f"{where}: expected a relation of two entities with the arguments {roles[0]} and {roles[1]}, got "
            f"{first_role} and {second_role}. Other names have to be declared in {FILE}."
        )

    def _read_score(self, name: str, text: str, where: str) -> None:
        try:
            score = float(text)
        except ValueError:
            score = -1.0
        if not 0 <= score <= 1:
            raise ValueError(f"{where}: expected a score from 0 to 1, got {shown(text)}.")
        self.scores[name] = score


def write(path: Path, records: Sequence[Mapping[str, Any]], writing: Writing) -> None:
    """Write a folder with two files for each record, named by its id (`/` makes subfolders), and `annotation.conf`.

    Raises:
        ValueError: the folder holds annotations already, or brat cannot carry a record.
    """
    used = next((file for pattern in ("*.ann", "*.txt") for file in path.rglob(pattern)), None)
    if used is not None:
        raise ValueError(
            f"{path}: expected a new folder, or one without .txt and .ann files, got one with {used.name}: two corpora "
            f"would be mixed. Name another folder, or empty this one."
        )
    with atomic_folder(path) as staging:
        for record in records:
            if record.get("text") is None:
                check_words_have_no_space(record, "brat")
            document = text_document_of(record, "brat")
            if split_words(document.text) != document.words:
                writing.lost["records whose words brat does not hold: they are found otherwise when it is read"] += 1
            for kind in [one[0] for one in (*document.entities, *document.relations)]:
                if kind.split() != [kind]:
                    raise ValueError(f"brat: record {document.id!r}: expected types without white space, got {kind!r}.")
            place = staging / _place_of(document.id)
            if place.with_name(f"{place.name}.txt").exists():
                raise ValueError(f"brat: expected each id once, got {document.id!r} again: files are named by it.")
            place.parent.mkdir(parents=True, exist_ok=True)
            # Line ends are part of a text, whatever the machine's own are.
            for ending, content in ((".txt", document.text), (".ann", "".join(_lines(document)))):
                place.with_name(place.name + ending).write_bytes(content.encode())
        (staging / FILE).write_text(scheme_text(records), encoding="utf-8")


def _place_of(name: str) -> PurePosixPath:
    """The file of an id, without an ending."""
    parts = name.split("/")
    if not all(parts):
        parts = [name]  # no folder has an empty name
    if not name:
        raise ValueError(f"brat: expected ids that can name a file, got {name!r}.")
    names = [quote(part, safe=" ") for part in parts]
    return PurePosixPath(*(f"%2E{part[1:]}" if part.startswith(".") else part for part in names))  # none is hidden


def _lines(document: Document) -> Iterator[str]:
    """The lines of a document's `.ann` file."""
    notes: list[str] = []

    def note(name: str, kind: str, number: int) -> None:
        for score in document.score(kind, number).values():
            notes.append(f"#{len(notes) + 1}\tAnnotatorNotes {name}\tscore {score!r}{os.linesep}")

    for index, (kind, start, end) in enumerate(document.entities):
        pieces = _pieces(document.text, start, end)
        offsets = ";".join(f"{first} {last}" for first, last in pieces)
        covered = " ".join(document.text[first:last] for first, last in pieces)
        yield f"T{index + 1}\t{kind} {offsets}\t{covered}{os.linesep}"
        note(f"T{index + 1}", "entities", index)
    sets, others = _equivalences(document)
    for members in sets:
        yield f"*\t{EQUIVALENCE} {' '.join(f'T{member + 1}' for member in members)}{os.linesep}"
    for number, index in enumerate(others, start=1):
        kind, head, tail = document.relations[index]
        yield f"R{number}\t{kind} Arg1:T{head + 1} Arg2:T{tail + 1}{os.linesep}"
        note(f"R{number}", "relations", index)
    yield from notes


def _pieces(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A span in pieces that hold no line break, as brat writes them: a line of the file has none."""
    pieces = []
    for match in re.finditer(r"[^\n]+", text[start:end]):
        piece = match.group()
        left, right = len(piece) - len(piece.lstrip()), len(piece.rstrip())
        if left < right:
            pieces.append((start + match.start() + left, start + match.start() + right))
    return pieces


def _equivalences(document: Document) -> tuple[list[list[int]], list[int]]:
    """The sets of entities of which each two are related by `Equiv`, and the other relations, by their indices."""
    pairs: Counter[tuple[int, int]] = Counter()
    together: dict[int, set[int]] = {}
    for index, (kind, head, tail) in enumerate(document.relations):
        if kind == EQUIVALENCE and head < tail and not document.score("relations", index):
            pairs[head, tail] += 1
            joined = together.get(head, {head}) | together.get(tail, {tail})
            together |= dict.fromkeys(joined, joined)
    sets = []
    for members in {id(joined): sorted(joined) for joined in together.values()}.values():
        if all(pairs[pair] == 1 for pair in combinations(members, 2)):
            sets.append(members)
    whole = {pair for members in sets for pair in combinations(members, 2)}
    others = [
        index
        for index, (kind, head, tail) in enumerate(document.relations)
        if kind != EQUIVALENCE or (head, tail) not in whole
    ]
    return sets, others
