"""Negative samples for training, drawn inside one sentence from a passed generator (paper, section 3.4).

A draw depends on nothing but its generator, and `record_generator` makes that from (seed, epoch, record): neither the
number of loader workers nor of processes changes what a record is trained with.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from .spans_spert import candidate_spans

ALL_SPANS = -1
"""In place of a number of negative spans: all there are."""


def record_generator(seed: int, epoch: int, record: int) -> torch.Generator:
    """A generator of its own for each record and epoch, the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{record}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def happens(probability: float, generator: torch.Generator) -> bool:
    """Draw whether something happens that has this probability."""
    return bool(torch.rand((), generator=generator, dtype=torch.float64) < probability)


def negative_spans(
    num_words: int,
    gold_spans: Sequence[tuple[int, int]],
    max_width: int,
    number: int,
    generator: torch.Generator,
    hard_ratio: float = 0.0,
) -> Tensor:
    """Random spans that are no gold entity: `number` of them, or all there are if those are fewer.

    Args:
        num_words: words of the sentence.
        gold_spans: word ranges of its entities.
        max_width: the widest span to draw, in words.
        number: how many to draw; `ALL_SPANS` for all there are, in the order of `candidate_spans`.
        hard_ratio: above 0, this share of them are hard ones, which share words with an entity, and the others share
            none. Where one kind runs short, the other makes up for it. With 0 all are drawn alike.

    *Shape:* `(negatives, 2)`, word ranges, each at most once.
    """
    spans = candidate_spans(num_words, max_width)
    gold = torch.zeros((num_words + 1, num_words + 1), dtype=torch.bool)
    in_entity = torch.zeros(num_words, dtype=torch.long)
    for start, end in gold_spans:
        gold[start, end] = True
        in_entity[start:end] = 1
    spans = spans[~gold[spans[:, 0], spans[:, 1]]]
    if number == ALL_SPANS:
        return spans
    if hard_ratio == 0:
        return _draw(spans, number, generator)
    words_before = torch.cat((in_entity.new_zeros(1), in_entity.cumsum(0)))
    is_hard = words_before[spans[:, 1]] > words_before[spans[:, 0]]
    hard, easy = spans[is_hard], spans[~is_hard]
    num_easy = min(number - min(round(hard_ratio * number), len(hard)), len(easy))
    return torch.cat((_draw(hard, number - num_easy, generator), _draw(easy, num_easy, generator)))


def strong_negative_pairs(
    num_entities: int, related: Sequence[tuple[int, int]], number: int, generator: torch.Generator
) -> Tensor:
    """Random ordered pairs of distinct gold entities that no relation joins in that order.

    The reverse of a related pair is such a pair unless it is related itself. `related` holds each symmetric relation
    once, from its earlier to its later entity: its reverse is a negative.

    *Shape:* `(negatives, 2)`: head and tail, indices of entities, each pair at most once; `number` of them, or all
    there are if those are fewer.
    """
    free = ~torch.eye(num_entities, dtype=torch.bool)
    for head, tail in related:
        free[head, tail] = False
    return _draw(free.nonzero(), number, generator)


def weak_negative_pairs(num_spans: int, num_gold: int, number: int, generator: torch.Generator) -> Tensor:
    """Random ordered pairs of distinct spans that are not both gold entities (the paper's ablation, section 4.5).

    Spans `0 … num_gold - 1` are the gold ones. *Shape:* `(negatives, 2)`, indices of spans, as
    `strong_negative_pairs`.
    """
    free = ~torch.eye(num_spans, dtype=torch.bool)
    free[:num_gold, :num_gold] = False
    return _draw(free.nonzero(), number, generator)


def _draw(items: Tensor, number: int, generator: torch.Generator) -> Tensor:
    return items[torch.randperm(len(items), generator=generator)[:number]]
