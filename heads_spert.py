"""The two heads of a SpERT model: linear layers over joined vectors, multiplied in parts.

`[a, b, c] · W` is `a · Wa + b · Wb + c · Wc`: what many spans or pairs share is multiplied once.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from .modeling_spert import SpertModel

JOINED_WIDTHS_ELEMENTS = {"cpu": 2**18, "cuda": 2**28}
"""Spans of several widths are scored by one product while their vectors hold at most this many numbers: on a CPU, what
stays in its cache; on a GPU, where launching a kernel costs more than copying, nearly all batches fit.
"""


class SpanClassifier(nn.Module):
    """Scores spans: one linear layer over [classifier piece, pooled span, width embedding] (paper, section 3.1)."""

    def __init__(self, hidden_size: int, width_embedding_size: int, num_types: int, dropout: float):
        super().__init__()
        self.hidden_size = hidden_size
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * hidden_size + width_embedding_size, 1 + num_types)

    def forward(self, sentence: Tensor, pooled: Tensor, width_embedding: Tensor) -> Tensor:
        """Score any spans.

        Shapes:
            sentence: `(batch, hidden)`, states of the classifier pieces
            pooled: `(batch, spans, hidden)`
            width_embedding: `(batch, spans, width embedding)`
            result: `(batch, spans, 1 + entity types)`, float32
        """
        if _drops(self.dropout):
            shared = sentence.unsqueeze(1).expand_as(pooled)
            return self.linear(self.dropout(torch.cat((shared, pooled, width_embedding), dim=-1))).float()
        of_sentence, of_span, of_width = self._weights()
        return (
            functional.linear(pooled, of_span).float()
            + functional.linear(width_embedding, of_width).float()
            + functional.linear(sentence, of_sentence, self.linear.bias).float().unsqueeze(1)
        )

    def by_width(self, sentence: Tensor, pooled_by_width: Iterable[Tensor], width_embeddings: Tensor) -> Tensor:
        """Score all candidate spans, one width at a time.

        Shapes:
            sentence: `(batch, hidden)`
            pooled_by_width: yields `(batch, words - width + 1, hidden)` for width 1, 2, …
            width_embeddings: `(max width, width embedding)`
            result: `(batch, spans, 1 + entity types)`, float32, in the order of `candidate_spans`
        """
        of_sentence, of_span, of_width = self._weights()
        shared = functional.linear(sentence, of_sentence, self.linear.bias).float().unsqueeze(1)
        shared = (
            shared.unsqueeze(2) + functional.linear(width_embeddings, of_width).float()
        )  # (batch, 1, max width, types)
        most = limit_of(JOINED_WIDTHS_ELEMENTS, sentence.device)
        logits: list[Tensor] = []
        joined: list[Tensor] = []
        first = size = 0
        for pooled in pooled_by_width:
            if not torch.compiler.is_compiling() and joined and size + pooled.numel() > most:
                logits.append(self._of_widths(joined, shared[:, :, first : first + len(joined)], of_span))
                first, joined, size = first + len(joined), [], 0
            joined.append(pooled)
            size += pooled.numel()
        if joined:
            logits.append(self._of_widths(joined, shared[:, :, first:], of_span))
        if not logits:
            return shared[:, :0, 0]
        return logits[0] if len(logits) == 1 else torch.cat(logits, dim=1)

    def _of_widths(self, joined: list[Tensor], shared: Tensor, of_span: Tensor) -> Tensor:
        """Score the spans of some widths together."""
        parts = [shared[:, :, index].expand(-1, pooled.shape[1], -1) for index, pooled in enumerate(joined)]
        if len(joined) == 1:
            return functional.linear(joined[0], of_span).float() + parts[0]
        return functional.linear(torch.cat(joined, dim=1), of_span).float() + torch.cat(parts, dim=1)

    def _weights(self) -> tuple[Tensor, ...]:
        hidden = self.hidden_size
        return self.linear.weight.split((hidden, hidden, self.linear.in_features - 2 * hidden), dim=1)


class PairClassifier(nn.Module):
    """Scores pairs: one linear layer over [context, head, tail, width of head, width of tail] (paper, section 3.2)."""

    def __init__(self, hidden_size: int, width_embedding_size: int, num_types: int, dropout: float):
        super().__init__()
        self.hidden_size = hidden_size
        self.width_embedding_size = width_embedding_size
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(3 * hidden_size + 2 * width_embedding_size, num_types)

    def forward(self, context: Tensor, head: Tensor, tail: Tensor, head_width: Tensor, tail_width: Tensor) -> Tensor:
        """Score pairs with their vectors joined.

        Shapes:
            context, head, tail: `(batch, pairs, hidden)`
            head_width, tail_width: `(batch, pairs, width embedding)`
            result: `(batch, pairs, relation types)`, float32
        """
        return self.linear(self.dropout(torch.cat((context, head, tail, head_width, tail_width), dim=-1))).float()

    def of_entities(self, pooled: Tensor, width_embedding: Tensor) -> tuple[Tensor, Tensor]:
        """What an entity adds to the logits of the pairs whose head it is, and of those whose tail it is.

        Shapes:
            pooled: `(entities, hidden)`
            width_embedding: `(entities, width embedding)`
            result: `(entities, relation types)` twice, float32; the bias is in the first
        """
        _, head, tail, head_width, tail_width = self._weights()
        as_head = (
            functional.linear(pooled, head, self.linear.bias).float()
            + functional.linear(width_embedding, head_width).float()
        )
        as_tail = functional.linear(pooled, tail).float() + functional.linear(width_embedding, tail_width).float()
        return as_head, as_tail

    def of_context(self, context: Tensor) -> Tensor:
        """What a context adds to the logits of its pair.

        Shapes:
            context: `(contexts, hidden)`
            result: `(contexts, relation types)`, float32
        """
        return functional.linear(context, self._weights()[0]).float()

    def _weights(self) -> tuple[Tensor, ...]:
        hidden, width = self.hidden_size, self.width_embedding_size
        return self.linear.weight.split((hidden, hidden, hidden, width, width), dim=1)


def limit_of(limits: dict[str, int], device: torch.device) -> int:
    """A limit for the kind of device; what is unknown is treated as a CPU."""
    return limits.get(device.type, limits["cpu"])


def _drops(dropout: nn.Dropout) -> bool:
    """Whether this dropout changes anything: then each joined vector needs a mask of its own."""
    return dropout.training and dropout.p > 0


class HeadTransfer(NamedTuple):
    """What `SpertModel.from_encoder` took over from the heads of a SpERT model.

    Args:
        entity_types: the types whose rows of the span classifier were copied.
        relation_types: the types whose rows of the pair classifier were copied.
        width_embeddings: whether the width embeddings were copied.
    """

    entity_types: tuple[str, ...]
    relation_types: tuple[str, ...]
    width_embeddings: bool


@torch.no_grad()
def transfer_heads(source: "SpertModel", target: "SpertModel") -> HeadTransfer:
    """Copy width embeddings, and the rows of the heads for "no entity" and for the types that both models have.

    Nothing is copied where the vectors of the two models differ in size or meaning.
    """
    ours, theirs = target.config, source.config
    widths_agree = ours.width_embedding_size == theirs.width_embedding_size
    alike = (
        widths_agree
        and ours.encoder_config.hidden_size == theirs.encoder_config.hidden_size
        and ours.span_pooling == theirs.span_pooling
    )
    if widths_agree:
        target.width_embeddings.weight.copy_(source.width_embeddings.weight)
    entity_types = [name for name in ours.entity_types if name in theirs.entity_types] if alike else []
    if alike:
        rows = [(0, 0)]
        rows += [(1 + ours.entity_types.index(name), 1 + theirs.entity_types.index(name)) for name in entity_types]
        _copy_rows(source.span_classifier.linear, target.span_classifier.linear, rows)
    relation_types: list[str] = []
    if alike and ours.relation_context == theirs.relation_context and target.pair_classifier and source.pair_classifier:
        relation_types = [name for name in ours.relation_types if name in theirs.relation_types]
        rows = [(ours.relation_types.index(name), theirs.relation_types.index(name)) for name in relation_types]
        _copy_rows(source.pair_classifier.linear, target.pair_classifier.linear, rows)
    return HeadTransfer(tuple(entity_types), tuple(relation_types), widths_agree)


def _copy_rows(source: nn.Linear, target: nn.Linear, rows: list[tuple[int, int]]) -> None:
    """Copy weights and biases of (target row, source row) pairs."""
    for to, of in rows:
        target.weight[to] = source.weight[of]
        target.bias[to] = source.bias[of]
