"""The pipeline `entity-relation-extraction`: texts or words in, entities and relations out."""

import types
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset
from transformers import Pipeline

if TYPE_CHECKING:
    from .processing_spert import EncodedSentence


class SpertPipeline(Pipeline):
    """Extract entities and relations.

    ```python
    extract = pipeline("entity-relation-extraction", model=folder_or_id, trust_remote_code=True)
    extract("Ada Park joined Northwind Labs .")                 # one dictionary
    extract(["One text.", "Another."], batch_size=16)           # a list of them
    extract(["Ada", "Park", "joined"], is_split_into_words=True)  # words of one sentence
    extract(load_corpus("conll04")["test"], batch_size=16)      # a generator of them
    ```

    Takes a text, a list of texts, a generator or a dataset; with `is_split_into_words`, lists of words in place of
    texts. A dictionary with `tokens` (words) or `text` stands for either. `relation_threshold` overrides the model
    configuration's. The dictionaries are those of `SpertProcessor.post_process_entity_relation_extraction`.
    """

    processor: Any
    _load_processor: Any = True
    _load_tokenizer: Any = False
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """One result for one text, a list for a list, a generator for a generator or a dataset."""
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        if isinstance(inputs, list):
            if not inputs:
                return []
            if kwargs.get("is_split_into_words") and all(isinstance(word, str) for word in inputs):
                (result,) = super().__call__([inputs], **kwargs)
                return result
        elif isinstance(inputs, Iterable) and not isinstance(inputs, (str, Mapping, Dataset, types.GeneratorType)):
            inputs = (one for one in inputs)
        return super().__call__(inputs, **kwargs)

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> None:
        """Save model, processor and code: the folder loads as a pipeline again."""
        super().save_pretrained(save_directory, **kwargs)
        self.processor.save_pretrained(save_directory)

    def _sanitize_parameters(
        self, is_split_into_words: bool | None = None, relation_threshold: float | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = {} if is_split_into_words is None else {"is_split_into_words": is_split_into_words}
        forward = {} if relation_threshold is None else {"relation_threshold": relation_threshold}
        return preprocess, forward, {}

    def preprocess(self, input_: Any, is_split_into_words: bool = False) -> dict[str, Any]:
        """One text or list of words to its pieces. Padding waits until the batch is known."""
        if isinstance(input_, Mapping):
            key = next((name for name in ("tokens", "text") if name in input_), None)
            if key is None:
                raise ValueError(
                    f"SpertPipeline: expected a record with 'tokens' (words) or 'text', got the keys {sorted(input_)}."
                )
            input_, is_split_into_words = input_[key], key == "tokens"
        expected = list if is_split_into_words else str
        if not isinstance(input_, expected) or not all(isinstance(word, str) for word in input_):
            raise ValueError(
                f"SpertPipeline: expected {'a list of words' if is_split_into_words else 'a text'}, got {input_!r} "
                f"({type(input_).__name__}); is_split_into_words is {is_split_into_words}."
            )
        (sentence,) = self.processor.encode([input_])
        return {"sentence": sentence}

    def _forward(self, model_inputs: dict[str, Any], relation_threshold: float | None = None) -> dict[str, Any]:
        sentences = model_inputs["sentence"]
        if isinstance(sentences, list):
            return {"result": self._extract(sentences, relation_threshold)}
        return {"result": self._extract([sentences], relation_threshold)[0]}  # without batching

    def _extract(self, sentences: "list[EncodedSentence]", relation_threshold: float | None) -> list[dict[str, Any]]:
        batch = self.processor.pad(sentences).to(self.device)
        outputs = self.model(**batch)
        return self.processor.post_process_entity_relation_extraction(outputs, batch, relation_threshold)

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any]:
        """The dictionary of one sentence."""
        return model_outputs["result"]
