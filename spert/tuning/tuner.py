"""Tune a model on annotated sentences: temperatures, then thresholds, each kept where it helps on held-out ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from ..modeling_spert import SpertModel
from ..options_spert import DecodingOptions
from ..processing_spert import SpertProcessor
from .calibration import Reliability, best_temperature, log_loss, threshold_at_temperature
from .choosing import (
    FOLDS,
    LEAST_GOLD,
    REPEATS,
    Choice,
    CrossValidation,
    Decisions,
    Score,
    entity_decisions,
    folds_of,
    relation_decisions,
)
from .collecting import ScoredSplit, score_split
from .sweep import f1_of

TUNED_FIELDS = ("relation_threshold", "entity_threshold", "temperature", "relation_arguments")
"""The fields of the configuration that tuning may change."""


@dataclass(frozen=True)
class Calibrated:
    """A temperature, and what it does to the scores of a split.

    Args:
        before, after: the temperatures.
        number: of scores.
        losses: the mean negative log-likelihood before and after.
        held_out_losses: the same on sentences that the temperature was not found on.
        reliability: the scores in bins, before and after.
        found: the same for those scores that stand in the results of the untuned model.
    """

    before: float
    after: float
    number: int
    losses: tuple[float, float]
    held_out_losses: tuple[float, float]
    reliability: tuple[Reliability, Reliability]
    found: tuple[Reliability, Reliability]


@dataclass(frozen=True)
class Thresholds:
    """Thresholds by type, and why these.

    Args:
        choice: how many were found.
        held_out: the cross-validated F1 of each choice; for relations, with the entity thresholds that were taken.
        on_split: precision, recall and F1 on the split, untuned and tuned.
        before, after: the thresholds; those before are the ones that let the same pass at the new temperature.
        gold: the gold annotations of each type.
    """

    choice: Choice
    held_out: Mapping[Choice, Score]
    on_split: tuple[Mapping[str, float], Mapping[str, float]]
    before: Mapping[str, float]
    after: Mapping[str, float]
    gold: Mapping[str, int]


@dataclass(frozen=True)
class Tuned:
    """What tuning found.

    Args:
        fields: the values of `TUNED_FIELDS` for the model's configuration.
        sentences: how many it was found on.
        entity_temperature, relation_temperature, entities, relations: temperatures and thresholds, with the numbers.
        held_out: the cross-validated strict F1 of relations for each choice of entity and of relation thresholds.
        relation_decisions: the scores of what could be a relation, for pictures.
    """

    fields: Mapping[str, Any]
    sentences: int
    entity_temperature: Calibrated
    relation_temperature: Calibrated
    entities: Thresholds
    relations: Thresholds
    held_out: Mapping[Choice, Mapping[Choice, Score]]
    relation_decisions: Decisions


def tune_model(
    model: SpertModel,
    processor: SpertProcessor,
    dataset: Dataset,
    options: DecodingOptions,
    *,
    choice: Choice | None = None,
    batch_size: int = 16,
    seed: int = 0,
    progress: bool = False,
) -> Tuned:
    """Find temperatures and thresholds that maximise the strict F1 (micro) of relations.

    Args:
        dataset: annotated sentences, with the columns of `spert.corpora.FEATURES`.
        options: what counts as found before.
        choice: how many relation thresholds to find. Default: what cross-validation finds best; entity thresholds are
            found only then.
        batch_size: sentences that pass the encoder together.
        seed: of the folds.
        progress: show a progress bar.

    Raises:
        ValueError: there are no relations to tune on, or types that the model does not know.
    """
    identifiers = list(dataset["id"])
    folds = folds_of(identifiers, 0, seed)
    drops_by_score = options.overlapping_entities != "all"
    # Entity thresholds are found among all entities, unless one entity's score decides about another one.
    scored = options if drops_by_score else options.override(entity_threshold=0.0)
    split = score_split(model, processor, dataset, scored, batch_size=batch_size, progress=progress)
    is_entity, is_relation = _found_by(split, options)
    untuned_figures = (
        _figures(np.array([split.entity_correct[is_entity].sum(), is_entity.sum(), split.gold_entities.sum()])),
        _figures(np.array([split.relation_correct[is_relation].sum(), is_relation.sum(), split.gold_relations.sum()])),
    )
    entity_temperature = _calibrate(
        split.entity_logits,
        split.entity_label,
        split.entity_correct,
        is_entity,
        folds[split.entity_sentence],
        split.entity_scores,
        options.temperature["entities"],
    )
    relation_temperature = _calibrate(
        split.relation_logits,
        split.relation_correct,
        split.relation_correct,
        is_relation,
        folds[split.entity_sentence[split.head]],
        split.relation_scores,
        options.temperature["relations"],
    )
    temperature = {"entities": entity_temperature.after, "relations": relation_temperature.after}
    untuned_entities = options.thresholds("entity_threshold")
    untuned_relations = {
        name: threshold_at_temperature(value, relation_temperature.before, relation_temperature.after)
        for name, value in options.thresholds("relation_threshold").items()
    }
    if drops_by_score and entity_temperature.before != entity_temperature.after:
        scored = options.override(temperature={"entities": entity_temperature.after})  # which may drop others
        split = score_split(model, processor, dataset, scored, batch_size=batch_size, progress=progress)

    entities = entity_decisions(split, entity_temperature.after)
    relations = relation_decisions(split, relation_temperature.after)
    validation = CrossValidation(
        entities,
        relations,
        split.head,
        split.tail,
        np.array(list(untuned_entities.values())),
        np.array(list(untuned_relations.values())),
        identifiers,
        seed,
    )
    entity_choices = [Choice.untuned] if drops_by_score or choice is not None else list(Choice)
    entity_scores = {each: validation.score_entities(each) for each in entity_choices}
    relation_scores = {
        each: {of_relations: validation.score_relations(each, of_relations) for of_relations in Choice}
        for each in entity_choices
    }
    entity_choice = _choose_entities(entity_scores, relation_scores)
    relation_choice = choice or _best(relation_scores[entity_choice])

    entity_thresholds = validation.fit_entities(entity_choice)
    relation_thresholds = validation.fit_relations(relation_choice, entity_thresholds)
    tuned_entities = Thresholds(
        entity_choice,
        entity_scores,
        (untuned_figures[0], _figures(entities.counts(entity_thresholds))),
        untuned_entities,
        dict(zip(options.entity_types, entity_thresholds.tolist())),
        dict(zip(options.entity_types, split.gold_entities.sum(axis=0).tolist())),
    )
    tuned_relations = Thresholds(
        relation_choice,
        relation_scores[entity_choice],
        (untuned_figures[1], _figures(validation.left(entity_thresholds).counts(relation_thresholds))),
        untuned_relations,
        dict(zip(options.relation_types, relation_thresholds.tolist())),
        dict(zip(options.relation_types, split.gold_relations.sum(axis=0).tolist())),
    )
    return Tuned(
        fields={
            "relation_threshold": _one_number_if_equal(tuned_relations.after),
            "entity_threshold": _one_number_if_equal(tuned_entities.after),
            "temperature": temperature,
            "relation_arguments": options.relation_arguments,
        },
        sentences=len(identifiers),
        entity_temperature=entity_temperature,
        relation_temperature=relation_temperature,
        entities=tuned_entities,
        relations=tuned_relations,
        held_out=relation_scores,
        relation_decisions=validation.left(entity_thresholds),
    )


def report_of(tuned: Tuned) -> dict[str, Any]:
    """What was found, and the numbers behind it, ready for JSON."""
    return {
        "sentences": tuned.sentences,
        "temperature": {
            name: {
                "before": calibrated.before,
                "after": calibrated.after,
                "scores": calibrated.number,
                "log_loss": _before_and_after(calibrated.losses),
                "log_loss_held_out": _before_and_after(calibrated.held_out_losses),
                "expected_calibration_error": _before_and_after([bins.error for bins in calibrated.reliability]),
                "expected_calibration_error_of_found": _before_and_after([bins.error for bins in calibrated.found]),
            }
            for name, calibrated in (("entities", tuned.entity_temperature), ("relations", tuned.relation_temperature))
        },
        **{
            f"{name}_threshold": {
                "choice": str(thresholds.choice),
                "cross_validated_f1": _report_of_scores(thresholds.held_out),
                "on_split": _before_and_after(thresholds.on_split),
                "types": {
                    kind: {"gold": thresholds.gold[kind], "before": thresholds.before[kind], "after": value}
                    for kind, value in thresholds.after.items()
                },
            }
            for name, thresholds in (("entity", tuned.entities), ("relation", tuned.relations))
        },
        "cross_validated_relation_f1_by_entity_thresholds": {
            str(choice): _report_of_scores(scores) for choice, scores in tuned.held_out.items()
        },
        "least_gold": LEAST_GOLD,
        "folds": FOLDS,
        "repetitions": REPEATS,
    }


def _calibrate(
    logits: np.ndarray,
    labels: np.ndarray,
    correct: np.ndarray,
    is_found: np.ndarray,
    folds: np.ndarray,
    scores_at: Callable[[float], np.ndarray],
    before: float,
) -> Calibrated:
    """Find a temperature, and keep it if labels of folds that it was not found on are likelier under it.

    Args:
        logits, labels: as for `best_temperature`.
        correct: whether what a score stands for is right.
        is_found: whether it stands in the results of the untuned model.
        folds: the fold of each score.
        scores_at: the scores at a temperature.
        before: the temperature that is there.
    """
    after, held_out_losses = before, (0.0, 0.0)
    if len(labels):
        summed = np.zeros(2)
        for fold in np.unique(folds):
            held, known = folds == fold, folds != fold
            found = best_temperature(logits[known], labels[known]) if known.any() else before
            losses = [log_loss(logits[held], labels[held], temperature) for temperature in (before, found)]
            summed += held.sum() * np.array(losses)
        held_out_losses = tuple((summed / len(labels)).tolist())
        if held_out_losses[1] < held_out_losses[0]:
            after = best_temperature(logits, labels)
    return Calibrated(
        before,
        after,
        len(labels),
        tuple(log_loss(logits, labels, temperature) if len(labels) else 0.0 for temperature in (before, after)),  # type: ignore[arg-type]
        held_out_losses,
        (Reliability.of(scores_at(before), correct), Reliability.of(scores_at(after), correct)),
        (
            Reliability.of(scores_at(before)[is_found], correct[is_found]),
            Reliability.of(scores_at(after)[is_found], correct[is_found]),
        ),
    )


def _found_by(split: ScoredSplit, options: DecodingOptions) -> tuple[np.ndarray, np.ndarray]:
    """Which entities and which relations are found with these options: `(entities,)` and `(decisions,)`, bool."""
    entities = entity_decisions(split, options.temperature["entities"])
    relations = relation_decisions(split, options.temperature["relations"])
    entity_thresholds, relation_thresholds = (
        np.array(list(options.thresholds(field).values())) for field in ("entity_threshold", "relation_threshold")
    )
    passing = entities.passing(entity_thresholds)
    return passing, relations.passing(relation_thresholds) & passing[split.head] & passing[split.tail]


def _report_of_scores(scores: Mapping[Choice, Score]) -> dict[str, dict[str, float]]:
    return {str(choice): {"mean": score.mean, "deviation": score.deviation} for choice, score in scores.items()}


def _choose_entities(
    entity_scores: Mapping[Choice, Score], relation_scores: Mapping[Choice, Mapping[Choice, Score]]
) -> Choice:
    """Entity thresholds are tuned only if, on held-out sentences, entities become better and relations no worse."""
    untuned = Choice.untuned

    def relations(choice: Choice) -> float:
        return relation_scores[choice][_best(relation_scores[choice])].mean

    better = [
        choice
        for choice in entity_scores
        if entity_scores[choice].mean > entity_scores[untuned].mean and relations(choice) >= relations(untuned)
    ]
    return max(better, key=relations) if better else untuned


def _best(scores: Mapping[Choice, Score]) -> Choice:
    """The choice with the best cross-validated F1; of equal ones the simplest."""
    return max(scores, key=lambda choice: scores[choice].mean)  # the first of equal ones


def _figures(counts: np.ndarray) -> dict[str, float]:
    correct, found, gold = (int(count) for count in counts)
    return {
        "precision": correct / found if found else 0.0,
        "recall": correct / gold if gold else 0.0,
        "f1": f1_of(correct, found, gold),
    }


def _before_and_after(values: Any) -> dict[str, Any]:
    before, after = values
    return {"before": before, "after": after}


def _one_number_if_equal(thresholds: Mapping[str, float]) -> float | dict[str, float]:
    """A threshold for all types as one number."""
    values = set(thresholds.values())
    return values.pop() if len(values) == 1 else dict(thresholds)
