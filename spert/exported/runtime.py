"""Run an exported model where a `SpertModel` would run: the same batch in, the same output out."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..configuration_spert import SpertConfig
from ..modeling_spert import DecodingSettings, SpertOutput
from ..spans_spert import candidate_spans, count_words, ordered_pairs, span_widths
from .graphs import least_words

Graph = Callable[[dict[str, Tensor]], list[Tensor]]

_KINDS = (".onnx", ".pt2")


def is_exported(folder: str | os.PathLike[str]) -> bool:
    """Whether `spert export` wrote this folder."""
    return any((Path(folder) / f"spans{suffix}").is_file() for suffix in _KINDS)


class ExportedModel:
    """What `spert export` wrote, behind the call of a `SpertModel` in evaluation mode, on CPUs.

    Args:
        folder: what `spert export` wrote.
        num_threads: of ONNX Runtime. Default: those of torch.

    Raises:
        FileNotFoundError: the folder holds no graph.
    """

    device = torch.device("cpu")
    training = False

    def __init__(self, folder: str | os.PathLike[str], num_threads: int | None = None):
        place = Path(folder)
        suffix = next((suffix for suffix in _KINDS if (place / f"spans{suffix}").is_file()), None)
        if suffix is None:
            raise FileNotFoundError(f"{folder}: expected spans.onnx or spans.pt2, as `spert export` writes them.")
        self.config = SpertConfig.from_pretrained(place)
        load: Any = _load_torch if suffix == ".pt2" else lambda path: _load_onnx(path, num_threads)
        self._spans: Graph = load(place / f"spans{suffix}")
        self._pairs: Graph | None = load(place / f"pairs{suffix}") if self.config.relation_types else None

    def eval(self) -> "ExportedModel":
        """Nothing: there is no other mode."""
        return self

    def train(self, mode: bool = True) -> "ExportedModel":
        """*Raises* `ValueError` where training is meant."""
        if mode:
            raise ValueError("ExportedModel: expected evaluation, an exported model cannot be trained.")
        return self

    @torch.inference_mode()
    def __call__(
        self, input_ids: Tensor, word_pieces: Tensor, attention_mask: Tensor, cls_piece: Tensor
    ) -> SpertOutput:
        """As `SpertModel.forward` without `spans`."""
        config, num_words = self.config, word_pieces.shape[1]
        # The graph takes at least as many words as the widest span has.
        padded = torch.nn.functional.pad(word_pieces, (0, 0, 0, max(0, least_words(config.max_span_width) - num_words)))
        hidden, logits = self._spans(
            {"input_ids": input_ids, "attention_mask": attention_mask, "word_pieces": padded, "cls_piece": cls_piece}
        )
        spans = candidate_spans(padded.shape[1], config.max_span_width)
        inside = spans[:, 1] <= count_words(padded).unsqueeze(1)
        spans = spans.unsqueeze(0) * inside.unsqueeze(-1)
        is_entity = (logits.argmax(dim=-1) > 0) & inside
        counts = is_entity.sum(dim=1)
        entities = is_entity.nonzero()
        num_pairs = int((counts * (counts - 1)).sum())
        pair_logits = logits.new_zeros((num_pairs, len(config.relation_types)))
        if self._pairs is not None and num_pairs:
            sentence = entities[:, 0]
            of_entities = spans[sentence, entities[:, 1]]
            ends = (word_pieces[sentence, of_entities[:, 0], 0], word_pieces[sentence, of_entities[:, 1] - 1, 1])
            head, tail = ordered_pairs(counts, torch.arange(num_pairs))
            last = (count_words(word_pieces) - 1).clamp(min=0)
            rows = torch.arange(len(word_pieces))
            (pair_logits,) = self._pairs(
                {
                    "hidden": hidden,
                    "sentence": sentence,
                    "pieces": torch.stack(ends, dim=-1),
                    "widths": span_widths(of_entities),
                    "head": head,
                    "tail": tail,
                    "sentence_pieces": torch.stack((word_pieces[:, 0, 0], word_pieces[rows, last, 1]), dim=-1),
                    "cls_piece": cls_piece,
                }
            )
        return SpertOutput(
            entity_logits=logits,
            spans=spans,
            candidate_entities=entities,
            candidate_counts=counts,
            candidate_logits=pair_logits,
            decoding=DecodingSettings(
                tuple(config.entity_types),
                tuple(config.relation_types),
                tuple(config.symmetric_relations),
                config.relation_threshold,
            ),
        )


def _load_onnx(path: Path, num_threads: int | None) -> Graph:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Running ONNX models needs ONNX Runtime: pip install 'spert[onnx]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = {one.name for one in session.get_inputs()}

    def run(inputs: dict[str, Tensor]) -> list[Tensor]:
        feeds = {name: value.contiguous().numpy() for name, value in inputs.items() if name in names}
        return [torch.from_numpy(one) for one in session.run(None, feeds)]

    return run


def _load_torch(path: Path) -> Graph:
    module = torch.export.load(path).module()

    def run(inputs: dict[str, Tensor]) -> list[Tensor]:
        outputs = module(**inputs)
        return list(outputs) if isinstance(outputs, tuple) else [outputs]

    return run
