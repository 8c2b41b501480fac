"""JSON as `networkx.node_link_graph` reads it, and D3 and Cytoscape with few words."""

from pathlib import Path
from typing import IO

from ..files import atomic_writer
from .json_text import edge_text, node_text, place_text
from .store import GraphStore


def write(store: GraphStore, path: Path) -> list[str]:
    """Write a graph row by row."""
    with atomic_writer(path) as file:
        nodes, edges = write_rows(store, file)
    return [f"{path}: {nodes} nodes, {edges} edges."]


def write_rows(store: GraphStore, file: IO[str]) -> tuple[int, int]:
    """Write a graph into an open file; how many nodes and edges there are."""
    nodes = edges = 0
    file.write('{"directed": true, "multigraph": true, "graph": {},\n"nodes": [')
    for node in store.nodes():
        row = node_text(node)
        file.write(f",\n{row}" if nodes else f"\n{row}")
        nodes += 1
    file.write('],\n"edges": [')
    for edge in store.edges():
        row = edge_text(edge)
        file.write(f",\n{row}" if edges else f"\n{row}")
        separator = ', "found": ['
        for place in edge.places:
            file.write(separator + place_text(place))
            separator = ", "
        file.write("]}")
        edges += 1
    file.write("]}\n")
    return nodes, edges
