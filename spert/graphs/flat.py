"""Attributes for formats that hold numbers and text alone."""

import json
from typing import Any


def flat(value: Any) -> str | int | float:
    """An attribute as a number or text: lists and dictionaries are JSON.

    >>> flat({"Ada Park": 2}), flat(0.5), flat("Oslo")
    ('{"Ada Park": 2}', 0.5, 'Oslo')
    """
    if isinstance(value, (str, int, float)):
        return value
    return json.dumps(value, ensure_ascii=False)
