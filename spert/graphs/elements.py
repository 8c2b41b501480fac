"""Nodes and edges of a graph, as the files of all formats have them."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Mention(NamedTuple):
    """Where an entity was found.

    Args:
        file: the file's name.
        record: the record's number there, counted from 0.
        id: the record's own `id`, if it has one.
        sentence: the sentence's number, where the record has sentences.
        start, end: a half-open range of characters of the record's text.
    """

    file: str
    record: int
    id: str | None
    sentence: int | None
    start: int
    end: int

    @property
    def about(self) -> dict[str, Any]:
        """What files say about it; what there is not is left out."""
        return without_none(self._asdict())


class Place(NamedTuple):
    """Where a relation was found.

    Args:
        file, record, id, sentence: as in a `Mention`.
        head_start, head_end, tail_start, tail_end: half-open ranges of characters of the record's text.
        score: of the relation, if it has one.
        text: the sentence's text, where the store keeps them.
    """

    file: str
    record: int
    id: str | None
    sentence: int | None
    head_start: int
    head_end: int
    tail_start: int
    tail_end: int
    score: float | None
    text: str | None

    @property
    def about(self) -> dict[str, Any]:
        """What files say about it; what there is not is left out."""
        return without_none(
            {
                "file": self.file,
                "record": self.record,
                "id": self.id,
                "sentence": self.sentence,
                "head": [self.head_start, self.head_end],
                "tail": [self.tail_start, self.tail_end],
                "score": self.score,
            }
        )


class Node(NamedTuple):
    """An entity.

    Args:
        number: counted from 1, in the order in which nodes were first found.
        identity: type and normalized text, and what else tells nodes that are not merged apart: file, record and the
            entity's number there. It depends on nothing else that was found.
        name: the text that was found most often; of equally frequent ones, the first in the order of characters.
        type: of the entity.
        normalized: what texts have in common that were merged.
        texts: how often each text was found.
        count: how often the entity was found.
        score: the mean score; `None` where no entity has one.
        best_score: the highest.
        first: where it was first found.
    """

    number: int
    identity: tuple[str, ...]
    name: str
    type: str
    normalized: str
    texts: dict[str, int]
    count: int  # type: ignore[assignment]  # hides the tuple's method, which nobody calls
    score: float | None
    best_score: float | None
    first: Mention

    @property
    def key(self) -> str:
        """The node's name in files."""
        return f"n{self.number}"

    def attributes(self) -> dict[str, Any]:
        """What files say about it."""
        return without_none(
            {
                "name": self.name,
                "type": self.type,
                "normalized": self.normalized,
                "texts": self.texts,
                "count": self.count,
                "score": self.score,
                "best_score": self.best_score,
                "first": self.first.about,
            }
        )


class Edge(NamedTuple):
    """A relation between two entities.

    Args:
        number: counted from 1, in the order in which edges were first found.
        head_number, relation, tail_number: the nodes that it joins, and its type.
        count: how often it was found.
        score: the mean score; `None` where no relation has one.
        best_score: the highest.
        places: where it was found, in order. Those of an edge that was found very often are read from the store when
            they are asked for, as often as they are.
        head_identity, tail_identity: of the nodes, if they were asked for.
    """

    number: int
    head_number: int
    relation: str
    tail_number: int
    count: int  # type: ignore[assignment]  # hides the tuple's method, which nobody calls
    score: float | None
    best_score: float | None
    places: Iterable[Place]
    head_identity: tuple[str, ...] = ()
    tail_identity: tuple[str, ...] = ()

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
        """What files say about it, but for its places, which are the attribute `found`."""
        return without_none(
            {"relation": self.relation, "count": self.count, "score": self.score, "best_score": self.best_score}
        )


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in values.items() if value is not None}
