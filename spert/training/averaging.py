"""The exponential moving average of a model's weights over its training steps."""

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from ..modeling_spert import SpertModel

Tensors = tuple[Tensor, ...] | list[Tensor]


class WeightAverage(AveragedModel):
    """A copy of a model, `module`, whose weights follow those of the model in training.

    After the first step they are the model's. Step `t`, counted from 1, makes them

        average = d * average + (1 - d) * weights        with d = min(decay, t / (9 + t))

    The lower `d` of the first steps lets the average forget the random weights of the heads.

    Args:
        model: the model itself.
        decay: the share of the average that stays in a step, such as 0.999.
    """

    def __init__(self, model: SpertModel, decay: float):
        super().__init__(model, multi_avg_fn=self._follow)
        self.decay = decay
        self.module.requires_grad_(False).eval()

    def _follow(self, averages: Tensors, weights: Tensors, updates: Tensor | int) -> None:
        """Torch calls this from the second update on; `updates` counts those before it."""
        step = int(updates) + 1
        torch._foreach_lerp_(averages, weights, 1 - min(self.decay, step / (9 + step)))
