"""What a model reads in annotated sentences, with the score of everything that it found or could have found."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm.auto import tqdm

from ..neighbours_spert import context_of, with_context
from ..options_spert import DecodingOptions
from ..prediction import predict
from .readings import Entity, Reading, Relation, reading_of

LEAST_SCORE = 0.01
"""Relations with lower scores are not kept; there are thousands of them in a long sentence."""

_TOGETHER = 16
"""Batches whose results stand in memory as dictionaries."""


@dataclass(frozen=True)
class Predicted:
    """What a model found in sentences.

    Args:
        readings: a reading of each sentence, with all that it scored.
        given: what it found where the annotated entities were given to it.
    """

    readings: list[Reading]
    given: list[Reading]


def read_with_model(
    model: Any,
    processor: Any,
    records: Sequence[Mapping[str, Any]],
    *,
    batch_size: int = 16,
    progress: bool = False,
) -> Predicted:
    """Read sentences twice: as they are, and with their annotated entities given.

    Args:
        model, processor: as `load_model` returns them.
        records: annotated sentences in SpERT JSON.
        batch_size: sentences that pass the encoder together.
        progress: show a progress bar.

    Raises:
        ValueError: the records have types that the model does not know, or a sentence cannot be read.
    """
    options = DecodingOptions.of(model.config)
    _refuse_unknown_types(options, records)
    readings: list[Reading] = []
    given: list[Reading] = []
    records = with_context(records, processor.context_words)
    with tqdm(total=len(records), unit="sentence", disable=not progress) as bar:
        for chunk in _chunks(records, batch_size * _TOGETHER):
            words = [{"tokens": record["tokens"], **context_of(record)} for record in chunk]
            found = predict(model, processor, words, batch_size=batch_size, return_all_scores=True)
            gold = [reading_of(record, options.symmetric_relations) for record in chunk]
            inputs = [_with_entities(record, reading) for record, reading in zip(chunk, gold)]
            knowing = predict(model, processor, inputs, batch_size=batch_size, return_all_scores=True)
            for result, with_entities, annotated in zip(found, knowing, gold):
                readings.append(_reading(result, options, _chances(with_entities, annotated, options)))
                given.append(_reading(with_entities, options, {}))
            bar.update(len(chunk))
    return Predicted(readings, given)


def _chunks(records: Sequence[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    rest = iter(records)
    while chunk := list(itertools.islice(rest, size)):
        yield chunk


def _with_entities(record: Mapping[str, Any], gold: Reading) -> dict[str, Any]:
    entities = [{"type": entity.type, "word_start": entity.start, "word_end": entity.end} for entity in gold.entities]
    return {"tokens": record["tokens"], "entities": entities, **context_of(record)}


def _reading(
    result: Mapping[str, Any], options: DecodingOptions, chances: Mapping[Entity | Relation, float]
) -> Reading:
    entities = [
        {"type": entity["type"], "start": entity["word_start"], "end": entity["word_end"], "score": entity["score"]}
        for entity in result["entities"]
    ]
    reading = reading_of({"entities": entities, "relations": result["relations"]}, options.symmetric_relations)
    return Reading(reading.entities, reading.relations, _scored(result, options), chances)


def _scored(result: Mapping[str, Any], options: DecodingOptions) -> dict[Relation, float]:
    """The relations that may join two entities of a result, with their scores.

    Of a symmetric relation's two directions the better one counts, because either makes it a relation.
    """
    listed = [Entity(one["word_start"], one["word_end"], one["type"]) for one in result["entities"]]
    scored: dict[Relation, float] = {}
    for pair in result["pairs"]:
        head, tail = listed[pair["head"]], listed[pair["tail"]]
        for kind, score in pair["scores"].items():
            if score >= LEAST_SCORE and _may_join(kind, head, tail, options):
                relation = Relation(kind, head, tail).put_in_order(options.symmetric_relations)
                scored[relation] = max(score, scored.get(relation, 0.0))
    return scored


def _may_join(kind: str, head: Entity, tail: Entity, options: DecodingOptions) -> bool:
    if options.relation_arguments is None or kind not in options.relation_arguments:
        return True
    pairs = [list(pair) for pair in options.relation_arguments[kind]]
    is_symmetric = kind in options.symmetric_relations
    return [head.type, tail.type] in pairs or (is_symmetric and [tail.type, head.type] in pairs)


def _chances(result: Mapping[str, Any], gold: Reading, options: DecodingOptions) -> dict[Entity | Relation, float]:
    """The scores of what is annotated, in a result that was made from annotated entities."""
    chances: dict[Entity | Relation, float] = {}
    for row in result["entities"]:
        entity = Entity(row["word_start"], row["word_end"], row["type"])
        chances[entity] = row["scores"][entity.type]
    scored = _scored(result, options)
    return chances | {relation: scored.get(relation, 0.0) for relation in gold.relations}


def _refuse_unknown_types(options: DecodingOptions, records: Sequence[Mapping[str, Any]]) -> None:
    for name, known in (("entities", options.entity_types), ("relations", options.relation_types)):
        used = {annotation["type"] for record in records for annotation in record[name]}
        if unknown := sorted(used - set(known)):
            raise ValueError(
                f"inspect: expected {name} of the types that the model knows, {list(known)}, got {unknown[0]!r}. "
                f"Inspect the model on a corpus with the types that it was trained on."
            )
