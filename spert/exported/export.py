"""`spert export`: a trained model's folder to a folder of graphs."""

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from ..files import atomic_folder
from ..modeling_spert import SpertModel
from ..processing_spert import SpertProcessor
from .graphs import EntityGraph, PairGraph, SpanGraph, least_words

FORMATS = ("onnx", "onnx-int8", "torch")
_SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
_NO_LIMIT = 2**15
"""Pieces of the longest range in the graph of an encoder that has no limit of its own."""


def export_model(model: SpertModel, processor: SpertProcessor, folder: str | os.PathLike[str], format: str) -> None:
    """Write a model as graphs, with configuration and processor beside them.

    Args:
        format: `onnx`; `onnx-int8`, whose large products are quantized dynamically, with a scale for each column; or
            `torch`, programs of `torch.export`.

    Raises:
        ValueError: the format is unknown.
    """
    if format not in FORMATS:
        raise ValueError(f"export_model: expected a format out of {', '.join(FORMATS)}, got {format!r}.")
    if format == "onnx-int8":
        with tempfile.TemporaryDirectory() as whole:
            export_model(model, processor, whole, "onnx")
            quantize(whole, folder)
        return
    model = model.eval().float().cpu()
    num_levels = (model.config.max_pieces or _NO_LIMIT).bit_length()
    with atomic_folder(folder) as staging:
        batch = processor([["a"] * (model.config.max_span_width + 3), ["b", "c"] * model.config.max_span_width], True)
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "word_pieces", "cls_piece")}
        sentences, pieces = Dim("sentences"), Dim("pieces", min=2, max=model.config.max_pieces or _NO_LIMIT)
        words = Dim("words", min=least_words(model.config.max_span_width))
        shapes: dict[str, Any] = {
            "input_ids": {0: sentences, 1: pieces},
            "attention_mask": {0: sentences, 1: pieces},
            "word_pieces": {0: sentences, 1: words},
            "cls_piece": {0: sentences},
        }
        save, suffix = _SAVERS[format], _SUFFIXES[format]
        save(SpanGraph(model, num_levels), inputs, shapes, staging / f"spans{suffix}", ["hidden", "logits"])
        with torch.inference_mode():
            hidden, _ = SpanGraph(model, num_levels)(**inputs)
        read = {"hidden": hidden.clone(), "word_pieces": batch["word_pieces"], "cls_piece": batch["cls_piece"]}
        read_shapes = {
            "hidden": {0: sentences, 1: pieces},
            "word_pieces": {0: sentences, 1: words},
            "cls_piece": {0: sentences},
        }
        inputs = read | {"given_entities": torch.tensor([[[0, 1], [1, 3], [4, 5]], [[0, 2], [0, 0], [0, 0]]])}
        shapes = read_shapes | {"given_entities": {0: sentences, 1: Dim("given", min=1)}}
        save(EntityGraph(model, num_levels), inputs, shapes, staging / f"entities{suffix}", ["logits"])
        if model.pair_classifier is not None:
            entities, pairs = Dim("entities", min=2), Dim("pairs")
            inputs = read | {
                "sentence": torch.tensor([0, 0, 1]),
                "entity_spans": torch.tensor([[0, 1], [2, 4], [0, 1]]),
                "head": torch.tensor([0, 1]),
                "tail": torch.tensor([1, 0]),
            }
            shapes = read_shapes | {
                "sentence": {0: entities},
                "entity_spans": {0: entities},
                "head": {0: pairs},
                "tail": {0: pairs},
            }
            if model.config.entity_type_features:
                inputs["type_probabilities"] = torch.rand((3, 1 + len(model.config.entity_types)))
                shapes["type_probabilities"] = {0: entities}
            save(PairGraph(model, num_levels), inputs, shapes, staging / f"pairs{suffix}", ["logits"])
        model.config.save_pretrained(staging)
        processor.save_pretrained(staging)


def _save_torch(
    graph: torch.nn.Module, inputs: dict[str, torch.Tensor], shapes: dict[str, Any], path: Path, outputs: list[str]
) -> None:
    torch.export.save(torch.export.export(graph.eval(), (), kwargs=inputs, dynamic_shapes=shapes), path)


def _save_onnx(
    graph: torch.nn.Module, inputs: dict[str, torch.Tensor], shapes: dict[str, Any], path: Path, outputs: list[str]
) -> None:
    noisy = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        torch.onnx.export(
            graph.eval(),
            (),
            str(path),
            kwargs=inputs,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    finally:
        for logger, level in zip(noisy, levels):
            logger.setLevel(level)


def quantize(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    skips: Callable[[str], bool] = lambda module: False,
) -> None:
    """Quantize an exported ONNX model's encoder to int8: dynamically, with a scale for each column of a weight.

    The heads are small and close to the result: they stay as they are.

    Args:
        source: what `export_model` wrote with the format `onnx`.
        target: a folder for the same with int8 products.
        skips: modules of the encoder, by name (`encoder.layer.0.attention.self.query`), that stay in float32.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with atomic_folder(target) as staging:
        shutil.copytree(source, staging, dirs_exist_ok=True, ignore=shutil.ignore_patterns("spans.onnx"))
        excluded = []
        for node in onnx.load(Path(source) / "spans.onnx", load_external_data=False).graph.node:
            if node.op_type in ("MatMul", "Gemm"):
                module = _encoder_module(node)
                if module is None or skips(module):
                    excluded.append(node.name)
        quantize_dynamic(
            Path(source) / "spans.onnx",
            staging / "spans.onnx",
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=excluded,
            extra_options={"MatMulConstBOnly": True},
        )


def _encoder_module(node: Any) -> str | None:
    """The encoder's module that a node of a graph was made of; none for the heads."""
    about = next((entry.value for entry in node.metadata_props if entry.key == "namespace"), "")
    names = re.findall(r"model\.encoder\.([\w.]+):", about)
    return names[-1] if names else None


_SAVERS: dict[str, Callable[..., None]] = {"onnx": _save_onnx, "torch": _save_torch}
