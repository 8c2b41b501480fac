"""brat's `annotation.conf`: which types there are, and which types a relation joins.

```
[entities]
Place
    City                    # a kind of Place, because it stands deeper
[relations]
lives_in Arg1:Person, Arg2:Place
married_to Arg1:Person, Arg2:Person, <REL-TYPE>:symmetric
```
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from ..reading import Scheme
from ..types import CorpusTypes, TypeName
from ..validation import shown
from .text_files import read_text

FILE = "annotation.conf"

EQUIVALENCE = "Equiv"
"""The type of relations between things that are the same: brat writes them as sets."""

_SECTION = re.compile(r"\[([A-Za-z]+)\]\s*")
_MACRO = re.compile(r"<([^<>=\s]+)>=(\S+)\s*")
_ANY = ("<ENTITY>", "<ANY>")
_RELATION_TYPE = "<REL-TYPE>"


@dataclass(frozen=True)
class BratScheme:
    """What a collection declares.

    Args:
        scheme: its types and arguments.
        roles: for each relation type, the names of head and tail, which a relation's line may have in any order.
    """

    scheme: Scheme
    roles: dict[str, tuple[str, str]] = field(default_factory=dict)


def read_scheme(path: Path) -> BratScheme:
    """Read an `annotation.conf`.

    Entities are the section `[entities]`, or `[spans]` in old files. A type that is indented is a kind of the one above
    it, and goes wherever that goes. Events and attributes are passed over.

    Raises:
        ValueError: a line cannot be read; the message names file and line.
    """
    sections: dict[str, list[tuple[str, str]]] = {}
    macros: dict[str, str] = {}
    current: list[tuple[str, str]] = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = line.split("#", 1)[0].rstrip()
        where = f"{path}, line {number}"
        if not line:
            continue
        if match := _SECTION.fullmatch(line):
            current = sections.setdefault(match[1].lower(), [])
        elif match := _MACRO.fullmatch(line):
            macros[f"<{match[1]}>"] = match[2]
        else:
            current.append((line, where))
    below = _entity_types(line for line, _ in sections.get("entities") or sections.get("spans") or [])
    kinds = [name for name, of_name in below.items() if name in of_name]
    if "entities" not in sections and "spans" not in sections:
        raise ValueError(f"{path}: expected a section [entities], got {shown(sorted(sections))}.")
    below |= dict.fromkeys(_ANY, kinds) | {line.split()[0]: [] for line, _ in sections.get("events", [])}
    symmetric: list[str] = []
    arguments: dict[str, list[tuple[str, str]]] = {}
    roles: dict[str, tuple[str, str]] = {}
    for line, where in sections.get("relations", []):
        name, _, rest = line.strip().partition(" ")
        if name.startswith("<"):  # <OVERLAP> says which entities may overlap
            continue
        parts = [part.strip().partition(":") for part in rest.split(",")]
        named = [(role.rstrip("?*+"), of_role) for role, _, of_role in parts if role and not role.startswith("<")]
        if len(named) != 2 or not all(of_role for _, of_role in named):
            raise ValueError(f"{where}: expected a relation of two, 'type Arg1:A, Arg2:B', got {shown(line)}.")
        roles[name] = (named[0][0], named[1][0])
        heads, tails = (_types_of(of_role, below, macros, where) for _, of_role in named)
        known = arguments.setdefault(name, [])
        known += [pair for pair in product(heads, tails) if pair not in known]
        if any(role == _RELATION_TYPE and "symmetric" in of_role for role, _, of_role in parts):
            symmetric.append(name)
    entities, relations = ({name: TypeName(name, name) for name in names} for names in (kinds, arguments))
    types = CorpusTypes(entities, relations, tuple(dict.fromkeys(symmetric)))
    return BratScheme(Scheme(types, arguments), roles)


def _entity_types(lines: Iterable[str]) -> dict[str, list[str]]:
    """For each type, the types that can be marked and belong to it; itself is not among them where it is a heading."""
    below: dict[str, list[str]] = {}
    above: list[tuple[int, str]] = []
    for line in lines:
        name = line.split()[0].split("|")[0]
        depth = len(line) - len(line.lstrip())
        if set(name) == {"-"}:  # a separator
            continue
        is_heading, name = name.startswith("!"), name.removeprefix("!")
        above = [(other_depth, other) for other_depth, other in above if other_depth < depth]
        below.setdefault(name, [])
        if not is_heading:
            for other in (name, *(other for _, other in above)):
                below[other].append(name)
        above.append((depth, name))
    return below


def _types_of(text: str, below: Mapping[str, Sequence[str]], macros: Mapping[str, str], where: str) -> list[str]:
    """The entity types that an argument may have."""
    found: dict[str, None] = {}
    waiting = text.split("|")
    replaced: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name in macros and name not in replaced:
            replaced.add(name)
            waiting += macros[name].split("|")
        elif name in below:
            found |= dict.fromkeys(below[name])
        elif name != "<EVENT>":
            raise ValueError(f"{where}: expected entity types of this file, got {shown(name)}.")
    return list(found)


def scheme_text(records: Iterable[Mapping[str, Any]]) -> str:
    """An `annotation.conf` that declares the types of records, and the arguments that their relations have.

    brat shows no mark whose type it does not know.
    """
    entities: dict[str, None] = {}
    arguments: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for record in records:
        kinds = [entity["type"] for entity in record["entities"]]
        entities |= dict.fromkeys(kinds)
        for relation in record["relations"]:
            heads, tails = arguments.setdefault(relation["type"], ({}, {}))
            heads[kinds[relation["head"]]] = tails[kinds[relation["tail"]]] = None
    lines = ["[entities]", *sorted(entities), "", "[relations]"]
    for name, sides in sorted(arguments.items()):
        head, tail = ("|".join(sorted(side)) for side in sides)
        symmetric = ", <REL-TYPE>:symmetric-transitive" if name == EQUIVALENCE else ""
        lines.append(f"{name} Arg1:{head}, Arg2:{tail}{symmetric}")
    lines += ["<OVERLAP> Arg1:<ENTITY>, Arg2:<ENTITY>, <OVL-TYPE>:<ANY>", "", "[events]", "", "[attributes]"]
    return "".join(f"{line}\n" for line in lines)
