"""Which thresholds to take: those that are there, a common one, or one by type, chosen by cross-validation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from .collecting import ScoredSplit
from .sweep import Curve, best_common_threshold, best_thresholds_by_type, f1_of

LEAST_GOLD = 20
"""A type with fewer gold annotations than this in the split has no threshold of its own."""

FOLDS, REPEATS = 5, 10
"""Cross-validation cuts the documents of a split into this many folds, and does so this often."""


class Choice(StrEnum):
    """How many thresholds are found; the simpler choice stands first and wins where scores are equal."""

    untuned = "untuned"
    common = "common"
    by_type = "by-type"


@dataclass(frozen=True)
class Decisions:
    """Scores that thresholds are found for, of entities or of relations.

    Shapes:
        scores: `(decisions,)`, float32
        correct: `(decisions,)`, bool
        types: `(decisions,)`, index of the type
        sentence: `(decisions,)`
        gold: `(sentences, types)`, how many there are
    """

    scores: np.ndarray
    correct: np.ndarray
    types: np.ndarray
    sentence: np.ndarray
    gold: np.ndarray

    def of_sentences(self, chosen: np.ndarray) -> "Decisions":
        """Those of some sentences.

        Shapes:
            chosen: `(sentences,)`, bool
        """
        return replace(self.where(chosen[self.sentence]), gold=self.gold * chosen[:, None])

    def where(self, kept: np.ndarray) -> "Decisions":
        """Some of the decisions, with all gold annotations.

        Shapes:
            kept: `(decisions,)`, bool
        """
        return Decisions(self.scores[kept], self.correct[kept], self.types[kept], self.sentence[kept], self.gold)

    def passing(self, thresholds: np.ndarray) -> np.ndarray:
        """Whether each score reaches the threshold of its type: `(decisions,)`, bool."""
        return self.scores >= thresholds.astype(np.float32)[self.types]

    def counts(self, thresholds: np.ndarray) -> np.ndarray:
        """How many are correct, found and gold: `(3,)`."""
        passing = self.passing(thresholds)
        return np.array([(passing & self.correct).sum(), passing.sum(), self.gold.sum()])


@dataclass(frozen=True)
class Score:
    """Cross-validated micro F1: mean and standard deviation over the repetitions."""

    mean: float
    deviation: float


def entity_decisions(split: ScoredSplit, temperature: float) -> Decisions:
    """Whether each entity of a split is one."""
    scores = split.entity_scores(temperature)
    return Decisions(scores, split.entity_correct, split.entity_type, split.entity_sentence, split.gold_entities)


def relation_decisions(split: ScoredSplit, temperature: float) -> Decisions:
    """Whether each relation that could join entities of a split does, with both entity types right."""
    return Decisions(
        split.relation_scores(temperature),
        split.relation_correct,
        split.relation_type,
        split.entity_sentence[split.head],
        split.gold_relations,
    )


def fit(decisions: Decisions, choice: Choice, untuned: np.ndarray, is_rare: np.ndarray) -> np.ndarray:
    """The thresholds with the best micro F1 that a choice allows.

    Args:
        untuned: the thresholds that are there.
        is_rare: the types that have no threshold of their own, but the common one.

    Shapes:
        untuned, is_rare, result: `(types,)`
    """
    if choice == Choice.untuned:
        return untuned
    num_gold = int(decisions.gold.sum())
    reference = float(np.median(untuned))
    common = best_common_threshold(Curve.of(decisions.scores, decisions.correct), num_gold, reference)
    if choice == Choice.common:
        return np.full(len(untuned), common)
    curves = []
    for index in range(len(untuned)):
        of_type = decisions.types == index
        curves.append(Curve.of(decisions.scores[of_type], decisions.correct[of_type]))
    return np.array(best_thresholds_by_type(curves, num_gold, [common] * len(curves), list(~is_rare)))


def rare_types(gold: np.ndarray) -> np.ndarray:
    """Which types have too few gold annotations for a threshold of their own.

    Shapes:
        gold: `(sentences, types)`
        result: `(types,)`, bool
    """
    return gold.sum(axis=0) < LEAST_GOLD


def folds_of(identifiers: Sequence[str], repetition: int, seed: int) -> np.ndarray:
    """The fold of each sentence; the sentences of a document are in one fold.

    What an identifier holds before its last `/` is the document; without one, each sentence is a document. Documents
    are put into the order of a SHA-256, which is the same on every machine.

    Shapes:
        result: `(sentences,)`
    """
    documents = [name.rpartition("/")[0] or f"{name}|{index}" for index, name in enumerate(identifiers)]
    order = sorted(set(documents), key=lambda name: hashlib.sha256(f"{seed}|{repetition}|{name}".encode()).hexdigest())
    fold = {name: rank % FOLDS for rank, name in enumerate(order)}
    return np.array([fold[name] for name in documents])


class CrossValidation:
    """Micro F1 of thresholds on sentences that they were not found on.

    In each repetition the documents are cut into folds. For each fold thresholds are found on the others and applied to
    it; the F1 is that of the counts of all folds together.

    Args:
        entities, relations: what a split's scores are.
        head, tail: the entities of each relation decision, as indices.
        untuned_entities, untuned_relations: the thresholds that are there.
        identifiers: of the sentences.
    """

    def __init__(
        self,
        entities: Decisions,
        relations: Decisions,
        head: np.ndarray,
        tail: np.ndarray,
        untuned_entities: np.ndarray,
        untuned_relations: np.ndarray,
        identifiers: Sequence[str],
        seed: int,
    ):
        self.entities, self.relations = entities, relations
        self.head, self.tail = head, tail
        self.untuned_entities, self.untuned_relations = untuned_entities, untuned_relations
        self.rare_entities, self.rare_relations = rare_types(entities.gold), rare_types(relations.gold)
        self.folds = [folds_of(identifiers, repetition, seed) for repetition in range(REPEATS)]

    def fit_entities(self, choice: Choice, chosen: np.ndarray | None = None) -> np.ndarray:
        """Entity thresholds, found on some sentences. Default: on all."""
        decisions = self.entities if chosen is None else self.entities.of_sentences(chosen)
        return fit(decisions, choice, self.untuned_entities, self.rare_entities)

    def fit_relations(
        self, choice: Choice, entity_thresholds: np.ndarray, chosen: np.ndarray | None = None
    ) -> np.ndarray:
        """Relation thresholds between the entities that pass theirs, found on some sentences. Default: on all."""
        decisions = self.left(entity_thresholds)
        if chosen is not None:
            decisions = decisions.of_sentences(chosen)
        return fit(decisions, choice, self.untuned_relations, self.rare_relations)

    def left(self, entity_thresholds: np.ndarray) -> Decisions:
        """The relation decisions between entities that pass their thresholds."""
        passing = self.entities.passing(entity_thresholds)
        return self.relations.where(passing[self.head] & passing[self.tail])

    def score_entities(self, choice: Choice) -> Score:
        """Cross-validated F1 of entities."""
        return self._score(
            lambda known, held: self.entities.of_sentences(held).counts(self.fit_entities(choice, known))
        )

    def score_relations(self, entity_choice: Choice, relation_choice: Choice) -> Score:
        """Cross-validated strict F1 of relations."""

        def counts(known: np.ndarray, held: np.ndarray) -> np.ndarray:
            entity_thresholds = self.fit_entities(entity_choice, known)
            thresholds = self.fit_relations(relation_choice, entity_thresholds, known)
            return self.left(entity_thresholds).of_sentences(held).counts(thresholds)

        return self._score(counts)

    def _score(self, counts_of_fold) -> Score:  # type: ignore[no-untyped-def]
        scores = []
        for folds in self.folds:
            counts = sum(counts_of_fold(folds != fold, folds == fold) for fold in np.unique(folds))
            scores.append(f1_of(*(int(count) for count in counts)))
        return Score(float(np.mean(scores)), float(np.std(scores)))
