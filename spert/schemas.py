"""JSON files that this project wrote, and reads again: checked against a schema, field by field."""

import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from .files import parse_json

T = TypeVar("T")

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""No value is converted, no field is unknown, and every number is finite."""

PARTIAL = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)
"""As [`STRICT`], for files of which only some fields are read."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A score: a number between 0 and 1."""


def read_checked(path: str | os.PathLike[str], schema: TypeAdapter[T]) -> T:
    """Read a JSON file of a known schema.

    Raises:
        ValueError: the file is not JSON, or has another schema. The message names file, field and value.
        OSError: it cannot be read.
    """
    content = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    checked = parse_checked(content, schema, str(path))
    try:
        parse_json(content)  # refuses what pydantic takes: a field that is named twice
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return checked


def parse_checked(content: bytes, schema: TypeAdapter[T], where: str) -> T:
    """Parse JSON of a known schema.

    Args:
        where: what the content is, for errors: a file, or a file and a line.

    Raises:
        ValueError: it is not JSON, or has another schema. The message names `where`, field and value.
    """
    try:
        return schema.validate_json(content)
    except ValidationError as error:
        raise _as_value_error(error, where) from error


def check_value(value: object, schema: TypeAdapter[T], where: str) -> T:
    """As [`parse_checked`], for a value that is parsed already."""
    try:
        return schema.validate_python(value)
    except ValidationError as error:
        raise _as_value_error(error, where) from error


def _as_value_error(error: ValidationError, where: str) -> ValueError:
    """The first fault, in the words of this project."""
    fault = error.errors(include_url=False)[0]
    if fault["type"] == "json_invalid":
        return ValueError(f"{where}: expected JSON: {fault['msg'].removeprefix('Invalid JSON: ')}.")
    field = ".".join(map(str, fault["loc"]))
    place = f"{where}, {field}" if field else where
    if fault["type"] == "missing":
        return ValueError(f"{place}: expected a value, but the field is missing.")
    if fault["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return ValueError(f"{place}: expected no field of this name.")
    shown = repr(fault["input"])
    shown = shown if len(shown) <= 100 else shown[:100] + "…"
    return ValueError(f"{place}: {_expected(fault['msg'])}, got {shown}.")


def _expected(message: str) -> str:
    """A message of pydantic in the words of this project."""
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    noun, has_noun, wish = message.partition(" should ")
    if has_noun:
        return f"expected a {noun.lower()} to {wish}"
    if message.startswith("expected"):
        return message
    return f"expected {'a number ' if message.startswith(('greater', 'less')) else ''}{message}"
