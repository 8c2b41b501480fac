"""A sentence as it is annotated or as a model reads it: distinct entities and relations, each with its score.

The things are those that `spert.evaluation.scores` counts as entities and as strict relations.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Entity(NamedTuple):
    """A typed span of words, half-open."""

    start: int
    end: int
    type: str

    def overlap(self, other: "Entity") -> float:
        """The words that both cover, as a share of the words that either covers."""
        shared = min(self.end, other.end) - max(self.start, other.start)
        return max(shared, 0) / (max(self.end, other.end) - min(self.start, other.start))


class Relation(NamedTuple):
    """A relation between two typed spans. That of a symmetric type has the entity that starts first as its head."""

    type: str
    head: Entity
    tail: Entity

    def put_in_order(self, symmetric_relations: Iterable[str]) -> "Relation":
        """The relation as scores count it."""
        if self.type in symmetric_relations and self.tail.start < self.head.start:
            return Relation(self.type, self.tail, self.head)
        return self


@dataclass(frozen=True)
class Reading:
    """The entities and relations of a sentence, with their scores; a score that nobody knows is `None`.

    Args:
        entities, relations: what is annotated, or what a system found.
        doubtful: relations that a system scored, found or not, with their scores; for annotations nothing.
        chances: of a system, the score of each annotated entity for its annotated type, and of each annotated relation
            between entities that were given to it.
    """

    entities: Mapping[Entity, float | None] = field(default_factory=dict)
    relations: Mapping[Relation, float | None] = field(default_factory=dict)
    doubtful: Mapping[Relation, float] = field(default_factory=dict)
    chances: Mapping[Entity | Relation, float] = field(default_factory=dict)


def reading_of(record: Mapping[str, Any], symmetric_relations: Iterable[str] = ()) -> Reading:
    """The reading that a record holds. Of equal entities and relations the best score is kept.

    Args:
        record: `{"entities": [{type, start, end}], "relations": [{type, head, tail}]}`; each may have a `score`.
        symmetric_relations: as for `compute_scores`.
    """
    listed = [Entity(entity["start"], entity["end"], entity["type"]) for entity in record["entities"]]
    entities: dict[Entity, float | None] = {}
    for entity, row in zip(listed, record["entities"]):
        entities[entity] = _better(entities.get(entity), row.get("score"))
    relations: dict[Relation, float | None] = {}
    for row in record["relations"]:
        relation = Relation(row["type"], listed[row["head"]], listed[row["tail"]]).put_in_order(symmetric_relations)
        relations[relation] = _better(relations.get(relation), row.get("score"))
    return Reading(dict(sorted(entities.items())), dict(sorted(relations.items())))


def _better(first: float | None, second: float | None) -> float | None:
    return max((score for score in (first, second) if score is not None), default=None)
