"""Two CSV files as `neo4j-admin database import` takes them: nodes, and relationships between them."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from ..files import atomic_file
from .flat import flat
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
    "found": "found",
}


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
    numbers = {}
    with atomic_file(of_nodes) as nodes, atomic_file(of_edges) as edges:
        with _opened(nodes) as file:
            header = [":ID", *_NODE_PROPERTIES.values(), ":LABEL"]
            rows = ([node.key, *_cells(node.attributes(), _NODE_PROPERTIES), node.type] for node in store.nodes())
            numbers["nodes"] = _write_rows(file, header, rows)
        with _opened(edges) as file:
            header = [":START_ID", ":END_ID", ":TYPE", *_EDGE_PROPERTIES.values()]
            rows = (
                [edge.head, edge.tail, edge.relation, *_cells(edge.attributes(), _EDGE_PROPERTIES)]
                for edge in store.edges()
            )
            numbers["relationships"] = _write_rows(file, header, rows)
    return [f"{of_nodes}: {numbers['nodes']} nodes.", f"{of_edges}: {numbers['relationships']} relationships."]


def _opened(path: Path) -> IO[str]:
    return open(path, "w", encoding="utf-8", newline="")


def _cells(attributes: Mapping[str, Any], names: Iterable[str]) -> list[str | int | float]:
    return [flat(attributes[name]) if name in attributes else "" for name in names]


def _write_rows(file: IO[str], header: list[str], rows: Iterable[list[Any]]) -> int:
    writer = csv.writer(file, lineterminator="\r\n")  # as RFC 4180 says; with "\n", a lone "\r" is not quoted
    writer.writerow(header)
    number = 0
    for row in rows:
        writer.writerow(row)
        number += 1
    return number
