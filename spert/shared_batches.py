"""Documents of several callers in shared batches: each document is handed out as soon as it is whole."""

import threading
from collections.abc import Sequence
from typing import Any

import torch

from .encoding_spert import EncodedDocument
from .modeling_spert import SpertModel
from .options_spert import DecodingOptions
from .prediction import Refused, Sentence, encode_or_refuse
from .processing_spert import SpertProcessor


class SharedBatches:
    """Documents that are extracted from with the same options, cut into batches of like length.

    The batches may run in any order and in several threads at a time. The model has to be in evaluation mode.

    Args:
        texts: as for `spert.prediction.predict`.
        batch_size: sentences that pass the encoder together.
        options: those of `predict_stream`, but for `batch_size` and `look_ahead`.

    Attributes:
        batches: what `run` takes.
        whole: numbers and results of the documents that need no batch: what is refused, and texts without words.

    Raises:
        ValueError: an option is refused.
    """

    def __init__(
        self, model: SpertModel, processor: SpertProcessor, texts: Sequence[Sentence], batch_size: int, **options: Any
    ):
        self._model, self._processor = model, processor
        reading = {
            name: options.pop(name) for name in ("sentences", "on_overflow", "sentences_per_window") if name in options
        }
        self._all_scores = options.pop("return_all_scores", False)
        self._options = DecodingOptions.of(model.config).override(**options)

        def encode(together: Sequence[Sentence]) -> list[EncodedDocument]:
            return processor.encode_documents(together, entity_types=model.config.entity_types, **reading)

        documents = encode_or_refuse(encode, texts)
        places = [number for number, document in enumerate(documents) if not isinstance(document, Refused)]
        self._documents = {number: documents[number] for number in places}
        self._found: dict[int, list[Any]] = {
            number: [None] * len(document.rows) for number, document in self._documents.items()
        }
        self._missing = {number: len(rows) for number, rows in self._found.items()}
        self._counting = threading.Lock()
        self.batches = [
            [(places[place], index) for place, index in rows]
            for rows in processor.plan_batches(list(self._documents.values()), batch_size)
        ]
        self.whole: list[tuple[int, dict[str, Any] | Refused]] = [
            (number, document) for number, document in enumerate(documents) if isinstance(document, Refused)
        ]
        self.whole += [(number, self._merged(number)) for number, missing in self._missing.items() if not missing]

    def run(self, batch: Sequence[tuple[int, int]]) -> list[tuple[int, dict[str, Any]]]:
        """Extract from the rows of a batch: numbers and results of the documents that are whole by that."""
        with torch.inference_mode():
            rows = self._processor.pad([self._documents[number].rows[index] for number, index in batch])
            rows.to(self._model.device)
            outputs = self._model(**rows, return_dict=True)
            decoded = self._processor.decode(outputs, rows, self._options, self._all_scores)
        done = []
        with self._counting:
            for (number, index), sentence in zip(batch, decoded):
                self._found[number][index] = sentence
                self._missing[number] -= 1
                if not self._missing[number]:
                    done.append(number)
        return [(number, self._merged(number)) for number in done]

    def _merged(self, number: int) -> dict[str, Any]:
        result: dict[str, Any] = self._processor.merge(self._documents[number], self._found.pop(number), self._options)
        return result
