"""Entities merged into nodes and relations into edges, on disk: memory does not grow with what is merged.

The tables lie in a temporary database of SQLite, which the operating system removes with the process.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..found import Found
from .elements import Edge, Node, Place, without_none

MERGES = ("text", "none")
"""`text`: entities of one type and one normalized text are one node. `none`: each entity is a node of its own."""

_BATCH = 5000
"""Results whose counts are put together in memory before they go to the tables."""

_CACHE_KIB = 65_536

_SPACE = re.compile(r"\s+")

_TABLES = """
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY, type TEXT NOT NULL, normalized TEXT NOT NULL, single TEXT NOT NULL,
    count INTEGER NOT NULL, scored INTEGER NOT NULL, total REAL NOT NULL, best REAL,
    file INTEGER, record INTEGER, record_id TEXT, sentence INTEGER, start INTEGER, end INTEGER,
    UNIQUE (type, normalized, single)
);
CREATE TABLE texts (node INTEGER, text TEXT, count INTEGER, PRIMARY KEY (node, text)) WITHOUT ROWID;
CREATE TABLE edges (
    id INTEGER PRIMARY KEY, head INTEGER NOT NULL, relation TEXT NOT NULL, tail INTEGER NOT NULL,
    count INTEGER NOT NULL, scored INTEGER NOT NULL, total REAL NOT NULL, best REAL,
    UNIQUE (head, relation, tail)
);
CREATE TABLE places (
    edge INTEGER, file INTEGER, record INTEGER, record_id TEXT, sentence INTEGER, head_start INTEGER, head_end INTEGER,
    tail_start INTEGER, tail_end INTEGER, score REAL, text TEXT
);
"""

_COUNTED = (
    "ON CONFLICT DO UPDATE SET count = count + excluded.count, scored = scored + excluded.scored, "
    "total = total + excluded.total, best = max(ifnull(best, excluded.best), ifnull(excluded.best, best)) RETURNING id"
)
_ADD_NODE = (
    "INSERT INTO nodes (type, normalized, single, count, scored, total, best, file, record, record_id, sentence, "
    f"start, end) VALUES ({', '.join('?' * 13)}) {_COUNTED}"
)
_ADD_TEXT = "INSERT INTO texts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
_ADD_EDGE = (
    f"INSERT INTO edges (head, relation, tail, count, scored, total, best) VALUES ({', '.join('?' * 7)}) {_COUNTED}"
)
_ADD_PLACE = f"INSERT INTO places VALUES ({', '.join('?' * 11)})"


def normalized(text: str) -> str:
    r"""The form in which texts of one entity are the same: case, width and spaces do not count.

    The text in Unicode's form NFKC, with cases folded, and with one space for each run of white space.

    >>> normalized("  ADA\n Park "), normalized("Straße"), normalized("ＩＢＭ")
    ('ada park', 'strasse', 'ibm')
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SPACE.sub(" ", folded).strip()


@dataclass(slots=True)
class _Tally:
    """What is counted of a node or an edge."""

    count: int = 0
    scored: int = 0
    total: float = 0.0
    best: float | None = None
    texts: dict[str, int] = field(default_factory=dict)
    first: tuple[Any, ...] = ()
    places: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, score: float | None) -> None:
        self.count += 1
        if score is not None:
            self.scored += 1
            self.total += score
            self.best = score if self.best is None else max(score, self.best)

    @property
    def row(self) -> tuple[Any, ...]:
        return self.count, self.scored, self.total, self.best


_NodeKey = tuple[str, str, str]


class GraphStore:
    """Merges results into a graph.

    Args:
        merge: one of `MERGES`.
        symmetric: relations without a direction; both directions of such a relation between two nodes are one edge,
            whose head is the node that was found first.

    Raises:
        ValueError: `merge` is another.
    """

    def __init__(self, *, merge: str = "text", symmetric: Sequence[str] = ()):
        if merge not in MERGES:
            raise ValueError(f"GraphStore: expected merge to be one of {', '.join(MERGES)}, got {merge!r}.")
        self._merges = merge == "text"
        self._symmetric = frozenset(symmetric)
        self._database = sqlite3.connect("", isolation_level=None, cached_statements=64)  # a temporary file
        for setting in (f"cache_size = -{_CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.executescript(_TABLES)
        self._nodes: dict[_NodeKey, _Tally] = {}
        self._edges: dict[tuple[_NodeKey, str, _NodeKey], _Tally] = {}
        self._files: dict[str, int] = {}
        self._waiting = 0
        self.left_out = ""
        """What is not in the graph, for people."""

    def __enter__(self) -> "GraphStore":
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the tables."""
        self._database.close()

    def add(self, found: Found) -> None:
        """Add the entities and relations of a result."""
        result, identifier = found.result, found.id
        file = self._files.setdefault(found.file, len(self._files))
        keys: list[_NodeKey] = []
        for number, entity in enumerate(result["entities"]):
            start, end = entity["start"], entity["end"]
            text = result["text"][start:end]
            single = "" if self._merges else f"{found.file}\0{found.record}\0{number}"
            key = (entity["type"], normalized(text), single)
            keys.append(key)
            tally = self._nodes.get(key)
            if tally is None:
                sentence, _, _ = found.sentence_of(start)
                tally = self._nodes[key] = _Tally(first=(file, found.record, identifier, sentence, start, end))
            tally.add(entity.get("score"))
            tally.texts[text] = tally.texts.get(text, 0) + 1
        for relation in result["relations"]:
            head, tail = (result["entities"][relation[end]] for end in ("head", "tail"))
            first, last = sorted((head["start"], tail["start"]))
            sentence, begin, _ = found.sentence_of(first)
            _, _, stop = found.sentence_of(last)
            score = relation.get("score")
            edge = (keys[relation["head"]], relation["type"], keys[relation["tail"]])
            tally = self._edges.get(edge)
            if tally is None:
                tally = self._edges[edge] = _Tally()
            tally.add(score)
            spans = (head["start"], head["end"], tail["start"], tail["end"])
            text = result["text"][begin:stop]
            tally.places.append((file, found.record, identifier, sentence, *spans, score, text))
        self._waiting += 1
        if self._waiting == _BATCH:
            self._flush()

    def finish(self) -> None:
        """Every result was added."""
        self._flush()
        self._database.execute("CREATE INDEX places_of ON places (edge)")

    def keep_most_frequent(self, number: int) -> None:
        """Keep the nodes that were found most often, and of equally frequent ones the first, with the edges between.

        `left_out` then says what is gone.
        """
        execute = self._database.execute
        before = self.counts()
        execute("DELETE FROM nodes WHERE id NOT IN (SELECT id FROM nodes ORDER BY count DESC, id LIMIT ?)", (number,))
        execute("DELETE FROM edges WHERE head NOT IN (SELECT id FROM nodes) OR tail NOT IN (SELECT id FROM nodes)")
        after = self.counts()
        gone = [first - second for first, second in zip(before, after)]
        if gone[0]:
            self.left_out = (
                f"Left out: {gone[0]} entities that were found less often than these {after[0]}, and {gone[1]} "
                f"relations of theirs."
            )

    def counts(self) -> tuple[int, int]:
        """How many nodes and edges there are."""
        nodes, edges = (
            self._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("nodes", "edges")
        )
        return nodes, edges

    def types(self) -> tuple[list[str], list[str]]:
        """The types of entities and of relations, sorted."""
        return (
            [row[0] for row in self._database.execute("SELECT DISTINCT type FROM nodes ORDER BY type")],
            [row[0] for row in self._database.execute("SELECT DISTINCT relation FROM edges ORDER BY relation")],
        )

    def nodes(self) -> Iterator[Node]:
        """Every node, in the order of their numbers."""
        files = list(self._files)
        rows = self._database.cursor().execute(
            "SELECT id, type, normalized, single, count, scored, total, best, file, record, record_id, sentence, "
            "start, end FROM nodes ORDER BY id"
        )
        texts_of = "SELECT text, count FROM texts WHERE node = ? ORDER BY count DESC, text"
        for number, kind, form, single, count, scored, total, best, file, *record, start, end in rows:
            texts = dict(self._database.execute(texts_of, (number,)))
            yield Node(
                number=number,
                identity=_identity(kind, form, single),
                name=next(iter(texts)),
                type=kind,
                normalized=form,
                texts=texts,
                count=count,
                score=total / scored if scored else None,
                best_score=best,
                first=_about(files[file], *record) | {"start": start, "end": end},
            )

    def edges(self) -> Iterator[Edge]:
        """Every edge, in the order of their numbers."""
        rows = self._database.cursor().execute(
            "SELECT edges.id, head, heads.type, heads.normalized, heads.single, relation, tail, tails.type, "
            "tails.normalized, tails.single, edges.count, edges.scored, edges.total, edges.best FROM edges "
            "CROSS JOIN nodes AS heads ON heads.id = head CROSS JOIN nodes AS tails ON tails.id = tail "
            "ORDER BY edges.id"
        )
        for number, *ends, count, scored, total, best in rows:
            head, head_type, head_form, head_single, relation, tail, tail_type, tail_form, tail_single = ends
            yield Edge(
                number=number,
                head_number=head,
                head_identity=_identity(head_type, head_form, head_single),
                relation=relation,
                tail_number=tail,
                tail_identity=_identity(tail_type, tail_form, tail_single),
                count=count,
                score=total / scored if scored else None,
                best_score=best,
                places=self._places_of(number),
            )

    def _places_of(self, edge: int) -> list[Place]:
        files = list(self._files)
        rows = self._database.execute(
            "SELECT file, record, record_id, sentence, head_start, head_end, tail_start, tail_end, score, text "
            "FROM places WHERE edge = ? ORDER BY rowid",
            (edge,),
        )
        places = []
        for file, record, identifier, sentence, head_start, head_end, tail_start, tail_end, score, text in rows:
            about = _about(files[file], record, identifier, sentence)
            about |= {"head": [head_start, head_end], "tail": [tail_start, tail_end]}
            places.append(Place(about if score is None else about | {"score": score}, text))
        return places

    def _flush(self) -> None:
        """Put what was counted in memory into the tables."""
        execute = self._database.execute
        execute("BEGIN")
        numbers: dict[_NodeKey, int] = {}
        texts: list[tuple[int, str, int]] = []
        for key, tally in self._nodes.items():
            (number,) = execute(_ADD_NODE, (*key, *tally.row, *tally.first)).fetchone()
            numbers[key] = number
            texts += [(number, text, count) for text, count in tally.texts.items()]
        self._database.executemany(_ADD_TEXT, texts)
        places: list[tuple[Any, ...]] = []
        for (head, relation, tail), tally in self._edges.items():
            ends = self._directed(relation, numbers[head], numbers[tail])
            (number,) = execute(_ADD_EDGE, (*ends, *tally.row)).fetchone()
            places += [(number, *place) for place in tally.places]
        self._database.executemany(_ADD_PLACE, places)
        execute("COMMIT")
        self._nodes.clear()
        self._edges.clear()
        self._waiting = 0

    def _directed(self, relation: str, head: int, tail: int) -> tuple[int, str, int]:
        if relation in self._symmetric and tail < head:
            head, tail = tail, head
        return head, relation, tail


def _identity(kind: str, form: str, single: str) -> tuple[str, ...]:
    return (kind, form, *single.split("\0")) if single else (kind, form)


def _about(file: str, record: int, identifier: str | None, sentence: int | None) -> dict[str, Any]:
    """What files say about a place."""
    return {"file": file, "record": record} | without_none({"id": identifier, "sentence": sentence})
