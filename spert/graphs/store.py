"""Entities merged into nodes and relations into edges, on disk: memory does not grow with what is merged.

The tables lie in a temporary database of SQLite, which the operating system removes with the process. A small graph
never leaves the memory. `spert graph` and the page of `spert demo` both merge here.
"""

import sqlite3
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from .elements import Edge, Mention, Node, Place

MERGES = ("text", "none")
"""`text`: entities of one type and one normalized text are one node. `none`: each entity is a node of its own."""

AT_ONCE = 1000
"""Places of one edge that are held in memory; those of an edge with more are read one by one."""

_BATCH = 5000
"""Results whose entities are put together in memory before they go to the tables."""

_CACHE_KIB = 65_536

_TABLES = """
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY, type TEXT NOT NULL, normalized TEXT NOT NULL, single TEXT NOT NULL,
    count INTEGER NOT NULL, scored INTEGER NOT NULL, total REAL NOT NULL, best REAL,
    file INTEGER, record INTEGER, record_id TEXT, sentence INTEGER, start INTEGER, end INTEGER,
    UNIQUE (type, normalized, single)
);
CREATE TABLE texts (node INTEGER, text TEXT, count INTEGER, PRIMARY KEY (node, text)) WITHOUT ROWID;
CREATE TABLE found (
    head INTEGER, relation INTEGER, tail INTEGER, file INTEGER, record INTEGER, record_id TEXT, sentence INTEGER,
    head_start INTEGER, head_end INTEGER, tail_start INTEGER, tail_end INTEGER, score REAL, text TEXT
);
CREATE TABLE places (first INTEGER, place INTEGER, PRIMARY KEY (first, place)) WITHOUT ROWID;
CREATE TABLE edges (
    id INTEGER PRIMARY KEY, first INTEGER, head INTEGER, relation INTEGER, tail INTEGER, count INTEGER, scored INTEGER,
    total REAL, best REAL
);
"""

_ADD_NODE = (
    "INSERT INTO nodes (type, normalized, single, count, scored, total, best, file, record, record_id, sentence, "
    f"start, end) VALUES ({', '.join('?' * 13)}) "
    "ON CONFLICT DO UPDATE SET count = count + excluded.count, scored = scored + excluded.scored, "
    "total = total + excluded.total, best = max(ifnull(best, excluded.best), ifnull(excluded.best, best)) RETURNING id"
)
_ADD_TEXT = "INSERT INTO texts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
_ADD_FOUND = f"INSERT INTO found VALUES ({', '.join('?' * 13)})"

# The places of an edge stand together, and edges in the order of their first places: two sorts, of which SQLite writes
# to disk what does not fit into its cache. An index on edges would be read at random for each place instead.
_SORT_PLACES = (
    "INSERT INTO places SELECT min(rowid) OVER (PARTITION BY head, relation, tail) AS first, rowid AS place "
    "FROM found ORDER BY first, place"
)
_MAKE_EDGES = (
    "INSERT INTO edges (first, head, relation, tail, count, scored, total, best) "
    "SELECT first, head, relation, tail, count(*), count(score), total(score), max(score) "
    "FROM places CROSS JOIN found ON found.rowid = place GROUP BY first ORDER BY first"
)
_READ_PLACES = (
    "SELECT file, record, record_id, sentence, head_start, head_end, tail_start, tail_end, score, text "
    "FROM places CROSS JOIN found ON found.rowid = place {} ORDER BY first, place"
)


def normalized(text: str) -> str:
    r"""The form in which texts of one entity are the same: case, width and spaces do not count.

    The text in Unicode's form NFKC, with cases folded, and with one space for each run of white space.

    >>> normalized("  ADA\n Park "), normalized("Straße"), normalized("ＩＢＭ")
    ('ada park', 'strasse', 'ibm')
    """
    if text.isascii():  # is in that form already
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def sentence_of(result: Mapping[str, Any], start: int) -> tuple[int | None, int, int]:
    """The sentence that a character is in: its number, and its half-open range of characters.

    Where a result has no sentences (its words came split), the whole text is one, and has no number.
    """
    for number, (first, last) in enumerate(result.get("sentences") or ()):
        if first <= start < last:
            return number, first, last
    return None, 0, len(result["text"])


class _Tally:
    """What is counted of a node in a batch.

    Args:
        first: where it was first found: file, record, its id, sentence, start and end.
    """

    __slots__ = ("best", "count", "first", "number", "scored", "texts", "total")

    def __init__(self, first: tuple[Any, ...]):
        self.count = self.scored = self.number = 0
        self.total, self.best = 0.0, None
        self.texts: dict[str, int] = {}
        self.first = first


_NodeKey = tuple[str, str, str]


class GraphStore:
    """Merges results into a graph.

    Args:
        merge: one of `MERGES`.
        symmetric: relations without a direction; both directions of such a relation between two nodes are one edge,
            whose head is the node that was found first.
        keep_sentences: whether a place has its sentence's text.

    Raises:
        ValueError: `merge` is another.
    """

    def __init__(self, *, merge: str = "text", symmetric: Sequence[str] = (), keep_sentences: bool = True):
        if merge not in MERGES:
            raise ValueError(f"GraphStore: expected merge to be one of {', '.join(MERGES)}, got {merge!r}.")
        self._merges = merge == "text"
        self._symmetric = frozenset(symmetric)
        self._keeps_sentences = keep_sentences
        self._database = sqlite3.connect("", isolation_level=None, cached_statements=64)  # a temporary file
        for setting in (f"cache_size = -{_CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.executescript(_TABLES)
        self._nodes: dict[_NodeKey, _Tally] = {}
        self._found: list[tuple[Any, ...]] = []
        self._files: dict[str, int] = {}
        self._relations: dict[str, int] = {}
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

    def add(self, result: Mapping[str, Any], *, file: str, record: int, identifier: str | None = None) -> None:
        """Add the entities and relations of a result.

        Args:
            result: a dictionary of the README's form; scores and sentences may be missing.
            file, record, identifier: where it is from: see `Place`.
        """
        file_number = self._files.setdefault(file, len(self._files))
        text, entities, nodes = result["text"], result["entities"], self._nodes
        tallies: list[_Tally] = []
        for number, entity in enumerate(entities):
            start, end = entity["start"], entity["end"]
            name = text[start:end]
            key = (entity["type"], normalized(name), "" if self._merges else f"{file}\0{record}\0{number}")
            tally = nodes.get(key)
            if tally is None:
                sentence, _, _ = sentence_of(result, start)
                tally = nodes[key] = _Tally((file_number, record, identifier, sentence, start, end))
            tally.count += 1
            score = entity.get("score")
            if score is not None:
                tally.scored += 1
                tally.total += score
                if tally.best is None or score > tally.best:
                    tally.best = score
            tally.texts[name] = tally.texts.get(name, 0) + 1
            tallies.append(tally)
        for relation in result["relations"]:
            head, tail = entities[relation["head"]], entities[relation["tail"]]
            first, last = head["start"], tail["start"]
            if last < first:
                first, last = last, first
            sentence, begin, stop = sentence_of(result, first)
            sentence_text = None
            if self._keeps_sentences:
                sentence_text = text[begin : stop if last < stop else sentence_of(result, last)[2]]
            kind = relation["type"]
            self._found.append(
                (
                    tallies[relation["head"]],
                    self._relations.setdefault(kind, len(self._relations)),
                    tallies[relation["tail"]],
                    kind in self._symmetric,
                    (file_number, record, identifier, sentence),
                    (head["start"], head["end"]),
                    (tail["start"], tail["end"]),
                    relation.get("score"),
                    sentence_text,
                )
            )
        self._waiting += 1
        if self._waiting == _BATCH:
            self._flush()

    def finish(self) -> None:
        """Every result was added: make edges of the relations."""
        self._flush()
        self._database.execute(_SORT_PLACES)
        self._database.execute(_MAKE_EDGES)

    def keep_most_frequent(self, number: int) -> None:
        """Keep the nodes that were found most often, and of equally frequent ones the first, with the edges between.

        `left_out` then says what is gone.
        """
        execute = self._database.execute
        before = self.counts()
        execute("DELETE FROM nodes WHERE id NOT IN (SELECT id FROM nodes ORDER BY count DESC, id LIMIT ?)", (number,))
        execute("DELETE FROM edges WHERE head NOT IN (SELECT id FROM nodes) OR tail NOT IN (SELECT id FROM nodes)")
        execute("DELETE FROM places WHERE first NOT IN (SELECT first FROM edges)")
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
        relations = list(self._relations)
        return (
            [row[0] for row in self._database.execute("SELECT DISTINCT type FROM nodes ORDER BY type")],
            sorted(relations[row[0]] for row in self._database.execute("SELECT DISTINCT relation FROM edges")),
        )

    def nodes(self) -> Iterator[Node]:
        """Every node, in the order of their numbers."""
        files = list(self._files)
        rows = self._database.cursor().execute(
            "SELECT id, type, normalized, single, count, scored, total, best, file, record, record_id, sentence, "
            "start, end FROM nodes ORDER BY id"
        )
        texts_of = "SELECT text, count FROM texts WHERE node = ? ORDER BY count DESC, text"
        for number, kind, form, single, count, scored, total, best, file, *where in rows:
            texts = dict(self._database.execute(texts_of, (number,)))
            mean = total / scored if scored else None
            first = Mention(files[file], *where)
            yield Node(
                number, _identity(kind, form, single), next(iter(texts)), kind, form, texts, count, mean, best, first
            )

    def edges(self, with_identities: bool = False) -> Iterator[Edge]:
        """Every edge, in the order of their numbers; with the identities of its nodes if they are needed."""
        relations = list(self._relations)
        places = self._places("")
        columns, joined = "", ""
        if with_identities:
            columns = ", heads.type, heads.normalized, heads.single, tails.type, tails.normalized, tails.single"
            joined = "CROSS JOIN nodes AS heads ON heads.id = head CROSS JOIN nodes AS tails ON tails.id = tail "
        rows = self._database.cursor().execute(
            "SELECT edges.id, first, head, relation, tail, edges.count, edges.scored, edges.total, edges.best"
            f"{columns} FROM edges {joined}ORDER BY edges.id"
        )
        for number, first, head, relation, tail, count, scored, total, best, *ends in rows:
            if count <= AT_ONCE:
                of_edge: _StoredPlaces | list[Place] = list(islice(places, count))
            else:
                of_edge = _StoredPlaces(self, first)
                places = self._places("WHERE first > ?", first)
            mean = total / scored if scored else None
            identities = (_identity(*ends[:3]), _identity(*ends[3:])) if ends else ()
            yield Edge(number, head, relations[relation], tail, count, mean, best, of_edge, *identities)

    def _places(self, condition: str, *values: int) -> Iterator[Place]:
        """Places in the order of their edges, and of one edge in the order in which they were found."""
        files = list(self._files)
        for file, *rest in self._database.cursor().execute(_READ_PLACES.format(condition), values):
            yield Place(files[file], *rest)

    def _flush(self) -> None:
        """Put what is in memory into the tables."""
        execute = self._database.execute
        execute("BEGIN")
        texts: list[tuple[int, str, int]] = []
        for key, tally in self._nodes.items():
            row = (*key, tally.count, tally.scored, tally.total, tally.best, *tally.first)
            (tally.number,) = execute(_ADD_NODE, row).fetchone()
            texts += [(tally.number, text, count) for text, count in tally.texts.items()]
        self._database.executemany(_ADD_TEXT, texts)
        self._database.executemany(_ADD_FOUND, map(_row_of, self._found))
        execute("COMMIT")
        self._nodes.clear()
        self._found.clear()
        self._waiting = 0


class _StoredPlaces:
    """The places of an edge, which are read from the tables each time."""

    def __init__(self, store: GraphStore, first: int):
        self._store, self._first = store, first

    def __iter__(self) -> Iterator[Place]:
        return self._store._places("WHERE first = ?", self._first)


def _row_of(found: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row of a relation, whose nodes have numbers by now."""
    head, relation, tail, is_symmetric, where, head_range, tail_range, score, text = found
    first, last = head.number, tail.number
    if is_symmetric and last < first:
        first, last, head_range, tail_range = last, first, tail_range, head_range
    return first, relation, last, *where, *head_range, *tail_range, score, text


def _identity(kind: str, form: str, single: str) -> tuple[str, ...]:
    return (kind, form, *single.split("\0")) if single else (kind, form)
