"""What checkpoints are made of, with a model of one layer, and a disk that is full."""

import resource
from contextlib import contextmanager
from types import SimpleNamespace

import torch
from accelerate import Accelerator

from spert.training.checkpoints import Checkpoints
from spert.training.state import TrainingState

IDENTITY = {"model": {"entity_types": ["Person", "Place"], "hidden_size": 32}, "settings": {"seed": 1}}


def make_parts(folder, width=2):
    """Model, optimizer and schedule, and the folder of their run."""
    accelerator = Accelerator()
    model = torch.nn.Linear(width, width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    model, optimizer = accelerator.prepare(model, optimizer)
    state = TrainingState(accelerator, model, optimizer, schedule)
    return SimpleNamespace(
        accelerator=accelerator, model=model, optimizer=optimizer, schedule=schedule, state=state, folder=folder
    )


def train_step(parts):
    """Change everything that a checkpoint holds."""
    parts.model(torch.rand(3, parts.model.in_features)).square().sum().backward()
    parts.optimizer.step()
    parts.optimizer.zero_grad()
    parts.schedule.step()


def checkpoints_of(parts, limit=2, folder=None, **identity):
    return Checkpoints(parts.accelerator, parts.state, folder or parts.folder, IDENTITY | identity, limit)


@contextmanager
def full_disk(largest_file):
    """Every write beyond so many bytes of a file fails, whatever library writes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
