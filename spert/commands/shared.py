"""What several commands take, and how they load a model."""

import os
from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="A trained model: a folder, or a repository on the Hub.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Sentences that pass the encoder together.")]
WithoutOverlapping = Annotated[bool, typer.Option("--without-overlapping", help="Leave overlapping entities out.")]


def load_model(model: str, dtype: str = "float32", device_index: int = 0):  # type: ignore[no-untyped-def]  # its types would import torch for `spert --help`
    """The model of a folder or of the Hub, exported ones too, and its processor.

    Args:
        model: as it was named.
        dtype: the model's numbers; `int8` quantizes the encoder.
        device_index: which of several accelerators.
    """
    import torch

    from ..exported import ExportedModel, is_exported
    from ..modeling_spert import SpertModel
    from ..processing_spert import SpertProcessor

    if is_exported(model):
        if dtype != "float32":
            raise ValueError(f"--dtype: an exported model brings its own numbers, got {dtype}.")
        return ExportedModel(model), SpertProcessor.from_pretrained(model)
    device = torch.device("cpu")
    if torch.accelerator.is_available() and not os.environ.get("ACCELERATE_USE_CPU"):
        kind = torch.accelerator.current_accelerator()
        device = torch.device(kind.type if kind else "cpu", device_index)
    if dtype == "int8":
        from ..quantization import quantize_encoder

        loaded = quantize_encoder(SpertModel.from_pretrained(model))  # says what it thinks of other devices
    else:
        loaded = SpertModel.from_pretrained(model, dtype=getattr(torch, dtype)).eval().to(device)
    return loaded, SpertProcessor.from_pretrained(model)
