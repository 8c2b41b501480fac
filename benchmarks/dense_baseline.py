"""Extraction as the textbook writes it: every span a mask over the pieces, one sentence at a time.

The same weights and the same results as the model's own forward; only the way is another one. The hidden states are
repeated for every span (and every pair's context), a mask is added, and the maximum over pieces is taken.
"""

import torch

from spert.batches_spert import SpertBatch
from spert.modeling_spert import SpertModel
from spert.spans_spert import candidate_spans

MASKED = -1e30
NOT_THE_PAPERS = {
    "relation_head",
    "entity_type_features",
    "distance_embedding_size",
    "span_boundaries",
    "context_window",
}
"""What a configuration holds only where it is not the paper's."""


@torch.inference_mode()
def dense_forward(model: SpertModel, batch: SpertBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of all candidate spans `(spans, 1 + types)` and pairs `(pairs, relation types)` of one sentence."""
    config = model.config
    if (
        config.relation_context != "localized"
        or config.span_pooling != "max"
        or NOT_THE_PAPERS & config.to_dict().keys()
    ):
        raise ValueError("dense_forward: expected a model with the paper's heads; see docs/model.md for other choices.")
    hidden = model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[0]
    words = batch["word_pieces"][0]
    spans = candidate_spans(len(words), config.max_span_width, hidden.device)
    starts, ends = words[spans[:, 0], 0], words[spans[:, 1] - 1, 1]
    pooled = _pooled(hidden, starts, ends)
    widths = model.width_embeddings(spans[:, 1] - spans[:, 0])
    cls_state = hidden[batch["cls_piece"][0]].expand(len(spans), -1)
    entity_logits = model.span_classifier.linear(torch.cat((cls_state, pooled, widths), dim=-1)).float()

    entities = (entity_logits.argmax(dim=-1) > 0).nonzero().squeeze(-1).tolist()
    pairs = torch.tensor([(head, tail) for head in entities for tail in entities if head != tail], dtype=torch.long)
    head, tail = pairs.reshape(-1, 2).to(hidden.device).unbind(-1)
    between = _pooled(hidden, torch.minimum(ends[head], ends[tail]), torch.maximum(starts[head], starts[tail]))
    assert model.pair_classifier is not None
    joined = torch.cat((between, pooled[head], pooled[tail], widths[head], widths[tail]), dim=-1)
    return entity_logits, model.pair_classifier.linear(joined).float()


def _pooled(hidden: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    pieces = torch.arange(len(hidden), device=hidden.device)
    inside = (pieces >= starts.unsqueeze(1)) & (pieces < ends.unsqueeze(1))  # (spans, pieces)
    mask = (~inside).unsqueeze(-1) * MASKED
    pooled = (mask.to(hidden.dtype) + hidden.unsqueeze(0).repeat(len(starts), 1, 1)).amax(dim=1)
    return pooled * inside.any(dim=1, keepdim=True)
