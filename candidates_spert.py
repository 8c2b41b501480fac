"""Candidates: which spans are scored, and which of them are entities.

Knows no weights: models and exported graphs share it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .options_spert import type_key
from .spans_spert import candidate_spans, count_words, span_widths


class FoundEntities(NamedTuple):
    """The result of `SpertModel.find_entities`.

    Shapes:
        spans: `(batch, spans, 2)`, the word ranges that were scored, `[0, 0)` for padding
        entity_logits: `(batch, spans, 1 + entity types)`, float32
        candidate_entities: `(entities, 2)`, sentence and index into `spans`
        candidate_counts: `(batch,)`, entities of each sentence
        num_pairs: not a tensor: how many ordered pairs of entities there are in all
    """

    spans: Tensor
    entity_logits: Tensor
    candidate_entities: Tensor
    candidate_counts: Tensor
    num_pairs: int

    def entity_spans(self) -> tuple[Tensor, Tensor]:
        """Sentence `(entities,)` and word range `(entities, 2)` of each entity."""
        sentence, span = self.candidate_entities.unbind(-1)
        return sentence, self.spans[sentence, span]

    def type_probabilities(self, entity_types: Sequence[str], given_types: Tensor | None = None) -> Tensor:
        """The probability of each class, for each entity; a given type is certain.

        Args:
            entity_types: names in the order of the classifier's outputs 1, 2, …
            given_types: `type_key` of each given entity's type, 0 where none was given.

        Shapes:
            given_types: `(batch, entities)`
            result: `(entities, 1 + entity types)`, float32
        """
        sentence, span = self.candidate_entities.unbind(-1)
        probabilities = self.entity_logits[sentence, span].softmax(dim=-1)
        if given_types is None:
            return probabilities
        keys = given_types[sentence, span]
        # Compared with plain numbers, which need no way to the device.
        is_type = torch.stack([keys == type_key(name) for name in entity_types], dim=-1)
        certain = torch.cat((torch.zeros_like(is_type[:, :1]), is_type), dim=-1).to(probabilities.dtype)
        return torch.where(is_type.any(dim=-1, keepdim=True), certain, probabilities)


def batch_candidate_spans(word_pieces: Tensor, max_width: int) -> Tensor:
    """The candidate spans of every sentence, `[0, 0)` where one reaches into the sentence's padding.

    Shapes:
        word_pieces: `(batch, words, 2)`
        result: `(batch, spans, 2)`, word ranges
    """
    spans = candidate_spans(word_pieces.shape[1], max_width, word_pieces.device)
    inside = spans[:, 1] <= count_words(word_pieces).unsqueeze(1)
    return spans.unsqueeze(0) * inside.unsqueeze(-1)


def false_entity_pairs(entity_logits: Tensor, span_labels: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The pairs with wrong spans that inference would meet: those in which a span is no entity, and is called one.

    The other span of a pair is a gold entity, or another such span. Where there are more pairs than `number`, those
    are taken whose spans are likelier to be entities, in the model's own eyes.

    Args:
        number: the most pairs of a sentence.

    Shapes:
        entity_logits: `(batch, spans, 1 + entity types)`; no gradient goes through them
        span_labels: `(batch, spans)`, 0 for no entity, -100 for padding
        result: `(batch, pairs, 2)`, head and tail as indices of spans, 0 for padding; and `(batch, pairs)`, `False` for
            padding
    """
    logits = entity_logits.detach()
    is_false = (span_labels == 0) & (logits.argmax(dim=-1) > 0)
    is_entity = is_false | (span_labels > 0)
    most = int(is_entity.sum(dim=1).max()) if is_entity.shape[1] else 0
    # The entities of each sentence in front, in their order, so that only their pairs are looked at.
    spans = is_entity.long().sort(dim=1, descending=True, stable=True).indices[:, :most]
    is_false, is_entity = is_false.gather(1, spans), is_entity.gather(1, spans)
    chances = 1 - logits.softmax(dim=-1)[..., 0].gather(1, spans)
    is_pair = is_entity.unsqueeze(2) & is_entity.unsqueeze(1) & (is_false.unsqueeze(2) | is_false.unsqueeze(1))
    is_pair &= ~torch.eye(most, dtype=torch.bool, device=spans.device)
    chances = (chances.unsqueeze(2) * chances.unsqueeze(1)).masked_fill(~is_pair, -1.0).flatten(1)
    index = chances.sort(dim=1, descending=True, stable=True).indices[:, :number]
    head, tail = index.div(max(most, 1), rounding_mode="floor"), index % max(most, 1)
    is_pair = is_pair.flatten(1).gather(1, index)
    pairs = torch.stack((spans.gather(1, head), spans.gather(1, tail)), dim=-1)
    return pairs * is_pair.unsqueeze(-1), is_pair


def refuse_not_finite(number: int, what: str) -> None:
    """Refuse to go on where logits are not finite: comparisons with NaN would find nothing, and say nothing.

    Raises:
        RuntimeError: `number` is not 0.
    """
    if number:
        raise RuntimeError(
            f"SpertModel: expected finite logits, got NaN or infinity for {number} {what} of a batch. In float16 some "
            f"encoders overflow: take bfloat16 or float32. With float32 the weights are at fault."
        )


class CountedEntities(NamedTuple):
    """Scored spans, and how many of them are entities, which only the device knows so far.

    Shapes:
        spans: `(batch, spans, 2)`, word ranges, `[0, 0)` for padding
        entity_logits: `(batch, spans, 1 + entity types)`, float32
        is_entity: `(batch, spans)`
        counts: `(batch,)`, entities of each sentence
        numbers: `(3,)`: entities, ordered pairs of them, and spans whose logits are not finite
    """

    spans: Tensor
    entity_logits: Tensor
    is_entity: Tensor
    counts: Tensor
    numbers: Tensor

    def entity_positions(self, number: int) -> Tensor:
        """Where the first entities stand among the spans of all sentences, in order; past the last one where there are
        fewer than `number`.

        Shapes:
            result: `(number,)`
        """
        # The k-th entity stands where the running count reaches k: nothing is sorted, and nobody waits.
        running = self.is_entity.flatten().cumsum(0)
        return torch.searchsorted(running, torch.arange(1, number + 1, device=running.device))


@torch.compiler.disable
def count_entities(spans: Tensor, entity_logits: Tensor, are_given: bool = False) -> CountedEntities:
    """Find the spans whose likeliest class is a type, and count them; the host waits for nothing.

    Args:
        are_given: take every span that is not padding, whatever its scores.

    Shapes:
        spans: `(batch, spans, 2)`, `[0, 0)` for padding
        entity_logits: `(batch, spans, 1 + entity types)`
    """
    is_span = span_widths(spans) > 0
    is_entity = is_span if are_given else is_span & (entity_logits.argmax(dim=-1) > 0)
    counts = is_entity.sum(dim=1)
    # A sum is finite only if all its terms are. The number comes to the host with the two that it waits for anyway.
    num_not_finite = (is_span & ~entity_logits.sum(dim=-1).isfinite()).sum()
    numbers = torch.stack((counts.sum(), (counts * (counts - 1)).sum(), num_not_finite))
    return CountedEntities(spans, entity_logits, is_entity, counts, numbers)


@torch.compiler.disable
def take_entities(counted: CountedEntities, numbers: Tensor | None = None) -> FoundEntities:
    """The entities that were counted.

    Never compiled: the shape of the result depends on the data.

    Args:
        numbers: `counted.numbers` where they have come to the host already. Default: one synchronisation brings them.

    Raises:
        RuntimeError: a span that is not padding has a logit that is NaN or infinite.
    """
    num_entities, num_pairs, num_not_finite = (counted.numbers if numbers is None else numbers).tolist()
    refuse_not_finite(num_not_finite, "spans")
    index = counted.entity_positions(num_entities)
    num_spans = max(counted.spans.shape[1], 1)
    entities = torch.stack((index.div(num_spans, rounding_mode="floor"), index % num_spans), dim=-1)
    return FoundEntities(counted.spans, counted.entity_logits, entities, counted.counts, num_pairs)


def select_entities(spans: Tensor, entity_logits: Tensor, are_given: bool = False) -> FoundEntities:
    """Take the spans whose likeliest class is a type; one synchronisation with the host.

    Args:
        are_given: take every span that is not padding, whatever its scores.

    Shapes:
        spans: `(batch, spans, 2)`, `[0, 0)` for padding
        entity_logits: `(batch, spans, 1 + entity types)`

    Raises:
        RuntimeError: a span that is not padding has a logit that is NaN or infinite.
    """
    return take_entities(count_entities(spans, entity_logits, are_given))


class ScoredCandidates(NamedTuple):
    """What decoding reads of a forward: little enough to be brought to the host whole.

    Shapes:
        sentence: `(entities,)`, row in the batch
        spans: `(entities, 2)`, word ranges
        logits: `(entities, 1 + entity types)`
        counts: `(batch,)`, entities of each sentence
        pair_logits: `(candidates, relation types)`, in the order of `ordered_pairs(counts, …)`
    """

    sentence: Tensor
    spans: Tensor
    logits: Tensor
    counts: Tensor
    pair_logits: Tensor


def scored_candidates(found: FoundEntities, pair_logits: Tensor) -> ScoredCandidates:
    """The rows of entities, out of those of all spans.

    Shapes:
        pair_logits: `(candidates, relation types)`
    """
    sentence, span = found.candidate_entities.unbind(-1)
    return ScoredCandidates(
        sentence, found.spans[sentence, span], found.entity_logits[sentence, span], found.candidate_counts, pair_logits
    )
