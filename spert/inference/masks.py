"""The attention mask as an encoder's attention reads it, so that nothing is computed from it layer by layer.

transformers looks whether a mask masks anything at all, which is a synchronisation with the device, and hands a mask of
truth values to the attention, which each layer turns into numbers. The host knows the sentences' lengths, and the
numbers are the same in every layer.
"""

from typing import Any

import torch
from torch import Tensor

TYPES_WITH_READY_MASKS = frozenset({"bert", "distilbert", "electra", "roberta", "xlm-roberta"})
"""Encoders that hand a mask of four dimensions to their attention as it is. Others make several of it (ModernBERT), or
attention of their own (DeBERTa).
"""

_ALIGNMENT = 16
"""Numbers from one row of a mask to the next are a multiple of this."""


def takes_ready_mask(encoder: Any) -> bool:
    """Whether an encoder takes the mask of `ready_mask`."""
    config = encoder.config
    is_sdpa = getattr(config, "_attn_implementation", None) == "sdpa"
    return is_sdpa and config.model_type in TYPES_WITH_READY_MASKS


def ready_mask(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to the attention's products: nothing for pieces, minus infinity for padding.

    Args:
        attention_mask: 1 for pieces, 0 for padding; each row has a piece.
        dtype: the encoder's.

    Shapes:
        attention_mask: `(batch, pieces)`
        result: `(batch, 1, pieces, pieces)`; all queries share their numbers
    """
    batch_size, num_pieces = attention_mask.shape
    # Attention on a GPU copies a mask in every layer whose rows do not begin where it reads best.
    length = -(-num_pieces // _ALIGNMENT) * _ALIGNMENT
    added = torch.zeros((batch_size, length), dtype=dtype, device=attention_mask.device)[:, :num_pieces]
    added.masked_fill_(attention_mask == 0, float("-inf"))
    return added[:, None, None].expand(batch_size, 1, num_pieces, num_pieces)


def encoder_mask(encoder: Any, on_host: Tensor, on_device: Tensor) -> Tensor | None:
    """The mask to call an encoder with.

    Args:
        on_host, on_device: the same mask, 1 for pieces and 0 for padding.

    Shapes:
        on_host, on_device: `(batch, pieces)`

    Returns:
        `None` where nothing is padded, and the mask as it is for an encoder that does not take a ready one.
    """
    if bool(on_host.all()):
        return None
    return ready_mask(on_device, encoder.dtype) if takes_ready_mask(encoder) else on_device
