"""Tensors between host and device without waiting for either."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def to_device(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Tensors on a device; the host does not wait where they stand in pinned memory."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}


class HostCopy:
    """Tensors on their way to the host.

    Args:
        tensors: on one device, or on the host already. They may be written over by what is launched after this.
    """

    def __init__(self, tensors: Sequence[Tensor]):
        self._arrived: torch.cuda.Event | None = None
        device = tensors[0].device
        if device.type != "cuda":
            self._tensors = [tensor.cpu() for tensor in tensors]
            return
        self._tensors = [
            torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
            for tensor in tensors
        ]
        self._arrived = torch.cuda.Event()
        self._arrived.record(torch.cuda.current_stream(device))

    def wait(self) -> list[Tensor]:
        """The tensors, once they are there. Any thread may ask; others run meanwhile."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._tensors
