"""The two graphs of an exported model, with dynamic batch, length, entities and pairs.

What depends on the data, which spans are entities and which pairs there are, stands between them, in `runtime.py`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..modeling_spert import SpertModel
from ..spans_spert import RangePooler, pool_by_width, span_between


def least_words(max_span_width: int) -> int:
    """The words of the shortest batch that a span graph takes; shorter ones are padded.

    With more words than the widest span has, there is more than one span of every width, and one graph serves all.
    """
    return max_span_width + 1


class FixedLevelsPooler(RangePooler):
    """A [`RangePooler`] whose table has as many levels for every length, so that one graph serves all of them."""

    def __init__(self, hidden: Tensor, pooling: str, num_levels: int):
        if pooling != "max":
            super().__init__(hidden, pooling)
            return
        self.pooling = pooling
        self.dtype = hidden.dtype
        self.batch_size, self.num_pieces, self.hidden_size = hidden.shape
        levels = [hidden]
        for level in range(1, num_levels):
            half, below = 2 ** (level - 1), levels[-1]
            levels.append(torch.maximum(below, F.pad(below, (0, 0, 0, half))[:, half:]))
        rows = [level.reshape(-1, self.hidden_size) for level in levels]
        self._rows = torch.cat([*rows, hidden.new_zeros((1, self.hidden_size))])
        self._powers = torch.tensor([2**level for level in range(1, num_levels)])

    def _level(self, length: Tensor) -> Tensor:
        return (length.unsqueeze(-1) >= self._powers).long().sum(dim=-1)  # no runtime knows `bucketize`


class SpanGraph(nn.Module):
    """Encoder and span head: pieces to hidden states and the logits of all candidate spans.

    There are at least `least_words` words, padding included.
    """

    def __init__(self, model: SpertModel, num_levels: int):
        super().__init__()
        self.model = model
        self.num_levels = num_levels

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, word_pieces: Tensor, cls_piece: Tensor
    ) -> tuple[Tensor, Tensor]:
        """*Shape:* as for `SpertModel.forward` to `(batch, pieces, hidden)`, `(batch, spans, 1 + entity types)`."""
        model = self.model
        hidden = model.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        cls_states = hidden[torch.arange(hidden.shape[0]), cls_piece]
        pooler = FixedLevelsPooler(hidden, model.config.span_pooling, self.num_levels)
        max_width = model.config.max_span_width
        logits = model.span_classifier.by_width(
            cls_states,
            pool_by_width(pooler, word_pieces, max_width),
            model.width_embeddings.weight[1 : max_width + 1],
        )
        return hidden, logits


class PairGraph(nn.Module):
    """The pair head: hidden states and pairs of entities to logits.

    Entities come as their sentence `(entities,)`, piece range `(entities, 2)` and width in words `(entities,)`, pairs
    as `(pairs,)` indices into them, sentences as the piece range of all their words and the classifier piece.
    """

    def __init__(self, model: SpertModel, num_levels: int):
        super().__init__()
        self.model = model
        self.num_levels = num_levels

    def forward(
        self,
        hidden: Tensor,
        sentence: Tensor,
        pieces: Tensor,
        widths: Tensor,
        head: Tensor,
        tail: Tensor,
        sentence_pieces: Tensor,
        cls_piece: Tensor,
    ) -> Tensor:
        """*Shape:* `(pairs, relation types)`."""
        model = self.model
        assert model.pair_classifier is not None
        pooler = FixedLevelsPooler(hidden, model.config.span_pooling, self.num_levels)
        as_head, as_tail = model.pair_classifier.of_entities(
            pooler.flat(sentence, pieces), model.width_embeddings(widths)
        )
        if model.config.relation_context == "localized":
            context = pooler.flat(sentence[head], span_between(pieces[head], pieces[tail]))
        elif model.config.relation_context == "full":
            context = pooler.flat(torch.arange(hidden.shape[0]), sentence_pieces)[sentence[head]]
        else:
            context = hidden[torch.arange(hidden.shape[0]), cls_piece][sentence[head]]
        return as_head[head] + as_tail[tail] + model.pair_classifier.of_context(context)
