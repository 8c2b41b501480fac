"""One comparison for all numbers whose rounding depends on the processor, the number of threads or the address."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

ROUNDING = 1e-4
"""Absolute and relative. Rounding moves the tiny models' logits by some 1e-6; nobody could notice 1e-4 in a score."""


def assert_close(actual: Any, expected: Any, path: str = "result") -> None:
    """Assert equality up to rounding, of tensors, numbers, and any nesting of lists and dictionaries of them.

    Structure, keys, whole numbers, texts and tensors of whole numbers have to be equal.
    """
    if isinstance(expected, torch.Tensor):
        assert isinstance(actual, torch.Tensor), f"{path}: expected a tensor, got {type(actual).__name__}"
        if expected.is_floating_point():
            torch.testing.assert_close(
                actual, expected, atol=ROUNDING, rtol=ROUNDING, msg=lambda text: f"{path}: {text}"
            )
        else:
            assert torch.equal(actual, expected), path
    elif isinstance(expected, Mapping):
        assert list(actual) == list(expected), path
        for name, value in expected.items():
            assert_close(actual[name], value, f"{path}[{name!r}]")
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        assert len(actual) == len(expected), path
        for index, value in enumerate(expected):
            assert_close(actual[index], value, f"{path}[{index}]")
    elif isinstance(expected, float):
        assert abs(actual - expected) <= ROUNDING * (1 + abs(expected)), f"{path}: {actual} and {expected}"
    else:
        assert actual == expected, f"{path}: {actual!r} and {expected!r}"
