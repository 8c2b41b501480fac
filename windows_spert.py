"""Windows: how a text that is too long for the encoder is read in overlapping parts, and which part is trusted.

A window is a range of a document's words that passes the encoder as one row. Most windows are one sentence. A sentence
that is longer than the encoder takes becomes several windows that overlap, and a window may hold several sentences.
What lies in two windows counts as the window sees it in which it lies further from an inner edge, which is an edge
beyond which the same stretch of text goes on.

Nothing here knows text or a tokenizer: windows are made of sizes, in pieces.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

SHARED_PIECES = 4
"""Windows of one sentence share at most one part in this many of the pieces that the encoder takes."""


class Window(NamedTuple):
    """A half-open range of a document's words.

    Args:
        start, end: the words.
        inner_start: whether words before `start` are read in another window of the same stretch.
        inner_end: whether words from `end` on are.
    """

    start: int
    end: int
    inner_start: bool = False
    inner_end: bool = False

    def holds(self, start: int, end: int) -> bool:
        """Whether a range of words lies in the window."""
        return self.start <= start and end <= self.end

    def depth(self, start: int, end: int) -> float:
        """The words between a range in the window and the nearest inner edge; infinite where there is none."""
        before = start - self.start if self.inner_start else math.inf
        after = self.end - end if self.inner_end else math.inf
        return min(before, after)


def cover(
    sizes: Sequence[int],
    capacity: int,
    shared_size: int,
    max_items: int | None = None,
    max_shared_items: int | None = None,
) -> list[tuple[int, int]]:
    """Overlapping ranges over items in a row, each as long as its limits allow.

    No item is in more than two ranges, so that an item in the part that two ranges share lies at least half of that
    part away from the inner edges of one of them.

    Args:
        sizes: of the items; none is larger than `capacity`.
        capacity: the largest size of a range.
        shared_size: the largest size of what two neighbours share. Items too large for it are not shared.
        max_items: the most items of a range. Default: no limit.
        max_shared_items: the most items that two neighbours share, fewer than `max_items`. Default: no limit.

    Returns:
        Half-open ranges of items with rising starts and ends. Without items the range `[0, 0)`.
    """
    ranges: list[tuple[int, int]] = []
    start = previous_end = 0
    while True:
        end, size = start, 0
        while end < len(sizes) and size + sizes[end] <= capacity and (max_items is None or end - start < max_items):
            size += sizes[end]
            end += 1
        ranges.append((start, end))
        if end == len(sizes):
            return ranges
        room = min(shared_size, capacity - sizes[end])  # the next range reads at least one item more
        most = end - previous_end if max_shared_items is None else min(end - previous_end, max_shared_items)
        shared, start = 0, end
        while end - start < most and shared + sizes[start - 1] <= room:
            start -= 1
            shared += sizes[start]
        previous_end = end


def windows_of_words(start: int, sizes: Sequence[int], capacity: int | None) -> list[Window]:
    """The windows over one sentence.

    Args:
        start: the sentence's first word in its document.
        sizes: the pieces of each word.
        capacity: the pieces that a window takes, without special ones; `None` for no limit.
    """
    if capacity is None or sum(sizes) <= capacity:
        return [Window(start, start + len(sizes))]
    ranges = cover(sizes, capacity, capacity // SHARED_PIECES)
    return _joined(ranges, [start + word for word in range(len(sizes) + 1)])


def windows_of_sentences(
    sentences: Sequence[tuple[int, int]], sizes: Sequence[int], capacity: int | None, sentences_per_window: int
) -> list[Window]:
    """The windows over sentences that each fit into one.

    Neighbours share half of their sentences, rounded down: with two sentences a window, each pair of sentences that
    follow each other is read together.

    Args:
        sentences: the range of words of each, without gaps.
        sizes: the pieces of each.
        capacity: the pieces that a window takes, without special ones; `None` for no limit.
        sentences_per_window: the most sentences of a window.
    """
    limit = sum(sizes) if capacity is None else capacity
    ranges = cover(sizes, limit, limit, sentences_per_window, sentences_per_window // 2)
    return _joined(ranges, [start for start, _ in sentences] + [sentences[-1][1]])


def deepest(windows: Sequence[Window], near: int, start: int, end: int) -> int:
    """The window in which a range of words lies furthest from an inner edge; of equal ones the first.

    Args:
        windows: with rising starts and ends.
        near: the index of one that holds the range.
        start, end: the range.
    """
    return max(holders(windows, near, start, end), key=lambda index: windows[index].depth(start, end))


def holders(windows: Sequence[Window], near: int, start: int, end: int) -> range:
    """The indices of the windows that hold a range of words; `near` is one of them."""
    first = last = near
    while first > 0 and windows[first - 1].holds(start, end):
        first -= 1
    while last + 1 < len(windows) and windows[last + 1].holds(start, end):
        last += 1
    return range(first, last + 1)


def context_of_window(window: Window, ends: Sequence[int], room: int | None, context_words: int) -> tuple[int, int]:
    """The words that are read with a window: its own, and context on both sides.

    Words of context come nearest first and in turn, one before the window and one after it, while they fit. A side
    ends at the first word that does not; the other one goes on.

    >>> context_of_window(Window(3, 5), range(11), None, 2)  # ten words of one piece each
    (1, 7)
    >>> context_of_window(Window(3, 5), range(11), 3, 2)
    (1, 6)

    Args:
        window: a range of words.
        ends: for each word, and for the end of the last one, the pieces that come before it.
        room: the pieces that fit besides those of the window; `None` for no limit.
        context_words: the most words on each side.

    Returns:
        A half-open range of words, which holds the window.
    """
    first, last = max(window.start - context_words, 0), min(window.end + context_words, len(ends) - 1)
    size = ends[window.end] - ends[window.start]
    if room is None or ends[last] - ends[first] - size <= room:
        return first, last
    start, end = window.start, window.end
    may_grow = [start > first, end < last]
    while any(may_grow):
        for side in (0, 1):
            if not may_grow[side]:
                continue
            wider = (start - 1, end) if side == 0 else (start, end + 1)
            if ends[wider[1]] - ends[wider[0]] - size > room:
                may_grow[side] = False
                continue
            start, end = wider
            may_grow[side] = start > first if side == 0 else end < last
    return start, end


def _joined(ranges: Sequence[tuple[int, int]], borders: Sequence[int]) -> list[Window]:
    last = len(ranges) - 1
    return [Window(borders[start], borders[end], index > 0, index < last) for index, (start, end) in enumerate(ranges)]
