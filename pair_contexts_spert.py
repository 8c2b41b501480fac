"""What surrounds a pair of spans: the words between them and around them, and attention over their pieces."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .spans_spert import count_words, span_widths

ATTENTION_SIZE = 64
"""Length of queries and keys."""

_BLOCK_ROWS = 32
"""Rows of a sentence that are multiplied together, in `multiply_by_sentence`."""


class Mentions(NamedTuple):
    """Entities, or other spans, that pairs are made of.

    Shapes:
        sentence: `(entities,)`, row in the batch, in order
        spans: `(entities, 2)`, word ranges
        pieces: `(entities, 2)`, piece ranges
    """

    sentence: Tensor
    spans: Tensor
    pieces: Tensor


class ContextAttention(nn.Module):
    """Reads contexts as means of pieces, with weights that a pair decides.

    A piece's score for a pair is a sum, `(query of head + query of tail) · key of piece`: the two products are taken
    once for each entity, and a pair adds two rows of numbers, one number a piece.

    Args:
        hidden_size: the encoder's.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.query = nn.Linear(hidden_size, 2 * ATTENTION_SIZE)
        self.key = nn.Linear(hidden_size, ATTENTION_SIZE, bias=False)  # a bias would shift all scores of a pair alike

    def scores(self, hidden: Tensor, sentence: Tensor, pooled: Tensor) -> Tensor:
        """What an entity adds to the scores of its sentence's pieces, as head and as tail.

        Shapes:
            hidden: `(batch, pieces, hidden)`
            sentence: `(entities,)`, row in the batch, in order
            pooled: `(entities, hidden)`
            result: `(entities, 2, pieces)`, float32
        """
        queries = self.query(pooled).reshape(-1, ATTENTION_SIZE) / math.sqrt(ATTENTION_SIZE)
        keys = self.key(hidden).transpose(1, 2)
        return multiply_by_sentence(queries, sentence.repeat_interleave(2), keys).float().unflatten(0, (-1, 2))

    def forward(self, hidden: Tensor, sentence: Tensor, scores: Tensor, ranges: Tensor) -> Tensor:
        """The contexts of pairs; zeros where a range is empty.

        Shapes:
            hidden: `(batch, pieces, hidden)`
            sentence: `(pairs,)`, row in the batch, in order
            scores: `(pairs, pieces)`
            ranges: `(pairs, contexts, 2)`, piece ranges
            result: `(pairs, contexts, hidden)`
        """
        pieces = torch.arange(hidden.shape[1], device=hidden.device)
        is_read = (pieces >= ranges[..., :1]) & (pieces < ranges[..., 1:])  # (pairs, contexts, pieces)
        masked = scores.unsqueeze(1).masked_fill(~is_read, torch.finfo(scores.dtype).min)
        weights = (masked.softmax(dim=-1) * is_read).to(hidden.dtype)
        num_contexts = ranges.shape[1]
        rows = multiply_by_sentence(weights.flatten(0, 1), sentence.repeat_interleave(num_contexts), hidden)
        return rows.unflatten(0, (-1, num_contexts))


def multiply_by_sentence(rows: Tensor, sentence: Tensor, matrices: Tensor) -> Tensor:
    """Multiply each row with the matrix of its sentence.

    Rows are put into blocks of one sentence each. The host knows a bound of their number, `batch + rows / block`,
    without waiting for the device. So sentences of many rows and of few share one product, and none is padded to
    another.

    Shapes:
        rows: `(rows, inner)`
        sentence: `(rows,)`, row in the batch, in order
        matrices: `(batch, inner, outer)`
        result: `(rows, outer)`
    """
    batch_size, num_rows, device = matrices.shape[0], rows.shape[0], rows.device
    num_blocks = batch_size + num_rows // _BLOCK_ROWS
    counts = torch.zeros(batch_size, dtype=torch.long, device=device)
    counts = counts.scatter_add(0, sentence, torch.ones_like(sentence))
    num_blocks_of = (counts + _BLOCK_ROWS - 1) // _BLOCK_ROWS
    blocks_up_to = num_blocks_of.cumsum(0)
    first_block = blocks_up_to - num_blocks_of
    # A sentence's blocks stand together: its first row opens its first block, and the others follow.
    place = torch.arange(num_rows, device=device) + (first_block * _BLOCK_ROWS - (counts.cumsum(0) - counts))[sentence]
    blocks = rows.new_zeros((num_blocks * _BLOCK_ROWS, rows.shape[1])).index_copy(0, place, rows)
    # By comparisons, since other runtimes lack `searchsorted`. Blocks that are left over take the last sentence's.
    numbers = torch.arange(num_blocks, device=device).unsqueeze(1)
    sentence_of_block = (numbers >= blocks_up_to).sum(dim=1).clamp(max=batch_size - 1)
    products = torch.bmm(blocks.unflatten(0, (num_blocks, _BLOCK_ROWS)), matrices.index_select(0, sentence_of_block))
    return products.flatten(0, 1).index_select(0, place)


def pieces_around(word_pieces: Tensor, mentions: Mentions, number: int) -> tuple[Tensor, Tensor]:
    """The pieces of up to a number of words before spans, and of those after them; empty where there are none.

    Shapes:
        word_pieces: `(batch, words, 2)`
        result: `(entities, 2)` twice, piece ranges
    """
    start, end = mentions.spans.unbind(-1)
    before = torch.stack(((start - number).clamp(min=0), start), dim=-1)
    num_words = count_words(word_pieces)[mentions.sentence]
    after = torch.stack((end, torch.minimum(end + number, num_words)), dim=-1)
    return (
        flat_piece_ranges(word_pieces, mentions.sentence, before),
        flat_piece_ranges(word_pieces, mentions.sentence, after),
    )


def flat_piece_ranges(word_pieces: Tensor, sentence: Tensor, spans: Tensor) -> Tensor:
    """The pieces that spans of words cover, where spans name their sentence; `[0, 0)` for an empty span.

    Shapes:
        word_pieces: `(batch, words, 2)`
        sentence: `(spans,)`, row in the batch
        spans: `(spans, 2)`, word ranges
        result: `(spans, 2)`, piece ranges
    """
    is_empty = span_widths(spans) <= 0
    first = spans[:, 0].masked_fill(is_empty, 0)
    last = (spans[:, 1] - 1).masked_fill(is_empty, 0)
    pieces = torch.stack((word_pieces[sentence, first, 0], word_pieces[sentence, last, 1]), dim=-1)
    return pieces * ~is_empty.unsqueeze(-1)
