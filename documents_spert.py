"""Documents: what a caller may hand in (a text, words, a record), checked and in one form.

A document is a text with its words, its sentences and, where a caller gave them, its entities. Nothing here knows a
tokenizer or a model.
"""

import bisect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .configuration_spert import WIDTH_EMBEDDING_ROWS
from .words_spert import join_words

Range = tuple[int, int]

Sentences = bool | Callable[[str], Sequence[Sequence[int]]] | Sequence[Sequence[int]] | None
"""How a text becomes sentences: `None` or `True` to find them, `False` for one sentence, a function from a text to
half-open character ranges, or the ranges themselves.
"""


class GivenEntity(NamedTuple):
    """An entity that the caller knows: a range of the document's words, and a type or none."""

    start: int
    end: int
    type: str | None


@dataclass(frozen=True)
class Document:
    """What is read as one, and gives one result.

    Args:
        text: the text; words that came split are joined by one space.
        words: the half-open character range of each word.
        sentences: the half-open range of words of each sentence, in order; together they are all words.
        sentence_characters: the half-open character range of each sentence; `None` for words that came split, which
            are one sentence.
        given: the caller's entities, each within one sentence; `None` where entities are to be found.
        context_before, context_after: words of a larger text that stand before and after this one. They may be read
            as context, and are never a part of the result.
    """

    text: str
    words: list[Range]
    sentences: list[Range]
    sentence_characters: list[Range] | None
    given: list[GivenEntity] | None = None
    context_before: Sequence[str] = ()
    context_after: Sequence[str] = ()

    def sentence_of(self, word: int) -> int:
        """The index of the sentence that holds a word."""
        return bisect.bisect_right(self.sentences, word, key=lambda sentence: sentence[0]) - 1

    def text_of(self, start: int, end: int) -> str:
        """The text of a range of words."""
        return self.text[self.words[start][0] : self.words[end - 1][1]]

    def words_of(self, start: int, end: int) -> list[str]:
        """The words of a range of words."""
        words = self.text.split(" ") if self.sentence_characters is None else []
        if len(words) == len(self.words):  # they came split, and none of them holds a space
            return words[start:end]
        return [self.text[first:last] for first, last in self.words[start:end]]


def read_document(
    item: Any,
    *,
    split_words: Callable[[str], list[Range]],
    split_sentences: Callable[[str], list[Range]],
    sentences: Sentences = None,
    is_split_into_words: bool | None = None,
) -> Document:
    """A document of what a caller handed in.

    Args:
        item: a text; words; or a record with `text` or `tokens` (words), and with `sentences` or `entities` where the
            caller knows them. A record with `text` may have `words`, as results have them: the half-open character
            range of each word. A record with `tokens` and `relations` is an annotated one of a corpus: only its words
            are read. Any record may have `context_before` and `context_after`, what stands around it in a larger text:
            a text beside `text`, words beside `tokens`.
        split_words: a sentence to the character ranges of its words.
        split_sentences: a text to the character ranges of its sentences.
        sentences: how the text becomes sentences, where the record does not say.
        is_split_into_words: whether the item is words. Default: a list is, a string is not.

    Raises:
        ValueError: the item has another form, or its sentences or entities do not fit it. The message does not name
            the item, which the caller knows by its place.
    """
    record: Mapping[str, Any] = {}
    if isinstance(item, Mapping):
        record = item
        key = next((name for name in ("tokens", "text") if record.get(name) is not None), None)
        if key is None:
            raise ValueError(f"expected a record with 'tokens' (words) or 'text', got the keys {sorted(record)}.")
        item, is_split_into_words = record[key], key == "tokens"
        if record.get("sentences") is not None:
            sentences = record["sentences"]
    elif is_split_into_words is None and not isinstance(item, (str, list, tuple)):
        raise ValueError(
            f"expected a text, a list of words or a record, got {shortened(repr(item))} ({type(item).__name__})."
        )
    if is_split_into_words is None:
        is_split_into_words = not isinstance(item, str)
    if is_split_into_words:
        document = _document_of_words(item, sentences)
        entities = None if record.get("relations") is not None else record.get("entities")
    else:
        document = _document_of_text(item, sentences, split_words, split_sentences, record.get("words"))
        entities = record.get("entities")

    def context(field: str) -> list[str]:
        if record.get(field) is None:
            return []
        try:
            return _words_of_context(record[field], is_split_into_words, split_words, split_sentences)
        except ValueError as error:
            raise ValueError(f"field '{field}': {error}") from None

    if "context_before" in record or "context_after" in record:
        document = replace(document, context_before=context("context_before"), context_after=context("context_after"))
    return document if entities is None else replace(document, given=_given_entities(document, entities))


def refuse_unknown_types(document: Document, entity_types: Sequence[str]) -> None:
    """*Raises* `ValueError` where a given entity has a type that a model does not know."""
    for index, entity in enumerate(document.given or ()):
        if entity.type is not None and entity.type not in entity_types:
            text = document.text_of(entity.start, entity.end)
            raise ValueError(
                f"entity {index} ({shortened(text)}): expected a type out of {', '.join(entity_types)}, or none, got "
                f"{entity.type!r}."
            )


def shortened(text: str) -> str:
    """A text as an error shows it: quoted, and not longer than a line takes."""
    return repr(text) if len(text) <= 60 else repr(text[:57] + "…")


def _words_of_context(
    context: Any,
    is_split_into_words: bool,
    split_words: Callable[[str], list[Range]],
    split_sentences: Callable[[str], list[Range]],
) -> list[str]:
    if is_split_into_words:
        _document_of_words(context, None)
        return list(context)
    document = _document_of_text(context, None, split_words, split_sentences)
    return [document.text[start:end] for start, end in document.words]


def _document_of_words(words: Any, sentences: Sentences) -> Document:
    is_list = isinstance(words, Sequence) and not isinstance(words, (str, bytes))
    if not is_list or not (set(map(type, words)) <= {str} or all(isinstance(word, str) for word in words)):
        raise ValueError(f"expected a list of words, got {shortened(repr(words))} ({type(words).__name__}).")
    if sentences is not None:
        raise ValueError(
            f"expected no `sentences` beside words, which are one sentence, got {shortened(repr(sentences))}. Pass "
            f"the sentences one by one, or a text."
        )
    text, ranges = join_words(words)
    _refuse_surrogates(text)
    return Document(text, ranges, [(0, len(ranges))], None)


def _document_of_text(
    text: Any,
    sentences: Sentences,
    split_words: Callable[[str], list[Range]],
    split_sentences: Callable[[str], list[Range]],
    given_words: Any = None,
) -> Document:
    if not isinstance(text, str):
        raise ValueError(
            f"expected a text, got {shortened(repr(text))} ({type(text).__name__}). For words use "
            f"is_split_into_words=True."
        )
    _refuse_surrogates(text)
    is_found = sentences is None or isinstance(sentences, bool)
    if sentences is None or sentences is True:
        characters = split_sentences(text)
    elif sentences is False:
        first = len(text) - len(text.lstrip())
        characters = [(first, len(text.rstrip()))] if text.strip() else []
    else:
        characters = _checked_ranges("sentence", text, sentences(text) if callable(sentences) else sentences)
    if given_words is not None:
        ranges = _checked_ranges("word", text, given_words)
        return _document_of_ranges(text, ranges, characters if is_found else _whole(ranges, characters), is_found)
    words: list[Range] = []
    of_sentences: list[Range] = []
    for start, end in characters:
        first = len(words)
        words += [(start + word_start, start + word_end) for word_start, word_end in split_words(text[start:end])]
        of_sentences.append((first, len(words)))
    return Document(text, words, of_sentences, characters)


def _document_of_ranges(text: str, words: list[Range], sentences: list[Range], is_found: bool) -> Document:
    """A document whose words were given.

    Args:
        is_found: whether the sentences were found, by somebody who did not know the words: each word then belongs to
            the sentence in which it starts, or to the one before. Otherwise words outside of sentences are not read.
    """
    starts = [start for start, _ in words]
    borders = [bisect.bisect_left(starts, start) for start, _ in sentences]
    if is_found:
        borders = [0, *borders[1:], len(words)]
        ranges = [(first, last) for first, last in itertools.pairwise(borders) if first < last]
        return Document(text, words, ranges, [(words[first][0], words[last - 1][1]) for first, last in ranges])
    kept: list[Range] = []
    ranges = []
    for first, (_, end) in zip(borders, sentences):
        inside = words[first : bisect.bisect_left(starts, end)]
        ranges.append((len(kept), len(kept) + len(inside)))
        kept += inside
    return Document(text, kept, ranges, sentences)


def _refuse_surrogates(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expected text that can be written as UTF-8, got a lone surrogate, {text[error.start]!r}, at character "
            f"{error.start}. Decode the text's source with the encoding that it is in."
        ) from None


def _checked_ranges(kind: str, text: str, ranges: Any) -> list[Range]:
    """The ranges of sentences or words, which are in order and do not cross."""
    if not isinstance(ranges, Sequence) or isinstance(ranges, str):
        choices = "True, False, a function or " if kind == "sentence" else ""
        raise ValueError(
            f"expected `{kind}s` to be {choices}a list of character ranges, got {shortened(repr(ranges))}."
        )
    checked: list[Range] = []
    for index, given in enumerate(ranges):
        if not _is_range(given):
            raise ValueError(f"{kind} {index}: expected [start, end] in characters, got {shortened(repr(given))}.")
        start, end = given
        if not 0 <= start < end <= len(text):
            raise ValueError(
                f"{kind} {index}: expected a range with start < end within the text's [0, {len(text)}), got "
                f"[{start}, {end})."
            )
        if checked and start < checked[-1][1]:
            raise ValueError(
                f"{kind} {index}: expected {kind}s in order that do not cross, got [{start}, {end}) after "
                f"[{checked[-1][0]}, {checked[-1][1]})."
            )
        checked.append((start, end))
    return checked


def _whole(words: list[Range], sentences: list[Range]) -> list[Range]:
    """The caller's sentences, none of which cuts a word of the caller's."""
    for index, (start, end) in enumerate(sentences):
        for border in (start, end):
            number = bisect.bisect_left(words, border, key=lambda word: word[1])  # the first word that ends after it
            if number < len(words) and words[number][0] < border < words[number][1]:
                raise ValueError(
                    f"sentence {index}: expected borders between words, got [{start}, {end}), which cuts word "
                    f"{number} at [{words[number][0]}, {words[number][1]})."
                )
    return sentences


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == 2
        and all(isinstance(number, int) and not isinstance(number, bool) for number in value)
    )


def _given_entities(document: Document, entities: Any) -> list[GivenEntity]:
    if not isinstance(entities, Sequence) or not all(isinstance(entity, Mapping) for entity in entities):
        raise ValueError(f"expected `entities` to be a list of dictionaries, got {shortened(repr(entities))}.")
    starts = {start: word for word, (start, _) in enumerate(document.words)}
    ends = {end: word + 1 for word, (_, end) in enumerate(document.words)}
    given: dict[Range, GivenEntity] = {}
    for index, entity in enumerate(entities):
        try:
            if document.sentence_characters is not None and "start" in entity:
                start, end = _words_of_characters(document, entity, starts, ends)
            else:
                start, end = _words_of_words(document, entity)
            _refuse_crossing(document, start, end)
        except ValueError as error:
            raise ValueError(f"entity {index}{error}") from None
        shown = shortened(document.text_of(start, end))
        if end - start >= WIDTH_EMBEDDING_ROWS:
            raise ValueError(
                f"entity {index} ({shown}): expected at most {WIDTH_EMBEDDING_ROWS - 1} words, got {end - start}."
            )
        if (start, end) in given:
            twice = list(given).index((start, end))
            raise ValueError(f"entity {index} ({shown}): expected each entity once, got the words of entity {twice}.")
        type_name = entity.get("type")
        if type_name is not None and not isinstance(type_name, str):
            raise ValueError(f"entity {index} ({shown}): expected a type's name, or none, got {type_name!r}.")
        given[start, end] = GivenEntity(start, end, type_name)
    return list(given.values())


def _words_of_characters(
    document: Document, entity: Mapping[str, Any], starts: dict[int, int], ends: dict[int, int]
) -> Range:
    start, end = _numbers(entity, "start", "end", len(document.text), "characters of the text")
    if start not in starts or end not in ends or starts[start] >= ends[end]:
        near = [
            f"{document.text[first:last]!r} [{first}, {last})"
            for first, last in document.words
            if first < end and start < last
        ]
        raise ValueError(
            f" ({shortened(document.text[start:end])}): expected a span that begins and ends with a word of a "
            f"sentence, got [{start}, {end}), where the words are {', '.join(near[:12]) or 'none'}."
        )
    return starts[start], ends[end]


def _words_of_words(document: Document, entity: Mapping[str, Any]) -> Range:
    return _numbers(entity, "word_start", "word_end", len(document.words), "words of the sentence")


def _numbers(entity: Mapping[str, Any], first: str, last: str, length: int, counted: str) -> Range:
    span: tuple[Any, Any] = (entity.get(first), entity.get(last))
    if not _is_range(span):
        raise ValueError(f": expected numbers '{first}' and '{last}', got {shortened(repr(dict(entity)))}.")
    start, end = span
    if not 0 <= start < end <= length:
        raise ValueError(f": expected a range of the {length} {counted}, got [{start}, {end}).")
    return start, end


def _refuse_crossing(document: Document, start: int, end: int) -> None:
    first, last = document.sentence_of(start), document.sentence_of(end - 1)
    if first != last:
        shown = [shortened(document.text_of(*document.sentences[index])) for index in (first, last)]
        raise ValueError(
            f" ({shortened(document.text_of(start, end))}): expected an entity within one sentence, got one that "
            f"begins in sentence {first} ({shown[0]}) and ends in sentence {last} ({shown[1]})."
        )
