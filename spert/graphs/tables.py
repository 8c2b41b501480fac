"""Two CSV files as `neo4j-admin database import` takes them: nodes, and relationships between them."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ..files import atomic_file
from .elements import Edge, Node
from .json_text import flat, place_text
from .store import GraphStore

_NODE_PROPERTIES = {
    "name": "name",
    "normalized": "normalized",
    "texts": "texts",
    "count": "count:long",
    "score": "score:double",
    "best_score": "best_score:double",
    "first": "first",
}
_EDGE_PROPERTIES = {
    "count": "count:long",
    "score": "score:double",
    "best_score": "best_score:double",
}

_SPECIAL = re.compile('[",\r\n]')
_LINE_END = "\r\n"
"""As RFC 4180 says; with "\\n", a lone "\\r" would not be quoted."""


def paths_of(path: Path) -> tuple[Path, Path]:
    """The files of nodes and of relationships: `facts_nodes.csv` and `facts_relationships.csv` for `facts.csv`."""
    return path.with_name(f"{path.stem}_nodes.csv"), path.with_name(f"{path.stem}_relationships.csv")


def write(store: GraphStore, path: Path) -> list[str]:
    """Write both files, row by row; neither stands there unless both could be written.

    Raises:
        ValueError: a type holds a semicolon, at which the import would split it.
    """
    for kind, types in zip(("entity", "relation"), store.types()):
        for name in types:
            if ";" in name:
                raise ValueError(
                    f"{path}: expected types that Neo4j's import can read, got the {kind} type {name!r}: it splits "
                    f"labels at semicolons. Rename the type, or write another format."
                )
    of_nodes, of_edges = paths_of(path)
    with atomic_file(of_nodes) as nodes, atomic_file(of_edges) as edges:
        with _opened(nodes) as file:
            writer = csv.writer(file, lineterminator=_LINE_END)
            writer.writerow([":ID", *_NODE_PROPERTIES.values(), ":LABEL"])
            number_of_nodes = 0
            for node in store.nodes():
                writer.writerow([node.key, *_cells(node, _NODE_PROPERTIES), node.type])
                number_of_nodes += 1
        with _opened(edges) as file:
            header = [":START_ID", ":END_ID", ":TYPE", *_EDGE_PROPERTIES.values(), "found"]
            file.write(",".join(header) + _LINE_END)
            number_of_edges = 0
            for edge in store.edges():
                cells = [edge.head, edge.tail, _quoted(edge.relation), *_cells(edge, _EDGE_PROPERTIES)]
                file.write(",".join(map(str, cells)))
                # A cell of any length: places are written one by one.
                separator = ',"['
                for place in edge.places:
                    file.write(separator + place_text(place).replace('"', '""'))
                    separator = ", "
                file.write(f']"{_LINE_END}')
                number_of_edges += 1
    return [f"{of_nodes}: {number_of_nodes} nodes.", f"{of_edges}: {number_of_edges} relationships."]


def _opened(path: Path) -> IO[str]:
    return open(path, "w", encoding="utf-8", newline="")


def _cells(element: Node | Edge, names: Iterable[str]) -> list[str | int | float]:
    return ["" if (value := flat(name, element)) is None else value for name in names]


def _quoted(text: str) -> str:
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if _SPECIAL.search(text) else text
