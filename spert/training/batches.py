"""Which sentences each process trains on in each step, and the batch of a process that has no sentences left."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from ..collating_spert import SpertDataCollator
from ..configuration_spert import LABEL_PADDING


class ShardedBatchSampler(Sampler[list[int]]):
    """The batches of one process, so that every sentence is seen once an epoch, whatever the number of processes.

    The sentences of an epoch are shuffled and cut into global batches, one for each optimizer step. A global batch is
    cut into `num_processes * accumulation_steps` micro-batches, which are dealt out to the processes in turn. If the
    last global batch does not reach every process, a micro-batch is empty: processes must step together.

    Args:
        num_records: sentences of the corpus.
        batch_size: sentences of a micro-batch.
        accumulation_steps: micro-batches of a process in an optimizer step.
        seed: with the epoch, it decides the order.
    """

    def __init__(
        self,
        num_records: int,
        batch_size: int,
        *,
        seed: int,
        accumulation_steps: int = 1,
        process_index: int = 0,
        num_processes: int = 1,
    ):
        self.num_records = num_records
        self.batch_size = batch_size
        self.accumulation_steps = accumulation_steps
        self.seed = seed
        self.process_index = process_index
        self.num_processes = num_processes
        self.epoch = 0
        self.skip_steps = 0

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-self.num_records // (self.batch_size * self.accumulation_steps * self.num_processes))

    def __len__(self) -> int:
        return self.steps_per_epoch * self.accumulation_steps

    def set_epoch(self, epoch: int, skip_steps: int = 0) -> None:
        """Set the epoch, which decides the order, and how many of its optimizer steps to skip."""
        self.epoch = epoch
        self.skip_steps = skip_steps

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.num_records, generator=generator).tolist()
        for micro_batch in range(self.skip_steps * self.accumulation_steps, len(self)):
            first = (micro_batch * self.num_processes + self.process_index) * self.batch_size
            yield order[first : first + self.batch_size]


class TrainingCollator:
    """A [`SpertDataCollator`] that also collates an empty batch: one padding sentence, whose loss is zero."""

    def __init__(self, collator: SpertDataCollator, num_relation_types: int):
        self.collator = collator
        (sentence,) = collator.processor.encode([["a"]])
        self._idle: dict[str, Any] = {
            "input_ids": sentence.input_ids,
            "word_pieces": sentence.word_pieces,
            "cls_piece": sentence.cls_piece,
            "spans": torch.tensor([[0, 1], [0, 1]]),
            "span_labels": torch.tensor([LABEL_PADDING, LABEL_PADDING]),
            "pairs": torch.tensor([[0, 1]]),
            "pair_labels": torch.full((1, num_relation_types), float(LABEL_PADDING)),
        }

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad a batch; an empty one becomes a padding sentence."""
        return self.collator(items or [self._idle])


def count_targets(batch: dict[str, Tensor]) -> Tensor:
    """How many spans, relation decisions (pairs × relation types) and sentences count in a batch's losses. `(3,)`."""
    spans, decisions = (batch[name] != LABEL_PADDING for name in ("span_labels", "pair_labels"))
    return torch.stack([spans.sum(), decisions.sum(), spans.any(dim=1).sum()])
