"""Split raw text into words, with their character ranges, for any script.

Without rules the result is close to how annotated news corpora are written: punctuation stands alone, hyphenated words
and numbers stay whole, and English clitics (`'s`) are split off. Scripts that are written without spaces between words
are split as finely as a reader would, so that a span can start and end anywhere: each Chinese or Japanese character and
each grapheme cluster of Thai, Lao, Khmer, Burmese and their relatives is a word. With [`WordRules`], the result follows
the corpus that they were learned from.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence

import regex

from .word_rules_spert import WordRules, apply_word_rules, learn_rules, write_as_text

# Han, kana and bopomofo, with the letters that several of them share.
_CJK = r"[[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\u3006\u30fc\uff70]&&[\p{L}\p{N}]]"
# Unicode's line breaking calls them the scripts of "complex context": Thai, Lao, Khmer, Burmese, Tai Tham, Ahom, …
_COMPLEX = r"[\p{Line_Break=SA}--\p{M}]"
_UNSPACED = rf"[{_CJK}{_COMPLEX}]"


def split_words(text: str, rules: WordRules | None = None) -> list[tuple[int, int]]:
    """The words of a text as half-open character ranges, in order and without overlap.

    What lies between two words is white space or invisible (control and format characters). No word holds white
    space. A text without visible characters has no words.

    Args:
        text: a sentence: learned rules may treat its last full stop in another way than the others.
        rules: how a corpus splits its words. Default: the general rules above.
    """
    words = [match.span() for match in _word_pattern().finditer(text)]
    return words if rules is None else apply_word_rules(text, words, rules)


def learn_word_rules(sentences: Iterable[Sequence[str]], texts: Iterable[str | None] | None = None) -> WordRules:
    """Learn how a corpus splits text into words.

    Args:
        sentences: the words of each sentence.
        texts: for each sentence the text that its words come from, or `None`. Where there is no text, the words are
            written as running text is: `Oslo , Norway .` as `Oslo, Norway.`

    Raises:
        ValueError: there are not as many texts as sentences, or words are not those of their text; the message names
            the sentence.
    """
    return learn_rules(_split_by_hand(sentences, texts))


def refine_words(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Each word of a sentence split again by the general splitter: `Nov.` is `Nov` and `.`.

    A border between two words stays one, so that whatever was marked in words can be marked in the finer ones.

    >>> refine_words(["Nov.", "22", "azithromycin-induced"])
    [('Nov', '.'), ('22',), ('azithromycin-induced',)]
    """
    return [tuple(word[start:end] for start, end in split_words(word)) or (word,) for word in words]


def _split_by_hand(
    sentences: Iterable[Sequence[str]], texts: Iterable[str | None] | None
) -> Iterator[tuple[str, list[tuple[int, int]], list[tuple[int, int]]]]:
    sentences = list(sentences)
    given = [None] * len(sentences) if texts is None else list(texts)
    if len(given) != len(sentences):
        raise ValueError(f"learn_words: expected a text for each of the {len(sentences)} sentences, got {len(given)}.")
    for number, (words, text) in enumerate(zip(sentences, given)):
        if isinstance(words, str):
            raise ValueError(f"learn_words: sentence {number}: expected a list of words, got the text {words!r}.")
        if text is None:
            text, ranges = write_as_text(words)
        else:
            ranges = _ranges_in(text, words, number)
        yield text, ranges, split_words(text)


def _ranges_in(text: str, words: Sequence[str], number: int) -> list[tuple[int, int]]:
    ranges, end = [], 0
    for word in words:
        start = text.find(word, end)
        if start < 0 or text[end:start].strip():
            raise ValueError(
                f"learn_words: sentence {number}: expected the word {word!r} next in its text, got "
                f"{text[end : end + 30]!r}. A text must hold its sentence's words in order and nothing else."
            )
        end = start + len(word)
        ranges.append((start, end))
    if text[end:].strip():
        raise ValueError(f"learn_words: sentence {number}: expected no text after the last word, got {text[end:]!r}.")
    return ranges


def join_words(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Words that came split as one text, joined by one space, and their half-open character ranges in it."""
    ranges, start = [], 0
    for word in words:
        end = start + len(word)
        ranges.append((start, end))
        start = end + 1
    return " ".join(words), ranges


@functools.cache
def _word_pattern() -> "regex.Pattern[str]":
    space = r"\s\x1c-\x1f"  # as `str.isspace` has it
    joined = r"[\p{M}\p{Cf}]*"
    word_character = r"[\p{L}\p{N}_]"
    spaced = rf"[{word_character}--{_UNSPACED}]"
    letter = rf"(?:{spaced}{joined})"
    clitic = r"['’](?:s|S|re|RE|ve|VE|ll|LL|d|D|m|M)(?![\p{L}\p{N}\p{M}_])"
    return regex.compile(
        rf"(?V1)(?:[{spaced}--[\p{{Nd}}_]]\.){{2,}}"  # U.S., e.g.
        rf"|\p{{Nd}}+(?:[.,:/]\p{{Nd}}+)+(?!{word_character})"  # 1,000.5, 12:30, 1/2
        rf"|{clitic}"
        rf"|{letter}+(?:(?!{clitic})[-‐‑'’]{letter}+)*"  # words, with inner hyphens and apostrophes
        rf"|{_CJK}{joined}"
        rf"|(?={_COMPLEX})\X{joined}"
        r"|(?P<sign>[.\-–—_=*'`!?])(?P=sign)+"  # ..., --, ''
        rf"|[^{space}\p{{M}}\p{{Cf}}\p{{Cc}}]{joined}"
        rf"(?:(?<=\u200d)[^{space}\p{{L}}\p{{N}}_\p{{M}}\p{{Cf}}\p{{Cc}}]{joined})*"  # a sign, an emoji
        r"|\p{M}+"
    )
