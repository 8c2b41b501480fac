"""Words to the pieces of an encoder's tokenizer, each word by itself, and the special pieces around them."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

_WORDS_AT_ONCE = 64

MOST_REMEMBERED = 2**16
"""Words whose pieces are remembered at a time: some 20 MB."""


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


class TokenizedSentence(NamedTuple):
    """A sentence in pieces.

    Args:
        input_ids: all pieces, with the special ones.
        word_pieces: the half-open range of pieces of each word. Ranges lie side by side, and none is empty.
    """

    input_ids: list[int]
    word_pieces: list[tuple[int, int]]


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    special: SpecialPieces,
    sentences: Sequence[Sequence[str]],
    remembered: dict[str, list[int]] | None = None,
) -> list[TokenizedSentence]:
    """The pieces of each sentence's words, with the special ones around them.

    A tokenizer reads words that come split each by itself, so that each distinct word need be read only once.
    Words that have no piece (empty, zero-width) become the unknown piece, as in the original.

    Args:
        remembered: pieces of words that earlier calls with this tokenizer read; this call adds to it, and forgets all
            of them where they would be more than `MOST_REMEMBERED`. Default: nothing is remembered.

    Raises:
        ValueError: a word has no piece, and the tokenizer has no unknown piece.
    """
    distinct = dict.fromkeys(itertools.chain.from_iterable(sentences))
    pieces_of: dict[str, list[int]] = {} if remembered is None else remembered
    unread = [word for word in distinct if word not in pieces_of]
    if pieces_of and len(pieces_of) + len(unread) > MOST_REMEMBERED:
        pieces_of.clear()
        unread = list(distinct)
    pieces_of.update(_pieces_of_words(tokenizer, unread))
    before, after, first = special.before, special.after, len(special.before)
    tokenized = []
    for words in sentences:
        input_ids, word_pieces, start = before.copy(), [], first
        for word in words:
            input_ids += pieces_of[word]
            end = len(input_ids)
            word_pieces.append((start, end))
            start = end
        input_ids += after
        tokenized.append(TokenizedSentence(input_ids, word_pieces))
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


def _pieces_of_words(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> dict[str, list[int]]:
    """The pieces of distinct words; each has at least one."""
    if not words:
        return {}
    # Several groups, so that a tokenizer with threads has something to share out among them.
    groups = [words[first : first + _WORDS_AT_ONCE] for first in range(0, len(words), _WORDS_AT_ONCE)]
    pieces: list[list[int]] = []
    for group, encoding in zip(groups, _encodings(tokenizer, groups, add_special_tokens=False)):
        ids, counts = encoding.ids, Counter(encoding.word_ids)  # pieces stand in the order of their words
        ends = itertools.accumulate([counts[index] for index in range(len(group))], initial=0)
        pieces += [ids[start:end] for start, end in itertools.pairwise(ends)]
    if all(pieces):
        return dict(zip(words, pieces))
    unknown = tokenizer.unk_token_id
    for word, of_word in zip(words, pieces):
        if of_word:
            continue
        if unknown is None:
            raise ValueError(
                f"word {word!r} has no piece, and the tokenizer has no unknown piece to stand for it. Leave such words "
                f"out."
            )
        of_word.append(unknown)
    return dict(zip(words, pieces))


def _encodings(
    tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]], add_special_tokens: bool = True
) -> list[Any]:
    encoded = tokenizer(
        sentences,
        is_split_into_words=True,
        add_special_tokens=add_special_tokens,
        padding=False,
        truncation=False,
        verbose=False,
        return_attention_mask=False,
    )
    return encoded.encodings
