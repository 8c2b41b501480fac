"""Scores by what a sentence, an entity or a relation is like, confusion of types, and calibration."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tuning.calibration import Reliability
from ..tuning.sweep import f1_of
from .ladder import Sentences
from .mistakes import ENTITIES, RELATIONS, Mistake
from .readings import Entity, Reading, Relation

NOTHING = ""
"""Stands for no entity and no relation in confusion tables; no type has this name."""

Thing = Entity | Relation


@dataclass(frozen=True)
class Seen:
    """What the training split holds: words, annotated entities, and pairs of entities that are related.

    Args:
        words: in lower case, because many encoders read only those.
        entities: the words of annotated entities, in lower case.
        pairs: the words of head and tail of annotated relations, in lower case, in either order.
    """

    words: frozenset[str]
    entities: frozenset[tuple[str, ...]]
    pairs: frozenset[frozenset[tuple[str, ...]]]

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> "Seen":
        """What records of SpERT JSON hold."""
        words: set[str] = set()
        entities: set[tuple[str, ...]] = set()
        pairs: set[frozenset[tuple[str, ...]]] = set()
        for record in records:
            tokens = [token.lower() for token in record["tokens"]]
            words.update(tokens)
            listed = [tuple(tokens[entity["start"] : entity["end"]]) for entity in record["entities"]]
            entities.update(listed)
            pairs.update(frozenset((listed[one["head"]], listed[one["tail"]])) for one in record["relations"])
        return cls(frozenset(words), frozenset(entities), frozenset(pairs))

    def entity(self, entity: Entity, tokens: Sequence[str]) -> str:
        """How much of an entity is known from training."""
        words = _words(entity, tokens)
        if words in self.entities:
            return "an entity in training"
        return "all words in training" if self.words.issuperset(words) else "with a word that is new"

    def relation(self, relation: Relation, tokens: Sequence[str]) -> str:
        """How much of a relation's pair is known from training."""
        head, tail = _words(relation.head, tokens), _words(relation.tail, tokens)
        if frozenset((head, tail)) in self.pairs:
            return "related in training"
        number = (head in self.entities) + (tail in self.entities)
        return ("both entities are new", "one entity is new", "both entities in training")[number]


SEEN_ENTITIES = ("an entity in training", "all words in training", "with a word that is new")
SEEN_PAIRS = ("related in training", "both entities in training", "one entity is new", "both entities are new")


@dataclass(frozen=True)
class _Breakdown:
    """Scores by one property.

    Args:
        title: of the property.
        value: the property of a thing in a sentence: (thing, tokens, annotations) to a number or a name.
        edges: numbers at which the groups begin; `None` where groups have names.
        names: of the groups, in order, where they have names.
    """

    title: str
    value: Callable[[Any, Sequence[str], Reading], Any]
    edges: tuple[int, ...] | None = None
    names: tuple[str, ...] = ()

    def label(self, value: Any) -> str:
        if self.edges is None:
            return str(value)
        place = max(index for index, edge in enumerate(self.edges) if value >= edge)
        return self.labels()[place]

    def labels(self) -> list[str]:
        if self.edges is None:
            return list(self.names)
        last = [edge - 1 for edge in self.edges[1:]]
        shown = [str(low) if low == high else f"{low}–{high}" for low, high in zip(self.edges, last)]
        return [*shown, f"{self.edges[-1]} or more"]


_LENGTH = _Breakdown("words in the sentence", lambda thing, tokens, gold: len(tokens), (1, 11, 21, 31, 41, 61))
_NUMBER = _Breakdown(
    "annotated entities in the sentence", lambda thing, tokens, gold: len(gold.entities), (0, 1, 2, 3, 4, 6, 9)
)
_TYPE = _Breakdown("type", lambda thing, tokens, gold: thing.type)


def words_between(relation: Relation) -> int:
    """The words between head and tail; 0 where they touch or overlap."""
    return max(relation.head.start - relation.tail.end, relation.tail.start - relation.head.end, 0)


def breakdowns(
    tokens: Sequence[Sequence[str]], sentences: Sentences, seen: Seen | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Scores by type, width, distance, length, number of entities, and by what was seen in training.

    Args:
        tokens: the words of each sentence.
        sentences: annotations and findings.
        seen: what training held; without it there are no breakdowns by that.

    Returns:
        For `entities` and `relations` (strict) a list of `{title, rows}`, each row with `group`, `correct`, `found`,
        `expected`, `precision`, `recall` and `f1`. What is annotated is in the group that it has itself, and so is
        what is found; what is right is in the same group on both sides.
    """
    of_entities = [
        _TYPE,
        _Breakdown("words in the entity", lambda thing, *_: thing.end - thing.start, (1, 2, 3, 4, 5, 7, 11)),
        _LENGTH,
        _NUMBER,
    ]
    of_relations = [
        _TYPE,
        _Breakdown("words between head and tail", lambda thing, *_: words_between(thing), (0, 1, 3, 6, 11, 21)),
        _LENGTH,
        _NUMBER,
    ]
    if seen is not None:
        of_entities.append(
            _Breakdown(
                "whether it was seen in training",
                lambda thing, words, _: seen.entity(thing, words),
                names=SEEN_ENTITIES,
            )
        )
        of_relations.append(
            _Breakdown(
                "whether it was seen in training", lambda thing, words, _: seen.relation(thing, words), names=SEEN_PAIRS
            )
        )
    return {
        task: [{"title": one.title, "rows": _rows(one, task, tokens, sentences)} for one in each]
        for task, each in ((ENTITIES, of_entities), (RELATIONS, of_relations))
    }


def confusion(task: str, sentences: Sentences, mistakes: Iterable[Iterable[Mistake]]) -> dict[str, dict[str, int]]:
    """How often each annotated type (outer) was found as each type (inner); `NOTHING` is neither.

    Two sides of one mistake count by their types, whatever their boundaries: a wrong boundary is on the diagonal.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for gold, found in sentences:
        expected, things = _things(task, gold), _things(task, found)
        counts.update((thing.type, thing.type) for thing in expected if thing in things)
    for of_sentence in mistakes:
        counts.update(
            (mistake.gold.type if mistake.gold else NOTHING, mistake.found.type if mistake.found else NOTHING)
            for mistake in of_sentence
            if mistake.task == task
        )
    types = sorted({name for pair in counts for name in pair if name != NOTHING})
    return {
        gold: {found: counts[gold, found] for found in [*types, NOTHING] if gold or found} for gold in [*types, NOTHING]
    }


def reliability(task: str, sentences: Sentences) -> Reliability | None:
    """How often what was found with a score is right; `None` if nothing has a score."""
    scored = [
        (score, thing in _things(task, gold))
        for gold, found in sentences
        for thing, score in _things(task, found).items()
        if score is not None
    ]
    if not scored:
        return None
    scores, correct = zip(*scored)
    return Reliability.of(np.array(scores, dtype=np.float64), np.array(correct, dtype=bool))


def reliability_rows(bins: Reliability) -> dict[str, Any]:
    """A `Reliability` ready for JSON."""
    return {
        "expected_calibration_error": bins.error,
        "bins": [
            {"number": int(number), "mean_score": float(score), "fraction_right": float(right)}
            for number, score, right in zip(bins.counts, bins.scores, bins.right)
        ],
    }


def _things(task: str, reading: Reading) -> Mapping[Any, float | None]:
    return reading.entities if task == ENTITIES else reading.relations


def _words(entity: Entity, tokens: Sequence[str]) -> tuple[str, ...]:
    return tuple(token.lower() for token in tokens[entity.start : entity.end])


def _rows(
    breakdown: _Breakdown, task: str, tokens: Sequence[Sequence[str]], sentences: Sentences
) -> list[dict[str, Any]]:
    counts: dict[str, np.ndarray] = {}
    for words, (gold, found) in zip(tokens, sentences):
        expected, things = _things(task, gold), _things(task, found)
        for column, of in ((1, things), (2, expected)):
            for thing in of:
                label = breakdown.label(breakdown.value(thing, words, gold))
                row = counts.setdefault(label, np.zeros(3, dtype=np.int64))
                row[column] += 1
                row[0] += column == 1 and thing in expected
    labels = breakdown.labels() or sorted(counts)
    rows = []
    for label in labels:
        if label in counts:
            correct, num_found, num_expected = map(int, counts[label])
            rows.append(
                {
                    "group": label,
                    "correct": correct,
                    "found": num_found,
                    "expected": num_expected,
                    "precision": correct / num_found if num_found else 0.0,
                    "recall": correct / num_expected if num_expected else 0.0,
                    "f1": f1_of(correct, num_found, num_expected),
                }
            )
    return rows
