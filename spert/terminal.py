"""Names and text of others on their way into a terminal: what would steer it is made visible first."""

from rich.markup import escape


def visible(text: str) -> str:
    r"""A text whose control characters can be seen, so that none of them reaches the terminal; its length is the same.

    >>> visible("a\tb\x1b[31m")
    'a b␛[31m'
    """
    return "".join(map(_visible_character, text)) if not text.isprintable() else text


def visible_lines(text: str) -> str:
    r"""As `visible`, for a text of several lines, whose ends stay.

    >>> visible_lines("a\x1b[2J\nb")
    'a␛[2J\nb'
    """
    return "\n".join(map(visible, text.split("\n")))


def cell(text: str) -> str:
    r"""A text as rich's tables and titles take it: visible, and no markup.

    >>> cell("[red]\x1b[31m")
    '\\[red]␛[31m'
    """
    return escape(visible(text))


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    if character.isspace():
        return " "
    if ord(character) < 32:
        return chr(0x2400 + ord(character))
    if character in "\u200c\u200d":  # joiners: parts of words and emoji
        return character
    return "\ufffd"
