"""Graphs of what was found: entities merged into nodes, relations into edges, in the formats that graph tools read.

`store.py` merges, on disk; each format has a file that writes what the store holds, row by row.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..found import Found
from .elements import Edge, Node, Place
from .store import GraphStore, normalized

if TYPE_CHECKING:
    from networkx import MultiDiGraph

__all__ = ["FORMATS", "Edge", "GraphStore", "Node", "Place", "graph_of", "normalized", "store_of", "write_graph"]

FORMATS = {
    ".graphml": "GraphML",
    ".ttl": "Turtle (RDF)",
    ".csv": "two tables for Neo4j's import",
    ".html": "a page to look at",
    ".json": "networkx's node-link JSON",
}
"""Endings of graphs' files."""

PAGE_NODES = 500
"""Nodes of a page, unless another number is asked for: a browser lays out hardly more."""

BASE_IRI = "https://example.org/"


def store_of(
    found: Iterable[Found], *, merge: str = "text", symmetric: Sequence[str] = (), keep_sentences: bool = True
) -> GraphStore:
    """Merge results; see [`GraphStore`], which has to be closed."""
    store = GraphStore(merge=merge, symmetric=symmetric, keep_sentences=keep_sentences)
    try:
        for one in found:
            store.add(one.result, file=one.file, record=one.record, identifier=one.id)
        store.finish()
    except BaseException:
        store.close()
        raise
    return store


def write_graph(store: GraphStore, path: Path, *, base_iri: str = BASE_IRI) -> list[str]:
    """Write a graph in the format of the path's ending, whole or not at all.

    Returns:
        What a user has to know about it, a line each: the files that were written, and what they could not hold.

    Raises:
        ValueError: the ending is unknown, or the format cannot hold a type.
    """
    return writer_of(path, path.suffix, base_iri)(store)


def writer_of(path: Path, ending: str, base_iri: str = BASE_IRI) -> Callable[[GraphStore], list[str]]:
    """What writes a graph to a path, in a format out of `FORMATS`. Nothing is read or written yet.

    Raises:
        ValueError: the format is unknown, or the base IRI is none.
        ModuleNotFoundError: a library that the format needs is missing.
    """
    if ending not in FORMATS:
        raise ValueError(f"{path}: expected a format out of {', '.join(FORMATS)}, got {ending!r}.")
    if ending == ".ttl":
        from . import turtle

        turtle.check_base(base_iri)
        return lambda store: turtle.write(store, path, base_iri)
    if ending == ".html":
        from . import page

        library = page.find_library()
        return lambda store: page.write(store, path, library)
    from . import graphml, node_link, tables

    writers = {".graphml": graphml.write, ".csv": tables.write, ".json": node_link.write}
    return lambda store: writers[ending](store, path)


def graph_of(store: GraphStore) -> "MultiDiGraph":
    """The graph as networkx has it, in memory: nodes and edges with the attributes that the files have.

    Raises:
        ModuleNotFoundError: networkx is not installed.
    """
    try:
        import networkx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("A graph in memory needs networkx: pip install 'spert[graph]'.") from error
    graph: Any = networkx.MultiDiGraph()
    for node in store.nodes():
        graph.add_node(node.key, **node.attributes())
    for edge in store.edges():
        places = [place.about for place in edge.places]
        graph.add_edge(edge.head, edge.tail, key=edge.key, **edge.attributes(), found=places)
    return graph
