"""Documents to tensors, and a model's output back to documents: the one place that knows pieces as well as words."""

import contextlib
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)

from .batches_spert import SpertBatch, pad_features, plan_batches
from .candidates_spert import ScoredCandidates
from .configuration_spert import SpertConfig
from .decoding_spert import DecodedSentence, decode, decode_candidates
from .documents_spert import Document, Sentences, read_document, refuse_unknown_types, shortened
from .encoders_spert import encoder_max_pieces
from .encoding_spert import OVERFLOW_POLICIES, DocumentEncoder, EncodedDocument, EncodedSentence
from .options_spert import DecodingOptions
from .pieces_spert import lacks_prefix_space, special_pieces
from .results_spert import document_result, merge_windows
from .sentences_spert import split_sentences
from .windows_spert import Window
from .word_rules_spert import WordRules
from .words_spert import learn_word_rules, split_words

if TYPE_CHECKING:
    from .outputs_spert import SpertOutput


class SpertProcessor(ProcessorMixin):
    """Turns words or text into a model's input, and the model's output into entities and relations of the text.

    Args:
        tokenizer: the encoder's, a fast one. A byte-level one must put a space before each word
            (`add_prefix_space=True`).
        max_pieces (`int`, *optional*): the longest input that the encoder takes, in pieces with the special ones.
            Default: the tokenizer's `model_max_length`, where it has one.
        word_rules (`WordRules`, *optional*): how text is split into words; `learn_words` learns them. Default: the
            general rules of `split_words`.
        sentences_per_window (`int`): how many sentences of a document are read together, where they fit; relations are
            found inside a window. With more than one, windows overlap by half of their sentences, rounded down.
        context_words (`int`): up to so many words before a window, and as many after it, are read with it: those of
            the same document, or those that a record's `context_before` and `context_after` hold. Nothing is found in
            them. They are the nearest ones, and no more than fit into what the encoder takes. A model should read what
            it was trained with.

    Raises:
        ValueError: the tokenizer cannot be used, and why; or the rules have another form.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_pieces: int | None = None,
        word_rules: WordRules | Mapping[str, Any] | None = None,
        sentences_per_window: int = 1,
        context_words: int = 0,
    ):
        super().__init__(tokenizer)
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"SpertProcessor: expected a fast tokenizer, which knows which piece belongs to which word, got "
                f"{type(tokenizer).__name__}. Load it with AutoTokenizer.from_pretrained(name, use_fast=True)."
            )
        if lacks_prefix_space(tokenizer):
            raise ValueError(
                "SpertProcessor: expected a byte-level tokenizer that puts a space before each word, got one that "
                "does not: split words would become other pieces than in running text. Load it with "
                "SpertProcessor.from_encoder(name) or AutoTokenizer.from_pretrained(name, add_prefix_space=True)."
            )
        if max_pieces is None and tokenizer.model_max_length < 10**6:  # a tokenizer without a limit says 1e30
            max_pieces = int(tokenizer.model_max_length)
        self.word_rules = _checked_word_rules(word_rules)
        self.sentences_per_window = _checked_sentences_per_window(sentences_per_window)
        self.context_words = _checked_context_words(context_words)
        self._special_pieces = special_pieces(tokenizer)
        self.max_pieces = _checked_max_pieces(max_pieces, self._special_pieces.number)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> "SpertProcessor":
        """Load a saved processor, as [`AutoProcessor`] does.

        The tokenizer's code is always transformers' own, whatever the folder's files name and whatever
        `trust_remote_code` says. Its loader reads the model's configuration: it gets it from here, or it would ask
        whether to run the folder's own code for it.

        Raises:
            ValueError: `tokenizer_config.json` names code of its own, or a value of `processor_config.json` cannot
                work.
        """
        kwargs["trust_remote_code"] = False
        if "config" not in kwargs:
            hub_kwargs = {name: kwargs[name] for name in _HUB_KWARGS if name in kwargs}
            with contextlib.suppress(OSError, ValueError):  # a processor may have been saved without a model
                kwargs["config"] = SpertConfig.from_pretrained(pretrained_model_name_or_path, **hub_kwargs)
        try:
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        except ValueError as error:
            if "trust_remote_code" not in str(error):
                raise
            raise ValueError(
                f"{pretrained_model_name_or_path}: expected a tokenizer whose code transformers ships, but "
                f"tokenizer_config.json names code of its own (`auto_map`). That code is never run: take the entry out "
                f"if transformers knows the tokenizer."
            ) from error

    @classmethod
    def from_args_and_dict(cls, args: Any, processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """A processor of what `processor_config.json` holds; a misspelt name is refused."""
        for name in processor_dict.keys() - set(_FIELDS):
            if close := difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.75):
                raise ValueError(
                    f"SpertProcessor: unknown name {name!r} in processor_config.json; did you mean {close[0]!r}?"
                )
        return super().from_args_and_dict(args, processor_dict, **kwargs)

    @classmethod
    def from_encoder(cls, pretrained_model_name_or_path: str, **kwargs: Any) -> "SpertProcessor":
        """The processor for a pre-trained encoder, or that of a SpERT model, on the Hub or in a folder.

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
        if lacks_prefix_space(tokenizer):
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
        """The keys of every batch."""
        return ["input_ids", "attention_mask", "word_pieces", "cls_piece"]

    def __call__(
        self,
        text: Any,
        is_split_into_words: bool = False,
        return_tensors: str = "pt",
        pad_to_multiple_of: int | None = None,
        *,
        sentences: Sentences | Sequence[Sentences] = None,
        on_overflow: str = "windows",
        sentences_per_window: int | None = None,
    ) -> SpertBatch:
        """Encode documents and pad their sentences into one batch.

        ```python
        processor("Ada Park joined Northwind Labs. She lives in Oslo.")            # two sentences, which are found
        processor({"text": "Ada Park of Oslo", "entities": [{"start": 0, "end": 8}]})  # entities that are known
        processor(["Ada", "Park", "of", "Oslo"], is_split_into_words=True)         # words of one sentence
        ```

        Args:
            text: one text or a list of texts; with `is_split_into_words`, one list of words or a list of them. A
                record stands for either: with `text` (and `words`, `sentences`, `entities` where they are known) or
                with `tokens` (and `entities`). What stands around it in a larger text can be in `context_before` and
                `context_after`, in the form of its own: a text, or words.
            is_split_into_words: whether the input is words already. They are one sentence, and are joined by one space
                in the result's text.
            return_tensors: `"pt"`; there is nothing else.
            pad_to_multiple_of: pad the number of pieces to a multiple of this.
            sentences: how a text becomes sentences: `None` or `True` to find them, `False` for one sentence, a function
                from a text to half-open character ranges, or the ranges; for a list of texts, a list with one of these
                for each. What lies outside of given ranges is not read.
            on_overflow: what becomes of a sentence that is longer than the encoder takes: `"windows"` reads it in
                overlapping windows of words, `"error"` refuses it.
            sentences_per_window: as for the class, which gives the default.

        Raises:
            ValueError: the input has another form, its sentences or entities do not fit it, it cannot be read in
                windows, or some records give their entities and others do not.
        """
        if return_tensors != "pt":
            raise ValueError(f"SpertProcessor: expected return_tensors='pt', got {return_tensors!r}.")
        items, is_list = _items_of_input(text, is_split_into_words)
        choices: Any = sentences if is_list or _is_choice(sentences) else [sentences]
        encoded = self.encode_documents(
            items,
            is_split_into_words=is_split_into_words,
            sentences=choices,
            on_overflow=on_overflow,
            sentences_per_window=sentences_per_window,
        )
        return self.pad_documents(encoded, pad_to_multiple_of=pad_to_multiple_of)

    def encode(self, sentences: Sequence[str | Sequence[str] | Mapping[str, Any]]) -> list[EncodedSentence]:
        """Find the words and pieces of sentences, one row for each, without padding.

        Args:
            sentences: a string is the text of one sentence, a list is its words; a record with `tokens` may have
                `context_before` and `context_after`.

        Raises:
            ValueError: a sentence is longer than the encoder takes; the message names it and both lengths.
        """

        def encode(sentences: Sequence[Any]) -> list[EncodedSentence]:
            choices = [False if isinstance(sentence, str) else None for sentence in sentences]
            encoded = self._encode_documents(sentences, choices, None, "error", 1)
            return [
                EncodedSentence(
                    document.document.text, document.document.words, row.input_ids, row.word_pieces, row.cls_piece
                )
                for document in encoded
                for row in document.rows
            ]

        return _naming("sentence", encode, sentences)

    def encode_documents(
        self,
        items: Sequence[Any],
        *,
        is_split_into_words: bool | None = None,
        sentences: Sentences | Sequence[Sentences] = None,
        on_overflow: str = "windows",
        sentences_per_window: int | None = None,
        entity_types: Sequence[str] | None = None,
        remembered: dict[str, list[int]] | None = None,
    ) -> list[EncodedDocument]:
        """Find the sentences, words and pieces of documents, without padding.

        Args:
            items: texts, lists of words, and records with `text` or `tokens`.
            is_split_into_words: whether items are words. Default: a list is, a string is not.
            sentences: one choice for all, or a list with one for each.
            on_overflow, sentences_per_window: as for `__call__`.
            entity_types: those of the model, to check the types of given entities. Default: decoding checks them.
            remembered: a dictionary, empty at first, in which the pieces of words are kept from one call to the next,
                as long as the tokenizer stays as it is. Default: each call reads each distinct word once.

        Raises:
            ValueError: as for `__call__`; the message names the item by its index where there are several.
        """
        if on_overflow not in OVERFLOW_POLICIES:
            raise ValueError(
                f"SpertProcessor: expected on_overflow to be one of {', '.join(OVERFLOW_POLICIES)}, got "
                f"{on_overflow!r}."
            )
        if sentences_per_window is None:
            sentences_per_window = self.sentences_per_window
        together = _checked_sentences_per_window(sentences_per_window)
        choices = [sentences] * len(items) if _is_choice(sentences) else list(sentences)  # type: ignore[arg-type]
        if len(choices) != len(items):
            raise ValueError(
                f"SpertProcessor: expected `sentences` for each of the {len(items)} texts, got {len(choices)}."
            )

        def encode(pairs: Sequence[tuple[Any, Any]]) -> list[EncodedDocument]:
            documents = self._encode_documents(
                [item for item, _ in pairs],
                [choice for _, choice in pairs],
                is_split_into_words,
                on_overflow,
                together,
                remembered,
            )
            for document in documents:
                if entity_types is not None:
                    refuse_unknown_types(document.document, entity_types)
            return documents

        return _naming("text", encode, list(zip(items, choices)))

    def pad(
        self, sentences: Sequence[EncodedSentence], pad_to_multiple_of: int | None = None, pin_memory: bool = False
    ) -> SpertBatch:
        """Pad encoded sentences on the right, into one batch of tensors.

        Args:
            pad_to_multiple_of, pin_memory: as for `pad_features`.
        """
        if not sentences:
            raise ValueError("SpertProcessor: expected at least one sentence, got none.")
        features = [vars(sentence) for sentence in sentences]
        return SpertBatch(self.pad_features(features, pad_to_multiple_of, pin_memory), sentences)

    def pad_documents(self, documents: Sequence[EncodedDocument], pad_to_multiple_of: int | None = None) -> SpertBatch:
        """Pad all rows of encoded documents into one batch, whose results are one for each document."""
        rows = [row for document in documents for row in document.rows]
        batch = self.pad(rows, pad_to_multiple_of)
        return SpertBatch(batch.data, rows, documents)

    def pad_features(
        self, features: Sequence[dict[str, Any]], pad_to_multiple_of: int | None = None, pin_memory: bool = False
    ) -> dict[str, torch.Tensor]:
        """The tensors of a batch.

        Args:
            features: dictionaries with `input_ids`, `word_pieces` and `cls_piece`, and either all or none with
                `given_entities`.
            pad_to_multiple_of: pad the number of pieces to a multiple of this.
            pin_memory: put the tensors where a GPU reads them by itself, so that copies of them do not block.
        """
        return pad_features(features, self.tokenizer.pad_token_id, self.max_pieces, pad_to_multiple_of, pin_memory)

    def plan_batches(self, documents: Sequence[EncodedDocument], batch_size: int) -> list[list[tuple[int, int]]]:
        """Rows of like length together, so that little is padding; those with given entities apart from the others.

        Returns:
            For each batch its rows, as indices of the document and of the row in it. Longest rows come first.
        """
        return plan_batches(documents, batch_size)

    def decode(
        self,
        outputs: "SpertOutput",
        batch: SpertBatch,
        options: DecodingOptions | None = None,
        return_all_scores: bool = False,
    ) -> list[DecodedSentence]:
        """What was found in each row of a batch, in the row's own words.

        Args:
            outputs: of the model, called with `batch`.
            batch: what this processor returned.
            options: what counts as found. Default: the model configuration's.
            return_all_scores: keep the scores of all types.
        """
        rows = getattr(batch, "sentences", None)
        if rows is None:
            raise ValueError(
                f"SpertProcessor: expected the batch that this processor returned, which knows the sentences' text, "
                f"got {type(batch).__name__}."
            )
        found = decode(outputs, options, _given_types_of(rows), return_all_scores)
        if len(rows) != len(found):
            raise ValueError(
                f"SpertProcessor: expected outputs and batch of the same sentences, got outputs for {len(found)} and "
                f"a batch of {len(rows)}."
            )
        return found

    def decode_candidates(
        self,
        scored: ScoredCandidates,
        rows: Sequence[EncodedSentence],
        options: DecodingOptions,
        return_all_scores: bool = False,
    ) -> list[DecodedSentence]:
        """What `decode` finds, of what it reads of a forward over these rows."""
        return decode_candidates(scored, options, _given_types_of(rows), return_all_scores)

    def merge(
        self, document: EncodedDocument, found: Sequence[DecodedSentence], options: DecodingOptions
    ) -> dict[str, Any]:
        """The result of a document.

        Args:
            document: the document.
            found: what `decode` found in each of its rows.
            options: what counts as found.
        """
        given = document.document.given
        spans = None if given is None else [(entity.start, entity.end) for entity in given]
        whole = merge_windows(document.windows, found, options, spans)
        return document_result(document.document, document.windows, whole)

    def post_process_entity_relation_extraction(
        self,
        outputs: "SpertOutput",
        batch: SpertBatch,
        relation_threshold: Any = None,
        *,
        return_all_scores: bool = False,
        **decoding: Any,
    ) -> list[dict[str, Any]]:
        """Entities and relations of each document of a batch, ready for JSON.

        Args:
            outputs: of the model, called with `batch`.
            batch: what this processor returned.
            relation_threshold: the least score of a relation: a number, or a dictionary by type. Default, as for
                all of `decoding`: the model configuration's value, which the outputs carry.
            return_all_scores: add `scores` to each entity (of all types, and of `no_entity`) and `pairs` to the result:
                the ordered pairs of entities that were read together, each with the `scores` of all relation types.
            decoding: `entity_threshold`, `relation_arguments`, `overlapping_entities` and `temperature`, as
                `DecodingOptions` describes them.

        Returns:
            For each document

            * `text`, `words` and, for a text, `sentences`: half-open character ranges;
            * `windows`, the number of windows that it was read in, where they are not its sentences;
            * `entities`: `type`, `start` and `end` in characters, `word_start` and `word_end`, `text`, `score` and, for
              a text, `sentence`, the index of the sentence in which it starts; sorted by start, end and type, or
              as they were given;
            * `relations`: `type`, `head` and `tail` as indices into `entities`, and `score`; sorted by head, tail and
              type.
        """
        if outputs.decoding is None:
            options = None  # `decode` says what is wrong with such outputs
        else:
            options = outputs.decoding.override(relation_threshold=relation_threshold, **decoding)
        found = self.decode(outputs, batch, options, return_all_scores)
        assert options is not None
        documents = batch.documents
        if documents is None:
            documents = tuple(_document_of_row(row) for row in batch.sentences)
        results, first = [], 0
        for document in documents:
            last = first + len(document.rows)
            results.append(self.merge(document, found[first:last], options))
            first = last
        return results

    def _encode_documents(
        self,
        items: Sequence[Any],
        choices: Sequence[Any],
        is_split_into_words: bool | None,
        on_overflow: str,
        sentences_per_window: int,
        remembered: dict[str, list[int]] | None = None,
    ) -> list[EncodedDocument]:
        """Read and encode documents together; errors do not name them."""
        documents = [
            read_document(
                item,
                split_words=lambda sentence: split_words(sentence, self.word_rules),
                split_sentences=split_sentences,
                sentences=choice,
                is_split_into_words=is_split_into_words,
            )
            for item, choice in zip(items, choices)
        ]
        encoder = DocumentEncoder(self.tokenizer, self._special_pieces, self.max_pieces, self.context_words, remembered)
        return encoder.encode(documents, on_overflow, sentences_per_window)


_FIELDS = tuple(inspect.signature(SpertProcessor.__init__).parameters)[1:]
_HUB_KWARGS = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")


def _given_types_of(rows: Sequence[EncodedSentence]) -> list[list[str | None] | None] | None:
    """The types of given entities, row by row; `None` where entities are to be found."""
    given_types = [row.given_types for row in rows]
    return given_types if any(types is not None for types in given_types) else None


def _document_of_row(row: EncodedSentence) -> EncodedDocument:
    document = Document(row.text, row.words, [(0, len(row.words))], None)
    return EncodedDocument(document, [Window(0, len(row.words))], [row])


def _naming(kind: str, encode: Callable[[Sequence[Any]], list[Any]], items: Sequence[Any]) -> list[Any]:
    """Encode items together; where that fails, find the one at fault and name it."""
    try:
        return encode(items)
    except ValueError as error:
        if len(items) == 1:
            raise ValueError(f"SpertProcessor: {error}") from error
        for index, item in enumerate(items):
            try:
                encode([item])
            except ValueError as reason:
                raise ValueError(f"SpertProcessor: {kind} {index}: {reason}") from reason
        raise


def _is_choice(sentences: Any) -> bool:
    """Whether this says for any text how it becomes sentences; a list says so for certain texts."""
    return sentences is None or isinstance(sentences, bool) or callable(sentences)


def _checked_sentences_per_window(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"SpertProcessor: expected sentences_per_window of at least 1, got {number!r}.")
    return number


def _checked_context_words(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"SpertProcessor: expected context_words of at least 0, got {number!r}.")
    return number


def _checked_max_pieces(number: Any, num_special: int) -> int | None:
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or number <= num_special:
        raise ValueError(
            f"SpertProcessor: expected max_pieces to be a whole number of more than {num_special}, the special pieces "
            f"of this tokenizer, or None, got {number!r}."
        )
    return number


def _checked_word_rules(rules: Any) -> WordRules | None:
    if isinstance(rules, Mapping):
        return WordRules.from_dict(rules)
    if rules is not None and not hasattr(rules, "to_dict"):  # two loaded folders have two classes of this name
        raise ValueError(f"SpertProcessor: expected word_rules to be WordRules, a dictionary or None, got {rules!r}.")
    return rules


def _items_of_input(text: Any, is_split_into_words: bool) -> tuple[list[Any], bool]:
    """The documents in what was handed in, and whether it was a list of them."""
    if isinstance(text, (str, Mapping)):
        return [text], False
    if isinstance(text, Sequence) and not isinstance(text, bytes):
        if is_split_into_words and text and all(isinstance(word, str) for word in text):
            return [text], False
        return list(text), True
    expected = "a list of words or a list of such lists" if is_split_into_words else "a text or a list of texts"
    raise ValueError(f"SpertProcessor: expected {expected}, got {shortened(repr(text))} ({type(text).__name__}).")


SpertProcessor.register_for_auto_class("AutoProcessor")
