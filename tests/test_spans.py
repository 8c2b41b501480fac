import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spert.spans_spert import (
    RangePooler,
    candidate_spans,
    ordered_pairs,
    piece_ranges,
    pool_by_width,
    span_between,
    span_widths,
    spans_overlap,
    take,
)


@pytest.mark.parametrize(
    ("words", "width", "expected"),
    [
        (0, 10, []),
        (1, 10, [[0, 1]]),
        (3, 2, [[0, 1], [1, 2], [2, 3], [0, 2], [1, 3]]),
        (3, 9, [[0, 1], [1, 2], [2, 3], [0, 2], [1, 3], [0, 3]]),
    ],
)
def test_candidate_spans(words, width, expected):
    assert candidate_spans(words, width).tolist() == expected


@pytest.mark.parametrize(
    ("first", "second", "between", "overlap"),
    [
        ([0, 2], [5, 6], [2, 5], False),
        ([5, 6], [0, 2], [2, 5], False),
        ([0, 2], [2, 3], [0, 0], False),  # they touch
        ([0, 3], [2, 5], [0, 0], True),
        ([0, 9], [3, 4], [0, 0], True),  # nested
        ([3, 4], [3, 4], [0, 0], True),
        ([0, 0], [0, 3], [0, 0], False),  # padding
    ],
)
def test_between_and_overlap(first, second, between, overlap):
    first, second = torch.tensor(first), torch.tensor(second)
    assert span_between(first, second).tolist() == between
    assert bool(spans_overlap(first, second)) is overlap


def test_piece_ranges():
    word_pieces = torch.tensor([[[1, 2], [2, 5], [5, 6]], [[1, 4], [0, 0], [0, 0]]])
    spans = torch.tensor([[[0, 2], [1, 3], [2, 3]], [[0, 1], [0, 0], [0, 0]]])
    assert piece_ranges(word_pieces, spans).tolist() == [[[1, 5], [2, 6], [5, 6]], [[1, 4], [0, 0], [0, 0]]]
    assert piece_ranges(torch.zeros((2, 0, 2)).long(), torch.zeros((2, 0, 2)).long()).shape == (2, 0, 2)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6))
def test_ordered_pairs_are_all_pairs_in_order(counts):
    expected, first = [], 0
    for count in counts:
        expected += [(first + i, first + j) for i, j in itertools.permutations(range(count), 2)]
        first += count
    head, tail = ordered_pairs(torch.tensor(counts), torch.arange(len(expected)))
    assert list(zip(head.tolist(), tail.tolist())) == expected


def _pooled_plainly(hidden, sentence, start, end, pooling):
    rows = hidden[sentence, start:end]
    if not len(rows):
        return torch.zeros(hidden.shape[-1])
    return {"max": lambda: rows.amax(0), "sum": lambda: rows.sum(0), "mean": lambda: rows.mean(0)}[pooling]()


@pytest.mark.parametrize("pooling", ["max", "sum", "mean"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_range_is_pooled_as_the_plain_formula_does(pooling, data):
    batch, pieces = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 19))
    hidden = torch.randn(batch, pieces, 4, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    ranges = data.draw(
        st.lists(st.tuples(st.integers(0, pieces), st.integers(0, pieces)).map(sorted), min_size=1, max_size=9)
    )
    before = hidden.clone()
    pooled = RangePooler(hidden, pooling)(torch.tensor(ranges).expand(batch, -1, -1))
    expected = torch.stack(
        [torch.stack([_pooled_plainly(hidden, b, *one, pooling) for one in ranges]) for b in range(batch)]
    )
    torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(hidden, before)


@pytest.mark.parametrize("pooling", ["max", "sum", "mean"])
def test_gradient_of_pooling(pooling):
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(2, 13, 3, dtype=torch.double, generator=generator, requires_grad=True)
    ranges = torch.tensor([[[0, 13], [2, 7], [4, 5], [3, 3]], [[1, 4], [12, 13], [0, 8], [5, 12]]])
    if pooling == "max":
        assert torch.autograd.gradcheck(lambda h: RangePooler(h, pooling)(ranges), (hidden,))
        return
    # Running sums are kept in float32 (also for half precision), which gradcheck is too fine for.
    weights = torch.randn(2, 4, 3, dtype=torch.double, generator=generator)
    (got,) = torch.autograd.grad((RangePooler(hidden, pooling)(ranges) * weights).sum(), hidden)
    plain = sum(
        (_pooled_plainly(hidden, b, *ranges[b, i].tolist(), pooling) * weights[b, i]).sum()
        for b, i in itertools.product(range(2), range(4))
    )
    torch.testing.assert_close(got, torch.autograd.grad(plain, hidden)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_maximum_is_exact_and_sums_do_not_drift(dtype):
    hidden = torch.randn(1, 300, 8, generator=torch.Generator().manual_seed(2)).to(dtype)
    ranges = torch.tensor([[[0, 300], [250, 260], [299, 300]]])
    pooled = RangePooler(hidden, "max")(ranges)
    assert pooled.dtype == dtype
    assert torch.equal(pooled[0, 0], hidden[0].amax(0))
    sums = RangePooler(hidden, "sum")(ranges)
    torch.testing.assert_close(sums[0, 1], hidden[0, 250:260].float().sum(0).to(dtype))


@pytest.mark.parametrize("pooling", ["max", "sum", "mean"])
def test_pooling_by_width_equals_pooling_each_candidate(pooling):
    hidden = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(3))
    word_pieces = torch.tensor([[[1, 2], [2, 4], [4, 5], [5, 8]], [[1, 3], [3, 4], [4, 5], [5, 6]]])
    pooler = RangePooler(hidden, pooling)
    spans = candidate_spans(4, 3).expand(2, -1, -1)
    by_width = torch.cat(list(pool_by_width(pooler, word_pieces, 3)), dim=1)
    torch.testing.assert_close(by_width, pooler(piece_ranges(word_pieces, spans)))


def test_the_table_grows_with_pieces_times_their_logarithm():
    for pieces in (1, 2, 3, 64, 65, 500):
        rows = len(RangePooler(torch.zeros(1, pieces, 2), "max")._rows)
        assert rows == pieces * pieces.bit_length() + 1


def test_take_and_widths():
    rows = torch.arange(12).reshape(2, 3, 2)
    index = torch.tensor([[2, 0], [1, 1]])
    assert take(rows, index).tolist() == [[[4, 5], [0, 1]], [[8, 9], [8, 9]]]
    assert span_widths(torch.tensor([[0, 3], [0, 0]])).tolist() == [3, 0]


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="a pooling out of max, mean, sum, got 'median'"):
        RangePooler(torch.zeros(1, 2, 3), "median")
