"""The state of training that changes with each step: weights, optimizer, schedule, loss scaler, random generators.

It is kept as safetensors and JSON. `Accelerator.save_state` pickles most of it, and `load_state` unpickles the schedule
without restrictions, which runs whatever code the file holds.

```
model.safetensors        the weights
average.safetensors      the averaged weights, in a run that averages them
optimizer.safetensors    the optimizer's tensors, as `{number of the parameter}.{name}`
state.json               schedule and loss scaler
random_{process}.json    the random generators of a process
```
"""

import base64
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from pydantic import ConfigDict, Field, TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from ..files import write_json
from ..schemas import STRICT, read_checked
from .averaging import WeightAverage

MODEL = "model.safetensors"
_AVERAGE = "average.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_STATE = "state.json"
_TENSOR_NAME = re.compile(r"(\d{1,9})\.(\w+)")

T = TypeVar("T")

_Count = Annotated[int, Field(ge=0)]
_Word = Annotated[int, Field(ge=0, lt=2**32)]


@dataclass
class _Schedule:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    last_epoch: _Count  # torch's name for the steps done
    step_count: _Count
    learning_rates: list[Annotated[float, Field(ge=0)]]


@dataclass
class _Scaler:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    scale: Annotated[float, Field(gt=0)]
    growth_factor: Annotated[float, Field(gt=1)]
    backoff_factor: Annotated[float, Field(gt=0, lt=1)]
    growth_interval: Annotated[int, Field(gt=0)]
    growth_tracker: _Count


@dataclass
class _State:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    schedule: _Schedule
    scaler: _Scaler | None


@dataclass
class _PythonGenerator:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    version: int
    words: Annotated[list[_Word], Field(min_length=625, max_length=625)]
    gauss: float | None

    def as_state(self) -> tuple[int, tuple[int, ...], float | None]:
        """What `random.setstate` takes."""
        return self.version, tuple(self.words), self.gauss


@dataclass
class _NumpyGenerator:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    words: Annotated[list[_Word], Field(min_length=624, max_length=624)]
    position: Annotated[int, Field(ge=0, lt=625)]
    has_gauss: Annotated[int, Field(ge=0, lt=2)]
    gauss: float

    def as_state(self) -> tuple[str, np.ndarray, int, int, float]:
        """What `numpy.random.set_state` takes."""
        return "MT19937", np.array(self.words, dtype=np.uint32), self.position, self.has_gauss, self.gauss


@dataclass
class _Generators:
    """The random generators; those of torch in base64."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    python: _PythonGenerator
    numpy: _NumpyGenerator
    torch: str
    device: str | None


_STATE_SCHEMA, _GENERATORS_SCHEMA = TypeAdapter(_State), TypeAdapter(_Generators)


class TrainingState:
    """Writes and reads the state of training, on all processes together.

    Args:
        accelerator: holds the loss scaler, and knows which process this is.
        model: the model itself, not as accelerate prepared it.
        optimizer: as accelerate prepared it.
        schedule: the learning rate's. It counts the optimizer steps.
        average: of the weights, after each optimizer step; `None` in a run without one.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: LRScheduler,
        average: WeightAverage | None = None,
    ) -> None:
        self.accelerator = accelerator
        self.model = model
        self.optimizer = optimizer
        self.schedule = schedule
        self.average = average

    @property
    def files(self) -> set[str]:
        """The names of the files that all processes write together."""
        averages = set() if self.average is None else {_AVERAGE}
        return {MODEL, _OPTIMIZER, _STATE, *averages, *map(_random_file, range(self.accelerator.num_processes))}

    def save(self, folder: Path) -> None:
        """Write this process's part of the state.

        Raises:
            OSError: a file cannot be written.
        """
        write_json(folder / _random_file(self.accelerator.process_index), self._generators(), indent=None)
        if not self.accelerator.is_main_process:
            return
        save_weights(self.model, folder / MODEL)
        if self.average is not None:
            save_weights(self.average.module, folder / _AVERAGE)
        tensors = {
            f"{number}.{name}": tensor.contiguous()
            for number, values in self.optimizer.state_dict()["state"].items()
            for name, tensor in values.items()
        }
        _writing(folder / _OPTIMIZER, lambda: save_file(tensors, folder / _OPTIMIZER))
        schedule = {
            "last_epoch": self.schedule.last_epoch,
            "step_count": self.schedule._step_count,
            "learning_rates": [float(rate) for rate in self.schedule.get_last_lr()],
        }
        scaler = None
        if self.accelerator.scaler is not None:
            scaler = {name.lstrip("_"): value for name, value in self.accelerator.scaler.state_dict().items()}
        write_json(folder / _STATE, {"schedule": schedule, "scaler": scaler})

    def load(self, folder: Path) -> None:
        """Restore the state of this process. All files are read and checked before anything is changed.

        Raises:
            ValueError: a file is not what `save` writes; the message names it, and the field.
        """
        state = read_checked(folder / _STATE, _STATE_SCHEMA)
        generators_file = folder / _random_file(self.accelerator.process_index)
        generators = read_checked(generators_file, _GENERATORS_SCHEMA)
        self._check_generators(generators, generators_file)
        optimizer = self._read_optimizer(folder / _OPTIMIZER)
        groups = optimizer["param_groups"]
        if len(state.schedule.learning_rates) != len(groups):
            raise ValueError(
                f"{folder / _STATE}, schedule.learning_rates: expected {len(groups)} numbers, one for each group of "
                f"parameters, got {len(state.schedule.learning_rates)}."
            )
        if (state.scaler is None) != (self.accelerator.scaler is None):
            expected = "none" if self.accelerator.scaler is None else "a loss scaler"
            raise ValueError(
                f"{folder / _STATE}, scaler: expected {expected}, as --mixed_precision "
                f"{self.accelerator.mixed_precision} asks for, got {state.scaler}."
            )

        if self.average is not None:
            load_weights(self.average.module, folder / _AVERAGE)
            self.average.n_averaged.fill_(state.schedule.last_epoch)  # one update for each optimizer step
        load_weights(self.model, folder / MODEL)
        for group, rate in zip(groups, state.schedule.learning_rates):
            group["lr"] = rate
        self.optimizer.load_state_dict(optimizer)
        self.schedule.load_state_dict(
            self.schedule.state_dict()
            | {
                "last_epoch": state.schedule.last_epoch,
                "_step_count": state.schedule.step_count,
                "_last_lr": state.schedule.learning_rates,
            }
        )
        if state.scaler is not None:
            scaler = vars(state.scaler)
            self.accelerator.scaler.load_state_dict(scaler | {"_growth_tracker": scaler["growth_tracker"]})
        self._set_generators(generators)

    def _read_optimizer(self, file: Path) -> dict[str, Any]:
        """The optimizer's state as its `load_state_dict` takes it."""
        tensors = _reading(file, lambda: load_file(file))
        own = self.optimizer.state_dict()
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            found = _TENSOR_NAME.fullmatch(name)
            number = int(found[1]) if found else len(parameters)
            if found is None or number >= len(parameters):
                raise ValueError(
                    f"{file}, {name}: expected tensors of the parameters 0 to {len(parameters) - 1}, such as 0.exp_avg."
                )
            if tensor.shape not in (parameters[number].shape, torch.Size([])):
                raise ValueError(
                    f"{file}, {name}: expected the shape {tuple(parameters[number].shape)} of its parameter, got "
                    f"{tuple(tensor.shape)}."
                )
            state.setdefault(number, {})[found[2]] = tensor
        return {"state": state, "param_groups": own["param_groups"]}

    def _generators(self) -> dict[str, Any]:
        version, words, gauss = random.getstate()
        numpy_state = np.random.get_state(legacy=False)
        device = self._device_module()
        return {
            "python": {"version": version, "words": list(words), "gauss": gauss},
            "numpy": {
                "words": numpy_state["state"]["key"].tolist(),
                "position": int(numpy_state["state"]["pos"]),
                "has_gauss": int(numpy_state["has_gauss"]),
                "gauss": float(numpy_state["gauss"]),
            },
            "torch": _as_text(torch.get_rng_state()),
            "device": None if device is None else _as_text(device.get_rng_state()),
        }

    def _check_generators(self, generators: _Generators, file: Path) -> None:
        """Refuse states that the random generators do not take, before any of them is changed."""
        device = self.accelerator.device.type
        if (device == "cpu") != (generators.device is None):
            found = "none" if generators.device is None else "one"
            raise ValueError(f"{file}, device: expected the random generator of a {device} device, got {found}.")
        fields = {
            "python": lambda: random.Random().setstate(generators.python.as_state()),
            "numpy": lambda: np.random.RandomState().set_state(generators.numpy.as_state()),
            "torch": lambda: torch.Generator().set_state(_as_tensor(generators.torch)),
            "device": lambda: generators.device and torch.Generator(device).set_state(_as_tensor(generators.device)),
        }
        for field, check in fields.items():
            try:
                check()
            except (ValueError, RuntimeError, TypeError) as error:
                raise ValueError(f"{file}, {field}: expected the state of a random generator: {error}") from error

    def _set_generators(self, generators: _Generators) -> None:
        random.setstate(generators.python.as_state())
        np.random.set_state(generators.numpy.as_state())
        torch.set_rng_state(_as_tensor(generators.torch))
        device = self._device_module()
        if device is not None and generators.device is not None:
            device.set_rng_state(_as_tensor(generators.device))

    def _device_module(self) -> Any:
        """The module with the random generator of the accelerator's device; `None` on CPUs."""
        kind = self.accelerator.device.type
        return None if kind == "cpu" else torch.get_device_module(kind)


def save_weights(model: nn.Module, file: Path) -> None:
    """Write a model's weights.

    Raises:
        OSError: the file cannot be written.
    """
    # Copies: safetensors refuses tensors that share memory, and those that lie inside of a larger buffer.
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in model.state_dict().items()}
    _writing(file, lambda: save_file(tensors, file))


def load_weights(model: nn.Module, file: Path) -> None:
    """Load a model's weights.

    Raises:
        ValueError: the file is not one of safetensors, or its tensors are not those of the model.
    """
    try:
        model.load_state_dict(_reading(file, lambda: load_file(file)))
    except RuntimeError as error:
        raise ValueError(f"{file}: expected the tensors of the model. {' '.join(str(error).split())}") from error


def _random_file(process: int) -> str:
    return f"random_{process}.json"


def _writing(file: Path, write: Callable[[], object]) -> None:
    """Safetensors reports a full disk by an error of its own."""
    try:
        write()
    except SafetensorError as error:
        raise OSError(f"{file}: {error}") from error


def _reading(file: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except SafetensorError as error:
        raise ValueError(f"{file}: expected a safetensors file: {error}.") from error


def _as_text(state: torch.Tensor) -> str:
    return base64.b64encode(bytes(state.cpu().tolist())).decode("ascii")


def _as_tensor(text: str) -> torch.Tensor:
    return torch.tensor(list(base64.b64decode(text, validate=True)), dtype=torch.uint8)
