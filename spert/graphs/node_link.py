"""JSON as `networkx.node_link_graph` reads it, and D3 and Cytoscape with few words."""

import json
from pathlib import Path

from ..files import atomic_writer
from .store import GraphStore


def write(store: GraphStore, path: Path) -> list[str]:
    """Write a graph row by row."""
    numbers = {"nodes": 0, "edges": 0}
    with atomic_writer(path) as file:
        file.write('{"directed": true, "multigraph": true, "graph": {},\n"nodes": [')
        for node in store.nodes():
            row = {"id": node.key, **node.attributes()}
            file.write((",\n" if numbers["nodes"] else "\n") + json.dumps(row, ensure_ascii=False))
            numbers["nodes"] += 1
        file.write('],\n"edges": [')
        for edge in store.edges():
            row = {"source": edge.head, "target": edge.tail, "key": edge.key, **edge.attributes()}
            file.write((",\n" if numbers["edges"] else "\n") + json.dumps(row, ensure_ascii=False))
            numbers["edges"] += 1
        file.write("]}\n")
    return [f"{path}: {numbers['nodes']} nodes, {numbers['edges']} edges."]
