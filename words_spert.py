"""Split raw text into words, with their character ranges, for any script.

The result is close to how annotated news corpora are written: punctuation stands alone, hyphenated words and numbers
stay whole, English clitics (`'s`) are split off, and each Chinese or Japanese character is a word, so that a span can
start and end at any of them.
"""

import functools
import re
import sys
import unicodedata
from collections.abc import Sequence

# Han with its extensions, kana and bopomofo: scripts written without spaces between words.
_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d"
    "\U0001b000-\U0001b16f\U00020000-\U0003fffd"
)


def split_words(text: str) -> list[tuple[int, int]]:
    """The words of a text as half-open character ranges, in order and without overlap.

    What lies between two words is white space or invisible (control and format characters). No word holds white
    space. A text without visible characters has no words.
    """
    return [match.span() for match in _word_pattern().finditer(text)]


def join_words(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words that came split as one text, joined by one space, and their half-open character ranges in it."""
    ranges, start = [], 0
    for word in words:
        ranges.append((start, start + len(word)))
        start += len(word) + 1
    return " ".join(words), ranges


@functools.cache
def _word_pattern() -> re.Pattern[str]:
    # `re` knows no Unicode categories: without this, `\w` would cut words of Indic and Arabic scripts at their marks.
    marks, formats, controls = _character_classes("M", "Cf", "Cc")
    hidden = formats + controls
    joined = rf"[{marks}{formats}]*"
    letter = rf"(?:[^\W{_CJK}]{joined})"
    clitic = rf"['’](?:s|S|re|RE|ve|VE|ll|LL|d|D|m|M)(?![\w{marks}])"
    return re.compile(
        rf"(?:[^\W\d_{_CJK}]\.){{2,}}"  # U.S., e.g.
        rf"|\d+(?:[.,:/]\d+)+(?!\w)"  # 1,000.5, 12:30, 1/2
        rf"|{clitic}"
        rf"|{letter}+(?:(?!{clitic})[-‐‑'’]{letter}+)*"  # words, with inner hyphens and apostrophes
        rf"|[{_CJK}]{joined}"
        r"|(?P<sign>[.\-–—_=*'`!?])(?P=sign)+"  # ..., --, ''
        rf"|[^\s{marks}{hidden}]{joined}(?:(?<=\u200d)[^\s\w{marks}{hidden}]{joined})*"  # a sign, an emoji
        rf"|[{marks}]+"
    )


def _character_classes(*categories: str) -> list[str]:
    """For each Unicode category (or beginning of one) its characters but white space, as the inside of `[…]`."""
    ranges: dict[str, list[list[int]]] = {category: [] for category in categories}
    for code in range(sys.maxunicode + 1):
        found = unicodedata.category(chr(code))
        for category in categories:
            if found.startswith(category) and not chr(code).isspace():
                if ranges[category] and ranges[category][-1][1] == code - 1:
                    ranges[category][-1][1] = code
                else:
                    ranges[category].append([code, code])
    return [
        "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in ranges[category])
        for category in categories
    ]
