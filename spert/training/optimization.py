"""Optimizer and learning rate, as in the paper (section 3.4)."""

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_linear_schedule_with_warmup

from .arguments import TrainingArguments


def make_optimizer(model: nn.Module, arguments: TrainingArguments) -> AdamW:
    """Torch's AdamW; weight decay on matrices only, so not on biases and layer norms."""
    matrices = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": arguments.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=arguments.learning_rate, fused=True)


def make_schedule(optimizer: torch.optim.Optimizer, arguments: TrainingArguments, num_steps: int) -> LRScheduler:
    """Linear warm-up over the first `warmup_ratio` of all optimizer steps, then linear decay to zero."""
    return get_linear_schedule_with_warmup(
        optimizer, num_warmup_steps=int(arguments.warmup_ratio * num_steps), num_training_steps=num_steps
    )
