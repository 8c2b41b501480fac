"""Documents to rows of pieces: which windows a document is read in, and what the encoder gets of each."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from .documents_spert import Document, Range, shortened
from .pieces_spert import SpecialPieces, TokenizedSentence, tokenize
from .windows_spert import Window, context_of_window, windows_of_sentences, windows_of_words

OVERFLOW_POLICIES = ("windows", "error")


@dataclass(frozen=True)
class EncodedSentence:
    """What passes the encoder as one row: a sentence, or a window of a document.

    Args:
        text: the sentence or window.
        words: the half-open character range of each word in `text`.
        input_ids: its pieces, with the special ones.
        word_pieces: the half-open range of pieces of each word; every word has at least one. The pieces of context
            around the words are no word's.
        cls_piece: where the classifier piece stands.
        given_entities: the half-open word ranges of the caller's entities; `None` where entities are to be found.
        given_types: the type of each of them, or `None` for the likeliest.
    """

    text: str
    words: list[Range]
    input_ids: list[int]
    word_pieces: list[Range]
    cls_piece: int
    given_entities: list[Range] | None = None
    given_types: list[str | None] | None = None


@dataclass(frozen=True)
class EncodedDocument:
    """A document, the windows that it is read in, and a row for each; there is at least one."""

    document: Document
    windows: list[Window]
    rows: list[EncodedSentence]


class DocumentEncoder:
    """Chooses windows and makes their rows.

    Args:
        tokenizer: the encoder's.
        special: the pieces that it puts around a sentence.
        max_pieces: the longest row that the encoder takes, with the special pieces; `None` for no limit.
        context_words: the most words of a document that a row holds before and after its own, as far as they fit.
        remembered: as for `tokenize`.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        special: SpecialPieces,
        max_pieces: int | None,
        context_words: int = 0,
        remembered: dict[str, list[int]] | None = None,
    ):
        self.tokenizer = tokenizer
        self.remembered = remembered
        self.special = special
        self.capacity = None if max_pieces is None else max_pieces - special.number
        self.context_words = context_words

    def encode(
        self, documents: Sequence[Document], on_overflow: str = "windows", sentences_per_window: int = 1
    ) -> list[EncodedDocument]:
        """Encode documents; their sentences are tokenized together.

        Args:
            on_overflow: one of `OVERFLOW_POLICIES`.
            sentences_per_window: the most sentences of a window.

        Raises:
            ValueError: a sentence is too long, and must not or cannot be read in windows; or an entity that was given
                lies in no window. The message does not name the document.
        """
        sentences = [sentence for document in documents for sentence in self._sentences_to_tokenize(document)]
        tokenized = iter(tokenize(self.tokenizer, self.special, sentences, self.remembered))
        return [self._encoded(document, tokenized, on_overflow, sentences_per_window) for document in documents]

    def _sentences_to_tokenize(self, document: Document) -> Iterator[Sequence[str]]:
        """The words of each sentence and, where they are read, the words around the document."""
        for first, last in _sentences_of(document):
            yield document.words_of(first, last)
        if self.context_words:
            yield document.context_before[-self.context_words :]
            yield document.context_after[: self.context_words]

    def _encoded(
        self,
        document: Document,
        tokenized: Iterator[TokenizedSentence],
        on_overflow: str,
        sentences_per_window: int,
    ) -> EncodedDocument:
        sentences = _sentences_of(document)
        pieces = of_sentences = list(itertools.islice(tokenized, len(sentences)))
        sizes = [len(sentence.input_ids) - self.special.number for sentence in pieces]
        if sentences_per_window == 1 and (self.capacity is None or max(sizes) <= self.capacity):
            windows = [Window(start, end) for start, end in sentences]
        else:
            windows = []
            for is_long, group in itertools.groupby(range(len(sizes)), key=lambda index: self._is_long(sizes[index])):
                indices = list(group)
                if not is_long:
                    of_group = [sentences[index] for index in indices]
                    of_sizes = [sizes[index] for index in indices]
                    windows += windows_of_sentences(of_group, of_sizes, self.capacity, sentences_per_window)
                    continue
                for index in indices:
                    self._refuse_overflow(document, index, pieces[index], on_overflow)
                    words = [end - start for start, end in pieces[index].word_pieces]
                    windows += windows_of_words(sentences[index][0], words, self.capacity)
            if not self.context_words:
                pieces = self._pieces_of_windows(windows, pieces)
        if self.context_words:
            before, after = itertools.islice(tokenized, 2)
            pieces = self._pieces_of_windows(windows, [before, *of_sentences, after], len(before.word_pieces))
        _refuse_unread_entities(document, windows)
        rows = [self._row(document, window, row) for window, row in zip(windows, pieces)]
        return EncodedDocument(document, windows, rows)

    def _is_long(self, size: int) -> bool:
        return self.capacity is not None and size > self.capacity

    def _refuse_overflow(self, document: Document, index: int, sentence: TokenizedSentence, on_overflow: str) -> None:
        assert self.capacity is not None
        special = self.special.number
        first = document.sentences[index][0]
        if on_overflow == "error":
            name = "the sentence" if len(document.sentences) == 1 else f"sentence {index}"
            raise ValueError(
                f"{name} ({shortened(document.text_of(*document.sentences[index]))}) has {len(sentence.input_ids)} "
                f"pieces, the encoder takes at most {self.capacity + special}. Nothing is cut off: split it into "
                f"shorter sentences."
            )
        for word, (start, end) in enumerate(sentence.word_pieces, start=first):
            if self._is_long(end - start):
                raise ValueError(
                    f"word {word} ({shortened(document.text_of(word, word + 1))}) has {end - start} pieces by "
                    f"itself, the encoder takes at most {self.capacity} besides {special} special ones. Split the word "
                    f"or leave it out."
                )

    def _pieces_of_windows(
        self, windows: Sequence[Window], tokenized: Sequence[TokenizedSentence], num_before: int = 0
    ) -> list[TokenizedSentence]:
        """Each window as if it had been tokenized by itself: a word's pieces do not depend on the words beside it.

        Args:
            windows: ranges of words of the document.
            tokenized: all words that can be read, in order: those of the document, and those around it.
            num_before: how many of them come before the document's.
        """
        pieces: list[int] = []  # of all words
        ends = [0]  # of each word among them
        for sentence in tokenized:
            for start, end in sentence.word_pieces:
                pieces += sentence.input_ids[start:end]
                ends.append(len(pieces))
        before, after = self.special.before, self.special.after
        rows = []
        for window in windows:
            own = Window(window.start + num_before, window.end + num_before)
            room = None if self.capacity is None else self.capacity - (ends[own.end] - ends[own.start])
            read = context_of_window(own, ends, room, self.context_words)
            first, last = ends[read[0]], ends[read[1]]
            borders = [end - first + len(before) for end in ends[own.start : own.end + 1]]
            rows.append(TokenizedSentence([*before, *pieces[first:last], *after], list(itertools.pairwise(borders))))
        return rows

    def _row(self, document: Document, window: Window, pieces: TokenizedSentence) -> EncodedSentence:
        text, words = document.text, document.words
        if window.end - window.start < len(words):
            words = words[window.start : window.end]
            text = text[words[0][0] : words[-1][1]] if words else ""
            words = [(start - words[0][0], end - words[0][0]) for start, end in words]
        classifier = self.special.classifier_among(pieces.input_ids)
        if document.given is None:
            return EncodedSentence(text, words, pieces.input_ids, pieces.word_pieces, classifier)
        given = [entity for entity in document.given if window.holds(entity.start, entity.end)]
        return EncodedSentence(
            text,
            words,
            pieces.input_ids,
            pieces.word_pieces,
            classifier,
            [(entity.start - window.start, entity.end - window.start) for entity in given],
            [entity.type for entity in given],
        )


def _sentences_of(document: Document) -> list[Range]:
    """A document without sentences is read as an empty one."""
    return document.sentences or [(0, 0)]


def _refuse_unread_entities(document: Document, windows: Sequence[Window]) -> None:
    if len(windows) == 1 or document.given is None:
        return
    for index, entity in enumerate(document.given):
        if not any(window.holds(entity.start, entity.end) for window in windows):
            raise ValueError(
                f"entity {index} ({shortened(document.text_of(entity.start, entity.end))}): expected an entity that "
                f"fits into one of the windows in which its sentence is read (the sentence is longer than the encoder "
                f"takes), got one of {entity.end - entity.start} words that does not. Split the sentence, or shorten "
                f"the entity."
            )
