"""The losses, each a pure function of logits and labels; their sum is what is trained (paper, section 3.4)."""

from torch import Tensor
from torch.nn import functional

from .configuration_spert import LABEL_PADDING


def entity_loss(entity_logits: Tensor, span_labels: Tensor) -> Tensor:
    """Mean cross-entropy over the spans that are not padding; 0 where there are none.

    Shapes:
        entity_logits: `(batch, spans, 1 + entity types)`
        span_labels: `(batch, spans)`
        result: scalar
    """
    total = functional.cross_entropy(
        entity_logits.flatten(0, 1), span_labels.flatten(), ignore_index=LABEL_PADDING, reduction="sum"
    )
    return total / (span_labels != LABEL_PADDING).sum().clamp(min=1)


def relation_loss(relation_logits: Tensor, pair_labels: Tensor) -> Tensor:
    """Mean over the pairs that are not padding of the mean binary cross-entropy over relation types; 0 without pairs.

    Shapes:
        relation_logits, pair_labels: `(batch, pairs, relation types)`
        result: scalar
    """
    counted = pair_labels != LABEL_PADDING
    targets = pair_labels.to(relation_logits.dtype) * counted
    each = functional.binary_cross_entropy_with_logits(relation_logits, targets, reduction="none")
    return masked_mean(each, counted)


def masked_mean(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of the values that count; 0 where there are none.

    Shapes:
        values, counted: the same; `counted` is boolean
        result: scalar
    """
    return (values * counted).sum() / counted.sum().clamp(min=1)


def false_pair_loss(relation_logits: Tensor, is_pair: Tensor, span_labels: Tensor) -> Tensor:
    """How far pairs that have no relation are from having none: a mean over sentences.

    A sentence's share is the mean binary cross-entropy over its pairs and all relation types, 0 where it has no pairs.
    So a sentence with many such pairs weighs no more than one with a few.

    Shapes:
        relation_logits: `(batch, pairs, relation types)`
        is_pair: `(batch, pairs)`, `False` for padding
        span_labels: `(batch, spans)`; a sentence all of whose spans are padding (-100) does not count
        result: scalar
    """
    each = functional.softplus(relation_logits) * is_pair.unsqueeze(-1)
    of_sentences = each.sum(dim=(1, 2)) / (is_pair.sum(dim=1) * relation_logits.shape[-1]).clamp(min=1)
    return of_sentences.sum() / (span_labels != LABEL_PADDING).any(dim=1).sum().clamp(min=1)
