"""Span algebra: enumerate spans, pool hidden states over them, find what lies between two of them.

**A span is a half-open range `[start, end)`**, everywhere in this project. A tensor of spans is `(..., 2)` and `int64`;
its name or docstring says whether it counts words, pieces or characters. `[0, 0)` is padding.

Nothing here loops over spans, pairs or pieces, and nothing builds a span × piece mask: memory grows with
`spans + pieces * log(pieces)`.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional


def candidate_spans(num_words: int, max_width: int, device: torch.device | str | None = None) -> Tensor:
    """All spans of up to `max_width` words of a sentence, by width and then by start (the original's order).

    A sentence of `n` words has `sum(n - w + 1 for w in 1..min(max_width, n))` of them.

    Shapes:
        result: `(spans, 2)`, word ranges
    """
    widest = min(max_width, num_words)
    if widest == 0:
        return torch.zeros((0, 2), dtype=torch.long, device=device)
    starts = torch.arange(num_words, device=device).expand(widest, -1)
    ends = starts + torch.arange(1, widest + 1, device=device).unsqueeze(1)
    grid = torch.stack((starts, ends), dim=-1)  # (widths, words, 2); the last `width - 1` of a row end too late
    return torch.cat([row[: num_words - index] for index, row in enumerate(grid.unbind())])


def span_widths(spans: Tensor) -> Tensor:
    """`end - start` of each span; 0 for padding.

    Shapes:
        spans: `(..., 2)`
        result: `(...)`
    """
    return spans[..., 1] - spans[..., 0]


def count_words(word_pieces: Tensor) -> Tensor:
    """The number of words of each sentence.

    Shapes:
        word_pieces: `(batch, words, 2)`, padded with `[0, 0)`
        result: `(batch,)`
    """
    return (span_widths(word_pieces) > 0).sum(dim=1)


def spans_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Whether two spans share a position; an empty span shares none.

    Shapes:
        first, second: `(..., 2)`
        result: `(...)`
    """
    shared = torch.minimum(first[..., 1], second[..., 1]) - torch.maximum(first[..., 0], second[..., 0])
    return shared > 0


def span_between(first: Tensor, second: Tensor) -> Tensor:
    """What lies strictly between two spans, in either order; `[0, 0)` where they touch or overlap.

    The *localized context* of the paper (section 3.2).

    Shapes:
        first, second, result: `(..., 2)`
    """
    start = torch.minimum(first[..., 1], second[..., 1])
    end = torch.maximum(first[..., 0], second[..., 0])
    return torch.stack((start, end), dim=-1) * (start < end).unsqueeze(-1)


def piece_ranges(word_pieces: Tensor, spans: Tensor) -> Tensor:
    """The pieces that spans of words cover.

    Shapes:
        word_pieces: `(batch, words, 2)`, the piece range of each word
        spans: `(batch, spans, 2)`, word ranges
        result: `(batch, spans, 2)`, piece ranges; padding spans stay padding
    """
    if word_pieces.shape[1] == 0:
        return spans
    start = word_pieces[..., 0].gather(1, spans[..., 0])
    end = word_pieces[..., 1].gather(1, (spans[..., 1] - 1).clamp(min=0))
    return torch.stack((start, end), dim=-1) * (span_widths(spans) > 0).unsqueeze(-1)


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Take rows of each sentence by index.

    Shapes:
        rows: `(batch, rows, …)`
        index: `(batch, taken)`
        result: `(batch, taken, …)`
    """
    offset = torch.arange(rows.shape[0], device=rows.device).unsqueeze(1) * rows.shape[1]
    return rows.flatten(0, 1).index_select(0, (offset + index).flatten()).unflatten(0, index.shape)


def ordered_pairs(counts: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The `index`-th ordered pairs of distinct items, where group `g` holds `counts[g]` consecutive items.

    Pairs are numbered by group, then by first item, then by second item. With items 0, 1, 2 in one group they are
    (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1). Items are numbered through all groups.

    Shapes:
        counts: `(groups,)`
        index: `(pairs,)`
        result: `(pairs,)` twice, first and second item
    """
    items_before = counts.cumsum(0) - counts
    pairs_up_to = (counts * (counts - 1)).cumsum(0)
    group = torch.searchsorted(pairs_up_to, index, right=True)
    partners = counts[group] - 1
    within = index - (pairs_up_to[group] - counts[group] * partners)
    first = within.div(partners, rounding_mode="floor")
    second = within - first * partners
    second = second + (second >= first).long()
    return items_before[group] + first, items_before[group] + second


class RangePooler:
    """Pools hidden states over any set of half-open ranges, each range in constant time.

    `max` keeps a range-maximum table: level `k` holds at `i` the maximum over `[i, i + 2**k)`, so two overlapping
    look-ups answer every range. `sum` and `mean` keep running sums in float32. An empty range gives zeros.

    Args:
        hidden: `(batch, pieces, hidden)`, any floating dtype. Never written to.
        pooling: `max`, `sum` or `mean`.
        num_levels: levels of the table, where one graph serves inputs of every length. Default: as many as have ranges
            that fit into the pieces.

    Raises:
        ValueError: the pooling is unknown.
    """

    def __init__(self, hidden: Tensor, pooling: str, num_levels: int | None = None):
        if pooling not in ("max", "mean", "sum"):
            raise ValueError(f"RangePooler: expected a pooling out of max, mean, sum, got {pooling!r}.")
        self.pooling = pooling
        self.dtype = hidden.dtype
        self.batch_size, self.num_pieces, self.hidden_size = hidden.shape
        if pooling == "max":
            levels = _num_levels(self.num_pieces) if num_levels is None else num_levels
            self._rows = _maximum_table(hidden, levels)
            self._powers = 2 ** torch.arange(1, levels, device=hidden.device)
        else:
            sums = hidden.float().cumsum(dim=1)
            self._rows = functional.pad(sums, (0, 0, 1, 0)).reshape(-1, self.hidden_size)

    def __call__(self, ranges: Tensor) -> Tensor:
        """Pool ranges of every sentence.

        Shapes:
            ranges: `(batch, ranges, 2)`, piece ranges
            result: `(batch, ranges, hidden)`
        """
        sentence = torch.arange(self.batch_size, device=ranges.device).unsqueeze(1).expand(ranges.shape[:2])
        return self.flat(sentence.reshape(-1), ranges.reshape(-1, 2)).reshape(*ranges.shape[:2], self.hidden_size)

    def flat(self, sentence: Tensor, ranges: Tensor) -> Tensor:
        """Pool ranges that name their sentence.

        Shapes:
            sentence: `(ranges,)`, row in the batch
            ranges: `(ranges, 2)`, piece ranges
            result: `(ranges, hidden)`
        """
        start, end = ranges.unbind(-1)
        length = end - start
        if self.pooling == "max":
            # The level whose ranges are the longest that fit; by comparisons, since other runtimes lack `bucketize`.
            level = (length.unsqueeze(-1) >= self._powers).sum(dim=-1)
            row = (level * self.batch_size + sentence) * self.num_pieces
            zeros = self._rows.shape[0] - 1
            is_empty = length <= 0
            return torch.maximum(
                self._rows.index_select(0, (row + start).masked_fill(is_empty, zeros)),
                self._rows.index_select(0, (row + end - 2**level).masked_fill(is_empty, zeros)),
            )
        row = sentence * (self.num_pieces + 1)
        pooled = self._rows.index_select(0, row + end) - self._rows.index_select(0, row + start)
        if self.pooling == "mean":
            pooled = pooled / length.clamp(min=1).unsqueeze(-1)
        return pooled.to(self.dtype)


def _maximum_table(hidden: Tensor, num_levels: int) -> Tensor:
    """Level after level of `(batch, pieces)` rows, and a row of zeros at the end, which stands for empty ranges.

    Entries whose range goes past the end of the pieces hold nothing of meaning.

    Shapes:
        hidden: `(batch, pieces, hidden)`
        result: `(levels * batch * pieces + 1, hidden)`
    """
    if (torch.is_grad_enabled() and hidden.requires_grad) or torch.compiler.is_compiling():
        levels = [hidden]
        for level in range(1, num_levels):
            levels.append(_wider_maxima(levels[-1], 2 ** (level - 1)))
        return torch.cat([*(level.flatten(0, 1) for level in levels), hidden.new_zeros((1, hidden.shape[-1]))])
    # Filled in place: joining would hold every level twice.
    batch_size, num_pieces, hidden_size = hidden.shape
    rows = hidden.new_empty((num_levels * batch_size * num_pieces + 1, hidden_size))
    rows[-1] = 0
    table = rows[:-1].view(num_levels, *hidden.shape)
    table[0] = hidden
    for level in range(1, num_levels):
        _wider_maxima(table[level - 1], 2 ** (level - 1), out=table[level])
    return rows


def _wider_maxima(below: Tensor, half: int, out: Tensor | None = None) -> Tensor:
    """The level whose ranges are twice as long as the `half` pieces of those of the level below.

    Shapes:
        below, out, result: `(batch, pieces, hidden)`
    """
    if out is None:
        return torch.maximum(below, functional.pad(below, (0, 0, 0, half))[:, half:])
    whole = max(below.shape[1] - half, 0)  # what comes after them reaches past the end
    torch.maximum(below[:, :whole], below[:, half:], out=out[:, :whole])
    return out


def _num_levels(num_pieces: int) -> int:
    """Levels whose ranges fit into this many pieces. By comparisons, so that compiled code is made anew only where the
    number of levels changes.
    """
    levels = 1
    while 2**levels <= num_pieces:
        levels += 1
    return levels


def pool_by_width(pooler: RangePooler, word_pieces: Tensor, max_width: int) -> Iterator[Tensor]:
    """The pooled vectors of all spans of 1 word, then of all spans of 2 words, … up to `max_width`.

    Each step extends the spans before it by one word, so that only `(batch, words, hidden)` is held at a time.

    Shapes:
        word_pieces: `(batch, words, 2)`
        yields: `(batch, words - width + 1, hidden)`, entry `i` for the words `[i, i + width)`; entries that reach into
            a sentence's padding hold nothing of meaning
    """
    num_words = word_pieces.shape[1]
    widest = min(max_width, num_words)
    if pooler.pooling != "max":  # running sums answer each range with two look-ups anyway
        for width in range(1, widest + 1):
            first, last = word_pieces[:, : num_words - width + 1], word_pieces[:, width - 1 :]
            yield pooler(torch.stack((first[..., 0], torch.maximum(first[..., 0], last[..., 1])), dim=-1))
        return
    words = pooler(word_pieces)
    pooled = words
    for width in range(1, widest + 1):
        if width > 1:
            pooled = torch.maximum(pooled[:, :-1], words[:, width - 1 :])
        yield pooled
