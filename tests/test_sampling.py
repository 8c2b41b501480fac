import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from spert.sampling_spert import (
    ALL_SPANS,
    happens,
    negative_spans,
    record_generator,
    strong_negative_pairs,
    weak_negative_pairs,
)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 12), st.integers(1, 5), st.integers(0, 30), st.integers(0, 999), st.data())
def test_negative_spans_are_other_spans_each_once(words, width, number, seed, data):
    every = [(s, e) for s in range(words) for e in range(s + 1, words + 1)]
    gold = data.draw(st.lists(st.sampled_from(every), unique=True, max_size=4)) if every else []
    drawn = [tuple(span) for span in negative_spans(words, gold, width, number, _generator(seed)).tolist()]
    free = {span for span in every if span[1] - span[0] <= width} - set(gold)
    assert len(drawn) == len(set(drawn)) == min(number, len(free))
    assert set(drawn) <= free


@given(st.integers(0, 12), st.integers(1, 5), st.integers(0, 40), st.floats(0.01, 1), st.integers(0, 999), st.data())
def test_a_share_of_the_negatives_overlaps_an_entity(words, width, number, ratio, seed, data):
    every = [(s, e) for s in range(words) for e in range(s + 1, words + 1)]
    gold = data.draw(st.lists(st.sampled_from(every), unique=True, max_size=3)) if every else []
    drawn = [tuple(span) for span in negative_spans(words, gold, width, number, _generator(seed), ratio).tolist()]
    free = {span for span in every if span[1] - span[0] <= width} - set(gold)
    hard = {(s, e) for s, e in free if any(s < end and start < e for start, end in gold)}
    assert len(drawn) == len(set(drawn)) == min(number, len(free))
    assert set(drawn) <= free
    num_hard, num_easy, wanted = len(hard & set(drawn)), len(set(drawn) - hard), round(ratio * number)
    if len(hard) >= wanted and len(free - hard) >= number - wanted:
        assert (num_hard, num_easy) == (wanted, number - wanted)
    else:
        assert num_hard == len(hard) or num_easy == len(free - hard)


def test_hard_negatives_literal():
    draw = negative_spans(5, [(1, 3)], 2, 5, _generator(), 1.0)
    hard, easy = draw[:4].tolist(), draw[4:].tolist()
    assert sorted(hard) == [[0, 2], [1, 2], [2, 3], [2, 4]]  # all that there are
    assert len(easy) == 1
    assert easy[0] in ([0, 1], [3, 4], [4, 5], [3, 5])


def test_all_negatives_in_order():
    assert negative_spans(3, [(0, 2)], 2, ALL_SPANS, _generator()).tolist() == [[0, 1], [1, 2], [2, 3], [1, 3]]


@given(st.integers(0, 6), st.integers(0, 40), st.data())
def test_strong_negatives_are_unrelated_ordered_pairs(entities, number, data):
    every = list(itertools.permutations(range(entities), 2))
    related = data.draw(st.lists(st.sampled_from(every), unique=True)) if every else []
    drawn = [tuple(pair) for pair in strong_negative_pairs(entities, related, number, _generator()).tolist()]
    free = set(every) - set(related)
    assert len(drawn) == len(set(drawn)) == min(number, len(free))
    assert set(drawn) <= free


def test_the_reverse_of_a_related_pair_is_a_negative_unless_related_itself():
    assert strong_negative_pairs(2, [(0, 1)], 100, _generator()).tolist() == [[1, 0]]
    assert strong_negative_pairs(2, [(0, 1), (1, 0)], 100, _generator()).tolist() == []


def test_weak_negatives_hold_a_span_that_is_no_entity():
    drawn = weak_negative_pairs(6, 3, 100, _generator()).tolist()
    assert len(drawn) == 6 * 5 - 3 * 2
    assert all(max(pair) >= 3 and pair[0] != pair[1] for pair in drawn)


def test_a_draw_depends_on_seed_epoch_and_record_alone():
    def draw(*key):
        return negative_spans(20, [], 10, 30, record_generator(*key)).tolist()

    assert draw(42, 3, 7) == draw(42, 3, 7)
    assert len({str(draw(*key)) for key in [(42, 3, 7), (43, 3, 7), (42, 4, 7), (42, 3, 8)]}) == 4


def test_draws_are_the_same_on_every_machine():
    assert torch.randperm(8, generator=record_generator(42, 0, 0)).tolist() == [7, 2, 5, 3, 0, 1, 4, 6]
    assert torch.randperm(8, generator=record_generator(42, 1, 5)).tolist() == [5, 2, 4, 7, 3, 1, 6, 0]


def test_spans_are_drawn_evenly():
    counts = torch.zeros(5, 6)
    for seed in range(2000):
        for start, end in negative_spans(5, [], 2, 3, _generator(seed)).tolist():
            counts[start, end] += 1
    drawn = counts[counts > 0]
    assert len(drawn) == 9
    assert (drawn / 2000 - 3 / 9).abs().max() < 0.05


def test_something_happens_as_often_as_it_should():
    assert not any(happens(0, record_generator(42, 0, record)) for record in range(100))
    assert all(happens(1, record_generator(42, 0, record)) for record in range(100))
    assert 420 < sum(happens(0.25, record_generator(42, 0, record)) for record in range(2000)) < 580
