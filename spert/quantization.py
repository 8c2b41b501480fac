"""Int8 on CPUs: quantized weights in the encoder's linear layers, whose inputs are quantized as they come."""

import copy
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

from .modeling_spert import SpertModel

_ENGINE = "onednn"
"""The fastest of torch's engines on processors with int8 instructions (`benchmarks/reduced_precision.py`)."""


def quantize_encoder(model: SpertModel, skips: Callable[[str], bool] = lambda module: False) -> SpertModel:
    """A copy of a model whose encoder multiplies in int8: dynamically, with a scale for each row of a weight.

    The heads stay as they are: they are small, and close to the result.

    Args:
        model: on a CPU, in float32.
        skips: linear layers of the encoder, by name (`encoder.layer.0.attention.self.query`), that stay in float32.

    Raises:
        ValueError: the model is not on a CPU, or this build of torch has no engine for it.
    """
    if model.device.type != "cpu":
        raise ValueError(f"quantize_encoder: expected a model on a CPU, got one on {model.device.type}.")
    if _ENGINE not in torch.backends.quantized.supported_engines:
        raise ValueError(
            f"quantize_encoder: expected torch to have the engine {_ENGINE}, it has "
            f"{', '.join(torch.backends.quantized.supported_engines)}."
        )
    quantized = copy.deepcopy(model.eval().float())
    chosen = {
        name: per_channel_dynamic_qconfig
        for name, module in quantized.encoder.named_modules()
        if isinstance(module, nn.Linear) and not skips(name)
    }
    engine = torch.backends.quantized.engine
    torch.backends.quantized.engine = _ENGINE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", UserWarning)
            quantize_dynamic(quantized.encoder, chosen, dtype=torch.qint8, inplace=True)
    finally:
        torch.backends.quantized.engine = engine
    return quantized
