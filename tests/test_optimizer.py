"""The original's AdamW, which leaves the bias correction out, against the textbook's formula."""

import math

import numpy as np
import pytest
import torch

from spert.training.arguments import TrainingArguments
from spert.training.optimization import make_optimizer
from spert.training.state import TrainingState
from spert.training.uncorrected_adamw import UncorrectedAdamW
from tests import tiny
from tests.checkpoint_parts import make_parts, train_step


def textbook(values, gradients, rates, weight_decay, first=0.9, second=0.999, epsilon=1e-6):
    """The parameters after each step, in double precision."""
    mean, square = np.zeros_like(values), np.zeros_like(values)
    for gradient, rate in zip(gradients, rates):
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        values = values - rate * mean / (np.sqrt(square) + epsilon)
        values = values - rate * weight_decay * values
        yield values


def test_steps_are_those_of_the_formula():
    random = np.random.default_rng(0)
    shapes, decays, rates = [(3, 4), (5,)], [0.01, 0.0], [1e-2, 3e-3, 0.0, 5e-2]
    starts = [random.normal(size=shape) for shape in shapes]
    gradients = [[random.normal(size=shape) * scale for scale in (1, 1e-5, 3, 0)] for shape in shapes]
    parameters = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    groups = [{"params": [one], "weight_decay": decay} for one, decay in zip(parameters, decays)]
    optimizer = UncorrectedAdamW(groups, lr=1.0)
    expected = [list(textbook(*given)) for given in zip(starts, gradients, [rates] * 2, decays)]
    for step, rate in enumerate(rates):
        for group, parameter, of_parameter in zip(optimizer.param_groups, parameters, gradients):
            group["lr"] = rate
            parameter.grad = torch.tensor(of_parameter[step])
        optimizer.step()
        for parameter, of_parameter in zip(parameters, expected):
            np.testing.assert_allclose(parameter.detach().numpy(), of_parameter[step], rtol=1e-12, atol=1e-15)


def test_the_first_step_by_hand():
    parameter = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = UncorrectedAdamW([parameter], lr=0.1, weight_decay=0.5)
    parameter.grad = torch.tensor([1.0], dtype=torch.float64)
    optimizer.step()
    moved = 2.0 - 0.1 * 0.1 / (math.sqrt(0.001) + 1e-6)
    assert parameter.item() == pytest.approx(moved - 0.1 * 0.5 * moved, rel=1e-12)


def test_it_is_torchs_with_another_rate_up_to_epsilon_and_decay():
    """The rate of torch's is multiplied by `(1 - b1**t) / sqrt(1 - b2**t)`, so that both means are as they were."""
    torch.manual_seed(0)
    own, torchs = (torch.nn.Parameter(torch.ones(4, dtype=torch.float64)) for _ in range(2))
    corrected = torch.optim.AdamW([torchs], lr=1e-3, eps=0.0, weight_decay=0.0)
    optimizers = UncorrectedAdamW([own], lr=1e-3, eps=0.0), corrected
    for step in range(1, 6):
        own.grad = torchs.grad = torch.randn(4, dtype=torch.float64)
        corrected.param_groups[0]["lr"] = 1e-3 * (1 - 0.9**step) / math.sqrt(1 - 0.999**step)
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(own, torchs, rtol=1e-12, atol=0)


def test_a_parameter_without_a_gradient_stays_as_it_is():
    used, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = UncorrectedAdamW([used, unused], lr=0.1, weight_decay=0.1)
    loss = optimizer.step(lambda: (optimizer.zero_grad(), used.sum().backward(), 3.0)[-1])
    assert loss == 3.0
    assert torch.equal(unused, torch.ones(2))
    assert not torch.equal(used, torch.ones(2))
    assert list(optimizer.state) == [used]


@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"eps": float("nan")}, {"weight_decay": -1}, {"betas": (0.9, 1.0)}])
def test_numbers_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValueError, match=rf"UncorrectedAdamW\.{next(iter(wrong))}: expected"):
        UncorrectedAdamW([torch.zeros(1)], **{"lr": 1e-3} | wrong)


def test_it_has_the_groups_of_the_other_optimizer():
    model = tiny.model("bert")
    settings = {"dataset_name": "a", "head_learning_rate": 1e-3, "layerwise_lr_decay": 0.5}
    default = make_optimizer(model, TrainingArguments(**settings))
    uncorrected = make_optimizer(model, TrainingArguments(**settings, adam_bias_correction=False))
    assert (type(default), type(uncorrected)) == (torch.optim.AdamW, UncorrectedAdamW)
    for ours, theirs in zip(uncorrected.param_groups, default.param_groups, strict=True):
        assert (ours["lr"], ours["weight_decay"]) == (theirs["lr"], theirs["weight_decay"])
        assert list(map(id, ours["params"])) == list(map(id, theirs["params"]))


def test_a_resumed_run_has_the_same_bits(tmp_path):
    torch.manual_seed(0)
    parts = make_parts(tmp_path)
    parts.optimizer.optimizer = UncorrectedAdamW(parts.model.parameters(), lr=0.1, weight_decay=0.1)
    parts.schedule = torch.optim.lr_scheduler.LambdaLR(parts.optimizer.optimizer, lambda step: 1 / (step + 1))
    state = TrainingState(parts.accelerator, parts.model, parts.optimizer, parts.schedule)
    for _ in range(2):
        train_step(parts)
    state.save(tmp_path)
    ends = []
    for _ in range(2):
        state.load(tmp_path)
        for _ in range(3):
            train_step(parts)
        ends.append([parameter.detach().clone() for parameter in parts.model.parameters()])
        parts.optimizer.optimizer.state.clear()
    assert all(map(torch.equal, *ends))
