"""Annotated sentences to training batches: gold and sampled spans and pairs, and their padding.

```python
train = SpertTrainingDataset(records, processor, model.config, seed=42)
trainer = Trainer(model, args, train_dataset=train, data_collator=SpertDataCollator(processor))
```
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from .configuration_spert import LABEL_PADDING, WIDTH_EMBEDDING_ROWS
from .sampling_spert import negative_spans, record_generator, strong_negative_pairs, weak_negative_pairs

if TYPE_CHECKING:
    from .configuration_spert import SpertConfig
    from .processing_spert import SpertProcessor


class SpertTrainingDataset(Dataset):
    """Sentences with their gold spans and pairs, and negatives that are drawn anew in every epoch.

    An item is a dictionary of `input_ids` and `word_pieces` (lists), `cls_piece`, and the tensors `spans`
    `(spans, 2)` (word ranges, gold ones first), `span_labels` `(spans,)`, `pairs` `(pairs, 2)` (indices into `spans`,
    gold ones first) and `pair_labels` `(pairs, relation types)`.

    Args:
        records: `{"tokens", "entities": [{"type", "start", "end"}], "relations": [{"type", "head", "tail"}]}`, spans
            count words; an `id` is named in errors.
        processor: encodes the words.
        config: types, symmetric relations and `max_span_width`, the widest span that is drawn; gold spans may be wider.
        num_negative_spans: random spans drawn a sentence (paper, section 4.1: 100).
        num_negative_relations: random pairs drawn a sentence (paper, section 4.1: 100).
        weak_negative_relations: draw pairs of random spans in place of unrelated gold entities (the paper's ablation).
        seed: with the epoch and the record's position it decides every draw, and nothing else does.

    Raises:
        ValueError: a record names an unknown type, or an entity is wider than the width table; the message names both.
    """

    def __init__(
        self,
        records: Sequence[Mapping[str, Any]],
        processor: "SpertProcessor",
        config: "SpertConfig",
        *,
        num_negative_spans: int = 100,
        num_negative_relations: int = 100,
        weak_negative_relations: bool = False,
        seed: int = 42,
    ):
        for name, number in (
            ("num_negative_spans", num_negative_spans),
            ("num_negative_relations", num_negative_relations),
        ):
            if number < 0:
                raise ValueError(f"SpertTrainingDataset.{name}: expected 0 or more, got {number}.")
        self.max_span_width = config.max_span_width
        self.num_relation_types = len(config.relation_types)
        self.num_negative_spans = num_negative_spans
        self.num_negative_relations = num_negative_relations
        self.weak_negative_relations = weak_negative_relations
        self.seed = seed
        # Shared memory: a loader worker that lives through many epochs sees the change, too.
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()
        self._gold = [_Gold(record, index, config) for index, record in enumerate(records)]
        self._encoded = processor.encode([list(record["tokens"]) for record in records])

    def set_epoch(self, epoch: int) -> None:
        """Draw other negatives from now on. Trainer and accelerate call this at the start of each epoch."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, index: int) -> dict[str, Any]:
        encoded, gold = self._encoded[index], self._gold[index]
        generator = record_generator(self.seed, int(self._epoch), index)
        negatives = negative_spans(
            len(encoded.words), gold.spans, self.max_span_width, self.num_negative_spans, generator
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
            unrelated = strong_negative_pairs(num_gold, list(gold.pairs), self.num_negative_relations, generator)
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

    Keys: those of `SpertBatch`, and `spans` `(batch, spans, 2)` padded with `[0, 0)`, `span_labels` `(batch, spans)`
    padded with -100, `pairs` `(batch, pairs, 2)` padded with 0, `pair_labels` `(batch, pairs, relation types)` padded
    with -100.
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


class _Gold:
    """What is true of one record, in the numbers of the classifiers.

    Args:
        spans: word ranges of the entities, in the record's order.
        labels: `1 + index` of each entity's type.
        pairs: for each related pair of entities (head, tail) the indices of its relation types; a symmetric relation
            runs from the entity that starts first.
    """

    def __init__(self, record: Mapping[str, Any], index: int, config: "SpertConfig"):
        name = f"record {index}" + (f" (id {record['id']!r})" if record.get("id") is not None else "")
        self.spans: list[tuple[int, int]] = []
        self.labels: list[int] = []
        self.pairs: dict[tuple[int, int], list[int]] = {}
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
            self.spans.append((start, end))
            self.labels.append(1 + _index(config.entity_types, entity["type"], f"{name}, entity {number}"))
        for number, relation in enumerate(record["relations"]):
            head, tail = relation["head"], relation["tail"]
            for role, entity in (("head", head), ("tail", tail)):
                if not 0 <= entity < len(self.spans):
                    raise ValueError(
                        f"SpertTrainingDataset: {name}, relation {number}: expected a {role} among the record's "
                        f"{len(self.spans)} entities, got {entity}."
                    )
            if head == tail:
                raise ValueError(
                    f"SpertTrainingDataset: {name}, relation {number}: expected two entities, got {head} twice."
                )
            relation_type = _index(config.relation_types, relation["type"], f"{name}, relation {number}")
            if relation["type"] in config.symmetric_relations and self.spans[tail][0] < self.spans[head][0]:
                head, tail = tail, head
            self.pairs.setdefault((head, tail), []).append(relation_type)


def _index(types: Sequence[str], name: str, where: str) -> int:
    if name not in types:
        raise ValueError(f"SpertTrainingDataset: {where}: expected a type out of {list(types)}, got {name!r}.")
    return types.index(name)
