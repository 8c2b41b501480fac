"""What a training step minimises: the losses of the model, and variants of them that are off by default.

Each part is a mean over things that can be counted before the step (spans, relation decisions, sentences), so that it
does not depend on how a global batch is dealt out to processes and micro-batches.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..configuration_spert import LABEL_PADDING
from ..losses_spert import masked_mean
from .teachers import SoftTargets

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """The parts of the loss of a micro-batch.

    Args:
        r_drop_weight: above 0, each sentence is read twice with other dropout masks, and so many times the divergence
            of the two predictions is added (R-Drop; Liang et al. 2021).
        teach: what teachers predict for a batch; `None` without teachers.
        distillation_weight: the share of the loss that compares with the teachers instead of with the annotation.
        num_false_entity_pairs: as for `SpertModel.forward`.
    """

    r_drop_weight: float = 0.0
    teach: Callable[[Batch], SoftTargets] | None = None
    distillation_weight: float = 0.0
    num_false_entity_pairs: int = 0

    def __call__(self, model: torch.nn.Module, batch: Batch) -> list[Tensor]:
        """The parts, as means over the batch's spans, relation decisions and sentences, in this order.

        Where the model knows no relations there is only the first, and the third only with `num_false_entity_pairs`.
        """
        if self.r_drop_weight > 0:
            batch = {name: torch.cat((values, values)) for name, values in batch.items()}
        options = {"num_false_entity_pairs": self.num_false_entity_pairs} if self.num_false_entity_pairs else {}
        outputs: Any = model(**batch, **options)
        entities, relations = outputs.entity_loss, outputs.relation_loss
        if self.teach is not None:
            targets = self.teach(batch)
            weight = self.distillation_weight
            entities = (1 - weight) * entities + weight * soft_entity_loss(
                outputs.entity_logits, targets.entities, batch["span_labels"]
            )
            if relations is not None and targets.relations is not None:
                relations = (1 - weight) * relations + weight * soft_relation_loss(
                    outputs.relation_logits, targets.relations, batch["pair_labels"]
                )
        if self.r_drop_weight > 0:
            entities = entities + self.r_drop_weight * entity_divergence(outputs.entity_logits, batch["span_labels"])
            if relations is not None:
                relations = relations + self.r_drop_weight * relation_divergence(
                    outputs.relation_logits, batch["pair_labels"]
                )
        return [part for part in (entities, relations, outputs.false_pair_loss) if part is not None]


def soft_entity_loss(entity_logits: Tensor, probabilities: Tensor, span_labels: Tensor) -> Tensor:
    """Mean cross-entropy with probabilities of all classes, over the spans that are not padding.

    Shapes:
        entity_logits, probabilities: `(batch, spans, 1 + entity types)`
        span_labels: `(batch, spans)`, -100 for padding
        result: scalar
    """
    each = -(probabilities * entity_logits.log_softmax(dim=-1)).sum(dim=-1)
    return masked_mean(each, span_labels != LABEL_PADDING)


def soft_relation_loss(relation_logits: Tensor, probabilities: Tensor, pair_labels: Tensor) -> Tensor:
    """Mean binary cross-entropy with probabilities, over the decisions that are not padding.

    Shapes:
        relation_logits, probabilities, pair_labels: `(batch, pairs, relation types)`
        result: scalar
    """
    each = functional.binary_cross_entropy_with_logits(relation_logits, probabilities, reduction="none")
    return masked_mean(each, pair_labels != LABEL_PADDING)


def entity_divergence(entity_logits: Tensor, span_labels: Tensor) -> Tensor:
    """Half the sum of both Kullback-Leibler divergences between two readings of each span: a mean over spans.

    Shapes:
        entity_logits: `(2 * batch, spans, 1 + entity types)`, the second reading behind the first
        span_labels: `(2 * batch, spans)`, -100 for padding
        result: scalar
    """
    first, second = entity_logits.log_softmax(dim=-1).chunk(2)
    each = (first.exp() - second.exp()) * (first - second)
    return masked_mean(each.sum(dim=-1) / 2, span_labels.chunk(2)[0] != LABEL_PADDING)


def relation_divergence(relation_logits: Tensor, pair_labels: Tensor) -> Tensor:
    """As `entity_divergence`, for the two outcomes of each relation decision: a mean over decisions.

    Shapes:
        relation_logits, pair_labels: `(2 * batch, pairs, relation types)`
        result: scalar
    """
    first, second = relation_logits.chunk(2)
    each = (first.sigmoid() - second.sigmoid()) * (first - second)
    return masked_mean(each / 2, pair_labels.chunk(2)[0] != LABEL_PADDING)
