"""What a model that is to be trained takes over from the heads of a trained one."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .modeling_spert import SpertModel

_OF_SPANS = ("width_embedding_size", "span_pooling", "span_boundaries")
"""Fields that decide what the parts of a joined span vector mean."""

_OF_PAIRS = (
    "relation_context",
    "context_window",
    "relation_head",
    "relation_hidden_size",
    "entity_type_features",
    "distance_embedding_size",
)
"""Fields that decide, with those of spans, what the parts of a joined pair vector mean, and the layers above it."""


class HeadTransfer(NamedTuple):
    """What `SpertModel.from_encoder` took over from the heads of a SpERT model.

    Args:
        entity_types: the types whose rows of the span classifier were copied.
        relation_types: the types whose rows of the pair classifier were copied, with all that lies below these rows.
        width_embeddings: whether the width embeddings were copied.
    """

    entity_types: tuple[str, ...]
    relation_types: tuple[str, ...]
    width_embeddings: bool


@torch.no_grad()
def transfer_heads(source: "SpertModel", target: "SpertModel") -> HeadTransfer:
    """Copy width embeddings, and the rows of the heads for "no entity" and for the types that both models have.

    Nothing is copied where the vectors of the two models differ in size or meaning. With relation types that both have,
    the hidden layer of the pair classifier, the distance embeddings and the attention over contexts are copied, too.
    """
    ours, theirs = target.config, source.config
    widths_agree = ours.width_embedding_size == theirs.width_embedding_size
    alike = ours.encoder_config.hidden_size == theirs.encoder_config.hidden_size and _agree(source, target, _OF_SPANS)
    if widths_agree:
        target.width_embeddings.weight.copy_(source.width_embeddings.weight)
    entity_types = [name for name in ours.entity_types if name in theirs.entity_types] if alike else []
    rows = [(0, 0)]
    rows += [(1 + ours.entity_types.index(name), 1 + theirs.entity_types.index(name)) for name in entity_types]
    if alike:
        _copy_rows(source.span_classifier.linear, target.span_classifier.linear, rows)
    relation_types: list[str] = []
    if alike and _agree(source, target, _OF_PAIRS) and target.pair_classifier and source.pair_classifier:
        relation_types = [name for name in ours.relation_types if name in theirs.relation_types]
    if relation_types:
        pairs = [(ours.relation_types.index(name), theirs.relation_types.index(name)) for name in relation_types]
        _copy_pair_layers(source, target, rows, pairs)
    return HeadTransfer(tuple(entity_types), tuple(relation_types), widths_agree)


def _agree(source: "SpertModel", target: "SpertModel", fields: tuple[str, ...]) -> bool:
    return all(getattr(source.config, name) == getattr(target.config, name) for name in fields)


def _copy_pair_layers(
    source: "SpertModel",
    target: "SpertModel",
    entity_rows: list[tuple[int, int]],
    relation_rows: list[tuple[int, int]],
) -> None:
    """Copy the rows of relation types, and what is below them. The parts of entity types have a column for each type.

    Args:
        entity_rows: (target, source) indices of the classes of entities that both models have.
        relation_rows: the same for relation types.
    """
    ours, theirs = target.pair_classifier, source.pair_classifier
    assert ours is not None
    assert theirs is not None
    weights = zip(ours.weights().items(), theirs.weights().values())
    outputs = relation_rows if ours.hidden is None else [(row, row) for row in range(ours.hidden.out_features)]
    for (name, to), of in weights:
        is_of_types = name in ("head_types", "tail_types")
        columns = entity_rows if is_of_types else [(column, column) for column in range(to.shape[1])]
        _copy_block(of, to, outputs, columns)
    for row, of_row in outputs:
        ours.first_layer.bias[row] = theirs.first_layer.bias[of_row]
    if ours.hidden is not None:
        _copy_rows(theirs.linear, ours.linear, relation_rows)
    for name in ("distance_embeddings", "context_attention"):
        if (module := getattr(target, name)) is not None:
            module.load_state_dict(getattr(source, name).state_dict())


def _copy_block(source: Tensor, target: Tensor, rows: list[tuple[int, int]], columns: list[tuple[int, int]]) -> None:
    """Copy the numbers where rows and columns meet, each a (target, source) pair of indices."""
    to_rows, of_rows = torch.tensor(rows).unbind(1)
    to_columns, of_columns = torch.tensor(columns).unbind(1)
    target[to_rows.unsqueeze(1), to_columns] = source[of_rows.unsqueeze(1), of_columns]


def _copy_rows(source: nn.Linear, target: nn.Linear, rows: list[tuple[int, int]]) -> None:
    """Copy weights and biases of (target row, source row) pairs."""
    for to, of in rows:
        target.weight[to] = source.weight[of]
        target.bias[to] = source.bias[of]
