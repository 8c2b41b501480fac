"""Teachers: trained models whose mean probabilities a model is trained to predict (distillation of an ensemble)."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from torch import Tensor

from ..modeling_spert import SpertModel
from ..neighbours_spert import context_of
from ..processing_spert import SpertProcessor

WEIGHTS = "model.safetensors"


class SoftTargets(NamedTuple):
    """The mean of the teachers' probabilities.

    Shapes:
        entities: `(batch, spans, 1 + entity types)`
        relations: `(batch, pairs, relation types)`; `None` where the models know no relations
    """

    entities: Tensor
    relations: Tensor | None


class Teachers:
    """Trained models with the types and the pieces of the model that is trained. They get no gradient.

    Args:
        models: in evaluation mode.
    """

    def __init__(self, models: Sequence[SpertModel]):
        self.models = list(models)

    def to(self, device: torch.device) -> "Teachers":
        """Move them to a device."""
        for model in self.models:
            model.to(device)  # type: ignore[arg-type]  # transformers wraps it without its own types
        return self

    @torch.no_grad()
    def __call__(self, batch: dict[str, Tensor]) -> SoftTargets:
        """What they predict for the spans and pairs of a batch, on average.

        Args:
            batch: as `SpertDataCollator` makes it.
        """
        inputs = {name: values for name, values in batch.items() if not name.endswith("_labels")}
        outputs = [model(**inputs, return_dict=True) for model in self.models]
        entities = torch.stack([output.entity_logits.softmax(dim=-1) for output in outputs]).mean(dim=0)
        if outputs[0].relation_logits is None:
            return SoftTargets(entities, None)
        relations = torch.stack([output.relation_logits.sigmoid() for output in outputs]).mean(dim=0)
        return SoftTargets(entities, relations)


def load_teachers(
    folders: Sequence[str | os.PathLike[str]],
    model: SpertModel,
    processor: SpertProcessor,
    rows: Sequence[Mapping[str, Any]] | Dataset,
) -> Teachers:
    """Load teachers, and check that they read and predict the same as the model that is trained.

    Args:
        folders: of trained models.
        model: the one that is trained.
        processor: its own.
        rows: the sentences that it is trained on.

    Raises:
        ValueError: a folder holds no model, its types differ, or it reads a sentence as other pieces; the message
            names the folder and what differs.
    """
    records = [{"tokens": record["tokens"], **context_of(record)} for record in rows]
    expected = processor.encode(records)
    teachers = []
    for folder in folders:
        if not (Path(folder) / WEIGHTS).is_file():
            raise ValueError(f"--teachers: expected folders of trained models, with {WEIGHTS}, got {folder}.")
        teacher = SpertModel.from_pretrained(folder)
        for field in ("entity_types", "relation_types", "symmetric_relations"):
            theirs, ours = getattr(teacher.config, field), getattr(model.config, field)
            if theirs != ours:
                raise ValueError(
                    f"--teachers: {folder}: expected the {field} of the corpus, in the same order, {ours}, got "
                    f"{theirs}."
                )
        read = SpertProcessor.from_pretrained(folder).encode(records)
        for index, (theirs, ours) in enumerate(zip(read, expected)):
            if (theirs.input_ids, theirs.word_pieces) != (ours.input_ids, ours.word_pieces):
                raise ValueError(
                    f"--teachers: {folder}: expected a model that reads sentences as the same pieces (tokenizer and "
                    f"--context_words), got other pieces for record {index} (id {rows[index]['id']!r}) of train."
                )
        teachers.append(teacher.eval())
    return Teachers(teachers)


def digests_of(folders: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The SHA-256 of each teacher's weights: what a run's identity knows them by."""
    digests = []
    for folder in folders:
        with open(Path(folder) / WEIGHTS, "rb") as content:
            digests.append(hashlib.file_digest(content, "sha256").hexdigest())
    return digests
