"""The scores of `compute_scores` as an `evaluate.Metric`.

```python
import evaluate
from spert.evaluation import METRIC
metric = evaluate.load(METRIC)
metric.compute(predictions=predictions, references=references)["rel_strict_micro_f1"]
```
"""

from typing import Any

import datasets
import evaluate

from spert.evaluation.scores import PRIMARY_SCORE, compute_scores

_DESCRIPTION = f"""
Strict named entity scores (span and type), boundary relation scores (relation type and both spans) and strict relation
scores (entity types as well): micro, macro and per type, between 0 and 1. The primary score is `{PRIMARY_SCORE}`.
"""

_INPUTS = """
Args:
    predictions: one record a sentence,
        {"entities": [{"type", "start", "end"}], "relations": [{"type", "head", "tail"}]}; spans are half-open
        ranges of words, head and tail index the record's entities.
    references: the same, in the same order.
    symmetric_relations: names of the relation types whose direction has no meaning.
    without_overlapping: leave out overlapping entities, and relations between overlapping entities, on each side.
Returns:
    {ner|rel_boundary|rel_strict}_{micro|macro}_{precision|recall|f1}, and {ner|rel_boundary|rel_strict}_per_type.
"""

_CITATION = """
@inproceedings{eberts-ulges-2020-span,
  title = {Span-based Joint Entity and Relation Extraction with Transformer Pre-training},
  author = {Eberts, Markus and Ulges, Adrian},
  booktitle = {24th European Conference on Artificial Intelligence},
  year = {2020}
}
"""


class EntityRelationMetric(evaluate.Metric):
    """Entity and relation scores, gathered over processes as every `evaluate.Metric`."""

    def _info(self) -> evaluate.MetricInfo:
        record = {
            "entities": datasets.List(
                {"type": datasets.Value("string"), "start": datasets.Value("int64"), "end": datasets.Value("int64")}
            ),
            "relations": datasets.List(
                {"type": datasets.Value("string"), "head": datasets.Value("int64"), "tail": datasets.Value("int64")}
            ),
        }
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": record, "references": record}),
        )

    def _compute(
        self,
        predictions: list[dict[str, Any]],
        references: list[dict[str, Any]],
        symmetric_relations: list[str] | None = None,
        without_overlapping: bool = False,
    ) -> dict[str, Any]:
        return compute_scores(
            references,
            predictions,
            symmetric_relations=symmetric_relations or (),
            without_overlapping=without_overlapping,
        )
