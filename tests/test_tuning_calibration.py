"""Temperatures by likelihood, and the error that they are to lower."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from spert.tuning.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    Reliability,
    best_temperature,
    log_loss,
    sigmoid,
    softmax,
    threshold_at_temperature,
)
from tests.tolerance import assert_close

RANDOM = np.random.default_rng(0)


def test_the_temperature_that_made_the_labels_is_found():
    true = RANDOM.normal(size=(20_000, 4))
    labels = np.array([RANDOM.choice(4, p=probabilities) for probabilities in softmax(true)])
    assert best_temperature(true * 2.5, labels) == pytest.approx(2.5, rel=0.05)
    true = RANDOM.normal(size=20_000)
    labels = RANDOM.random(20_000) < sigmoid(true)
    assert best_temperature(true * 0.5, labels) == pytest.approx(0.5, rel=0.05)


def test_no_other_temperature_is_likelier():
    logits = RANDOM.normal(size=(50, 3)) * 4
    labels = RANDOM.integers(0, 3, size=50)
    best = best_temperature(logits, labels)
    least = log_loss(logits, labels, best)
    assert all(log_loss(logits, labels, temperature) >= least - 1e-9 for temperature in np.linspace(0.1, 20, 300))


def test_labels_without_an_error_end_at_the_bounds():
    logits = np.array([3.0, -2.0])
    assert best_temperature(logits, np.array([True, False])) == LOWEST_TEMPERATURE
    assert best_temperature(logits, np.array([False, True])) == HIGHEST_TEMPERATURE


def test_log_loss_is_that_of_torch():
    logits = RANDOM.normal(size=(7, 3)) * 5
    labels = RANDOM.integers(0, 3, size=7)
    expected = functional.cross_entropy(torch.tensor(logits) / 1.7, torch.tensor(labels))
    assert_close(log_loss(logits, labels, 1.7), float(expected))
    right = labels > 0
    expected = functional.binary_cross_entropy_with_logits(torch.tensor(logits[:, 0]), torch.tensor(right).double())
    assert_close(log_loss(logits[:, 0], right, 1.0), float(expected))


def test_reliability():
    bins = Reliability.of(np.array([0.99, 1.0, 0.95, 0.01]), np.array([True, True, False, False]))
    assert bins.counts.tolist() == [1, *[0] * 13, 3]
    assert_close(float(bins.right[-1]), 2 / 3)
    # The lowest bin is off by 0.01 for one score, the highest by 0.98 - 2/3 for three.
    assert_close(bins.error, (0.01 + 3 * (0.98 - 2 / 3)) / 4)
    assert Reliability.of(np.array([]), np.array([], dtype=bool)).error == 0


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.4, 0.9, 1.0])
def test_a_threshold_moves_with_the_temperature(threshold):
    logits = RANDOM.normal(size=500) * 3
    moved = threshold_at_temperature(threshold, 1.2, 2.3)
    np.testing.assert_array_equal(sigmoid(logits / 1.2) >= threshold, sigmoid(logits / 2.3) >= moved)
    assert threshold_at_temperature(threshold, 1.2, 1.2) == threshold
