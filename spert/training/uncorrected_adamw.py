"""The optimizer of the original implementation: AdamW without bias correction.

It is the variant that transformers had up to version 4 (`correct_bias=False`), and that BERT was trained with. Its
running means start at zero and are used as they are, so that the first steps are larger than those of AdamW: the first
by a factor of `(1 - b1) / sqrt(1 - b2)`, which is 3.2 for the defaults.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer


class UncorrectedAdamW(Optimizer):
    """AdamW (Loshchilov and Hutter, 2019) without bias correction.

    A step with the gradient `g` changes a parameter `p` and its running means `m` and `v`:

        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        p = p - lr * m / (sqrt(v) + eps)
        p = p - lr * weight_decay * p

    The decay comes last, and is that of the parameter as the step has changed it. Torch's AdamW decays first, and adds
    `eps` to a root that is corrected.

    Args:
        params: parameters, or groups of them with `lr` and `weight_decay` of their own.
        lr: the learning rate.
        betas: `b1` and `b2`.
        eps: the original's, which is 100 times that of torch's AdamW.
        weight_decay: as a share of the rate.

    Raises:
        ValueError: a number is out of bounds.
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor] | Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"UncorrectedAdamW.{name}: expected a number >= 0, got {value}.")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"UncorrectedAdamW.betas: expected numbers >= 0 and < 1, got {betas}.")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters that have gradients. Returns what `closure` does, which computes them anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                self._step_group(parameters, group)
        return loss

    def _step_group(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]  # all have one
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        means = [self.state[parameter]["exp_avg"] for parameter in parameters]
        squares = [self.state[parameter]["exp_avg_sq"] for parameter in parameters]
        first, second = group["betas"]
        torch._foreach_mul_(means, first)
        torch._foreach_add_(means, gradients, alpha=1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - second)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(parameters, means, roots, value=-group["lr"])
        if group["weight_decay"] > 0:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
