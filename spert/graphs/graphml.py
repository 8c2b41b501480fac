"""GraphML, as networkx, Gephi, yEd and igraph read it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import escape, quoteattr

from ..files import atomic_writer
from .flat import flat
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


def write(store: GraphStore, path: Path) -> list[str]:
    """Write a graph row by row. Characters that XML does not have become U+FFFD, and are counted."""
    with atomic_writer(path) as file:
        document = _Document(file)
        for node in store.nodes():
            document.element("node", {"id": node.key}, node.attributes())
        for edge in store.edges():
            document.element("edge", {"id": edge.key, "source": edge.head, "target": edge.tail}, edge.attributes())
        document.end()
    lines = [f"{path}: {document.numbers['node']} nodes, {document.numbers['edge']} edges."]
    if document.replaced:
        lines.append(f"{path}: {document.replaced} characters that XML does not have were replaced by U+FFFD.")
    return lines


class _Document:
    """A GraphML document that is written from its start to its end."""

    def __init__(self, file: IO[str]):
        self.replaced = 0
        self.numbers = {"node": 0, "edge": 0}
        self._file = file
        file.write(f'<?xml version="1.0" encoding="utf-8"?>\n<graphml xmlns="{_NAMESPACE}">\n')
        for element, attributes in _KEYS.items():
            for name, kind in attributes.items():
                key = {"id": f"{element}_{name}", "for": element, "attr.name": name, "attr.type": kind}
                file.write(f"  <key{_attributes(key)}/>\n")
        file.write('  <graph edgedefault="directed">\n')

    def element(self, name: str, xml_attributes: Mapping[str, str], attributes: Mapping[str, Any]) -> None:
        """Write a node or an edge with its attributes."""
        self.numbers[name] += 1
        self._file.write(f"    <{name}{_attributes(xml_attributes)}>\n")
        for attribute, value in attributes.items():
            text, replaced = _NOT_XML.subn("\ufffd", str(flat(value)))
            self.replaced += replaced
            # A reader takes a carriage return for a line end, unless it stands there as a reference.
            self._file.write(f'      <data key="{name}_{attribute}">{escape(text, {chr(13): "&#13;"})}</data>\n')
        self._file.write(f"    </{name}>\n")

    def end(self) -> None:
        """Close what is open."""
        self._file.write("  </graph>\n</graphml>\n")


def _attributes(values: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items())
