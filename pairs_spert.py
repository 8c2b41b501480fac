"""The pair classifier: what it reads of a pair, joined and in parts.

A joined vector has parts: the contexts of the pair, what its head and its tail are, and the distance between them. The
first layer is linear, so that `[a, b, c] · W` is `a · Wa + b · Wb + c · Wc`: a part that pairs share is multiplied
once, for its entity, its context or its distance. A pair costs the sum and what comes after it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from .configuration_spert import SpertConfig

_NEAR = 6
_FAR_POWERS = (3, 7)
NUM_DISTANCES = 2 * (1 + _NEAR + _FAR_POWERS[1] - _FAR_POWERS[0])
"""Rows of the distance table: for either order of head and tail, one where they overlap, and ten that begin at 0, 1, 2,
3, 4, 5, 8, 16, 32 and 64 words between them.
"""


class Shared(NamedTuple):
    """Vectors of pairs, of which some pairs may have the same one.

    Shapes:
        vectors: `(vectors, size)`
        rows: `(pairs,)`, the vector of each pair; `None` where pair `i` has vector `i`
    """

    vectors: Tensor
    rows: Tensor | None = None

    def of_pairs(self) -> Tensor:
        """The vector of each pair: `(pairs, size)`."""
        return self.vectors if self.rows is None else self.vectors.index_select(0, self.rows)


def entity_parts(config: "SpertConfig") -> dict[str, int]:
    """What a pair classifier reads of each of its two entities: names and sizes, in the order of the joined vector."""
    hidden = config.encoder_config.hidden_size
    parts = {"pooled": hidden, "width": config.width_embedding_size}
    if config.span_boundaries:
        parts |= {"first": hidden, "last": hidden}
    if config.entity_type_features:
        parts["types"] = 1 + len(config.entity_types)
    return parts


def context_parts(config: "SpertConfig") -> tuple[str, ...]:
    """The contexts that a pair classifier reads, each as wide as the encoder, in the order of the joined vector."""
    return ("context", "before", "after") if config.context_window else ("context",)


class PairClassifier(nn.Module):
    """Scores pairs by their joined vectors: with one linear layer, or with a hidden layer of GELU between two.

    The joined vector is [context, head, tail, width of head, width of tail] (paper, section 3.2) and whatever else the
    configuration asks for: see `part_sizes`. The name of a part of an entity has `head_` or `tail_` before it.

    Args:
        config: the model's.
    """

    def __init__(self, config: "SpertConfig"):
        super().__init__()
        self.entity_parts = tuple(entity_parts(config))
        self.context_parts = context_parts(config)
        self.part_sizes = _part_sizes(config)
        joined, num_types = sum(self.part_sizes.values()), len(config.relation_types)
        self.dropout = nn.Dropout(config.head_dropout)
        self.hidden: nn.Linear | None = None
        if config.relation_head == "mlp":
            self.hidden = nn.Linear(joined, config.relation_hidden_size)
            joined = config.relation_hidden_size
        self.linear = nn.Linear(joined, num_types)

    @property
    def first_layer(self) -> nn.Linear:
        """The layer that reads joined vectors."""
        return self.linear if self.hidden is None else self.hidden

    def forward(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Score pairs with their vectors joined; each joined vector has a mask of dropout of its own.

        Args:
            parts: by the names of `part_sizes`.

        Shapes:
            parts: `(…, size)` each
            result: `(…, relation types)`, float32
        """
        joined = self.dropout(torch.cat([parts[name] for name in self.part_sizes], dim=-1))
        if self.hidden is None:
            return self.linear(joined).float()
        return self.linear(self.dropout(functional.gelu(self.hidden(joined)))).float()

    def of_entities(self, vectors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What an entity adds to the first layer's sums for pairs whose head it is, and for those whose tail it is.

        Args:
            vectors: by the names of `entity_parts`.

        Shapes:
            vectors: `(entities, size)` each
            result: `(entities, first layer's outputs)` twice, float32; the bias is in the first
        """
        weights = self.weights()

        def total(role: str, bias: Tensor | None) -> Tensor:
            first, *others = self.entity_parts
            sums = _product(vectors[first], weights[f"{role}_{first}"], bias)
            for name in others:
                sums = sums + _product(vectors[name], weights[f"{role}_{name}"])
            return sums

        return total("head", self.first_layer.bias), total("tail", None)

    def of_part(self, name: str, part: Shared) -> Tensor:
        """What contexts or distances add to the first layer's sums of their pairs.

        Args:
            name: that of `part_sizes`.

        Shapes:
            result: `(pairs, first layer's outputs)`, float32
        """
        return Shared(_product(part.vectors, self.weights()[name]), part.rows).of_pairs()

    def of_sums(self, sums: Tensor) -> Tensor:
        """The logits of pairs whose parts are summed up.

        Shapes:
            sums: `(pairs, first layer's outputs)`, float32
            result: `(pairs, relation types)`, float32
        """
        if self.hidden is None:
            return sums
        return self.linear(functional.gelu(sums).to(self.linear.weight.dtype)).float()

    def weights(self) -> dict[str, Tensor]:
        """The first layer's weights for each part of a joined vector: views of `(outputs, size)`."""
        sizes = list(self.part_sizes.values())
        return dict(zip(self.part_sizes, self.first_layer.weight.split(sizes, dim=1)))


def distance_rows(head: Tensor, tail: Tensor) -> Tensor:
    """The row of the distance table for each pair of spans. The span comes first that starts, or else ends, earlier.

    Shapes:
        head, tail: `(pairs, 2)`, word ranges
        result: `(pairs,)`, below `NUM_DISTANCES`
    """
    near = torch.arange(_NEAR, device=head.device)
    bounds = torch.cat((near, 2 ** torch.arange(*_FAR_POWERS, device=head.device)))
    start, end = head.unbind(-1)
    other_start, other_end = tail.unbind(-1)
    between = torch.maximum(start, other_start) - torch.minimum(end, other_end)  # below 0 where they overlap
    # By comparisons, since other runtimes lack `bucketize`.
    bucket = (between.unsqueeze(-1) >= bounds).sum(dim=-1)
    is_tail_first = (other_start < start) | ((other_start == start) & (other_end < end))
    return bucket + is_tail_first * (NUM_DISTANCES // 2)


def outer_entities(spans: Tensor, head: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
    """Of each pair, the entity that starts first and the one that ends last.

    Shapes:
        spans: `(entities, 2)`, word ranges
        head, tail: `(pairs,)`, indices of entities
        result: `(pairs,)` twice, indices of entities
    """
    (head_start, head_end), (tail_start, tail_end) = spans[head].unbind(-1), spans[tail].unbind(-1)
    return torch.where(tail_start < head_start, tail, head), torch.where(tail_end > head_end, tail, head)


def _part_sizes(config: "SpertConfig") -> dict[str, int]:
    """The parts of a joined vector. Those of the paper come first, in the original's order."""
    hidden = config.encoder_config.hidden_size
    context, *around = context_parts(config)
    sizes = {context: hidden}
    for name, size in entity_parts(config).items():
        sizes |= {f"head_{name}": size, f"tail_{name}": size}
    if config.distance_embedding_size:
        sizes["distance"] = config.distance_embedding_size
    return sizes | dict.fromkeys(around, hidden)


def _product(vectors: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.linear(vectors, weight, bias).float()
