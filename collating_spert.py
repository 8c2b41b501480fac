"""Annotated sentences to training batches: gold and sampled spans and pairs, and their padding.

```python
train = SpertTrainingDataset(records, processor, model.config, seed=42)
trainer = Trainer(model, args, train_dataset=train, data_collator=SpertDataCollator(processor))
```
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers.utils import logging

from .configuration_spert import LABEL_PADDING, WIDTH_EMBEDDING_ROWS
from .neighbours_spert import context_of, with_context
from .sampling_spert import (
    ALL_SPANS,
    happens,
    negative_spans,
    record_generator,
    strong_negative_pairs,
    weak_negative_pairs,
)
from .words_spert import refine_words

if TYPE_CHECKING:
    from .configuration_spert import SpertConfig
    from .encoding_spert import EncodedSentence
    from .processing_spert import SpertProcessor

logger = logging.get_logger(__name__)


class SpertTrainingDataset(Dataset):
    """Sentences with their gold spans and pairs, and negatives that are drawn anew in every epoch.

    An item is a dictionary of two lists, `input_ids` and `word_pieces`, the number `cls_piece`, and tensors.

    Shapes:
        `spans`: `(spans, 2)`, word ranges, gold ones first.
        `span_labels`: `(spans,)`, 0 for "no entity" or 1 + the index of the type.
        `pairs`: `(pairs, 2)`, head and tail as indices into `spans`, gold ones first.
        `pair_labels`: `(pairs, relation types)`, 1.0 for each type that holds.

    Entities of the same span and type are one entity, and the relations of all of them are its relations.
    `num_merged_entities` counts them, and a warning says how many there are.

    Args:
        records: `{"tokens", "entities": [{"type", "start", "end"}], "relations": [{"type", "head", "tail"}]}`. Spans
            count words. An `id` is named in errors.
        processor: encodes the words, and with `context_words` those around them: of a record's `context_before` and
            `context_after`, or else of the records that its `id` says are its neighbours.
        config: types, symmetric relations and `max_span_width`, the widest span that is drawn. Gold spans may be wider.
        num_negative_spans: random spans drawn for each sentence (paper, section 4.1: 100), or -1 for all there are.
        hard_negative_ratio: the share of them that overlap an entity; see `sampling_spert.negative_spans`.
        num_negative_relations: random pairs drawn for each sentence (paper, section 4.1: 100).
        weak_negative_relations: draw pairs of random spans instead of unrelated gold entities (the paper's ablation).
        finer_words_ratio: how often a sentence is read in finer words: those of the corpus, split again by the general
            splitter. Gold entities keep their borders, and negatives begin and end inside of the corpus's words, so
            that the model learns that neither `Nov` nor `.` is an entity where `Nov.` is one.
        seed: decides every draw, together with the epoch and the record's position.

    Raises:
        ValueError: a record names an unknown type, an entity is wider than the width table, or a relation does not join
            two different entities. The message names record and entity or relation.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        processor: "SpertProcessor",
        config: "SpertConfig",
        *,
        num_negative_spans: int = 100,
        hard_negative_ratio: float = 0.0,
        num_negative_relations: int = 100,
        weak_negative_relations: bool = False,
        finer_words_ratio: float = 0.0,
        seed: int = 42,
    ):
        if num_negative_spans < ALL_SPANS:
            raise ValueError(
                f"SpertTrainingDataset.num_negative_spans: expected 0 or more, or {ALL_SPANS} for all, got "
                f"{num_negative_spans}."
            )
        if num_negative_relations < 0:
            raise ValueError(
                f"SpertTrainingDataset.num_negative_relations: expected 0 or more, got {num_negative_relations}."
            )
        for name, ratio in (("hard_negative_ratio", hard_negative_ratio), ("finer_words_ratio", finer_words_ratio)):
            if not 0 <= ratio <= 1:
                raise ValueError(f"SpertTrainingDataset.{name}: expected a number from 0 to 1, got {ratio}.")
        self.max_span_width = config.max_span_width
        self.num_relation_types = len(config.relation_types)
        self.num_negative_spans = num_negative_spans
        self.hard_negative_ratio = hard_negative_ratio
        self.num_negative_relations = num_negative_relations
        self.weak_negative_relations = weak_negative_relations
        self.finer_words_ratio = finer_words_ratio
        self.seed = seed
        # Shared memory: a loader worker that lives through many epochs sees the change, too.
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()
        self._gold = [_Gold(record, index, config) for index, record in enumerate(records)]
        self.num_merged_entities = sum(gold.num_merged for gold in self._gold)
        if self.num_merged_entities:
            logger.warning(
                f"SpertTrainingDataset: {self.num_merged_entities} entities have the span and type of another entity "
                f"of their record and were merged into it."
            )
        records = with_context(records, processor.context_words)
        self._encoded = processor.encode([_words_and_context(record) for record in records])
        self._finer: dict[int, tuple[EncodedSentence, _Gold]] = {}  # the sentences whose words can be split again
        if finer_words_ratio > 0:
            finer = {index: _in_finer_words(record) for index, record in enumerate(records)}
            finer = {
                index: record
                for index, record in finer.items()
                if len(record["tokens"]) > len(records[index]["tokens"])
            }
            encoded = processor.encode([_words_and_context(record) for record in finer.values()])
            self._finer = {
                index: (sentence, _Gold(record, index, config))
                for (index, record), sentence in zip(finer.items(), encoded)
            }

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch to draw negatives for. Trainer and accelerate call this at the start of each epoch."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, index: int) -> dict[str, Any]:
        encoded, gold = self._encoded[index], self._gold[index]
        generator = record_generator(self.seed, int(self._epoch), index)
        if index in self._finer and happens(self.finer_words_ratio, generator):
            encoded, gold = self._finer[index]
        negatives = negative_spans(
            len(encoded.words),
            gold.spans,
            self.max_span_width,
            self.num_negative_spans,
            generator,
            self.hard_negative_ratio,
        )
        num_gold = len(gold.spans)
        spans = torch.cat((torch.tensor(gold.spans, dtype=torch.long).reshape(-1, 2), negatives))
        span_labels = torch.tensor(gold.labels + [0] * len(negatives), dtype=torch.long)
        pairs = torch.tensor(list(gold.pairs), dtype=torch.long).reshape(-1, 2)
        if self.num_relation_types == 0:
            unrelated = pairs[:0]
        elif self.weak_negative_relations:
            unrelated = weak_negative_pairs(len(spans), num_gold, self.num_negative_relations, generator)
        else:
            unrelated = strong_negative_pairs(num_gold, gold.not_negative, self.num_negative_relations, generator)
        pair_labels = torch.zeros((len(pairs) + len(unrelated), self.num_relation_types))
        for row, relations in enumerate(gold.pairs.values()):
            pair_labels[row, relations] = 1.0
        return {
            "input_ids": encoded.input_ids,
            "word_pieces": encoded.word_pieces,
            "cls_piece": encoded.cls_piece,
            "spans": spans,
            "span_labels": span_labels,
            "pairs": torch.cat((pairs, unrelated)),
            "pair_labels": pair_labels,
        }


class SpertDataCollator:
    """Pads items of a [`SpertTrainingDataset`] into a batch for `SpertModel.forward`.

    A batch holds the keys of `SpertBatch` and these tensors.

    Shapes:
        `spans`: `(batch, spans, 2)`, padded with `[0, 0)`.
        `span_labels`: `(batch, spans)`, padded with -100.
        `pairs`: `(batch, pairs, 2)`, padded with 0.
        `pair_labels`: `(batch, pairs, relation types)`, padded with -100.
    """

    def __init__(self, processor: "SpertProcessor", pad_to_multiple_of: int | None = None):
        self.processor = processor
        self.pad_to_multiple_of = pad_to_multiple_of

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Pad a batch."""
        batch = self.processor.pad_features([dict(item) for item in items], self.pad_to_multiple_of)
        for name, padding in (
            ("spans", 0),
            ("span_labels", LABEL_PADDING),
            ("pairs", 0),
            ("pair_labels", LABEL_PADDING),
        ):
            batch[name] = pad_sequence([item[name] for item in items], batch_first=True, padding_value=padding)
        return batch


def distinct_entities(entities: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[int]]:
    """Find the entities of a record that are one entity because they have the same span and type.

    Returns:
        For each entity its index among the distinct ones; and for each distinct one the index where it first stands.

    >>> ada, oslo = {"type": "Person", "start": 0, "end": 2}, {"type": "Place", "start": 4, "end": 5}
    >>> distinct_entities([ada, ada, oslo])
    ([0, 0, 1], [0, 2])
    """
    found: dict[tuple[int, int, str], int] = {}
    indices: list[int] = []
    kept: list[int] = []
    for position, entity in enumerate(entities):
        key = (entity["start"], entity["end"], entity["type"])
        if key not in found:
            found[key] = len(kept)
            kept.append(position)
        indices.append(found[key])
    return indices, kept


def _words_and_context(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"tokens": list(record["tokens"]), **context_of(record)}


def _in_finer_words(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record in the words of `refine_words`."""
    words = refine_words(record["tokens"])
    borders = [0, *itertools.accumulate(map(len, words))]
    entities = [
        {**entity, "start": borders[entity["start"]], "end": borders[entity["end"]]} for entity in record["entities"]
    ]
    return {**record, "tokens": [part for parts in words for part in parts], "entities": entities}


class _Gold:
    """The annotation of one record, in the numbers of the classifiers.

    Attributes:
        spans: word ranges of the distinct entities, in the record's order.
        labels: `1 + index` of each entity's type.
        pairs: the indices of the relation types of each related pair (head, tail). The head of a symmetric relation is
            the entity that starts first. Where entities of different types share a span, pairs name the first of them.
        not_negative: the pairs that are not drawn as negatives: the related ones, and those with an entity that shares
            its span with an earlier one.
        num_merged: the number of entities that were merged into another of the same span and type.
    """

    def __init__(self, record: Mapping[str, Any], index: int, config: "SpertConfig"):
        name = f"record {index}" + (f" (id {record['id']!r})" if record.get("id") is not None else "")
        self.spans: list[tuple[int, int]] = []
        self.labels: list[int] = []
        self.pairs: dict[tuple[int, int], list[int]] = {}
        indices, kept = distinct_entities(record["entities"])
        self.num_merged = len(indices) - len(kept)
        for number, entity in enumerate(record["entities"]):
            start, end = entity["start"], entity["end"]
            if not 0 <= start < end <= len(record["tokens"]):
                raise ValueError(
                    f"SpertTrainingDataset: {name}, entity {number}: expected a word range within "
                    f"[0, {len(record['tokens'])}), got [{start}, {end})."
                )
            if end - start >= WIDTH_EMBEDDING_ROWS:
                raise ValueError(
                    f"SpertTrainingDataset: {name}, entity {number}: expected at most {WIDTH_EMBEDDING_ROWS - 1} "
                    f"words, got the {end - start} words [{start}, {end}). The width table has "
                    f"{WIDTH_EMBEDDING_ROWS} rows; take the entity out or mark a part of it."
                )
            label = 1 + _index(config.entity_types, entity["type"], f"{name}, entity {number}")
            if number == kept[indices[number]]:
                self.spans.append((start, end))
                self.labels.append(label)
        first = [self.spans.index(span) for span in self.spans]
        for number, relation in enumerate(record["relations"]):
            head, tail = relation["head"], relation["tail"]
            for role, entity in (("head", head), ("tail", tail)):
                if not 0 <= entity < len(indices):
                    raise ValueError(
                        f"SpertTrainingDataset: {name}, relation {number}: expected a {role} among the record's "
                        f"{len(indices)} entities, got {entity}."
                    )
            if head == tail:
                raise ValueError(
                    f"SpertTrainingDataset: {name}, relation {number}: expected two entities, got {head} twice."
                )
            head_span, tail_span = first[indices[head]], first[indices[tail]]
            if head_span == tail_span:
                start, end = self.spans[head_span]
                raise ValueError(
                    f"SpertTrainingDataset: {name}, relation {number}: expected two entities of different words, got "
                    f"{head} and {tail}, which both have the words [{start}, {end})."
                )
            relation_type = _index(config.relation_types, relation["type"], f"{name}, relation {number}")
            if relation["type"] in config.symmetric_relations and self.spans[tail_span][0] < self.spans[head_span][0]:
                head_span, tail_span = tail_span, head_span
            self.pairs.setdefault((head_span, tail_span), []).append(relation_type)
        self.not_negative = list(self.pairs)
        for entity in (index for index, earlier in enumerate(first) if index != earlier):
            for other in range(len(first)):
                self.not_negative += [(entity, other), (other, entity)]


def _index(types: Sequence[str], name: str, where: str) -> int:
    if name not in types:
        raise ValueError(f"SpertTrainingDataset: {where}: expected a type out of {list(types)}, got {name!r}.")
    return types.index(name)
