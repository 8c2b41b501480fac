"""Check what other programs wrote against a schema (a pydantic model), and say what is wrong as other errors do."""

import difflib
import reprlib
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, Strict, ValidationError

_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 20
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200
_SHORT.maxlevel = 4


def shown(value: Any) -> str:
    """A value as an error message shows it: its `repr`, of which a long one keeps its two ends."""
    return _SHORT.repr(value)


class Schema(BaseModel):
    """A schema of an outside format. Values are not converted: the string "3" is no number, and 3.0 no whole number.

    Fields that the schema does not have are kept apart, for [`count_unread_fields`].
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


def _identifier(value: Any) -> str:
    if type(value) not in (int, str):
        raise ValueError("expected a string or a whole number")
    refuse_surrogates(str(value))
    return str(value)


def refuse_surrogates(text: str) -> None:
    """Half of a surrogate pair, which JSON can escape, is no character, and no file can hold it.

    Raises:
        ValueError: there is one in the text; the message is to be put behind the name of the place.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("expected characters, got half of a surrogate pair") from None


Identifier = Annotated[str, PlainValidator(_identifier)]
"""A string or a whole number, as a string."""


def _text(value: str) -> str:
    refuse_surrogates(value)
    return value


Text = Annotated[str, AfterValidator(_text)]
"""A string that a file can hold."""

Name = Annotated[Text, Field(min_length=1)]
"""The name of a type: any string but the empty one."""


def _score(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError("expected a number from 0 to 1")
    return value


Score = Annotated[float, AfterValidator(_score)]
"""The score of a prediction."""

ListAsTuple = Strict(False)
"""Beside a tuple in `Annotated`: JSON has lists only. The tuple's members stay strict."""

SchemaT = TypeVar("SchemaT", bound=Schema)


def validated(schema: type[SchemaT], value: Any, where: str) -> SchemaT:
    """A value as an object of a schema.

    Args:
        where: file and record (or line), named in errors.

    Raises:
        ValueError: the value does not fit; the message names the field, what was expected and what came.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise ValueError(_message(error.errors(include_url=False)[0], value, where)) from None


def place_of(location: tuple[str | int, ...]) -> str:
    """The path to a value inside of a record, in words: `, field 'entities', entry 0`."""
    return "".join(f", entry {part}" if isinstance(part, int) else f", field {shown(part)}" for part in location)


_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "an object",
    "string_too_short": "a string that is not empty",
    "string_type": "a string",
    "tuple_type": "a list",
}
"""What pydantic's errors are called here."""


def _message(error: Mapping[str, Any], whole: Any, where: str) -> str:
    kind, location, value = error["type"], error["loc"], error["input"]
    if location[-1:] == ("[key]",):  # a field's name is wrong, not its value
        location = location[:-2]
    if kind == "missing" and isinstance(location[-1], str):
        return (
            f"{where}{place_of(location[:-1])}: expected a field {location[-1]!r}, {_fields_of(value, location[-1])}."
        )
    if kind == "extra_forbidden":
        return f"{where}{place_of(location)}: no such field is known here; take it out, or correct its name."
    if kind == "missing" or (kind == "too_long" and error["ctx"]["field_type"] == "Tuple"):
        location = location[:-1] if kind == "missing" else location
        listed = whole
        for part in location:
            listed = listed[part]
        return f"{where}{place_of(location)}: expected a list of another length, got {shown(listed)}."
    if kind == "value_error":
        expected = str(error["ctx"]["error"])
    elif kind == "string_unicode":
        expected = "expected characters, got half of a surrogate pair"
    elif kind == "too_short":
        expected = "expected a string that is not empty" if isinstance(value, str) else "expected at least one entry"
    elif kind == "literal_error":
        expected = f"expected {error['ctx']['expected']}"
    else:
        expected = f"expected {_EXPECTED[kind]}" if kind in _EXPECTED else error["msg"]
    return f"{where}{place_of(location)}: {expected}{' in' if ', got ' in expected else ', got'} {shown(value)}."


def _fields_of(value: Any, wanted: str) -> str:
    names = sorted(map(str, value)) if isinstance(value, Mapping) else []
    close = difflib.get_close_matches(wanted, names, n=1)
    return f"got only {shown(names)}" + (f", of which {close[0]!r} may be misspelt" if close else "")


def count_unread_fields(found: Schema, lost: Counter[str], kind: str) -> None:
    """Count the fields that an object has and its schema does not: they are not read, and that is to be said.

    Args:
        lost: what was counted, by what it is.
        kind: what the object is called, such as `entities`.
    """
    for name in found.model_extra or ():
        lost[f"fields {shown(name)} of {kind} not read"] += 1
