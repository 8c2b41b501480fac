"""Words and text to tensors, and a model's output back to text: the one place that converts words, pieces and
characters into each other.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)

from .configuration_spert import SpertConfig, encoder_max_pieces
from .decoding_spert import decode
from .word_rules_spert import WordRules
from .words_spert import join_words, learn_word_rules, split_words

if TYPE_CHECKING:
    from .modeling_spert import SpertOutput


@dataclass(frozen=True)
class EncodedSentence:
    """One sentence, ready to be padded into a batch.

    Args:
        text: the sentence.
        words: the half-open character range of each word in `text`.
        input_ids: its pieces, with the special ones.
        word_pieces: the half-open range of pieces of each word; every word has at least one.
        cls_piece: where the classifier piece stands.
    """

    text: str
    words: list[tuple[int, int]]
    input_ids: list[int]
    word_pieces: list[tuple[int, int]]
    cls_piece: int


class SpertBatch(BatchEncoding):
    """A padded batch: a dictionary of what `SpertModel.forward` takes, and the sentences it was made of.

    Keys: `input_ids` and `attention_mask` `(batch, pieces)`, `word_pieces` `(batch, words, 2)`, `cls_piece` `(batch,)`.
    """

    def __init__(self, data: dict[str, Any] | None = None, sentences: Sequence[EncodedSentence] = ()):
        super().__init__(data)
        self.sentences = tuple(sentences)

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "sentences": self.sentences}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["data"], state["sentences"])  # type: ignore[misc]


class SpertProcessor(ProcessorMixin):
    """Turns words or text into a model's input, and the model's output into entities and relations of the text.

    Args:
        tokenizer: the encoder's, a fast one. A byte-level one must put a space before each word
            (`add_prefix_space=True`).
        max_pieces (`int`, *optional*): the longest input that the encoder takes, in pieces with the special ones.
            Default: the tokenizer's `model_max_length`, where it has one.
        word_rules (`WordRules`, *optional*): how text is split into words; `learn_words` learns them. Default: the
            general rules of `split_words`.

    Raises:
        ValueError: the tokenizer cannot be used, and why; or the rules have another form.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_pieces: int | None = None,
        word_rules: WordRules | Mapping[str, Any] | None = None,
    ):
        super().__init__(tokenizer)
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"SpertProcessor: expected a fast tokenizer, which knows which piece belongs to which word, got "
                f"{type(tokenizer).__name__}. Load it with AutoTokenizer.from_pretrained(name, use_fast=True)."
            )
        if _lacks_prefix_space(tokenizer):
            raise ValueError(
                "SpertProcessor: expected a byte-level tokenizer that puts a space before each word, got one that "
                "does not: split words would become other pieces than in running text. Load it with "
                "SpertProcessor.from_encoder(name) or AutoTokenizer.from_pretrained(name, add_prefix_space=True)."
            )
        if max_pieces is None and tokenizer.model_max_length < 10**6:  # a tokenizer without a limit says 1e30
            max_pieces = int(tokenizer.model_max_length)
        self.max_pieces = max_pieces
        self.word_rules = WordRules.from_dict(word_rules) if isinstance(word_rules, Mapping) else word_rules
        self._cls_from_start, self._cls_position = _classifier_position(tokenizer)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> "SpertProcessor":
        """Load a saved processor, as [`AutoProcessor`] does.

        The tokenizer's loader reads the model's configuration: it gets it from here, or it would ask whether to run
        the folder's own code for it.
        """
        if "config" not in kwargs:
            hub_kwargs = {name: kwargs[name] for name in _HUB_KWARGS if name in kwargs}
            with contextlib.suppress(OSError, ValueError):  # a processor may have been saved without a model
                kwargs["config"] = SpertConfig.from_pretrained(pretrained_model_name_or_path, **hub_kwargs)
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)

    @classmethod
    def from_encoder(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> "SpertProcessor":
        """The processor for a pre-trained encoder or a SpERT model, on the Hub or in a folder.

        Args:
            pretrained_model_name_or_path: the encoder or the SpERT model. The encoder's code must be transformers' own.
            kwargs: what its download and loading take: `revision`, `token`, `cache_dir`, `do_lower_case`, …
        """
        kwargs["trust_remote_code"] = False
        hub_kwargs = {name: kwargs[name] for name in (*_HUB_KWARGS, "trust_remote_code") if name in kwargs}
        values, _ = PreTrainedConfig.get_config_dict(pretrained_model_name_or_path, **hub_kwargs)
        if values.get("model_type") == SpertConfig.model_type:  # a SpERT model has a processor of its own
            return cls.from_pretrained(pretrained_model_name_or_path, **kwargs)
        encoder_config = AutoConfig.from_pretrained(pretrained_model_name_or_path, **hub_kwargs)
        tokenizer = AutoTokenizer.from_pretrained(pretrained_model_name_or_path, **kwargs)
        if _lacks_prefix_space(tokenizer):
            tokenizer = AutoTokenizer.from_pretrained(pretrained_model_name_or_path, add_prefix_space=True, **kwargs)
        return cls(tokenizer, max_pieces=encoder_max_pieces(encoder_config))

    def learn_words(self, sentences: Iterable[Sequence[str]], texts: Iterable[str | None] | None = None) -> None:
        """Learn how a corpus splits text into words. From now on this processor splits text the same way.

        A model should read text in the words that it was trained on. `save_pretrained` keeps what was learned.

        Args:
            sentences: the words of each sentence of the training data.
            texts: for each sentence the text that its words come from, or `None`. Default: no sentence has one.

        Raises:
            ValueError: there are not as many texts as sentences, or words are not those of their text; the message
                names the sentence.
        """
        self.word_rules = learn_word_rules(sentences, texts)

    def to_dict(self) -> dict[str, Any]:
        """What `processor_config.json` holds."""
        saved = super().to_dict()
        rules = saved.pop("word_rules", None)
        return saved if rules is None else saved | {"word_rules": rules.to_dict()}

    @property
    def model_input_names(self) -> list[str]:
        """The keys of a batch."""
        return ["input_ids", "attention_mask", "word_pieces", "cls_piece"]

    def __call__(
        self,
        text: str | Sequence[str] | Sequence[Sequence[str]],
        is_split_into_words: bool = False,
        return_tensors: str = "pt",
        pad_to_multiple_of: int | None = None,
    ) -> SpertBatch:
        """Encode and pad sentences.

        Args:
            text: one text or a list of texts; with `is_split_into_words`, one list of words or a list of them.
            is_split_into_words: whether the input is words already. They are joined by one space in the result's text.
            return_tensors: `"pt"`; there is nothing else.
            pad_to_multiple_of: pad the number of pieces to a multiple of this.

        Raises:
            ValueError: the input has another form, or a sentence is longer than the encoder takes.
        """
        if return_tensors != "pt":
            raise ValueError(f"SpertProcessor: expected return_tensors='pt', got {return_tensors!r}.")
        sentences = _words_of_input(text) if is_split_into_words else _texts_of_input(text)
        return self.pad(self.encode(sentences), pad_to_multiple_of=pad_to_multiple_of)

    def encode(self, sentences: Sequence[str | Sequence[str]]) -> list[EncodedSentence]:
        """Find words and pieces, without padding.

        Args:
            sentences: a string is a text to be split into words, a list is words.

        Raises:
            ValueError: a sentence is longer than the encoder takes; the message names it and both lengths.
        """
        texts, ranges, words = [], [], []
        for sentence in sentences:
            text, word_ranges = _text_and_words(sentence, self.word_rules)
            texts.append(text)
            ranges.append(word_ranges)
            words.append([text[start:end] for start, end in word_ranges])
        encoded = []
        for index, (input_ids, word_ids) in enumerate(self._tokenize(words)):
            if self.max_pieces is not None and len(input_ids) > self.max_pieces:
                raise ValueError(
                    f"SpertProcessor: sentence {index} ({_beginning(texts[index])}) has {len(input_ids)} pieces, the "
                    f"encoder takes at most {self.max_pieces}. Nothing is cut off: split it into shorter sentences."
                )
            pieces = [(0, 0)] * len(words[index])
            for piece, word in enumerate(word_ids):
                if word is not None:
                    start, end = pieces[word]
                    pieces[word] = (start if end else piece, piece + 1)
            cls_piece = self._cls_position if self._cls_from_start else len(input_ids) + self._cls_position
            encoded.append(EncodedSentence(texts[index], ranges[index], input_ids, pieces, cls_piece))
        return encoded

    def pad(self, sentences: Sequence[EncodedSentence], pad_to_multiple_of: int | None = None) -> SpertBatch:
        """Pad encoded sentences on the right, into one batch of tensors."""
        if not sentences:
            raise ValueError("SpertProcessor: expected at least one sentence, got none.")
        return SpertBatch(self.pad_features([vars(sentence) for sentence in sentences], pad_to_multiple_of), sentences)

    def pad_features(
        self, features: Sequence[dict[str, Any]], pad_to_multiple_of: int | None = None
    ) -> dict[str, torch.Tensor]:
        """The tensors of a batch, of dictionaries that hold `input_ids`, `word_pieces` and `cls_piece`."""
        pad_piece = self.tokenizer.pad_token_id
        lengths = torch.tensor([len(feature["input_ids"]) for feature in features])
        num_words = torch.tensor([len(feature["word_pieces"]) for feature in features])
        width = longest = int(lengths.max())
        if pad_to_multiple_of:
            width = -(-longest // pad_to_multiple_of) * pad_to_multiple_of
            if self.max_pieces is not None:
                width = max(longest, min(width, self.max_pieces))
        # All rows are filled at once: a tensor for each sentence would cost more than its share of the heads.
        is_piece = torch.arange(width) < lengths.unsqueeze(1)
        is_word = torch.arange(int(num_words.max())) < num_words.unsqueeze(1)
        pieces = [piece for feature in features for piece in feature["input_ids"]]
        ranges = [number for feature in features for word in feature["word_pieces"] for number in word]
        input_ids = torch.full(is_piece.shape, 0 if pad_piece is None else pad_piece)
        word_pieces = torch.zeros((*is_word.shape, 2), dtype=torch.long)
        return {
            "input_ids": input_ids.masked_scatter_(is_piece, torch.tensor(pieces, dtype=torch.long)),
            "attention_mask": is_piece.long(),
            "word_pieces": word_pieces.masked_scatter_(is_word.unsqueeze(-1), torch.tensor(ranges, dtype=torch.long)),
            "cls_piece": torch.tensor([feature["cls_piece"] for feature in features]),
        }

    def post_process_entity_relation_extraction(
        self, outputs: "SpertOutput", batch: SpertBatch, relation_threshold: float | None = None
    ) -> list[dict[str, Any]]:
        """Entities and relations of each sentence of a batch, ready for JSON.

        Args:
            outputs: of the model, called with `batch`.
            batch: what this processor returned.
            relation_threshold: scores of at least this are relations. Default: the model configuration's.

        Returns:
            For each sentence `text`, `words` (character ranges), `entities` (`type`, `start`, `end` in characters,
            `word_start`, `word_end`, `text`, `score`) sorted by start, end and type, and `relations` (`type`, `head`,
            `tail` as indices into `entities`, `score`) sorted by head, tail and type.
        """
        sentences = getattr(batch, "sentences", None)
        if sentences is None:
            raise ValueError(
                f"SpertProcessor: expected the batch that this processor returned, which knows the sentences' text, "
                f"got {type(batch).__name__}."
            )
        options = outputs.decoding.override(relation_threshold=relation_threshold) if outputs.decoding else None
        decoded = decode(outputs, options)
        if len(sentences) != len(decoded):
            raise ValueError(
                f"SpertProcessor: expected outputs and batch of the same sentences, got outputs for {len(decoded)} and "
                f"a batch of {len(sentences)}."
            )
        results = []
        for sentence, found in zip(sentences, decoded):
            entities = []
            for entity in found.entities:
                start, end = sentence.words[entity.start][0], sentence.words[entity.end - 1][1]
                entities.append(
                    {
                        "type": entity.type,
                        "start": start,
                        "end": end,
                        "word_start": entity.start,
                        "word_end": entity.end,
                        "text": sentence.text[start:end],
                        "score": entity.score,
                    }
                )
            results.append(
                {
                    "text": sentence.text,
                    "words": [list(word) for word in sentence.words],
                    "entities": entities,
                    "relations": [
                        {"type": one.type, "head": one.head, "tail": one.tail, "score": one.score}
                        for one in found.relations
                    ],
                }
            )
        return results

    def _tokenize(self, sentences: list[list[str]]) -> list[tuple[list[int], list[int | None]]]:
        """The pieces of each sentence, and for each piece the word it belongs to (none for special pieces)."""
        if not sentences:
            return []
        encodings = _encodings(self.tokenizer, sentences)
        tokenized = [(list(encoding.ids), list(encoding.word_ids)) for encoding in encodings]
        for index, words in enumerate(sentences):
            missing = set(range(len(words))).difference(tokenized[index][1])
            if missing:
                tokenized[index] = self._tokenize_unknown(words, missing)
        return tokenized

    def _tokenize_unknown(self, words: list[str], missing: set[int]) -> tuple[list[int], list[int | None]]:
        """Words without pieces (empty, zero-width) become the unknown piece, as in the original."""
        unknown = self.tokenizer.unk_token_id
        if unknown is None:
            raise ValueError(
                f"SpertProcessor: word {words[min(missing)]!r} has no piece, and the tokenizer has no unknown piece to "
                f"stand for it. Leave such words out."
            )
        # A word that surely has pieces keeps the place; the words beside it are not changed by it.
        standing = ["a" if word in missing else text for word, text in enumerate(words)]
        (encoding,) = _encodings(self.tokenizer, [standing])
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


_HUB_KWARGS = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")


def _encodings(tokenizer: PreTrainedTokenizerBase, sentences: list[list[str]]) -> list[Any]:
    encoded = tokenizer(
        sentences, is_split_into_words=True, padding=False, truncation=False, verbose=False, return_attention_mask=False
    )
    return encoded.encodings


def _lacks_prefix_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a byte-level tokenizer takes the first letters of a split word for the inside of a word."""
    plain, spaced = (
        [piece for piece, word in zip(encoding.tokens, encoding.word_ids) if word == 1]
        for encoding in _encodings(tokenizer, [["a", "a"], ["a", " a"]])
    )
    return plain != spaced and "".join(spaced).startswith("Ġ")


def _classifier_position(tokenizer: PreTrainedTokenizerBase) -> tuple[bool, int]:
    """Where the tokenizer puts its classifier piece: counted from the start, or (negative) from the end."""
    piece = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    (encoding,) = _encodings(tokenizer, [["a"]])
    special = [
        position
        for position, (one, word) in enumerate(zip(encoding.ids, encoding.word_ids))
        if one == piece and word is None
    ]
    if piece is None or not special:
        raise ValueError(
            f"SpertProcessor: expected a tokenizer that adds a classifier piece (or one that begins a sentence) to its "
            f"input, got {type(tokenizer).__name__} (cls_token {tokenizer.cls_token!r}, bos_token "
            f"{tokenizer.bos_token!r})."
        )
    words = [position for position, word in enumerate(encoding.word_ids) if word is not None]
    if special[0] < words[0]:
        return True, special[0]
    return False, special[-1] - len(encoding.ids)


def _texts_of_input(text: Any) -> list[str]:
    if isinstance(text, str):
        return [text]
    if isinstance(text, Sequence) and all(isinstance(one, str) for one in text):
        return list(text)
    wrong = next((one for one in text if not isinstance(one, str)), text) if isinstance(text, Sequence) else text
    raise ValueError(
        f"SpertProcessor: expected a text or a list of texts, got {_beginning(repr(wrong))} "
        f"({type(wrong).__name__}). For words use processor(words, is_split_into_words=True)."
    )


def _words_of_input(words: Any) -> list[list[str]]:
    if isinstance(words, Sequence) and not isinstance(words, str):
        if words and all(isinstance(word, str) for word in words):
            return [list(words)]
        if all(
            isinstance(sentence, Sequence)
            and not isinstance(sentence, str)
            and all(isinstance(word, str) for word in sentence)
            for sentence in words
        ):
            return [list(sentence) for sentence in words]
    raise ValueError(
        f"SpertProcessor: expected a list of words or a list of such lists with is_split_into_words=True, got "
        f"{_beginning(repr(words))} ({type(words).__name__})."
    )


def _text_and_words(sentence: str | Sequence[str], rules: WordRules | None) -> tuple[str, list[tuple[int, int]]]:
    if isinstance(sentence, str):
        return sentence, split_words(sentence, rules)
    return join_words(sentence)


def _beginning(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:57] + "…")


SpertProcessor.register_for_auto_class("AutoProcessor")
