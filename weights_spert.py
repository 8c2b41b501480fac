"""Checks of loaded weights: none is missing, unknown, of another shape, NaN or infinite.

transformers fills what a file lacks with random numbers and warns; a model like that gives results that look right.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

_SHOWN = 5
"""Names that an error lists; of the others it gives the number."""

_CHECKED_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def refuse_other_weights(
    loading_info: Mapping[str, Any],
    source: Any,
    *,
    may_mismatch: bool = False,
    may_be_unknown: bool = False,
    may_miss: Callable[[str], bool] = lambda name: False,
) -> None:
    """Refuse a model whose files did not hold exactly the weights that its configuration asks for.

    Args:
        loading_info: what `from_pretrained(…, output_loading_info=True)` returns beside the model.
        source: what was loaded, for the message.
        may_mismatch: let weights of another shape pass; they are random now.
        may_be_unknown: let weights pass that the model has no place for.
        may_miss: whether a weight, by name, may be missing.

    Raises:
        ValueError: a weight is missing, unknown or of another shape; the message names it.
    """
    missing = sorted(name for name in loading_info["missing_keys"] if not may_miss(name))
    if missing:
        raise ValueError(
            f"{source}: expected all weights of the model, but its files lack {_listed(missing)}. Save or download the "
            f"model anew."
        )
    mismatched = [] if may_mismatch else sorted(loading_info["mismatched_keys"])
    if mismatched:
        shown = [f"{name} {tuple(wanted)}, got {tuple(found)}" for name, found, wanted in mismatched]
        raise ValueError(
            f"{source}: expected weights of the shapes that config.json asks for: {_listed(shown, '; ')}. Weights and "
            f"configuration are of different models."
        )
    unknown = [] if may_be_unknown else sorted(loading_info["unexpected_keys"])
    if unknown:
        raise ValueError(
            f"{source}: expected only weights that config.json describes, got {_listed(unknown)}. Weights and "
            f"configuration are of different models."
        )


def refuse_weights_that_are_not_finite(model: nn.Module, source: Any) -> None:
    """Refuse a model with a weight that is NaN or infinite.

    The cost is one pass over the weights. Weights without values (on the meta device) or of other than floating-point
    types are not looked at.

    Raises:
        ValueError: a weight is not finite; the message names it.
    """
    names: list[str] = []
    sums: dict[torch.device, list[torch.Tensor]] = {}
    tensors: list[torch.Tensor] = []
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.dtype in _CHECKED_DTYPES and not tensor.is_meta and tensor.numel():
                names.append(name)
                tensors.append(tensor)
                # A sum is finite only if all its terms are, and is far cheaper than a test of each.
                sums.setdefault(tensor.device, []).append(tensor.sum().double())
        finite = {device: iter(torch.stack(of_device).isfinite().tolist()) for device, of_device in sums.items()}
        wrong = [
            name
            for name, tensor in zip(names, tensors)
            # Half-precision sums overflow where all terms are finite: what looks wrong is looked at again.
            if not next(finite[tensor.device]) and not bool(tensor.isfinite().all())
        ]
    if wrong:
        dtype = str(tensors[names.index(wrong[0])].dtype).removeprefix("torch.")
        raise ValueError(
            f"{source}: expected finite weights, got NaN or infinity (in {dtype}) in {_listed(wrong)}. Results would "
            f"mean nothing. Take an earlier checkpoint, or download the model anew; where the files are right, a wider "
            f"dtype may hold them."
        )


def _listed(names: list[str], separator: str = ", ") -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return separator.join(names[:_SHOWN]) + more
