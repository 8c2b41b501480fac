"""RDF in Turtle: entities and facts have IRIs of their own, and every fact says where it was found."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from ..files import atomic_writer
from .elements import Edge, Node, Place
from .json_text import place_text
from .store import GraphStore

_VOCABULARY = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "prov": "http://www.w3.org/ns/prov#",
    "dcterms": "http://purl.org/dc/terms/",
}

_PLAIN = re.compile("[ !#-\\[\\]-~]*")
"""Text that stands in a literal as it is; rdflib writes every other one."""


def check_base(base_iri: str) -> None:
    """*Raises* `ValueError` where a base IRI is none, and `ModuleNotFoundError` where rdflib is missing."""
    _rdflib()
    parts = urlsplit(base_iri)
    allowed = "-._~:/?#[]@!$&'()*+,;=%"
    is_iri = parts.scheme and (parts.netloc or parts.path) and quote(base_iri, safe=allowed) == base_iri
    if not is_iri or not base_iri.endswith(("/", "#", ":")):
        raise ValueError(
            f"--base-iri: expected an absolute IRI in ASCII that ends in '/', '#' or ':', such as "
            f"https://example.org/facts/, got {base_iri!r}."
        )


def write(store: GraphStore, path: Path, base_iri: str) -> list[str]:
    """Write a graph row by row."""
    nodes = edges = 0
    with atomic_writer(path) as file:
        writer = _Writer(file, base_iri)
        for node in store.nodes():
            writer.node(node)
            nodes += 1
        for edge in store.edges(with_identities=True):
            writer.edge(edge)
            edges += 1
    return [f"{path}: {nodes} entities, {edges} facts, {writer.triples} triples."]


class _Writer:
    def __init__(self, file: IO[str], base_iri: str):
        rdflib = _rdflib()
        self._file, self._base = file, base_iri
        self._literal = rdflib.Literal
        self._name = lru_cache(maxsize=100_000)(self._make_name)
        self.triples = 0
        for prefix, iri in {**_VOCABULARY, "spert": f"{base_iri}vocabulary/"}.items():
            file.write(f"@prefix {prefix}: {rdflib.URIRef(iri).n3()} .\n")

    def node(self, node: Node) -> None:
        """An entity: its type, names, counts and the place where it was first found."""
        first = node.first
        rows = [
            f"a {self._name('type', node.type)}",
            f"rdfs:label {self._text(node.name)}",
            *(f"skos:altLabel {self._text(text)}" for text in node.texts if text != node.name),
            f"spert:count {node.count}",
            *self._scores(node.score, node.best_score),
            f"prov:wasDerivedFrom {self._record(first.file, first.record)}",
        ]
        self._describe(self._name("entity", *node.identity), rows)

    def edge(self, edge: Edge) -> None:
        """A fact: the triple itself, and a statement about it with counts and a place for each time it was found."""
        head, tail = self._name("entity", *edge.head_identity), self._name("entity", *edge.tail_identity)
        relation = self._name("relation", edge.relation)
        self._describe(head, [f"{relation} {tail}"])
        digest = _digest(ascii((edge.head_identity, edge.relation, edge.tail_identity)))
        fact = f"<{self._base}fact/{digest}>"
        rows = [
            "a rdf:Statement",
            f"rdf:subject {head}",
            f"rdf:predicate {relation}",
            f"rdf:object {tail}",
            f"spert:count {edge.count}",
            *self._scores(edge.score, edge.best_score),
        ]
        self._describe(fact, rows)
        for place in edge.places:
            self._place(place, fact, f"<{self._base}fact/{digest}/{_digest(place_text(place))}>")

    def _place(self, place: Place, fact: str, name: str) -> None:
        rows = [
            f"prov:wasDerivedFrom {self._record(place.file, place.record)}",
            f"spert:file {self._text(place.file)}",
            f"spert:record {place.record}",
        ]
        if place.id is not None:
            rows.append(f"dcterms:identifier {self._text(place.id)}")
        if place.sentence is not None:
            rows.append(f"spert:sentence {place.sentence}")
        rows += [
            f"spert:headStart {place.head_start}",
            f"spert:headEnd {place.head_end}",
            f"spert:tailStart {place.tail_start}",
            f"spert:tailEnd {place.tail_end}",
            *self._scores(place.score, None),
        ]
        self._describe(fact, [f"spert:foundAt {name}"])
        self._describe(name, rows)

    def _describe(self, subject: str, rows: list[str]) -> None:
        self.triples += len(rows)
        self._file.write(f"\n{subject} " + " ;\n    ".join(rows) + " .\n")

    def _record(self, file: str, record: int) -> str:
        return f"{self._name('record', file)[:-1]}/{record}>"

    def _make_name(self, *parts: str) -> str:
        """The IRI of something: its parts are percent-encoded, so that any text gives a valid one."""
        return f"<{self._base}{'/'.join(quote(part, safe='') for part in parts)}>"

    def _text(self, text: str) -> str:
        if _PLAIN.fullmatch(text):
            return f'"{text}"'
        literal: str = self._literal(text).n3()
        return literal

    def _scores(self, score: float | None, best: float | None) -> list[str]:
        rows = (("spert:score", score), ("spert:bestScore", best))
        return [f"{name} {_double(value)}" for name, value in rows if value is not None]


def _double(value: float) -> str:
    """A number as Turtle writes doubles, which have an exponent."""
    return repr(value) if "e" in repr(value) else f"{value!r}e0"


def _digest(text: str) -> str:
    """A name for what has too many parts for a readable one: the same in every graph."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rdflib() -> Any:
    try:
        import rdflib
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Turtle needs rdflib: pip install 'spert[graph]'.") from error
    return rdflib
