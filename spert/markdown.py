"""Text from a corpus inside Markdown: shown as it is, never read as Markdown, HTML or code."""

import json
import re

_SIGNS = re.compile(r"[\\`*\[\]<>|#&!~]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown reads as more than text; an underscore inside of a word it does not."""


def plain(text: str) -> str:
    """Text as Markdown shows it, in one line."""
    return _SIGNS.sub(r"\\\g<0>", _one_line(text))


def code(text: str) -> str:
    """A code span; text that would end it is shown as plain text."""
    return plain(text) if re.search(r"[`|<]", text) else f"`{_one_line(text)}`"


def python_string(text: str) -> str:
    """A string literal in one line, which does not end a block of code."""
    return json.dumps(text, ensure_ascii=False).replace("`", "\\x60")


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
