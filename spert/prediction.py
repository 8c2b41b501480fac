"""Extract from many sentences: batches of like length, results in input order."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from tqdm.auto import tqdm

from .modeling_spert import SpertModel
from .processing_spert import SpertProcessor


def predict(
    model: SpertModel,
    processor: SpertProcessor,
    sentences: Sequence[str | Sequence[str]],
    *,
    batch_size: int = 16,
    relation_threshold: float | None = None,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Entities and relations of each sentence.

    Args:
        sentences: a string is a text to be split into words, a list is words.
        batch_size: sentences that pass the encoder together; those of like length do, so that little is padding.
        relation_threshold: scores of at least this are relations. Default: the model configuration's.
        progress: show a progress bar.

    Returns:
        The dictionaries of `SpertProcessor.post_process_entity_relation_extraction`, in the order of `sentences`.
        The model's mode (training or evaluation) is as it was before.
    """
    if batch_size < 1:
        raise ValueError(f"predict: expected a batch_size of at least 1, got {batch_size}.")
    encoded = processor.encode(sentences)
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].input_ids), reverse=True)
    results: list[dict[str, Any]] = [{}] * len(encoded)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), tqdm(total=len(encoded), unit="sentence", disable=not progress) as bar:
            for first in range(0, len(order), batch_size):
                indices = order[first : first + batch_size]
                batch = processor.pad([encoded[index] for index in indices])
                batch.to(model.device)
                found = processor.post_process_entity_relation_extraction(model(**batch), batch, relation_threshold)
                for index, result in zip(indices, found):
                    results[index] = result
                bar.update(len(indices))
    finally:
        model.train(was_training)
    return results


def as_spert_json(results: Iterable[Mapping[str, Any]], ids: Iterable[Any] | None = None) -> list[dict[str, Any]]:
    """Results as records of SpERT JSON, whose spans count words.

    Args:
        results: as `predict` returns them.
        ids: an `id` for each, which SpERT JSON writes as `orig_id`.
    """
    records: list[dict[str, Any]] = []
    for result in results:
        records.append(
            {
                "tokens": [result["text"][start:end] for start, end in result["words"]],
                "entities": [
                    {"type": entity["type"], "start": entity["word_start"], "end": entity["word_end"]}
                    for entity in result["entities"]
                ],
                "relations": [
                    {"type": relation["type"], "head": relation["head"], "tail": relation["tail"]}
                    for relation in result["relations"]
                ],
            }
        )
    if ids is not None:
        for record, identifier in zip(records, ids, strict=True):
            record["id"] = identifier
    return records
