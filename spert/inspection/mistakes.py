"""Every mistake in exactly one class, by the rules that stand in `ENTITY_CLASSES` and `RELATION_CLASSES`.

What is annotated and not found is *missed*, what is found and not annotated is *spurious*; both as strict scores count
them. A mistake is one missed thing, one spurious thing, or one of each, which then are two sides of the same mistake:
each missed and each spurious thing is part of exactly one mistake.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .readings import Entity, Reading, Relation

ENTITIES, RELATIONS = "entities", "relations"
"""The tasks that mistakes are made in."""


@dataclass(frozen=True)
class MistakeClass:
    """A class of mistakes, for people.

    Args:
        title: in a few words.
        rule: when a mistake is in it.
    """

    title: str
    rule: str


ENTITY_CLASSES = {
    "wrong_type": MistakeClass("wrong type", "The span is annotated, with another type."),
    "wrong_boundary": MistakeClass(
        "wrong boundary", "The type is right, and the span shares words with the annotated one."
    ),
    "wrong_both": MistakeClass(
        "wrong boundary and type", "The span shares words with an annotated one of another type."
    ),
    "missed": MistakeClass("missed", "Annotated, and no spurious entity is left that shares words with it."),
    "made_up": MistakeClass("made up", "Found, and no missed entity is left that shares words with it."),
}
"""A missed and a spurious entity are paired if they share words: first those with equal spans, then those of one type,
then by the share of words in common, then by their place in the sentence. Each is in one pair at most."""

RELATION_CLASSES = {
    "wrong_direction": MistakeClass("wrong direction", "Found with head and tail exchanged; both entities are right."),
    "wrong_type": MistakeClass("wrong type", "The two right entities are joined by another type, in either direction."),
    "missed": MistakeClass(
        "missed between right entities", "Both entities are right, and no spurious relation between them is left."
    ),
    "made_up": MistakeClass("made up between right entities", "Both entities are annotated, and this relation is not."),
    "lost_entity_missed": MistakeClass("lost: entity missed", "The head or the tail was missed altogether."),
    "lost_entity_boundary": MistakeClass("lost: entity boundary", "The head or the tail has a wrong boundary."),
    "lost_entity_type": MistakeClass("lost: entity type", "The head or the tail has a wrong type."),
    "lost_entity_both": MistakeClass(
        "lost: entity boundary and type", "The head and the tail have both faults, or one of them has."
    ),
    "made_up_wrong_entity": MistakeClass(
        "made up with a wrong entity",
        "The head or the tail is spurious, and no lost relation is the same but for that.",
    ),
}
"""A missed and a spurious relation are paired in this order: wrong direction; wrong type (of several the one in the
same direction, then by name); lost with its counterpart, which is the spurious relation of the same type whose head and
tail are those that the annotated ones were paired with. What is left is missed, lost or made up."""

CLASSES: Mapping[str, Mapping[str, MistakeClass]] = {ENTITIES: ENTITY_CLASSES, RELATIONS: RELATION_CLASSES}

_FAULTS = {"wrong_type": "type", "wrong_boundary": "boundary", "wrong_both": "both", "missed": "missed"}


@dataclass(frozen=True)
class Mistake:
    """One mistake in a sentence.

    Args:
        task: `entities` or `relations`.
        name: of its class.
        gold: what was missed.
        found: what is spurious.
        score: of what is spurious; of a mistake without that the score which the system gives to what it missed.
            `None` where nobody knows.
    """

    task: str
    name: str
    gold: Entity | Relation | None
    found: Entity | Relation | None
    score: float | None = None


def mistakes_in(gold: Reading, found: Reading, symmetric_relations: Iterable[str] = ()) -> list[Mistake]:
    """The mistakes of a system in a sentence, entities before relations, each by place.

    Args:
        gold: what is annotated.
        found: what the system found.
        symmetric_relations: as for `compute_scores`; both readings have their relations in order already.
    """
    entities = _entity_mistakes(gold, found)
    return [*entities, *_relation_mistakes(gold, found, entities, frozenset(symmetric_relations))]


def pair_entities(missed: Iterable[Entity], spurious: Iterable[Entity]) -> list[tuple[Entity, Entity]]:
    """Missed and spurious entities that are two sides of one mistake; see `ENTITY_CLASSES`."""
    candidates = [
        (one[:2] != other[:2], one.type != other.type, -one.overlap(other), one, other)
        for one in missed
        for other in spurious
        if one.overlap(other) > 0
    ]
    pairs: dict[Entity, Entity] = {}
    taken: set[Entity] = set()
    for *_, one, other in sorted(candidates):
        if one not in pairs and other not in taken:
            pairs[one] = other
            taken.add(other)
    return sorted(pairs.items())


def _entity_mistakes(gold: Reading, found: Reading) -> list[Mistake]:
    missed = [entity for entity in gold.entities if entity not in found.entities]
    spurious = [entity for entity in found.entities if entity not in gold.entities]
    pairs = dict(pair_entities(missed, spurious))
    paired = set(pairs.values())
    mistakes = []
    for entity in missed:
        other = pairs.get(entity)
        if other is None:
            mistakes.append(Mistake(ENTITIES, "missed", entity, None, found.chances.get(entity)))
            continue
        if entity[:2] == other[:2]:
            name = "wrong_type"
        else:
            name = "wrong_boundary" if entity.type == other.type else "wrong_both"
        mistakes.append(Mistake(ENTITIES, name, entity, other, found.entities[other]))
    mistakes.extend(
        Mistake(ENTITIES, "made_up", None, entity, found.entities[entity])
        for entity in spurious
        if entity not in paired
    )
    return sorted(mistakes, key=lambda mistake: mistake.gold or mistake.found or ())


def _relation_mistakes(
    gold: Reading, found: Reading, entity_mistakes: Sequence[Mistake], symmetric: frozenset[str]
) -> list[Mistake]:
    missed = dict.fromkeys(relation for relation in gold.relations if relation not in found.relations)
    spurious = dict.fromkeys(relation for relation in found.relations if relation not in gold.relations)
    mistakes = []

    def pair(name: str, relation: Relation, other: Relation) -> None:
        del missed[relation], spurious[other]
        mistakes.append(Mistake(RELATIONS, name, relation, other, found.relations[other]))

    for relation in list(missed):
        turned = Relation(relation.type, relation.tail, relation.head)
        if relation.type not in symmetric and turned in spurious:
            pair("wrong_direction", relation, turned)

    between: dict[frozenset[Entity], list[Relation]] = {}
    for other in spurious:
        between.setdefault(frozenset(other[1:]), []).append(other)
    for relation in list(missed):
        joined = between.get(frozenset(relation[1:]), [])
        if joined:
            other = min(joined, key=lambda one: (one.head != relation.head, one.type))
            joined.remove(other)
            pair("wrong_type", relation, other)

    faults: dict[Entity, str] = {}
    counterpart = {entity: entity for entity in gold.entities if entity in found.entities}
    for mistake in entity_mistakes:
        if isinstance(mistake.gold, Entity):
            faults[mistake.gold] = _FAULTS[mistake.name]
            if isinstance(mistake.found, Entity):
                counterpart[mistake.gold] = mistake.found
    for relation in list(missed):
        if relation.head not in faults and relation.tail not in faults:
            continue
        name = _lost(faults.get(relation.head), faults.get(relation.tail))
        if relation.head in counterpart and relation.tail in counterpart:
            other = Relation(relation.type, counterpart[relation.head], counterpart[relation.tail])
            other = other.put_in_order(symmetric)
            if other in spurious:
                pair(name, relation, other)
                continue
        del missed[relation]
        mistakes.append(Mistake(RELATIONS, name, relation, None, found.chances.get(relation)))
    for relation in missed:
        score = found.doubtful.get(relation, found.chances.get(relation))
        mistakes.append(Mistake(RELATIONS, "missed", relation, None, score))
    for relation in spurious:
        is_right = relation.head in gold.entities and relation.tail in gold.entities
        name = "made_up" if is_right else "made_up_wrong_entity"
        mistakes.append(Mistake(RELATIONS, name, None, relation, found.relations[relation]))
    return sorted(mistakes, key=lambda mistake: (mistake.gold or mistake.found or ())[1:])


def _lost(*faults: str | None) -> str:
    """Why a relation was lost, by the faults of its two entities: the gravest, and two that differ together."""
    named = {fault for fault in faults if fault is not None}
    if "missed" in named:
        return "lost_entity_missed"
    return f"lost_entity_{named.pop() if len(named) == 1 else 'both'}"


def count_classes(mistakes: Iterable[Mistake]) -> dict[str, dict[str, dict[str, int]]]:
    """How many mistakes each class of each task holds, and how many missed and spurious things they are made of."""
    counts = {
        task: {name: {"mistakes": 0, "missed": 0, "spurious": 0} for name in classes}
        for task, classes in CLASSES.items()
    }
    for mistake in mistakes:
        row = counts[mistake.task][mistake.name]
        row["mistakes"] += 1
        row["missed"] += mistake.gold is not None
        row["spurious"] += mistake.found is not None
    return counts


def flat(of_sentences: Iterable[Iterable[Mistake]]) -> Iterator[Mistake]:
    """The mistakes of all sentences."""
    for mistakes in of_sentences:
        yield from mistakes
