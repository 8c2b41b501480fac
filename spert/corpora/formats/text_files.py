"""Text files of lines: decoded, with the file and the line in every error."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ...files import parse_json
from ..reading import Reading

MAX_DIGITS = 18
"""A whole number of more digits is no offset: it does not fit into 64 bits."""


def read_text(path: Path) -> str:
    """The content of a UTF-8 file, with its line ends as they are, without a byte order mark.

    Raises:
        ValueError: it is not UTF-8; the message names file and line.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        hint = " It starts as a gzipped file does: unpack it." if content.startswith(b"\x1f\x8b") else ""
        raise ValueError(
            f"{path}, line {line}: expected UTF-8, but byte {error.start} of the file cannot be decoded: "
            f"{error.reason}.{hint}"
        ) from None


def lines_of(path: Path, reading: Reading) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, without their ends, each with its number, counted from 1.

    A last line that is not ended is counted: the file may have been cut off.
    """
    *lines, rest = read_text(path).split("\n")
    if rest:
        lines.append(rest)
        reading.lost[f"last lines without a line break ({path.name}): is the file whole?"] += 1
    for number, line in enumerate(lines, start=1):
        yield number, line.removesuffix("\r")


def json_lines_of(path: Path) -> Iterator[tuple[int, str, Callable[[], Any]]]:
    """The lines of a JSON Lines file that are not empty: number, place, and a function that parses the line.

    The function raises a `ValueError` that names file and line.
    """
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{path}, line {number}"
                yield number, where, partial(_parsed, line.strip(), where)


def _parsed(line: bytes, where: str) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
