"""Offsets into a text, counted in other units than Unicode code points, which Python counts.

Doccano counts UTF-16 units, as JavaScript does, or graphemes where a project says so; so did old versions of Label
Studio. All units agree but for emoji, rare characters, combining marks and CRLF.
"""

import itertools

import regex

from ..documents import check_range

_GRAPHEME = regex.compile(r"\X")


def to_code_points(text: str, start: int, end: int, unit: str, where: str) -> tuple[int, int]:
    """A range of a text that counts another unit, in code points.

    Args:
        unit: one of `reading.UNITS`.
        where: file and record, for errors.

    Raises:
        ValueError: an offset lies outside of the text, or inside of a character.
    """
    borders = _borders(text, unit)
    if borders is None:
        return start, end
    length = borders[len(text)]
    if not 0 <= start < end <= length:
        raise ValueError(f"{where}: expected a range within [0, {length}), counted in {unit}, got [{start}, {end}).")
    found = {offset: border for border, offset in borders.items()}
    for offset in (start, end):
        if offset not in found:
            raise ValueError(
                f"{where}: expected offsets between two characters, counted in {unit}, got {offset}, which lies inside "
                f"of one. Say with --from-offsets what is counted."
            )
    return found[start], found[end]


def from_code_points(text: str, start: int, end: int, unit: str, where: str) -> tuple[int, int]:
    """A range of code points in another unit.

    Raises:
        ValueError: the range begins or ends inside of a unit: a grapheme can hold several code points.
    """
    borders = _borders(text, unit)
    if borders is None:
        return start, end
    check_range(text, start, end, where)
    if start not in borders or end not in borders:
        raise ValueError(
            f"{where}: expected a span of whole {unit}, got {text[start:end]!r} [{start}, {end}), which cuts through "
            f"one."
        )
    return borders[start], borders[end]


def _borders(text: str, unit: str) -> dict[int, int] | None:
    """The borders between units: offset in code points to offset in units; `None` where the two are the same."""
    if unit == "code-points" or (unit == "utf-16" and (not text or max(text) < "\U00010000")):
        return None
    if unit == "utf-16":
        lengths = (1 + (character >= "\U00010000") for character in text)
        return dict(enumerate(itertools.accumulate(lengths, initial=0)))
    return {0: 0} | {match.end(): number for number, match in enumerate(_GRAPHEME.finditer(text), start=1)}
