"""Calibration: a temperature by likelihood, and how far scores are from how often they are right."""

import math
from dataclasses import dataclass

import numpy as np

BINS = 15
"""Bins of equal width, from 0 to 1, of the expected calibration error and of the reliability diagram."""

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0


@dataclass(frozen=True)
class Reliability:
    """Scores in bins of equal width.

    Args:
        counts: how many scores each bin holds.
        scores: their means.
        right: the fraction of them that is right.

    Shapes:
        counts, scores, right: `(BINS,)`, 0 for empty bins
    """

    counts: np.ndarray
    scores: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, correct: np.ndarray) -> "Reliability":
        """Bin scores. A score on the edge of two bins belongs to the upper one, and 1 to the last.

        Shapes:
            scores: `(decisions,)`
            correct: `(decisions,)`, bool
        """
        bins = np.minimum((scores.astype(np.float64) * BINS).astype(np.int64), BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        filled = np.maximum(counts, 1)
        return cls(
            counts,
            np.bincount(bins, weights=scores, minlength=BINS) / filled,
            np.bincount(bins, weights=correct, minlength=BINS) / filled,
        )

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of score and fraction right, over all scores."""
        return float((self.counts * np.abs(self.scores - self.right)).sum() / max(self.counts.sum(), 1))


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature under which the labels are likeliest, between 0.05 and 20, with four digits.

    The negative log-likelihood is convex in `1 / temperature`: where its slope changes its sign is the only minimum.

    Args:
        logits: of several classes, of which one holds, or of decisions each by itself.
        labels: the class, or whether the decision is right.

    Shapes:
        logits: `(spans, classes)` or `(decisions,)`
        labels: `(spans,)` or `(decisions,)`, bool
    """
    logits = logits.astype(np.float64)
    low, high = math.log(1 / HIGHEST_TEMPERATURE), math.log(1 / LOWEST_TEMPERATURE)
    for _ in range(60):
        middle = (low + high) / 2
        if _slope(logits, labels, math.exp(middle)) > 0:
            high = middle
        else:
            low = middle
    return round(math.exp(-(low + high) / 2), 4)


def log_loss(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """The mean negative log-likelihood of the labels; shapes as for `best_temperature`."""
    scaled = logits.astype(np.float64) / temperature
    if scaled.ndim == 1:
        losses = np.logaddexp(0, np.where(labels, -scaled, scaled))
    else:
        losses = np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(labels)), labels]
    return float(losses.mean())


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The logistic function, in float64."""
    return np.exp(-np.logaddexp(0, -logits.astype(np.float64)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of the last axis's classes, in float64."""
    scaled = logits.astype(np.float64)
    return np.exp(scaled - np.logaddexp.reduce(scaled, axis=-1, keepdims=True))


def threshold_at_temperature(threshold: float, before: float, after: float) -> float:
    """The threshold that lets the same relations pass when the temperature changes."""
    if before == after or not 0 < threshold < 1:
        return threshold
    return round(1 / (1 + math.exp(math.log(1 / threshold - 1) * before / after)), 6)


def _slope(logits: np.ndarray, labels: np.ndarray, inverse_temperature: float) -> float:
    """The derivative of the summed negative log-likelihood in `1 / temperature`."""
    scaled = logits * inverse_temperature
    if logits.ndim == 1:
        return float(((sigmoid(scaled) - labels) * logits).sum())
    expected = (softmax(scaled) * logits).sum(axis=1)
    return float((expected - logits[np.arange(len(labels)), labels]).sum())
