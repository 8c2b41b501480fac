"""What counts as found, as the command line says it: numbers, `TYPE=NUMBER`, JSON, or a file with JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files import parse_json, read_json


def numbers_of(option: str, words: Sequence[str] | None) -> float | dict[str, Any] | None:
    """A number for all names, or numbers by name.

    ```python
    >>> numbers_of("--relation-threshold", ["0.5"])
    0.5
    >>> numbers_of("--relation-threshold", ["works_for=0.5", "lives_in=0.7"])
    {'works_for': 0.5, 'lives_in': 0.7}
    >>> numbers_of("--relation-threshold", ['{"works_for": 0.5}'])
    {'works_for': 0.5}

    ```

    Args:
        option: named in errors.
        words: what came after the option, each time it was given.

    Raises:
        ValueError: a word has none of these forms, a name comes twice, or a number for all has others beside it.
    """
    if not words:
        return None
    expected = f"{option}: expected one number, or NAME=NUMBER once for each name, or a JSON object"
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        return _json_object(option, words[0])
    if len(words) == 1 and "=" not in words[0]:
        return _number(expected, words[0])
    numbers: dict[str, Any] = {}
    for word in words:
        name, sign, number = word.rpartition("=")
        if not sign or not name or name in numbers:
            raise ValueError(f"{expected}, got {' and '.join(map(repr, words))}.")
        numbers[name] = _number(expected, number)
    return numbers


def arguments_of(option: str, word: str | None) -> dict[str, Any] | None:
    """A JSON object, or a file that holds one.

    Raises:
        ValueError: it is none.
    """
    if word is None:
        return None
    if word.lstrip().startswith("{"):
        return _json_object(option, word)
    if not Path(word).is_file():
        raise ValueError(f"{option}: expected a JSON object, or a file that holds one, got {word!r}.")
    found = read_json(word)
    if not isinstance(found, dict):
        raise ValueError(f"{option}: expected a JSON object in {word}, got {type(found).__name__}.")
    return found


def _json_object(option: str, text: str) -> dict[str, Any]:
    try:
        return dict(parse_json(text))
    except (ValueError, json.JSONDecodeError) as error:
        raise ValueError(f"{option}: {error}") from error


def _number(expected: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{expected}, got {word!r}.") from None
