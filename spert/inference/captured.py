"""A forward in a fixed shape as one CUDA graph: the host launches it at once, whatever it holds."""

import weakref
from typing import Any

import torch
from torch import Tensor

from ..modeling_spert import SpertModel
from .fixed import FixedForward, FixedOutputs, Sizes, forward_in_shape

_WARM_UPS = 3
SEEN_BEFORE = 2
"""Batches of a shape that run as they are before it is captured, which takes as long as some dozen of them."""


class CapturedForwards:
    """Captures forwards of one model; their memory is shared, since one runs at a time."""

    def __init__(self) -> None:
        self._alive: weakref.WeakSet[CapturedForward] = weakref.WeakSet()

    def prepare(self, model: SpertModel, sizes: Sizes) -> "CapturedForward":
        """Capture a shape."""
        # A pool lives as long as one of its graphs.
        pool = next((captured.graph.pool() for captured in self._alive), None)
        captured = CapturedForward(model, sizes, pool)
        self._alive.add(captured)
        return captured


class CapturedForward:
    """One captured shape.

    Args:
        model: in evaluation mode, on a CUDA device; its weights may change their values, and must not move.
        sizes: the shape.
        pool: the memory that graphs share. Default: its own.
    """

    def __init__(self, model: SpertModel, sizes: Sizes, pool: Any = None):
        device = model.device
        shapes = {
            "input_ids": (sizes.rows, sizes.pieces),
            "attention_mask": (sizes.rows, sizes.pieces),
            "word_pieces": (sizes.rows, sizes.words, 2),
            "cls_piece": (sizes.rows,),
        }
        self._inputs = {name: torch.zeros(shape, dtype=torch.long, device=device) for name, shape in shapes.items()}
        self._inputs["attention_mask"].fill_(1)
        with torch.cuda.device(device):
            # What libraries set up at their first call must not become a part of the graph.
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UPS):
                    forward_in_shape(model, self._inputs, sizes)
            torch.cuda.current_stream().wait_stream(aside)
            self.graph = torch.cuda.CUDAGraph()
            # Other threads wait for events and allocate meanwhile, which is none of this graph's business.
            with torch.cuda.graph(self.graph, pool=pool, capture_error_mode="thread_local"):
                self._outputs = forward_in_shape(model, self._inputs, sizes)

    def __call__(self, inputs: dict[str, Tensor]) -> FixedOutputs:
        """Run a batch. What it gives is written over by the next call."""
        for name, tensor in inputs.items():
            self._inputs[name].copy_(tensor, non_blocking=True)
        self.graph.replay()
        return self._outputs


def captured_forward(model: SpertModel, rows: int) -> FixedForward:
    """Runs batches of up to `rows` rows, those of frequent shapes as captured graphs.

    Raises:
        ValueError: the model is on no CUDA device.
    """
    if model.device.type != "cuda":
        raise ValueError(f"cuda_graphs: expected a model on a CUDA device, got one on {model.device}.")
    return FixedForward(model, rows, CapturedForwards().prepare, SEEN_BEFORE)
