"""Encoded sentences to padded tensors, and which of them share a batch."""

import itertools
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from transformers import BatchEncoding

from .encoding_spert import EncodedDocument, EncodedSentence
from .options_spert import type_key


class SpertBatch(BatchEncoding):
    """A padded batch: a dictionary of what `SpertModel.forward` takes, and what it was made of.

    Shapes:
        input_ids: `(batch, pieces)`
        attention_mask: `(batch, pieces)`
        word_pieces: `(batch, words, 2)`, the range of pieces of each word, `[0, 0)` for padding
        cls_piece: `(batch,)`
        given_entities: `(batch, entities, 2)`, word ranges, `[0, 0)` for padding; only where entities were given
        given_types: `(batch, entities)`, `type_key` of their types, 0 for padding and where a type was not given; only
            where some types were

    Args:
        data: the tensors.
        sentences: what each row was made of.
        documents: the documents whose rows these are, in order. Default: each row is a document of its own.
    """

    def __init__(
        self,
        data: dict[str, Any] | None = None,
        sentences: Sequence[EncodedSentence] = (),
        documents: Sequence[EncodedDocument] | None = None,
    ):
        super().__init__(data)
        self.sentences = tuple(sentences)
        self.documents = None if documents is None else tuple(documents)

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "sentences": self.sentences, "documents": self.documents}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["data"], state["sentences"], state["documents"])  # type: ignore[misc]


def pad_features(
    features: Sequence[dict[str, Any]],
    pad_piece: int | None,
    max_pieces: int | None = None,
    pad_to_multiple_of: int | None = None,
    pin_memory: bool = False,
) -> dict[str, torch.Tensor]:
    """The tensors of a batch, padded on the right.

    Args:
        features: dictionaries with `input_ids`, `word_pieces` and `cls_piece`, and either all or none with
            `given_entities` (and `given_types`, names or `None`).
        pad_piece: what stands in `input_ids` for padding; 0 where the tokenizer has no such piece.
        max_pieces: the longest input that the encoder takes.
        pad_to_multiple_of: pad the number of pieces to a multiple of this, or to `max_pieces` where that is less.
        pin_memory: put the tensors where a GPU reads them by itself, so that copies of them do not block.

    Raises:
        ValueError: some features have `given_entities`, others have none.
    """
    rows = [feature["input_ids"] for feature in features]
    ranges = [feature["word_pieces"] for feature in features]
    lengths, num_words = list(map(len, rows)), list(map(len, ranges))
    width = longest = max(lengths)
    if pad_to_multiple_of:
        width = -(-longest // pad_to_multiple_of) * pad_to_multiple_of
        if max_pieces is not None:
            width = max(longest, min(width, max_pieces))
    # All rows are filled at once: a tensor for each sentence would cost more than its share of the heads.
    is_piece = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)
    is_word = torch.arange(max(num_words)) < torch.tensor(num_words).unsqueeze(1)
    pieces = _tensor_of(itertools.chain.from_iterable(rows))
    borders = _tensor_of(itertools.chain.from_iterable(itertools.chain.from_iterable(ranges)))
    padding = 0 if pad_piece is None else pad_piece
    input_ids = torch.full(is_piece.shape, padding, pin_memory=pin_memory)
    attention_mask = torch.zeros(is_piece.shape, dtype=torch.long, pin_memory=pin_memory)
    word_pieces = torch.zeros((*is_word.shape, 2), dtype=torch.long, pin_memory=pin_memory)
    cls_piece = torch.empty(len(rows), dtype=torch.long, pin_memory=pin_memory)
    batch = {
        "input_ids": input_ids.masked_scatter_(is_piece, pieces),
        "attention_mask": attention_mask.copy_(is_piece),
        "word_pieces": word_pieces.masked_scatter_(is_word.unsqueeze(-1), borders),
        "cls_piece": cls_piece.copy_(torch.tensor([feature["cls_piece"] for feature in features])),
    }
    given: list[Any] = [feature.get("given_entities") for feature in features]
    if any(entities is not None for entities in given):
        if any(entities is None for entities in given):
            raise ValueError(
                "SpertProcessor: expected a batch in which either all texts come with their entities or none does, "
                "got both. Encode them apart, or use the pipeline or `predict`, which do so."
            )
        most = max(len(entities) for entities in given)
        padded = [list(entities) + [(0, 0)] * (most - len(entities)) for entities in given]
        entities = torch.tensor(padded, dtype=torch.long).reshape(len(given), most, 2)
        batch["given_entities"] = entities.pin_memory() if pin_memory else entities
        types = [feature.get("given_types") or [] for feature in features]
        if any(name is not None for names in types for name in names):
            keys = [[type_key(name) for name in names] + [0] * (most - len(names)) for names in types]
            type_keys = torch.tensor(keys, dtype=torch.long)
            batch["given_types"] = type_keys.pin_memory() if pin_memory else type_keys
    return batch


def plan_batches(documents: Sequence[EncodedDocument], batch_size: int) -> list[list[tuple[int, int]]]:
    """Rows of like length together, so that little is padding; those with given entities apart from the others.

    Returns:
        For each batch its rows, as indices of the document and of the row in it. Longest rows come first.
    """
    batches = []
    for is_given in (False, True):
        rows = [
            (number, index)
            for number, document in enumerate(documents)
            if (document.document.given is not None) == is_given
            for index in range(len(document.rows))
        ]
        rows.sort(key=lambda row: len(documents[row[0]].rows[row[1]].input_ids), reverse=True)
        batches += [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
    return batches


def _tensor_of(numbers: Iterable[int]) -> torch.Tensor:
    """Whole numbers as a tensor; an array reads them several times as fast as `torch.tensor`.

    Shapes:
        result: `(numbers,)`
    """
    read = array("q", list(numbers))
    return torch.frombuffer(read, dtype=torch.long) if read else torch.empty(0, dtype=torch.long)
