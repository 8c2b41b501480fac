"""Nodes and edges of a graph, as the files of all formats have them."""

from dataclasses import dataclass
from typing import Any


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
        return without_none(
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
        return without_none(
            {
                "relation": self.relation,
                "count": self.count,
                "score": self.score,
                "best_score": self.best_score,
                "found": [place.about for place in self.places],
            }
        )


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in values.items() if value is not None}
