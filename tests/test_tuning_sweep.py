"""The exact search for thresholds, against trying everything."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spert.tuning.sweep import Curve, best_common_threshold, best_thresholds_by_type, f1_of

# Few distinct scores, so that equal ones come together.
SCORED = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]), st.booleans()), max_size=8)


def curve(scored):
    return Curve.of(np.array([score for score, _ in scored]), np.array([right for _, right in scored], dtype=bool))


def counts(scored, threshold):
    kept = [right for score, right in scored if np.float32(score) >= np.float32(threshold)]
    return sum(kept), len(kept)


def f1_at(types, thresholds, num_gold):
    correct, found = np.sum([counts(scored, threshold) for scored, threshold in zip(types, thresholds)], axis=0)
    return f1_of(int(correct), int(found), num_gold)


def cuts(scored):
    """A threshold for everything that can be kept of some scores."""
    return sorted(
        {0.0, 1.0, *(np.nextafter(np.float32(score), 2, dtype=np.float32) for score, _ in scored if score < 1)}
    )


def test_a_curve_counts_what_each_cut_keeps():
    made = curve([(0.5, True), (0.9, False), (0.5, False), (0.2, True)])
    np.testing.assert_array_equal(made.scores, np.array([0.9, 0.5, 0.2], dtype=np.float32))
    assert made.found.tolist() == [0, 1, 3, 4]
    assert made.correct.tolist() == [0, 0, 1, 2]
    assert [made.cut_at(threshold) for threshold in (1.0, 0.9, 0.8, 0.5, 0.2, 0.0)] == [0, 1, 1, 2, 3, 3]


def test_a_threshold_stands_halfway_and_is_short():
    made = curve([(0.9, True), (0.5, False)])
    assert made.threshold_of(1, 0.4) == 0.7
    assert made.threshold_of(2, 0.4) == 0.4  # the reference makes this cut already
    assert made.threshold_of(0, 0.4) == 0.95
    low = np.float32(0.7)
    high = np.nextafter(low, np.float32(1))
    neighbours = Curve.of(np.array([low, high]), np.array([False, True]))
    assert neighbours.cut_at(neighbours.threshold_of(1, 0.4)) == 1


@given(SCORED, st.integers(0, 10), st.sampled_from([0.0, 0.4, 0.6, 1.0]))
@settings(deadline=None)
def test_the_common_threshold_is_the_best(scored, more_gold, reference):
    num_gold = sum(right for _, right in scored) + more_gold
    found = best_common_threshold(curve(scored), num_gold, reference)
    best = max(f1_at([scored], [threshold], num_gold) for threshold in cuts(scored))
    assert f1_at([scored], [found], num_gold) == best
    if f1_at([scored], [reference], num_gold) == best:
        assert found == reference


@given(st.lists(SCORED, min_size=1, max_size=3), st.integers(0, 10), st.sampled_from([0.0, 0.4, 1.0]), st.data())
@settings(deadline=None)
def test_thresholds_by_type_are_the_global_optimum(types, more_gold, reference, data):
    num_gold = sum(right for scored in types for _, right in scored) + more_gold
    is_free = data.draw(st.lists(st.booleans(), min_size=len(types), max_size=len(types)))
    references = [reference] * len(types)
    found = best_thresholds_by_type([curve(scored) for scored in types], num_gold, references, is_free)
    every = [cuts(scored) if free else [reference] for scored, free in zip(types, is_free)]
    best = max(f1_at(types, thresholds, num_gold) for thresholds in itertools.product(*every))
    assert f1_at(types, found, num_gold) == best
    assert all(threshold == reference for threshold, free in zip(found, is_free) if not free)


def test_types_are_coupled():
    """What is best for a type by itself is not best for all together: its precision is below the others' F1."""
    good = [(0.9, True)] * 40
    poor = [(0.8, True)] * 10 + [(0.7, False)] * 20 + [(0.6, True)] * 10
    alone = best_thresholds_by_type([curve(poor)], 20, [0.5], [True])
    assert counts(poor, alone[0]) == (20, 40)
    together = best_thresholds_by_type([curve(good), curve(poor)], 60, [0.5, 0.5], [True, True])
    assert counts(poor, together[1]) == (10, 10)


def test_of_equally_good_cuts_the_nearest_is_taken():
    scored = [(0.9, True), *[(0.5, False)] * 4, (0.3, True)]
    for reference, expected in (
        (0.45, 0.7),
        (0.35, 0.15),
        (0.6, 0.6),
    ):  # one of 4 gold found, or two of 4 with 4 errors
        assert best_common_threshold(curve(scored), 4, reference) == expected
        assert best_thresholds_by_type([curve(scored)], 4, [reference], [True]) == [expected]
    empty = curve([])
    assert best_common_threshold(empty, 0, 0.4) == 0.4
    assert best_thresholds_by_type([empty], 3, [0.4], [True]) == [0.4]


def test_a_score_of_one_cannot_be_cut_away():
    saturated = curve([(1.0, False), (1.0, False)])
    assert not saturated.possible()[0]
    assert best_common_threshold(saturated, 1, 0.4) == 0.4


@pytest.mark.parametrize(("correct", "found", "gold", "f1"), [(0, 0, 0, 0.0), (2, 3, 4, 4 / 7), (0, 3, 4, 0.0)])
def test_f1(correct, found, gold, f1):
    assert f1_of(correct, found, gold) == f1
