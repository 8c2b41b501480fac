"""Exact search for thresholds: every distinct score is a place to cut, and the cuts of all types are found together.

Works on scores and on whether each is right; knows no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """What each cut through scores keeps: cut `k` the decisions with the `k` best distinct scores, cut 0 none.

    Args:
        scores: the distinct scores, from the best to the worst.
        found: how many decisions each cut keeps.
        correct: how many of them are right.

    Shapes:
        scores: `(cuts - 1,)`, float32
        found, correct: `(cuts,)`
    """

    scores: np.ndarray
    found: np.ndarray
    correct: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, correct: np.ndarray) -> "Curve":
        """The curve of some decisions.

        Shapes:
            scores: `(decisions,)`, from 0 to 1
            correct: `(decisions,)`, bool
        """
        scores = scores.astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        in_order = scores[order]
        is_last = np.ones(len(in_order), dtype=bool)  # of its score
        is_last[:-1] = in_order[1:] != in_order[:-1]
        (last,) = is_last.nonzero()
        right = np.cumsum(correct[order], dtype=np.int64)[last]
        return cls(in_order[last], np.concatenate(([0], last + 1)), np.concatenate(([0], right)))

    def cut_at(self, threshold: float) -> int:
        """The cut that keeps what has at least this score."""
        return int(np.searchsorted(-self.scores, -np.float32(threshold), side="right"))

    def possible(self) -> np.ndarray:
        """Which cuts a threshold from 0 to 1 can make: not the one that keeps nothing, where a score is 1.

        Shapes:
            result: `(cuts,)`, bool
        """
        possible = np.ones(len(self.found), dtype=bool)
        possible[0] = len(self.scores) == 0 or self.scores[0] < 1
        return possible

    def threshold_of(self, cut: int, reference: float) -> float:
        """A threshold that makes a cut: the reference, if it does; otherwise halfway between the scores on both sides.

        The number has as few digits as tell the two scores apart.
        """
        if self.cut_at(reference) == cut:
            return reference
        kept = np.float32(1) if cut == 0 else self.scores[cut - 1]
        dropped = np.float32(0) if cut == len(self.scores) else self.scores[cut]
        middle = (float(kept) + float(dropped)) / 2
        for digits in range(3, 12):
            threshold = round(middle, digits)
            if self.cut_at(threshold) == cut and 0 <= threshold <= 1:
                return threshold
        return 1.0 if cut == 0 else float(kept)

    def nearest(self, cuts: np.ndarray, reference: float) -> int:
        """Of some cuts the one whose thresholds are nearest to a reference; of equally near ones the first.

        Shapes:
            cuts: `(some cuts,)`, at least one
        """
        kept = np.concatenate(([1.0], self.scores.astype(np.float64)))[cuts]
        dropped = np.concatenate((self.scores.astype(np.float64), [0.0]))[cuts]
        distance = np.maximum(np.maximum(reference - kept, dropped - reference), 0)
        distance[cuts == self.cut_at(reference)] = -1  # that one needs no other threshold
        return int(cuts[distance.argmin()])


def f1_of(correct: int, found: int, gold: int) -> float:
    """The F1 score of counts; 0 where there is nothing."""
    return 2 * correct / (found + gold) if found + gold else 0.0


def best_common_threshold(curve: Curve, num_gold: int, reference: float) -> float:
    """The threshold for all types with the best micro F1; of equal ones the nearest to the reference.

    Args:
        curve: of the decisions of all types together.
        num_gold: the gold annotations of all types together.
        reference: the threshold that is there already.
    """
    f1 = 2 * curve.correct / np.maximum(curve.found + num_gold, 1)  # equal fractions give equal floats
    f1[~curve.possible()] = -1
    return curve.threshold_of(curve.nearest((f1 == f1.max()).nonzero()[0], reference), reference)


def best_thresholds_by_type(
    curves: Sequence[Curve], num_gold: int, references: Sequence[float], is_free: Sequence[bool]
) -> list[float]:
    """The thresholds by type with the best micro F1 of all types together: the global optimum, not a local one.

    Micro F1 is `2 · correct / (found + gold)`, summed over types, so that the best cut of a type depends on those of
    the others. Dinkelbach's method for such fractions takes this apart. Let `λ` be the F1 of some cuts. The cuts that
    maximise `2 · correct − λ · found` of each type by itself have an F1 of at least `λ`, and of more unless `λ` is the
    best F1 that there is. A few rounds lead there. Counts are whole numbers, so that nothing is rounded.

    Args:
        curves: of each type.
        num_gold: the gold annotations of all types together.
        references: the threshold of each type to begin with. Of equally good cuts, the nearest one is taken.
        is_free: which types get a threshold of their own; the others keep the reference.
    """
    cuts = [curve.cut_at(reference) for curve, reference in zip(curves, references)]
    while True:
        correct, denominator = _totals(curves, cuts, num_gold)
        better = list(cuts)
        for index, curve in enumerate(curves):
            if not is_free[index]:
                continue
            value = 2 * denominator * curve.correct - 2 * correct * curve.found
            value[~curve.possible()] = np.iinfo(np.int64).min
            better[index] = curve.nearest((value == value.max()).nonzero()[0], references[index])
        better_correct, better_denominator = _totals(curves, better, num_gold)
        cuts = better
        if better_correct * denominator <= correct * better_denominator:
            break
    return [curve.threshold_of(cut, reference) for curve, cut, reference in zip(curves, cuts, references)]


def _totals(curves: Sequence[Curve], cuts: Sequence[int], num_gold: int) -> tuple[int, int]:
    """What is correct, and what is found and gold, in all types together."""
    correct = sum(int(curve.correct[cut]) for curve, cut in zip(curves, cuts))
    found = sum(int(curve.found[cut]) for curve, cut in zip(curves, cuts))
    return correct, found + num_gold
