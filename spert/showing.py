"""Results as people read them in a terminal: a text, its entities below it however they overlap, and relations."""

import os
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from .evaluation.report import score_text
from .terminal import visible

_STYLES = ("cyan", "yellow", "green", "magenta", "red", "blue")
_WIDTH = 100
"""Columns where there is no terminal to ask."""

_MARGIN = 2


def console_of(width: int | None = None) -> Console:
    """Standard output as rich writes to it: in colour in a terminal, unless `NO_COLOR` is set.

    Args:
        width: columns. Default: the terminal's, or 100 where there is none.
    """
    if width is None and not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        width = _WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_result(console: Console, result: Mapping[str, Any], title: str | None = None) -> None:
    """Print one result.

    Args:
        result: a dictionary of the README's form; scores may be missing.
        title: printed above it.
    """
    if title:
        console.print(Text(visible(title), style="bold"))
    types = sorted({entity["type"] for entity in result["entities"]})
    style_of = {kind: _STYLES[index % len(_STYLES)] for index, kind in enumerate(types)}
    for line in _lines(result["text"], console.width - _MARGIN):
        for row in _rows_of(line, result, style_of):
            console.print(Text(" " * _MARGIN) + row)
    for row in _relation_rows(result, style_of):
        console.print(Text(" " * _MARGIN) + row)
    if not result["entities"]:
        console.print(Text(" " * _MARGIN + "nothing found", style="dim"))
    console.print()


@dataclass(frozen=True)
class _Line:
    """A part of a text that stands on one line.

    Args:
        text: the part.
        start: where it begins in the whole text.
    """

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def column(self, character: int) -> int:
        """The column of a character of the whole text; those outside of the line stand at its ends."""
        return cell_len(visible(self.text[: max(0, character - self.start)]))


def _lines(text: str, width: int) -> list[_Line]:
    """A text in lines that fit; line breaks of its own stay, and words are not broken unless they have to be."""
    lines: list[_Line] = []
    start = 0
    for part in text.splitlines(keepends=True):
        rest, end = start, start + len(part.rstrip())
        while rest < end:
            stop = _last_that_fits(text, rest, end, width)
            if stop < end and not text[stop].isspace():
                space = max((index for index in range(rest + 1, stop) if text[index].isspace()), default=None)
                stop = stop if space is None else space
            lines.append(_Line(text[rest:stop], rest))
            while stop < end and text[stop].isspace():
                stop += 1
            rest = stop
        start += len(part)
    return lines


def _last_that_fits(text: str, start: int, end: int, width: int) -> int:
    columns, stop = 0, start
    while stop < end:
        columns += cell_len(visible(text[stop]))
        if columns > width and stop > start:
            break
        stop += 1
    while stop < end and unicodedata.combining(text[stop]) and stop > start + 1:  # a mark stays with its letter
        stop -= 1
    return stop


@dataclass
class _Mark:
    """An entity's part in a line: columns, and what is written below."""

    first: int
    last: int
    bar: str
    label: str
    style: str

    @property
    def right(self) -> int:
        """The column after the mark, with a gap."""
        return max(self.last, self.first + cell_len(self.label)) + 1


def _rows_of(line: _Line, result: Mapping[str, Any], style_of: Mapping[str, str]) -> list[Text]:
    """A line of the text, and below it bars and labels of the entities in it, each pair of rows free of overlaps."""
    shown = Text(visible(line.text))
    marks: list[_Mark] = []
    for entity in sorted(result["entities"], key=lambda entity: (entity["start"], -entity["end"])):
        start, end = max(entity["start"], line.start), min(entity["end"], line.end)
        if start >= end:
            continue
        style = style_of[entity["type"]]
        shown.stylize(f"bold {style}", start - line.start, end - line.start)
        first, last = line.column(start), line.column(end)
        begins, ends = entity["start"] >= line.start, entity["end"] <= line.end
        marks.append(_Mark(first, last, _bar(last - first, begins, ends), _label(entity) if begins else "…", style))
    rows = [shown]
    while marks:
        bars, labels, left = Text(), Text(), []
        for mark in marks:
            if mark.first < bars.cell_len or mark.first < labels.cell_len:
                left.append(mark)
                continue
            for row, text in ((bars, mark.bar), (labels, mark.label)):
                row.append(" " * (mark.first - row.cell_len))
                row.append(text, style=mark.style)
            room = mark.right
            for row in (bars, labels):
                row.append(" " * (room - row.cell_len))
        for row in (bars, labels):
            row.rstrip()
            rows.append(row)
        marks = left
    return rows


def _bar(length: int, begins: bool, ends: bool) -> str:
    if length <= 1:
        return "╵" if begins and ends else "─" * length
    return ("└" if begins else "─") + "─" * (length - 2) + ("┘" if ends else "─")


def _label(entity: Mapping[str, Any]) -> str:
    return visible(entity["type"]) + _score(entity)


def _score(thing: Mapping[str, Any]) -> str:
    return "" if thing.get("score") is None else f" {score_text(thing['score'])}"


def _relation_rows(result: Mapping[str, Any], style_of: Mapping[str, str]) -> list[Text]:
    def name(index: int) -> tuple[str, str]:
        entity = result["entities"][index]
        text = " ".join(result["text"][entity["start"] : entity["end"]].split())
        return visible(text), style_of[entity["type"]]

    def row(relation: Mapping[str, Any]) -> Text:
        label = f"{visible(relation['type'])}{_score(relation)}"
        return Text.assemble(name(relation["head"]), f" ── {label} → ", name(relation["tail"]))

    return [row(relation) for relation in result["relations"]]
