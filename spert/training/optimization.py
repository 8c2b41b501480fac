"""Optimizer and learning rate: the paper's (section 3.4), and variants that are off by default."""

import re
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_linear_schedule_with_warmup

from ..modeling_spert import SpertModel
from .arguments import TrainingArguments
from .uncorrected_adamw import UncorrectedAdamW

_LAYER = re.compile(r"\.(?:layers?|h|blocks?)\.(\d+)\.")


def make_optimizer(model: SpertModel, arguments: TrainingArguments) -> Optimizer:
    """Torch's AdamW; weight decay on matrices only, so not on biases and layer norms.

    With `adam_bias_correction` false, it is the original's optimizer, [`UncorrectedAdamW`].

    With `head_learning_rate` all that is not the encoder has a rate of its own. With
    `layerwise_lr_decay` `d`, the encoder's top layer has the full rate, the layer below it `d` times that, and so on
    down to the embeddings.

    Raises:
        ValueError: the encoder's layers are not numbered.
    """
    scales = _encoder_scales(model.encoder, arguments.layerwise_lr_decay)
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith("encoder."):
            rate = arguments.learning_rate * scales[name.removeprefix("encoder.")]
        else:
            rate = arguments.head_learning_rate or arguments.learning_rate
        decays = parameter.ndim > 1
        group = groups.setdefault(
            (rate, decays), {"params": [], "lr": rate, "weight_decay": arguments.weight_decay if decays else 0.0}
        )
        group["params"].append(parameter)
    ordered = sorted(groups.items(), key=lambda item: (-item[0][0], not item[0][1]))
    parameters = [group for _, group in ordered]
    if not arguments.adam_bias_correction:
        return UncorrectedAdamW(parameters, lr=arguments.learning_rate)
    return AdamW(parameters, lr=arguments.learning_rate, fused=True)


def make_schedule(optimizer: Optimizer, arguments: TrainingArguments, num_steps: int) -> LRScheduler:
    """Linear warm-up over the first `warmup_ratio` of all optimizer steps, then linear decay to zero."""
    return get_linear_schedule_with_warmup(
        optimizer, num_warmup_steps=int(arguments.warmup_ratio * num_steps), num_training_steps=num_steps
    )


def freeze_encoder(model: SpertModel) -> None:
    """Train the heads only: the encoder gets no gradient."""
    model.encoder.requires_grad_(False)


def set_training_mode(model: SpertModel) -> None:
    """Switch dropout on, except in a frozen encoder, whose output for a sentence should never change."""
    model.train()
    if not any(parameter.requires_grad for parameter in model.encoder.parameters()):
        model.encoder.eval()


def _encoder_scales(encoder: nn.Module, decay: float | None) -> dict[str, float]:
    """The share of the learning rate that each parameter gets, by name."""
    names = [name for name, _ in encoder.named_parameters()]
    if decay is None:
        return dict.fromkeys(names, 1.0)
    layers = {name: int(found[1]) for name in names if (found := _LAYER.search(f".{name}"))}
    if not layers:
        raise ValueError(
            f"--layerwise_lr_decay: expected an encoder with numbered layers, got {type(encoder).__name__}, whose "
            f"parameters have names such as {names[0]!r}."
        )
    top = max(layers.values())
    scales = {}
    for name in names:
        below_top = top - layers[name] if name in layers else top + 1 if "embed" in name else 0
        scales[name] = decay**below_top
    return scales
