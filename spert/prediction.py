"""Extract from many sentences: batches of like length, results in input order, all at once or as a stream."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from tqdm.auto import tqdm

from .modeling_spert import SpertModel, SpertOutput
from .processing_spert import EncodedSentence, SpertBatch, SpertProcessor

Sentence = str | Sequence[str]
"""A text to be split into words, or words."""

LOOK_AHEAD = 64
"""Batches that a stream reads ahead, to put sentences of like length together."""


@dataclass(frozen=True)
class Refused:
    """A sentence that cannot be extracted from, and why."""

    reason: str


def predict(
    model: SpertModel,
    processor: SpertProcessor,
    sentences: Sequence[Sentence],
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

    Raises:
        ValueError: a sentence is longer than the encoder takes; the message names it.
    """
    _check_batch_size(batch_size)
    with tqdm(total=len(sentences), unit="sentence", disable=not progress) as bar:
        return _extract(model, processor, processor.encode(sentences), batch_size, relation_threshold, bar.update)


def predict_stream(
    model: SpertModel,
    processor: SpertProcessor,
    sentences: Iterable[Sentence | Refused],
    *,
    batch_size: int = 16,
    look_ahead: int = LOOK_AHEAD,
    relation_threshold: float | None = None,
) -> Iterator[dict[str, Any] | Refused]:
    """Entities and relations of any number of sentences, in constant memory and in input order.

    While the model works on one window of `batch_size * look_ahead` sentences, the next one is read and tokenized.

    Args:
        sentences: what is refused already passes through.
        batch_size, relation_threshold: as for `predict`.
        look_ahead: batches in a window; sentences of like length within a window go together.

    Returns:
        For each sentence the dictionary that `predict` gives, or why there is none.
    """
    _check_batch_size(batch_size)
    if look_ahead < 1:
        raise ValueError(f"predict_stream: expected a look_ahead of at least 1, got {look_ahead}.")
    source = iter(sentences)

    def next_window() -> list[EncodedSentence | Refused]:
        return _encode(processor, list(itertools.islice(source, batch_size * look_ahead)))

    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting: Future[list[EncodedSentence | Refused]] = reader.submit(next_window)
        while window := waiting.result():
            waiting = reader.submit(next_window)
            encoded = [one for one in window if not isinstance(one, Refused)]
            results = iter(_extract(model, processor, encoded, batch_size, relation_threshold))
            for one in window:
                yield one if isinstance(one, Refused) else next(results)


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


def _extract(
    model: SpertModel,
    processor: SpertProcessor,
    encoded: Sequence[EncodedSentence],
    batch_size: int,
    relation_threshold: float | None,
    advance: Callable[[int], object] = lambda number: None,
) -> list[dict[str, Any]]:
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].input_ids), reverse=True)
    results: list[dict[str, Any]] = [{}] * len(encoded)

    @torch.inference_mode()
    def decode(outputs: SpertOutput, batch: SpertBatch, indices: Sequence[int]) -> None:
        found = processor.post_process_entity_relation_extraction(outputs, batch, relation_threshold)
        for index, result in zip(indices, found):
            results[index] = result
        advance(len(indices))

    was_training = model.training
    model.eval()
    try:
        # While an accelerator works on a batch, this thread waits for it, and another one decodes the batch before.
        with ThreadPoolExecutor(max_workers=1) as decoder, torch.inference_mode():
            decoding: Future[None] | None = None
            for first in range(0, len(order), batch_size):
                indices = order[first : first + batch_size]
                batch = processor.pad([encoded[index] for index in indices])
                batch.to(model.device)
                outputs = model(**batch)
                if model.device.type == "cpu":
                    decode(outputs, batch, indices)
                    continue
                if decoding is not None:
                    decoding.result()
                decoding = decoder.submit(decode, outputs, batch, indices)
            if decoding is not None:
                decoding.result()
    finally:
        model.train(was_training)
    return results


def _encode(processor: SpertProcessor, sentences: Sequence[Sentence | Refused]) -> list[EncodedSentence | Refused]:
    """Encode together what can be; where something cannot, find out what."""
    good = [one for one in sentences if not isinstance(one, Refused)]
    try:
        encoded: Iterator[EncodedSentence | Refused] = iter(processor.encode(good))
    except ValueError:
        encoded = (_encode_one(processor, one) for one in good)
    return [one if isinstance(one, Refused) else next(encoded) for one in sentences]


def _encode_one(processor: SpertProcessor, sentence: Sentence) -> EncodedSentence | Refused:
    try:
        return processor.encode([sentence])[0]
    except ValueError as error:
        return Refused(str(error))


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"predict: expected a batch_size of at least 1, got {batch_size}.")
