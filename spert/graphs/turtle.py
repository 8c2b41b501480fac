"""RDF in Turtle: entities and facts have IRIs of their own, and every fact says where it was found."""

import hashlib
import json
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from ..files import atomic_writer
from .elements import Edge, Node
from .store import GraphStore

_VOCABULARY = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "prov": "http://www.w3.org/ns/prov#",
    "dcterms": "http://purl.org/dc/terms/",
}


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
    """Write a graph row by row; rdflib writes every IRI and text."""
    with atomic_writer(path) as file:
        writer = _Writer(file, base_iri)
        names: dict[str, int] = {"nodes": 0, "edges": 0}
        for node in store.nodes():
            writer.node(node)
            names["nodes"] += 1
        for edge in store.edges():
            writer.edge(edge)
            names["edges"] += 1
    return [f"{path}: {names['nodes']} entities, {names['edges']} facts, {writer.triples} triples."]


class _Writer:
    def __init__(self, file: IO[str], base_iri: str):
        rdflib = _rdflib()
        self._file, self._base = file, base_iri
        self._literal, self._iri = rdflib.Literal, rdflib.URIRef
        self.triples = 0
        for prefix, iri in {**_VOCABULARY, "spert": f"{base_iri}vocabulary/"}.items():
            file.write(f"@prefix {prefix}: {self._iri(iri).n3()} .\n")

    def node(self, node: Node) -> None:
        """An entity: its type, names, counts and the place where it was first found."""
        first = node.first
        rows = [
            ("a", self._name("type", node.type)),
            ("rdfs:label", self._text(node.name)),
            *(("skos:altLabel", self._text(text)) for text in node.texts if text != node.name),
            ("spert:count", str(node.count)),
            *self._scores(node.score, node.best_score),
            ("prov:wasDerivedFrom", self._record(first)),
        ]
        self._describe(self._name("entity", *node.identity), rows)

    def edge(self, edge: Edge) -> None:
        """A fact: the triple itself, and a statement about it with counts and a place for each time it was found."""
        head, tail = self._name("entity", *edge.head_identity), self._name("entity", *edge.tail_identity)
        relation = self._name("relation", edge.relation)
        self._describe(head, [(relation, tail)])
        fact = _digest([edge.head_identity, edge.relation, edge.tail_identity])
        places = [self._name("fact", fact, _digest(place.about)) for place in edge.places]
        rows = [
            ("a", "rdf:Statement"),
            ("rdf:subject", head),
            ("rdf:predicate", relation),
            ("rdf:object", tail),
            ("spert:count", str(edge.count)),
            *self._scores(edge.score, edge.best_score),
            *(("spert:foundAt", place) for place in places),
        ]
        self._describe(self._name("fact", fact), rows)
        for name, place in zip(places, edge.places):
            about = place.about
            rows = [
                ("prov:wasDerivedFrom", self._record(about)),
                ("spert:file", self._text(about["file"])),
                ("spert:record", str(about["record"])),
            ]
            if "id" in about:
                rows.append(("dcterms:identifier", self._text(about["id"])))
            if "sentence" in about:
                rows.append(("spert:sentence", str(about["sentence"])))
            for end in ("head", "tail"):
                start, last = about[end]
                rows += [(f"spert:{end}Start", str(start)), (f"spert:{end}End", str(last))]
            rows += self._scores(about.get("score"), None)
            self._describe(name, rows)

    def _describe(self, subject: str, rows: list[tuple[str, str]]) -> None:
        self.triples += len(rows)
        self._file.write(
            f"\n{subject} " + " ;\n    ".join(f"{predicate} {value}" for predicate, value in rows) + " .\n"
        )

    def _record(self, about: dict[str, Any]) -> str:
        return self._name("record", about["file"], str(about["record"]))

    def _name(self, *parts: str) -> str:
        """The IRI of something: its parts are percent-encoded, so that any text gives a valid one."""
        iri: str = self._iri(self._base + "/".join(quote(part, safe="") for part in parts)).n3()
        return iri

    def _text(self, text: str) -> str:
        literal: str = self._literal(text).n3()
        return literal

    def _scores(self, score: float | None, best: float | None) -> list[tuple[str, str]]:
        rows = (("spert:score", score), ("spert:bestScore", best))
        return [(name, _double(value)) for name, value in rows if value is not None]


def _double(value: float) -> str:
    """A number as Turtle writes doubles, which have an exponent."""
    return repr(value) if "e" in repr(value) else f"{value!r}e0"


def _digest(value: Any) -> str:
    """A name for what has too many parts for a readable one: the same in every graph."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _rdflib() -> Any:
    try:
        import rdflib
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Turtle needs rdflib: pip install 'spert[graph]'.") from error
    return rdflib
