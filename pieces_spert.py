"""Words to the pieces of an encoder's tokenizer, each word by itself, and the special pieces around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class SpecialPieces:
    """What a tokenizer puts around the pieces of a sentence's words.

    Args:
        before, after: the pieces in front of the first word's and behind the last word's.
        classifier: where the classifier piece stands, counted from the start, or (negative) from the end.
    """

    before: list[int]
    after: list[int]
    classifier: int

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.before) + len(self.after)

    def classifier_among(self, input_ids: Sequence[int]) -> int:
        """Where the classifier piece stands in a sentence, counted from the start."""
        return self.classifier if self.classifier >= 0 else len(input_ids) + self.classifier


@dataclass(frozen=True)
class TokenizedSentence:
    """A sentence in pieces.

    Args:
        input_ids: all pieces, with the special ones.
        word_pieces: the half-open range of pieces of each word. Ranges lie side by side, and none is empty.
    """

    input_ids: list[int]
    word_pieces: list[tuple[int, int]]


def tokenize(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]) -> list[TokenizedSentence]:
    """The pieces of each sentence's words.

    Words that have no piece (empty, zero-width) become the unknown piece, as in the original.

    Raises:
        ValueError: a word has no piece, and the tokenizer has no unknown piece.
    """
    if not sentences:
        return []
    tokenized = []
    for words, encoding in zip(sentences, _encodings(tokenizer, sentences)):
        input_ids, word_ids = list(encoding.ids), list(encoding.word_ids)
        missing = set(range(len(words))).difference(word_ids)
        if missing:
            input_ids, word_ids = _with_unknown(tokenizer, words, missing)
        ranges = [(0, 0)] * len(words)
        for piece, word in enumerate(word_ids):
            if word is not None:
                start, end = ranges[word]
                ranges[word] = (start if end else piece, piece + 1)
        tokenized.append(TokenizedSentence(input_ids, ranges))
    return tokenized


def special_pieces(tokenizer: PreTrainedTokenizerBase) -> SpecialPieces:
    """The special pieces that a tokenizer adds.

    Raises:
        ValueError: none of them can serve as the classifier piece.
    """
    piece = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    (encoding,) = _encodings(tokenizer, [["a"]])
    words = [position for position, word in enumerate(encoding.word_ids) if word is not None]
    positions = [
        position
        for position, (special, word) in enumerate(zip(encoding.ids, encoding.word_ids))
        if special == piece and word is None
    ]
    if piece is None or not positions:
        raise ValueError(
            f"SpertProcessor: expected a tokenizer that adds a classifier piece (or one that begins a sentence) to its "
            f"input, got {type(tokenizer).__name__} (cls_token {tokenizer.cls_token!r}, bos_token "
            f"{tokenizer.bos_token!r})."
        )
    classifier = positions[0] if positions[0] < words[0] else positions[-1] - len(encoding.ids)
    return SpecialPieces(list(encoding.ids[: words[0]]), list(encoding.ids[words[-1] + 1 :]), classifier)


def lacks_prefix_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a byte-level tokenizer takes the first letters of a split word for the inside of a word."""
    plain, spaced = (
        [piece for piece, word in zip(encoding.tokens, encoding.word_ids) if word == 1]
        for encoding in _encodings(tokenizer, [["a", "a"], ["a", " a"]])
    )
    return plain != spaced and "".join(spaced).startswith("Ġ")


def _encodings(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]) -> list[Any]:
    encoded = tokenizer(
        sentences, is_split_into_words=True, padding=False, truncation=False, verbose=False, return_attention_mask=False
    )
    return encoded.encodings


def _with_unknown(
    tokenizer: PreTrainedTokenizerBase, words: Sequence[str], missing: set[int]
) -> tuple[list[int], list[int | None]]:
    unknown = tokenizer.unk_token_id
    if unknown is None:
        raise ValueError(
            f"word {words[min(missing)]!r} has no piece, and the tokenizer has no unknown piece to stand for it. Leave "
            f"such words out."
        )
    # A word that surely has pieces keeps the place; the words beside it are not changed by it.
    standing = ["a" if word in missing else text for word, text in enumerate(words)]
    (encoding,) = _encodings(tokenizer, [standing])
    ids: list[int] = []
    word_ids: list[int | None] = []
    for piece, word in zip(encoding.ids, encoding.word_ids):
        if word in missing:
            if word_ids and word_ids[-1] == word:
                continue
            piece = unknown
        ids.append(piece)
        word_ids.append(word)
    return ids, word_ids
