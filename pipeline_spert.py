"""The pipeline `entity-relation-extraction`: documents in, entities and relations out."""

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset
from transformers import Pipeline

from .options_spert import DECODING_FIELDS, DecodingOptions

if TYPE_CHECKING:
    from .decoding_spert import DecodedSentence
    from .encoding_spert import EncodedDocument

ROWS_PER_BATCH = 16
"""Sentences and windows of a document that pass the encoder together where no `batch_size` was given."""


@dataclass(frozen=True)
class ExtractedDocument:
    """A document, what was found in each of its rows, and what counted as found."""

    document: "EncodedDocument"
    found: "list[DecodedSentence]"
    options: DecodingOptions


class SpertPipeline(Pipeline):
    """Extract entities and relations.

    ```python
    extract = pipeline("entity-relation-extraction", model=folder_or_id, trust_remote_code=True)
    extract = SpertPipeline(model=model, processor=processor)     # of a model that is loaded already
    extract("Ada Park joined Northwind Labs. She lives in Oslo.")  # one dictionary
    extract(["One text.", "Another."], batch_size=16)             # a list of them
    extract(["Ada", "Park", "joined"], is_split_into_words=True)  # words of one sentence
    extract({"text": "Ada Park of Oslo", "entities": [{"start": 0, "end": 8, "type": "Person"}]})
    extract(load_corpus("conll04")["test"], batch_size=16)        # a generator of them
    ```

    Takes a text, a list of texts, a generator or a dataset; with `is_split_into_words`, lists of words in place of
    texts. A text of any length is one document, whose sentences are found. Records stand for either: with `text`, and
    with `sentences` or `entities` where the caller knows them, or with `tokens` (words). Of a corpus's records, which
    have `tokens` and `relations`, only the words are read.

    Options, of the constructor and of each call:

    * `is_split_into_words`, `sentences`, `on_overflow`, `sentences_per_window`: see `SpertProcessor.__call__`;
    * `relation_threshold`, `entity_threshold`, `relation_arguments`, `overlapping_entities`, `temperature`: what counts
      as found, in place of the model configuration's values; see `DecodingOptions`;
    * `return_all_scores` and the form of the results: see `SpertProcessor.post_process_entity_relation_extraction`;
    * `batch_size`: texts that are taken together, and the most sentences that pass the encoder together.
    """

    processor: Any
    _load_processor: Any = True
    _load_tokenizer: Any = False
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """One result for one text, a list for a list, a generator for a generator or a dataset."""
        kwargs.setdefault("rows_per_batch", kwargs.get("batch_size") or self._batch_size or ROWS_PER_BATCH)
        options = {**self._preprocess_params, **kwargs}
        if isinstance(options.get("sentences"), (list, tuple)) and not isinstance(inputs, str):
            raise ValueError(
                "SpertPipeline: expected one text beside `sentences` as a list of ranges. Of several texts, let each "
                "say its own: {'text': text, 'sentences': ranges}."
            )
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        if isinstance(inputs, list):
            if not inputs:
                return []
            if options.get("is_split_into_words") and all(isinstance(word, str) for word in inputs):
                (result,) = super().__call__([inputs], **kwargs)
                return result
        elif isinstance(inputs, Iterable) and not isinstance(inputs, (str, Mapping, Dataset, types.GeneratorType)):
            inputs = (item for item in inputs)
        return super().__call__(inputs, **kwargs)

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Save model, processor and code: the folder loads as a pipeline again."""
        super().save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory)

    def _sanitize_parameters(
        self,
        is_split_into_words: bool | None = None,
        sentences: Any = None,
        on_overflow: str | None = None,
        sentences_per_window: int | None = None,
        relation_threshold: Any = None,
        entity_threshold: Any = None,
        relation_arguments: Any = None,
        overlapping_entities: str | None = None,
        temperature: Any = None,
        return_all_scores: bool | None = None,
        rows_per_batch: int | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = {
            "is_split_into_words": is_split_into_words,
            "sentences": sentences,
            "on_overflow": on_overflow,
            "sentences_per_window": sentences_per_window,
        }
        forward = {
            "relation_threshold": relation_threshold,
            "entity_threshold": entity_threshold,
            "relation_arguments": relation_arguments,
            "overlapping_entities": overlapping_entities,
            "temperature": temperature,
            "return_all_scores": return_all_scores,
            "rows_per_batch": rows_per_batch,
        }
        self._options({name: forward[name] for name in DECODING_FIELDS})  # refused here, before anything is read
        given = [{name: value for name, value in stage.items() if value is not None} for stage in (preprocess, forward)]
        return given[0], given[1], {}

    def preprocess(self, input_: Any, is_split_into_words: bool = False, **options: Any) -> dict[str, Any]:
        """One document to the pieces of its sentences. Padding waits until the batch is known."""
        if isinstance(options.get("sentences"), (list, tuple)):
            options["sentences"] = [options["sentences"]]
        (document,) = self.processor.encode_documents(
            [input_],
            is_split_into_words=is_split_into_words,
            entity_types=self.model.config.entity_types,
            **options,
        )
        return {"document": document}

    def _forward(
        self,
        model_inputs: dict[str, Any],
        rows_per_batch: int = ROWS_PER_BATCH,
        return_all_scores: bool = False,
        **decoding: Any,
    ) -> dict[str, Any]:
        documents, options = model_inputs["document"], self._options(decoding)
        is_batch = isinstance(documents, list)
        if not is_batch:
            documents = [documents]
        found: list[list[Any]] = [[None] * len(document.rows) for document in documents]
        for rows in self.processor.plan_batches(documents, rows_per_batch):
            batch = self.processor.pad([documents[number].rows[index] for number, index in rows]).to(self.device)
            decoded = self.processor.decode(self.model(**batch, return_dict=True), batch, options, return_all_scores)
            for (number, index), sentence in zip(rows, decoded):
                found[number][index] = sentence
        extracted = [ExtractedDocument(document, rows, options) for document, rows in zip(documents, found)]
        return {"extracted": extracted if is_batch else extracted[0]}

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """The dictionary of one document."""
        extracted = model_outputs["extracted"]
        return self.processor.merge(extracted.document, extracted.found, extracted.options)

    def _options(self, decoding: Mapping[str, Any]) -> DecodingOptions:
        return DecodingOptions.of(self.model.config).override(**decoding)
