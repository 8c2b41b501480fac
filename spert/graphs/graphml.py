"""GraphML, as networkx, Gephi, yEd and igraph read it."""

import re
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape, quoteattr

from ..files import atomic_writer
from .elements import Edge, Node
from .json_text import flat, place_text
from .store import GraphStore

_KEYS = {
    "node": {
        "name": "string",
        "type": "string",
        "normalized": "string",
        "texts": "string",
        "count": "long",
        "score": "double",
        "best_score": "double",
        "first": "string",
    },
    "edge": {"relation": "string", "count": "long", "score": "double", "best_score": "double", "found": "string"},
}
"""The attributes of nodes and edges, and their types. `texts`, `first` and `found` are JSON."""

_NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""

_PLAIN = re.compile("[ !\"#$%'()*+,./0-9:;=?@A-Z\\[\\]^_`a-z{|}~-]*")
"""Text that stands in XML as it is."""


def write(store: GraphStore, path: Path) -> list[str]:
    """Write a graph row by row. Characters that XML does not have become U+FFFD, and are counted."""
    with atomic_writer(path) as file:
        document = _Document(file)
        for node in store.nodes():
            document.node(node)
        for edge in store.edges():
            document.edge(edge)
        document.end()
    lines = [f"{path}: {document.nodes} nodes, {document.edges} edges."]
    if document.replaced:
        lines.append(f"{path}: {document.replaced} characters that XML does not have were replaced by U+FFFD.")
    return lines


class _Document:
    """A GraphML document that is written from its start to its end."""

    def __init__(self, file: IO[str]):
        self.replaced = self.nodes = self.edges = 0
        self._write = file.write
        self._write(f'<?xml version="1.0" encoding="utf-8"?>\n<graphml xmlns="{_NAMESPACE}">\n')
        for element, attributes in _KEYS.items():
            for name, kind in attributes.items():
                key = {"id": f"{element}_{name}", "for": element, "attr.name": name, "attr.type": kind}
                values = "".join(f" {about}={quoteattr(value)}" for about, value in key.items())
                self._write(f"  <key{values}/>\n")
        self._write('  <graph edgedefault="directed">\n')

    def node(self, node: Node) -> None:
        """Write a node with its attributes."""
        self.nodes += 1
        self._write(f'    <node id="{node.key}">\n{self._data("node", node)}    </node>\n')

    def edge(self, edge: Edge) -> None:
        """Write an edge with its attributes."""
        self.edges += 1
        start = f'    <edge id="{edge.key}" source="{edge.head}" target="{edge.tail}">\n'
        self._write(f'{start}{self._data("edge", edge)}      <data key="edge_found">[')
        separator = ""
        for place in edge.places:
            self._write(f"{separator}{self._text(place_text(place))}")
            separator = ", "
        self._write("]</data>\n    </edge>\n")

    def end(self) -> None:
        """Close what is open."""
        self._write("  </graph>\n</graphml>\n")

    def _data(self, kind: str, element: Node | Edge) -> str:
        rows = []
        for name in _KEYS[kind]:
            value = None if name == "found" else flat(name, element)
            if value is not None:
                shown = self._text(value) if isinstance(value, str) else repr(value)
                rows.append(f'      <data key="{kind}_{name}">{shown}</data>\n')
        return "".join(rows)

    def _text(self, text: str) -> str:
        if _PLAIN.fullmatch(text):
            return text
        text, replaced = _NOT_XML.subn("\ufffd", text)
        self.replaced += replaced
        # A reader takes a carriage return for a line end, unless it stands there as a reference.
        return escape(text, {"\r": "&#13;"})
