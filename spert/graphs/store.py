"""Entities merged into nodes and relations into edges, on disk: memory does not grow with what is merged.

The tables lie in a temporary database of SQLite, which the operating system removes with the process.
"""

import json
import re
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..found import Found

MERGES = ("text", "none")
"""`text`: entities of one type and one normalized text are one node. `none`: each entity is a node of its own."""

_BATCH = 2000
"""Results whose counts are put together in memory before they go to the tables."""

_CACHE_KIB = 65_536

_SPACE = re.compile(r"\s+")

_TABLES = """
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY, type TEXT NOT NULL, normalized TEXT NOT NULL, single TEXT NOT NULL,
    count INTEGER NOT NULL, scored INTEGER NOT NULL, total REAL NOT NULL, best REAL, first TEXT NOT NULL,
    UNIQUE (type, normalized, single)
);
CREATE TABLE texts (node INTEGER, text TEXT, count INTEGER, PRIMARY KEY (node, text)) WITHOUT ROWID;
CREATE TABLE edges (
    id INTEGER PRIMARY KEY, head INTEGER NOT NULL, relation TEXT NOT NULL, tail INTEGER NOT NULL,
    count INTEGER NOT NULL, scored INTEGER NOT NULL, total REAL NOT NULL, best REAL,
    UNIQUE (head, relation, tail)
);
CREATE TABLE places (edge INTEGER, place TEXT, sentence TEXT);
"""


def normalized(text: str) -> str:
    r"""The form in which texts of one entity are the same: case, width and spaces do not count.

    The text in Unicode's form NFKC, with cases folded, and with one space for each run of white space.

    >>> normalized("  ADA\n Park "), normalized("Straße"), normalized("ＩＢＭ")
    ('ada park', 'strasse', 'ibm')
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _SPACE.sub(" ", folded).strip()


@dataclass(frozen=True)
class Place:
    """Where a relation was found.

    Args:
        about: as the files have it: `file`, `record` (counted from 0), `id` and `sentence` where there are any, `head`
            and `tail` (half-open ranges of characters of the record's text), `score` where there is one.
        sentence: the sentence's text.
    """

    about: dict[str, Any]
    sentence: str


@dataclass(frozen=True)
class Node:
    """An entity.

    Args:
        number: counted from 1, in the order in which nodes were first found.
        identity: type and normalized text, and what else tells nodes that are not merged apart: file, record and the
            entity's number there. It depends on nothing else that was found.
        name: the text that was found most often; of equally frequent ones, the first in the order of characters.
        normalized: what texts have in common that were merged.
        texts: how often each text was found.
        count: how often the entity was found.
        score: the mean score; `None` where no entity has one.
        best_score: the highest.
        first: where it was first found: as in a `Place`, with `start` and `end`.
    """

    number: int
    identity: tuple[str, ...]
    name: str
    type: str
    normalized: str
    texts: dict[str, int]
    count: int
    score: float | None
    best_score: float | None
    first: dict[str, Any]

    @property
    def key(self) -> str:
        """The node's name in files."""
        return f"n{self.number}"

    def attributes(self) -> dict[str, Any]:
        """What files say about it."""
        return _without_none(
            {
                "name": self.name,
                "type": self.type,
                "normalized": self.normalized,
                "texts": self.texts,
                "count": self.count,
                "score": self.score,
                "best_score": self.best_score,
                "first": self.first,
            }
        )


@dataclass(frozen=True)
class Edge:
    """A relation between two entities.

    Args:
        number: counted from 1, in the order in which edges were first found.
        head_number, head_identity, tail_number, tail_identity: of the nodes that it joins.
        count: how often it was found.
        score: the mean score; `None` where no relation has one.
        best_score: the highest.
        places: where it was found, in order.
    """

    number: int
    head_number: int
    head_identity: tuple[str, ...]
    relation: str
    tail_number: int
    tail_identity: tuple[str, ...]
    count: int
    score: float | None
    best_score: float | None
    places: list[Place]

    @property
    def key(self) -> str:
        """The edge's name in files."""
        return f"e{self.number}"

    @property
    def head(self) -> str:
        """The head's name in files."""
        return f"n{self.head_number}"

    @property
    def tail(self) -> str:
        """The tail's name in files."""
        return f"n{self.tail_number}"

    def attributes(self) -> dict[str, Any]:
        """What files say about it."""
        return _without_none(
            {
                "relation": self.relation,
                "count": self.count,
                "score": self.score,
                "best_score": self.best_score,
                "found": [place.about for place in self.places],
            }
        )


@dataclass
class _Tally:
    """What is counted of a node or an edge."""

    count: int = 0
    scored: int = 0
    total: float = 0.0
    best: float | None = None
    first: str = ""
    texts: Counter[str] = field(default_factory=Counter)
    places: list[tuple[str, str]] = field(default_factory=list)

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
        result = found.result
        source: dict[str, Any] = {"file": found.file, "record": found.record}
        if found.id is not None:
            source["id"] = found.id
        keys: list[_NodeKey] = []
        for number, entity in enumerate(result["entities"]):
            text = result["text"][entity["start"] : entity["end"]]
            single = "" if self._merges else f"{found.file}\0{found.record}\0{number}"
            keys.append((entity["type"], normalized(text), single))
            tally = self._nodes.setdefault(keys[-1], _Tally())
            if not tally.first:
                about = self._about(found, source, entity["start"])
                tally.first = _as_json(about | {"start": entity["start"], "end": entity["end"]})
            tally.add(entity.get("score"))
            tally.texts[text] += 1
        for relation in result["relations"]:
            head, tail = (result["entities"][relation[end]] for end in ("head", "tail"))
            first, last = sorted((head["start"], tail["start"]))
            _, start, _ = found.sentence_of(first)
            _, _, end = found.sentence_of(last)
            about = self._about(found, source, first)
            about |= {"head": [head["start"], head["end"]], "tail": [tail["start"], tail["end"]]}
            if relation.get("score") is not None:
                about["score"] = relation["score"]
            tally = self._edges.setdefault((keys[relation["head"]], relation["type"], keys[relation["tail"]]), _Tally())
            tally.add(relation.get("score"))
            tally.places.append((_as_json(about), result["text"][start:end]))
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
        return tuple(  # type: ignore[return-value]  # it is a pair
            self._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("nodes", "edges")
        )

    def types(self) -> tuple[list[str], list[str]]:
        """The types of entities and of relations, sorted."""
        return (
            [row[0] for row in self._database.execute("SELECT DISTINCT type FROM nodes ORDER BY type")],
            [row[0] for row in self._database.execute("SELECT DISTINCT relation FROM edges ORDER BY relation")],
        )

    def nodes(self) -> Iterator[Node]:
        """Every node, in the order of their numbers."""
        rows = self._database.cursor().execute(
            "SELECT id, type, normalized, single, count, scored, total, best, first FROM nodes ORDER BY id"
        )
        texts_of = "SELECT text, count FROM texts WHERE node = ? ORDER BY count DESC, text"
        for number, kind, form, single, count, scored, total, best, first in rows:
            texts = dict(self._database.execute(texts_of, (number,)))
            mean = total / scored if scored else None
            identity = _identity(kind, form, single)
            yield Node(number, identity, next(iter(texts)), kind, form, texts, count, mean, best, json.loads(first))

    def edges(self) -> Iterator[Edge]:
        """Every edge, in the order of their numbers."""
        rows = self._database.cursor().execute(
            "SELECT edges.id, head, heads.type, heads.normalized, heads.single, relation, tail, tails.type, "
            "tails.normalized, tails.single, edges.count, edges.scored, edges.total, edges.best FROM edges "
            "CROSS JOIN nodes AS heads ON heads.id = head CROSS JOIN nodes AS tails ON tails.id = tail "
            "ORDER BY edges.id"
        )
        places_of = "SELECT place, sentence FROM places WHERE edge = ? ORDER BY rowid"
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
                places=[
                    Place(json.loads(place), sentence)
                    for place, sentence in self._database.execute(places_of, (number,))
                ],
            )

    def _about(self, found: Found, source: dict[str, Any], start: int) -> dict[str, Any]:
        number, _, _ = found.sentence_of(start)
        return source if number is None else source | {"sentence": number}

    def _flush(self) -> None:
        """Put what was counted in memory into the tables."""
        execute = self._database.execute
        execute("BEGIN")
        numbers: dict[_NodeKey, int] = {}
        for key, tally in self._nodes.items():
            row = execute(
                "INSERT INTO nodes (type, normalized, single, count, scored, total, best, first) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count, "
                "scored = scored + excluded.scored, total = total + excluded.total, "
                "best = max(ifnull(best, excluded.best), ifnull(excluded.best, best)) RETURNING id",
                (*key, *tally.row, tally.first),
            )
            (numbers[key],) = row.fetchone()
            self._database.executemany(
                "INSERT INTO texts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                [(numbers[key], text, count) for text, count in tally.texts.items()],
            )
        for (head, relation, tail), tally in self._edges.items():
            ends = (numbers[head], numbers[tail])
            row = execute(
                "INSERT INTO edges (head, relation, tail, count, scored, total, best) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET count = count + excluded.count, scored = scored + excluded.scored, "
                "total = total + excluded.total, "
                "best = max(ifnull(best, excluded.best), ifnull(excluded.best, best)) RETURNING id",
                (*self._directed(relation, *ends), *tally.row),
            )
            (edge,) = row.fetchone()
            self._database.executemany(
                "INSERT INTO places VALUES (?, ?, ?)", [(edge, *place) for place in tally.places]
            )
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


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
