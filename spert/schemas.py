"""JSON files that this project wrote, and reads again: checked against a schema, field by field."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from .files import parse_json

T = TypeVar("T")

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""No value is converted, no field is unknown, and every number is finite."""

PARTIAL = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)
"""As [`STRICT`], for files of which only some fields are read."""


def read_checked(path: str | os.PathLike[str], schema: TypeAdapter[T]) -> T:
    """Read a JSON file of a known schema.

    Raises:
        ValueError: the file is not JSON, or has another schema. The message names file, field and value.
        OSError: it cannot be read.
    """
    content = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        checked = schema.validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        if fault["type"] == "json_invalid":
            raise ValueError(f"{path}: expected JSON: {fault['msg'].removeprefix('Invalid JSON: ')}.") from error
        field = ".".join(map(str, fault["loc"]))
        place = f"{path}, {field}" if field else f"{path}"
        if fault["type"] == "missing":
            raise ValueError(f"{place}: expected a value, but the field is missing.") from error
        if fault["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise ValueError(f"{place}: expected no field of this name.") from error
        shown = repr(fault["input"])
        shown = shown if len(shown) <= 100 else shown[:100] + "…"
        raise ValueError(f"{place}: {_expected(fault['msg'])}, got {shown}.") from error
    try:
        parse_json(content)  # refuses what pydantic takes: a field that is named twice
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return checked


def _expected(message: str) -> str:
    """A message of pydantic in the words of this project."""
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    noun, has_noun, wish = message.partition(" should ")
    if has_noun:
        return f"expected a {noun.lower()} to {wish}"
    if message.startswith("expected"):
        return message
    return f"expected {'a number ' if message.startswith(('greater', 'less')) else ''}{message}"
