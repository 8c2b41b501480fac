"""The span classifier: a linear layer over joined vectors, multiplied in parts.

`[a, b, c] · W` is `a · Wa + b · Wb + c · Wc`: what many spans share is multiplied once.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .spans_spert import take

JOINED_WIDTHS_ELEMENTS = {"cpu": 2**18, "cuda": 2**28}
"""Spans of several widths are scored by one product while their vectors hold at most this many numbers: on a CPU, what
stays in its cache; on a GPU, where launching a kernel costs more than copying, nearly all batches fit.
"""


class SpanClassifier(nn.Module):
    """Scores spans: one linear layer over [classifier piece, pooled span, width embedding] (paper, section 3.1).

    Args:
        hidden_size: the encoder's.
        width_embedding_size: length of a width embedding.
        num_types: entity types.
        dropout: probability of dropout on joined vectors.
        boundaries: whether joined vectors end with the states of the first and the last piece of the span.
    """

    def __init__(
        self, hidden_size: int, width_embedding_size: int, num_types: int, dropout: float, boundaries: bool = False
    ):
        super().__init__()
        self.part_sizes = [hidden_size, hidden_size, width_embedding_size, *[hidden_size] * (2 * boundaries)]
        self.boundaries = boundaries
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(sum(self.part_sizes), 1 + num_types)

    def forward(
        self, sentence: Tensor, pooled: Tensor, width_embedding: Tensor, hidden: Tensor, pieces: Tensor
    ) -> Tensor:
        """Score any spans.

        Shapes:
            sentence: `(batch, hidden)`, states of the classifier pieces
            pooled: `(batch, spans, hidden)`
            width_embedding: `(batch, spans, width embedding)`
            hidden: `(batch, pieces, hidden)`
            pieces: `(batch, spans, 2)`, piece ranges
            result: `(batch, spans, 1 + entity types)`, float32
        """
        if _drops(self.dropout):
            shared = sentence.unsqueeze(1).expand_as(pooled)
            parts = [shared, pooled, width_embedding]
            if self.boundaries:
                parts += take_boundaries(hidden, hidden, pieces)
            return self.linear(self.dropout(torch.cat(parts, dim=-1))).float()
        of_sentence, of_span, of_width = self._weights()[:3]
        logits = (
            functional.linear(pooled, of_span).float()
            + functional.linear(width_embedding, of_width).float()
            + functional.linear(sentence, of_sentence, self.linear.bias).float().unsqueeze(1)
        )
        if self.boundaries:
            first, last = take_boundaries(*self._of_boundaries(hidden), pieces)
            logits = logits + first + last
        return logits

    def by_width(
        self,
        sentence: Tensor,
        pooled_by_width: Iterable[Tensor],
        width_embeddings: Tensor,
        hidden: Tensor,
        word_pieces: Tensor,
    ) -> Tensor:
        """Score all candidate spans, one width at a time.

        Shapes:
            sentence: `(batch, hidden)`
            pooled_by_width: yields `(batch, words - width + 1, hidden)` for width 1, 2, …
            width_embeddings: `(max width, width embedding)`
            hidden: `(batch, pieces, hidden)`
            word_pieces: `(batch, words, 2)`
            result: `(batch, spans, 1 + entity types)`, float32, in the order of `candidate_spans`
        """
        of_sentence, of_span, of_width = self._weights()[:3]
        shared = functional.linear(sentence, of_sentence, self.linear.bias).float().unsqueeze(1)
        shared = (
            shared.unsqueeze(2) + functional.linear(width_embeddings, of_width).float()
        )  # (batch, 1, max width, types)
        boundaries = None
        if self.boundaries:  # one row for each word's beginning and one for its end, added up by each span
            boundaries = take_boundaries(*self._of_boundaries(hidden), word_pieces)
        most = limit_of(JOINED_WIDTHS_ELEMENTS, sentence.device)
        logits: list[Tensor] = []
        joined: list[Tensor] = []
        first = size = 0
        for pooled in pooled_by_width:
            if not torch.compiler.is_compiling() and joined and size + pooled.numel() > most:
                logits.append(self._of_widths(joined, first, shared, of_span, boundaries))
                first, joined, size = first + len(joined), [], 0
            joined.append(pooled)
            size += pooled.numel()
        if joined:
            logits.append(self._of_widths(joined, first, shared, of_span, boundaries))
        if not logits:
            return shared[:, :0, 0]
        return logits[0] if len(logits) == 1 else torch.cat(logits, dim=1)

    def _of_widths(
        self,
        joined: list[Tensor],
        first: int,
        shared: Tensor,
        of_span: Tensor,
        boundaries: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """Score the spans of some widths together, from the width `first + 1` on."""
        parts = []
        for index, pooled in enumerate(joined, start=first):
            part = shared[:, :, index].expand(-1, pooled.shape[1], -1)
            if boundaries is not None:
                begin, end = boundaries
                part = part + begin[:, : begin.shape[1] - index] + end[:, index:]
            parts.append(part)
        if len(joined) == 1:
            return functional.linear(joined[0], of_span).float() + parts[0]
        return functional.linear(torch.cat(joined, dim=1), of_span).float() + torch.cat(parts, dim=1)

    def _of_boundaries(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """What each piece adds to the logits of the spans that it is the first piece of, and the last one of.

        Shapes:
            hidden: `(batch, pieces, hidden)`
            result: `(batch, pieces, 1 + entity types)` twice, float32
        """
        _, _, _, of_first, of_last = self._weights()
        return functional.linear(hidden, of_first).float(), functional.linear(hidden, of_last).float()

    def _weights(self) -> tuple[Tensor, ...]:
        return self.linear.weight.split(self.part_sizes, dim=1)


def take_boundaries(of_first: Tensor, of_last: Tensor, pieces: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of the first and of the last piece of spans; for an empty span those of some piece.

    Shapes:
        of_first, of_last: `(batch, pieces, size)`
        pieces: `(batch, spans, 2)`, piece ranges
        result: `(batch, spans, size)` twice
    """
    start, end = pieces.unbind(-1)
    return take(of_first, start), take(of_last, (end - 1).clamp(min=0))


def limit_of(limits: dict[str, int], device: torch.device) -> int:
    """A limit for the kind of device; what is unknown is treated as a CPU."""
    return limits.get(device.type, limits["cpu"])


def _drops(dropout: nn.Dropout) -> bool:
    """Whether this dropout changes anything: then each joined vector needs a mask of its own."""
    return dropout.training and dropout.p > 0
