"""Score a model on annotated sentences."""

from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset

from ..modeling_spert import SpertModel
from ..prediction import as_spert_json, predict
from ..processing_spert import SpertProcessor
from .scores import compute_scores


def evaluate_model(
    model: SpertModel,
    processor: SpertProcessor,
    dataset: Dataset,
    *,
    batch_size: int = 16,
    without_overlapping: bool = False,
    progress: bool = False,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The scores of a model, and its predictions as records of SpERT JSON in the order of `dataset`.

    Where several processes run (under `accelerate launch`), each predicts its share, each sentence once, and all of
    them return the whole.

    Raises:
        ValueError: the dataset uses types that the model does not know.
    """
    records = dataset.to_list()
    _refuse_unknown_types(model, records)
    state = PartialState()
    own = list(range(state.process_index, len(records), state.num_processes))
    results = predict(
        model, processor, [records[index]["tokens"] for index in own], batch_size=batch_size, progress=progress
    )
    predicted = as_spert_json(results, [records[index]["id"] for index in own])
    predictions: list[dict[str, Any]] = [{}] * len(records)
    for index, prediction in gather_object(list(zip(own, predicted))):
        predictions[index] = prediction
    scores = compute_scores(
        records,
        predictions,
        symmetric_relations=model.config.symmetric_relations,
        without_overlapping=without_overlapping,
    )
    return scores, predictions


def _refuse_unknown_types(model: SpertModel, records: list[dict[str, Any]]) -> None:
    for field, known in (("entities", model.config.entity_types), ("relations", model.config.relation_types)):
        used = {one["type"] for record in records for one in record[field]}
        unknown = sorted(used - set(known))
        if unknown:
            raise ValueError(
                f"evaluate_model: the dataset's {field} have types that the model does not know: {unknown}; types of "
                f"the model that the dataset does not have: {sorted(set(known) - used) or 'none'}."
            )
