"""Score a model on annotated sentences: given their words, given their text alone, or given their entities, too."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from tqdm.auto import tqdm

from ..modeling_spert import SpertModel
from ..neighbours_spert import context_of, with_context
from ..prediction import as_spert_json, predict
from ..processing_spert import SpertProcessor
from ..words_spert import join_words
from .predictions import Predictions
from .scores import GOLD_ENTITIES, OFF_WORD_BORDERS, compute_scores

_BATCHES_AT_ONCE = 4
"""Their results stand in memory as dictionaries. Several, so that an accelerator works while others are decoded."""


def evaluate_model(
    model: SpertModel,
    processor: SpertProcessor,
    dataset: Dataset,
    *,
    batch_size: int = 16,
    without_overlapping: bool = False,
    from_text: bool = False,
    given_entities: bool = False,
    progress: bool = False,
) -> tuple[dict[str, Any], Predictions]:
    """The scores of a model, and its predictions as records of SpERT JSON in the order of `dataset`.

    Where several processes run (under `accelerate launch`), each predicts its share, each sentence once, and all of
    them return the whole.

    Args:
        processor: the model's. With `context_words`, sentences are read with their neighbours of the same document,
            which their `id` names.
        dataset: annotated sentences, with the columns of `spert.corpora.FEATURES`.
        batch_size: sentences that pass the encoder together.
        without_overlapping: as for `compute_scores`.
        from_text: give the model each sentence's text, and compare entities by characters. The text is the record's
            own, or else its words joined by one space. The predictions then hold the words that the processor found,
            and the scores hold `gold_entities` and `gold_entities_off_word_borders` besides: a gold entity that begins
            or ends inside of a word cannot be found.
        given_entities: give the model the gold entities and their types, so that only relations are predicted. Entity
            scores then say nothing.
        progress: show a progress bar.

    Raises:
        ValueError: the dataset uses types that the model does not know, or both `from_text` and `given_entities` are
            asked for.
    """
    if from_text and given_entities:
        raise ValueError(
            "evaluate_model: expected from_text or given_entities, got both. A gold entity that stands on no word "
            "border cannot be given to a model that reads text: evaluate them one after the other."
        )
    records = with_context(dataset.to_list(), processor.context_words)
    _refuse_unknown_types(model, records)
    state = PartialState()
    # Longest first, so that sentences of like length share a batch, and a batch that is too large fails at once.
    by_length = sorted(range(len(records)), key=lambda index: len(records[index]["tokens"]), reverse=True)
    own = by_length[state.process_index :: state.num_processes]
    types = model.config.entity_types, model.config.relation_types
    predicted, by_characters, off_borders = Predictions(*types), Predictions(*types), 0
    with tqdm(total=len(own), unit="sentence", disable=not progress) as bar:
        for indices in _chunks(own, batch_size * _BATCHES_AT_ONCE):
            chunk = [records[index] for index in indices]
            inputs = [_model_input(record, from_text, given_entities) for record in chunk]
            results = predict(model, processor, inputs, batch_size=batch_size)
            for record, result, prediction in zip(
                chunk, results, as_spert_json(results, [record["id"] for record in chunk])
            ):
                predicted.append(prediction)
                if from_text:
                    by_characters.append(prediction | {"entities": result["entities"]})
                    off_borders += _off_word_borders(_by_characters(record), result["words"])
            bar.update(len(indices))
    parts = gather_object([(own, predicted, by_characters, off_borders)])
    predictions = Predictions.in_order([(places, part) for places, part, _, _ in parts])
    compared: tuple[Sequence[Mapping[str, Any]], Predictions] = records, predictions
    if from_text:
        found = Predictions.in_order([(places, part) for places, _, part, _ in parts])
        compared = [_by_characters(record) for record in records], found
    scores = compute_scores(
        *compared, symmetric_relations=model.config.symmetric_relations, without_overlapping=without_overlapping
    )
    if from_text:
        scores[GOLD_ENTITIES] = sum(len(record["entities"]) for record in records)
        scores[OFF_WORD_BORDERS] = sum(count for *_, count in parts)
    return scores, predictions


def _chunks(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    rest = iter(indices)
    while chunk := list(itertools.islice(rest, size)):
        yield chunk


def _model_input(record: Mapping[str, Any], from_text: bool, given_entities: bool) -> dict[str, Any]:
    context = context_of(record)
    if from_text:
        texts = {field: " ".join(words) for field, words in context.items()}
        return {"text": _text_and_words(record)[0], **texts}
    if not given_entities:
        return {"tokens": record["tokens"], **context}
    entities = [
        {"type": entity["type"], "word_start": entity["start"], "word_end": entity["end"]}
        for entity in record["entities"]
    ]
    return {"tokens": record["tokens"], "entities": entities, **context}


def _text_and_words(record: Mapping[str, Any]) -> tuple[str, Sequence[Sequence[int]]]:
    """A record's own text, or its words joined by one space; with the character range of each word."""
    if record.get("text") is not None:
        return record["text"], record["words"]
    return join_words(record["tokens"])


def _by_characters(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record whose entities count characters of its text."""
    _, words = _text_and_words(record)
    entities = [
        {"type": entity["type"], "start": words[entity["start"]][0], "end": words[entity["end"] - 1][1]}
        for entity in record["entities"]
    ]
    return {"entities": entities, "relations": record["relations"]}


def _off_word_borders(record: Mapping[str, Any], words: Sequence[Sequence[int]]) -> int:
    """How many of a record's entities begin or end inside of a word."""
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    return sum(entity["start"] not in starts or entity["end"] not in ends for entity in record["entities"])


def _refuse_unknown_types(model: SpertModel, records: list[dict[str, Any]]) -> None:
    for field, known in (("entities", model.config.entity_types), ("relations", model.config.relation_types)):
        used = {annotation["type"] for record in records for annotation in record[field]}
        unknown = sorted(used - set(known))
        if unknown:
            raise ValueError(
                f"evaluate_model: the dataset's {field} have types that the model does not know: {unknown}; types of "
                f"the model that the dataset does not have: {sorted(set(known) - used) or 'none'}."
            )
