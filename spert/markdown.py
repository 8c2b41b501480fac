"""Text of a corpus, a model or a command line in Markdown: shown as it is, never read as markup, HTML or code."""

import json
import re
from collections.abc import Sequence
from typing import Any

_SPECIAL = re.compile(r"([\\`*\[\]<>#|~&@$]|(?<![^\W_])_|_(?![^\W_])|:(?=//))")
_LINE_START = re.compile(r"^([-+=]|\d+(?=[.)](?:\s|$)))")
_WEB_ADDRESS = re.compile(r"(?i)\b(www)\.")


def plain(text: Any) -> str:
    r"""Any text within a line of Markdown or a cell of a table, shown letter by letter.

    >>> plain("a_b | <b>\n# c")
    'a_b \\| \\<b\\> \\# c'
    """
    escaped = _SPECIAL.sub(r"\\\1", _one_line(text))
    escaped = _WEB_ADDRESS.sub(r"\1\\.", escaped)  # or GitHub and the Hub would make a link of it
    return _LINE_START.sub(lambda match: f"\\{match[1]}" if not match[1].isdigit() else f"{match[1]}\\", escaped)


def code(text: Any) -> str:
    r"""A name or a path as code within a line of Markdown; one that would leave the code is shown as plain text.

    >>> code("works_for"), code("a`b")
    ('`works_for`', 'a\\`b')
    """
    line = _one_line(text)
    return plain(line) if not line.strip() or re.search(r"[`|<]", line) else f"`{line}`"


def python_string(text: str) -> str:
    r"""A string literal of Python for a block of code, on one line and without three backticks.

    >>> python_string('say "```"')
    '"say \\"\\x60\\x60\\x60\\""'
    """
    literal = json.dumps(text, ensure_ascii=False).replace("```", r"\x60\x60\x60")
    return re.sub("[\x7f\x85\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", literal)


def table(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """A table; its cells are Markdown already.

    >>> print(table(["a", "b"], [[1, 2]]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _one_line(text: Any) -> str:
    """Text without line breaks and control characters, which end a line, a cell or a block."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", str(text))
