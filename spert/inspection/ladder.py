"""The oracle ladder: strict F1 if one kind of mistake were repaired, by itself and after those before it.

Each repair changes what was found, never the annotations, and leaves alone what is right; no rung can lower a score.
The last rung of the whole ladder is 1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tuning.sweep import Curve, best_common_threshold, f1_of
from .mistakes import pair_entities
from .readings import Entity, Reading, Relation

Sentences = Sequence[tuple[Reading, Reading]]
"""For each sentence what is annotated and what was found."""


@dataclass(frozen=True)
class Rung:
    """One repair.

    Args:
        title, rule: for people.
        repair: what is found after it.
    """

    title: str
    rule: str
    repair: Callable[[Reading, Reading, frozenset[str]], Reading]


def right_boundaries(gold: Reading, found: Reading, symmetric: frozenset[str] = frozenset()) -> Reading:
    """Each entity with a wrong boundary gets the annotated one, and keeps its type; its relations go with it."""
    while moved := {
        other: other._replace(start=entity.start, end=entity.end)
        for entity, other in _pairs(gold, found)
        if entity[:2] != other[:2]
    }:  # again, because an entity that has come upon another one frees what it was paired with
        found = _with_entities(found, moved, symmetric)
    return found


def right_types(gold: Reading, found: Reading, symmetric: frozenset[str] = frozenset()) -> Reading:
    """Each entity with an annotated span and a wrong type gets the annotated type; its relations go with it."""
    moved = {other: entity for entity, other in _pairs(gold, found) if entity[:2] == other[:2]}
    return _with_entities(found, moved, symmetric)


def right_relations(gold: Reading, found: Reading, symmetric: frozenset[str] = frozenset()) -> Reading:
    """Between right entities there are the annotated relations and no others."""
    relations: dict[Relation, float | None] = {
        relation: score for relation, score in found.relations.items() if not _joins(relation, gold)
    }
    relations |= {relation: None for relation in gold.relations if _joins(relation, found)}
    return Reading(found.entities, relations)


def without_made_up(gold: Reading, found: Reading, symmetric: frozenset[str] = frozenset()) -> Reading:
    """Made-up entities go, with their relations."""
    paired = {other for _, other in _pairs(gold, found)}
    entities = {
        entity: score for entity, score in found.entities.items() if entity in gold.entities or entity in paired
    }
    left = Reading(entities)
    return Reading(entities, {relation: score for relation, score in found.relations.items() if _joins(relation, left)})


def with_missed(gold: Reading, found: Reading, symmetric: frozenset[str] = frozenset()) -> Reading:
    """Missed entities are found, with the annotated relations between them and right entities."""
    paired = {entity for entity, _ in _pairs(gold, found)}
    added = {entity: None for entity in gold.entities if entity not in found.entities and entity not in paired}
    entities = {**found.entities, **added}
    right = Reading({entity: None for entity in entities if entity in gold.entities})
    relations = dict(found.relations)
    for relation in gold.relations:
        if (relation.head in added or relation.tail in added) and _joins(relation, right):
            relations.setdefault(relation, None)
    return Reading(entities, relations)


RUNGS = {
    "boundaries": Rung("boundaries", "Each wrong boundary becomes the annotated one.", right_boundaries),
    "types": Rung("entity types", "Each wrong type of an annotated span becomes the annotated one.", right_types),
    "relations": Rung(
        "relations", "Between right entities there are exactly the annotated relations.", right_relations
    ),
    "made_up": Rung("no made-up entities", "Made-up entities go, with their relations.", without_made_up),
    "missed": Rung("missed entities", "Missed entities are found, with their annotated relations.", with_missed),
}
"""The rungs, from the lowest, after that of the threshold."""

THRESHOLD = "threshold"
THRESHOLD_TITLE = "threshold"
THRESHOLD_RULE = "The threshold for relations is the best that there is for these very sentences."


def climb(
    sentences: Sentences, symmetric_relations: Sequence[str] = (), threshold: float | None = None
) -> dict[str, Any]:
    """The ladder.

    Args:
        sentences: annotations and findings.
        symmetric_relations: as for `compute_scores`.
        threshold: the one for relations that is there; `None` where scores are not known, so that the ladder has no
            such rung. Where readings hold no `doubtful` relations, the threshold can only be raised.

    Returns:
        `start`, and `rungs`: for each its `name`, `alone` and `together`. These hold `ner_f1` and `rel_strict_f1`
        (micro), after this repair only, and after this one and all before it. The rung `threshold` has its
        `threshold` besides.
    """
    symmetric = frozenset(symmetric_relations)
    start = _scores(sentences)
    rungs: list[dict[str, Any]] = []
    together = list(sentences)
    if threshold is not None:
        best, together = best_threshold(sentences, threshold)
        scores = _scores(together)
        rungs.append({"name": THRESHOLD, "alone": scores, "together": scores, "threshold": best})
    for name, rung in RUNGS.items():
        alone = [(gold, rung.repair(gold, found, symmetric)) for gold, found in sentences]
        together = [(gold, rung.repair(gold, found, symmetric)) for gold, found in together]
        rungs.append({"name": name, "alone": _scores(alone), "together": _scores(together)})
    return {"start": start, "rungs": rungs}


def best_threshold(sentences: Sentences, threshold: float) -> tuple[float, list[tuple[Reading, Reading]]]:
    """The threshold for all relation types with the best strict F1, and what is found with it."""
    scored = [dict(found.doubtful or _known(found.relations)) for _, found in sentences]
    scores = np.array([score for of_sentence in scored for score in of_sentence.values()], dtype=np.float32)
    correct = np.array(
        [relation in gold.relations for (gold, _), of in zip(sentences, scored) for relation in of], dtype=bool
    )
    num_gold = sum(len(gold.relations) for gold, _ in sentences)
    best = best_common_threshold(Curve.of(scores, correct), num_gold, threshold)
    cut = np.float32(best)
    with_best = [
        (gold, Reading(found.entities, {one: score for one, score in of.items() if np.float32(score) >= cut}))
        for (gold, found), of in zip(sentences, scored)
    ]
    # Thresholds by type, or a relation without a score, can be better than any common threshold.
    if _scores(with_best)["rel_strict_f1"] <= _scores(sentences)["rel_strict_f1"]:
        return threshold, list(sentences)
    return best, with_best


def _scores(sentences: Sentences) -> dict[str, float]:
    """The micro F1 of entities and of strict relations."""
    counts = np.zeros((2, 3), dtype=np.int64)
    for gold, found in sentences:
        for row, expected, things in (
            (0, gold.entities.keys(), found.entities.keys()),
            (1, gold.relations.keys(), found.relations.keys()),
        ):
            counts[row] += (len(expected & things), len(things), len(expected))
    ner, strict = (f1_of(*map(int, row)) for row in counts)
    return {"ner_f1": ner, "rel_strict_f1": strict}


def _known(scores: Mapping[Relation, float | None]) -> dict[Relation, float]:
    """Relations by score; those without one count as certain."""
    return {relation: 1.0 if score is None else score for relation, score in scores.items()}


def _pairs(gold: Reading, found: Reading) -> list[tuple[Entity, Entity]]:
    return pair_entities(
        [entity for entity in gold.entities if entity not in found.entities],
        [entity for entity in found.entities if entity not in gold.entities],
    )


def _joins(relation: Relation, reading: Reading) -> bool:
    """Whether a reading has head and tail of a relation."""
    return relation.head in reading.entities and relation.tail in reading.entities


def _with_entities(found: Reading, moved: Mapping[Entity, Entity], symmetric: frozenset[str]) -> Reading:
    """What is found once some entities have become others."""
    if not moved:
        return found
    entities = {moved.get(entity, entity): score for entity, score in found.entities.items()}
    relations = {}
    for relation, score in found.relations.items():
        changed = Relation(
            relation.type, moved.get(relation.head, relation.head), moved.get(relation.tail, relation.tail)
        )
        relations[changed.put_in_order(symmetric)] = score
    return Reading(entities, relations)
