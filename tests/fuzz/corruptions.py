"""Corruptions of a value (each field in turn) and of a whole file."""

import copy
import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]


class Raw(str):
    """Text that stands in JSON as it is."""


class Twice(dict):
    """An object whose first field stands there twice, the second time with another value."""


NESTED = Raw("[" * 100_000 + "]" * 100_000)
DIGITS = Raw("9" * 5_000)
SURROGATE = "\ud800"


@dataclass(frozen=True)
class Corruption:
    """A corrupted file.

    Args:
        name: what was done.
        path: where, in the value; empty for the whole file.
        value: the corrupted value.
        content: the corrupted file, where the file and not a value was corrupted.
    """

    name: str
    path: Path = ()
    value: Any = None
    content: bytes | None = None

    @property
    def is_of_a_field(self) -> bool:
        """Whether a parser still sees a value in which one field is odd, so that it can be named."""
        return self.content is None and self.name not in ("nested", "digits", "doubled field", "NaN", "infinite")

    def __str__(self) -> str:
        place = ".".join(map(str, self.path)) or "the file"
        return f"{place}: {self.name}"


def dumps(value: Any) -> str:
    """JSON, also of [`Raw`] and [`Twice`], with other characters than ASCII as they are."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        fields = [f"{dumps(str(name))}: {dumps(of_name)}" for name, of_name in value.items()]
        if isinstance(value, Twice):
            fields.append(f"{dumps(next(iter(value)))}: null")
        return "{" + ", ".join(fields) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(dumps, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=SURROGATE in value)
    return json.dumps(value)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The paths to all parts of a value."""
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def at(value: Any, path: Path) -> Any:
    """The part of a value at a path."""
    for key in path:
        value = value[key]
    return value


def _changed(value: Any, path: Path, new: Any) -> Any:
    changed = copy.deepcopy(value)
    at(changed, path[:-1])[path[-1]] = new
    return changed


def field_corruptions(value: Any) -> Iterator[Corruption]:
    """Every corruption of every field of a value."""
    for path in places(value):
        without = copy.deepcopy(value)
        del at(without, path[:-1])[path[-1]]
        yield Corruption("missing", path, without)
        if isinstance(path[-1], str):
            fields = at(value, path[:-1])
            misspelt = path[-1][:1] + path[-1][2:] + path[-1][1:2] + "_"
            renamed = {misspelt if name == path[-1] else name: of_name for name, of_name in fields.items()}
            whole = _changed(value, path[:-1], renamed) if path[:-1] else renamed
            yield Corruption("misspelt", path, whole)
        for name, new in _odd_values(at(value, path)):
            yield Corruption(name, path, _changed(value, path, new))


def _odd_values(value: Any) -> Iterator[tuple[str, Any]]:
    yield "null", None
    yield "nested", NESTED
    if isinstance(value, bool):
        yield from (("text", str(value)), ("number", 1), ("list", [value]), ("other", not value))
    elif isinstance(value, (int, float)):
        yield from (("text", str(value)), ("true", True), ("list", [value]), ("object", {}), ("NaN", float("nan")))
        yield from (("infinite", float("inf")), ("negative", -1), ("fraction", value + 0.5), ("next", value + 1))
        yield from (("huge", 10**9), ("64 bits", 2**63), ("100 bits", 2**100), ("digits", DIGITS))
        yield from (("float", float(value)), ("doubled", 2 * value + 1))
    elif isinstance(value, str):
        yield from (("empty", ""), ("number", 3), ("true", True), ("list", [value]), ("object", {"x": value}))
        yield from (("doubled", value + value), ("surrogate", value + SURROGATE), ("NaN", float("nan")))
        yield from (("huge", "x" * 50_000), ("other", "Zz"), ("line break", f"{value}\n{value}"))
    elif isinstance(value, list):
        yield from (("empty", []), ("text", "Person"), ("number", 3), ("object", {}), ("doubled", value + value))
    elif isinstance(value, dict):
        yield from (("empty", {}), ("text", "Person"), ("number", 3), ("list", [value]))
        if value:
            yield "doubled field", Twice(value)


def file_corruptions(content: bytes, generator: random.Random, flips: int = 20, cuts: int = 10) -> Iterator[Corruption]:
    """Corruptions of a whole file.

    Args:
        content: the good file.
        generator: decides which bytes are changed and where the file is cut off.
    """
    yield Corruption("empty", content=b"")
    yield Corruption("one line break", content=b"\n")
    yield Corruption("zero bytes", content=b"\0" * len(content))
    yield Corruption("byte order mark", content=b"\xef\xbb\xbf" + content)
    yield Corruption("gzipped", content=gzip.compress(content, mtime=0))
    yield Corruption("HTML", content=b"<!DOCTYPE html>\n<html><body><p>Log in, please.</p></body></html>\n")
    yield Corruption("nested", content=NESTED.encode())
    yield Corruption("nested objects", content=b'{"a":' * 100_000)
    yield Corruption("digits", content=DIGITS.encode())
    yield Corruption("surrogate", content=b'"\\ud800"')
    yield Corruption("NaN", content=b"NaN\n")
    yield Corruption("null", content=b"null\n")
    yield Corruption("twice", content=content + content)
    yield Corruption("CRLF", content=content.replace(b"\n", b"\r\n"))
    yield Corruption("byte that is no UTF-8", content=content + b"\xff")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        pass
    else:
        yield Corruption("UTF-16", content=text.encode("utf-16"))
        yield Corruption("Latin-1", content=text.encode("latin-1", errors="replace"))
    for cut in sorted(generator.sample(range(1, len(content)), min(cuts, len(content) - 1))):
        yield Corruption(f"cut off at {cut}", content=content[:cut])
    for _ in range(flips):
        index = generator.randrange(len(content))
        odd = generator.randrange(256)
        yield Corruption(f"byte {index} is {odd}", content=content[:index] + bytes([odd]) + content[index + 1 :])
