"""A page to look at a graph: one file that needs no network, to pan, zoom and search.

The picture is vis-network's, as pyvis ships it. Text of a corpus is data of the page, never a part of its markup.
"""

import importlib.util
import json
from itertools import islice
from pathlib import Path
from typing import Any

from ..files import atomic_writer
from .elements import Edge, Node
from .store import GraphStore

PLACES = 20
"""Places of an edge that a page shows; it says how many more there are."""

_TEMPLATE = Path(__file__).with_name("page.html")


def find_library() -> Path:
    """The script of vis-network.

    Raises:
        ModuleNotFoundError: pyvis, which brings it, is not installed.
    """
    about = importlib.util.find_spec("pyvis")
    folders = about.submodule_search_locations if about is not None else None
    scripts = sorted(Path(folders[0]).glob("lib/vis-*/vis-network.min.js")) if folders else []
    if not scripts:
        raise ModuleNotFoundError("A page needs pyvis, which brings vis-network: pip install 'spert[graph]'.")
    return scripts[-1]


def write(store: GraphStore, path: Path, library: Path) -> list[str]:
    """Write a page with every node and edge of a graph, which should not be too many for a browser."""
    nodes = [_node(node) for node in store.nodes()]
    edges = [_edge(edge) for edge in store.edges()]
    data = {
        "about": f"{len(nodes)} entities, {len(edges)} relations. {store.left_out}".strip(),
        "types": store.types()[0],
        "nodes": nodes,
        "edges": edges,
    }
    page = _TEMPLATE.read_text(encoding="utf-8")
    before, middle = page.split("{{data}}")
    middle, after = middle.split("{{library}}")
    with atomic_writer(path) as file:
        # As a JSON escape, "<" can neither end the element nor begin another one.
        for part in (before, json.dumps(data).replace("<", "\\u003c"), middle, _script(library), after):
            file.write(part)
    return [f"{path}: {len(nodes)} nodes, {len(edges)} edges."]


def _script(library: Path) -> str:
    """The library's text, which must not end the element that it stands in."""
    return library.read_text(encoding="utf-8").replace("</script", "<\\/script")


def _node(node: Node) -> dict[str, Any]:
    shown = {name: value for name, value in node.attributes().items() if name not in ("first", "best_score")}
    return {"id": node.key, **shown}


def _edge(edge: Edge) -> dict[str, Any]:
    places = [
        {"sentence": place.text, "where": f"{place.file}, record {place.record}"}
        for place in islice(edge.places, PLACES)
    ]
    shown = {name: value for name, value in edge.attributes().items() if name != "best_score"}
    return {"head": edge.head, "tail": edge.tail, "places": places, **shown}
