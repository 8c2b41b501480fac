"""Weights at addresses that no allocator would choose: `SPERT_TEST_ODD_ADDRESSES=1 make test`.

Vector instructions take other paths for memory that is not aligned, and round otherwise. With this on, the parameters
of every model that a test makes or loads in its own process are copied into the middle of larger buffers, each at
another offset, so that a comparison of bits that nobody promised fails on every processor.
"""

import functools
import itertools
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

_OFFSETS = itertools.cycle((1, 3, 5, 7, 9, 11, 13))


def install() -> None:
    """Move the weights of all models that are made or loaded from now on."""
    post_init = PreTrainedModel.post_init
    from_pretrained = PreTrainedModel.from_pretrained.__func__  # type: ignore[attr-defined]

    @functools.wraps(post_init)
    def moved_after_init(self: PreTrainedModel) -> None:
        post_init(self)
        move(self)

    @functools.wraps(from_pretrained)
    def moved_after_loading(cls: type[PreTrainedModel], *args: Any, **kwargs: Any) -> Any:
        loaded = from_pretrained(cls, *args, **kwargs)
        move(loaded[0] if isinstance(loaded, tuple) else loaded)
        return loaded

    PreTrainedModel.post_init = moved_after_init  # type: ignore[method-assign]
    PreTrainedModel.from_pretrained = classmethod(moved_after_loading)  # type: ignore[assignment, method-assign]


@torch.no_grad()
def move(model: nn.Module) -> None:
    """Copy each parameter into a larger buffer, an odd number of elements after its beginning."""
    for parameter in model.parameters():
        if parameter.device.type != "cpu" or parameter.data_ptr() == 0:
            continue
        offset = next(_OFFSETS)
        buffer = parameter.new_empty(parameter.numel() + 2 * offset)
        place = buffer[offset : offset + parameter.numel()].view(parameter.shape)
        place.copy_(parameter)
        parameter.data = place
