"""Run an exported model where a `SpertModel` would run: the same batch in, the same output out."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..candidates_spert import FoundEntities, batch_candidate_spans, select_entities
from ..configuration_spert import SpertConfig
from ..options_spert import DecodingOptions
from ..outputs_spert import SpertOutput
from ..spans_spert import ordered_pairs
from .graphs import least_words

Graph = Callable[[dict[str, Tensor]], list[Tensor]]

_KINDS = (".onnx", ".pt2")

TRUST_PROGRAMS = "SPERT_TRUST_PROGRAMS"
"""The environment variable that lets `.pt2` files be loaded, which can run any code that their maker put into them."""


def is_exported(folder: str | os.PathLike[str]) -> bool:
    """Whether `spert export` wrote this folder."""
    return any((Path(folder) / f"spans{suffix}").is_file() for suffix in _KINDS)


class ExportedModel:
    """What `spert export` wrote, behind the call of a `SpertModel` in evaluation mode, on CPUs.

    Args:
        folder: what `spert export` wrote.
        num_threads: of ONNX Runtime. Default: those of torch.
        trust_programs: load `.pt2` files, which torch reads with pickle and `eval`: like Python code, they can do
            anything. ONNX files cannot. Default: whether the environment variable `SPERT_TRUST_PROGRAMS` is 1.

    Raises:
        FileNotFoundError: the folder holds no graph.
        ValueError: a graph is damaged, or the graphs are `.pt2` files and nobody trusts them.
    """

    device = torch.device("cpu")
    training = False

    def __init__(
        self, folder: str | os.PathLike[str], num_threads: int | None = None, *, trust_programs: bool | None = None
    ):
        place = Path(folder)
        suffix = next((suffix for suffix in _KINDS if (place / f"spans{suffix}").is_file()), None)
        if suffix is None:
            raise FileNotFoundError(f"{folder}: expected spans.onnx or spans.pt2, as `spert export` writes them.")
        if trust_programs is None:
            trust_programs = os.environ.get(TRUST_PROGRAMS) == "1"
        if suffix == ".pt2" and not trust_programs:
            raise ValueError(
                f"{place / 'spans.pt2'}: a .pt2 file is a program, and loading it can run any code. If you exported it "
                f"yourself, set {TRUST_PROGRAMS}=1 (in Python: ExportedModel(folder, trust_programs=True)); otherwise "
                f"export the model's own folder anew. ONNX files need no trust."
            )
        self.config = SpertConfig.from_pretrained(place)

        def load(path: Path) -> Graph:
            try:
                return _load_torch(path) if suffix == ".pt2" else _load_onnx(path, num_threads)
            except ModuleNotFoundError:  # says what to install
                raise
            except Exception as error:  # two libraries, with exceptions of their own
                reason = " ".join(str(error).split())
                raise ValueError(f"{path}: cannot be read: {type(error).__name__}: {reason}") from error

        self._spans = load(place / f"spans{suffix}")
        if not (place / f"entities{suffix}").is_file():
            raise FileNotFoundError(
                f"{folder}: expected entities{suffix} beside spans{suffix}. An earlier version wrote this folder; run "
                f"`spert export` again."
            )
        self._entities = load(place / f"entities{suffix}")
        self._pairs = load(place / f"pairs{suffix}") if self.config.relation_types else None

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
        self,
        input_ids: Tensor,
        word_pieces: Tensor,
        attention_mask: Tensor,
        cls_piece: Tensor,
        given_entities: Tensor | None = None,
        given_types: Tensor | None = None,
        return_dict: bool = True,
    ) -> SpertOutput:
        """As `SpertModel.forward` without `spans`; never a plain tuple."""
        max_width = self.config.max_span_width
        missing = max(0, least_words(max_width) - word_pieces.shape[1])
        word_pieces = torch.nn.functional.pad(word_pieces, (0, 0, 0, missing))
        hidden, entity_logits = self._spans(
            {"input_ids": input_ids, "attention_mask": attention_mask, "word_pieces": word_pieces}
            | {"cls_piece": cls_piece}
        )
        read = {"hidden": hidden, "word_pieces": word_pieces, "cls_piece": cls_piece}
        if given_entities is None:
            found = select_entities(batch_candidate_spans(word_pieces, max_width), entity_logits)
        else:
            found = select_entities(given_entities, self._score_given(read, given_entities), are_given=True)
        return SpertOutput(
            entity_logits=found.entity_logits,
            spans=found.spans,
            candidate_entities=found.candidate_entities,
            candidate_counts=found.candidate_counts,
            candidate_logits=self._score_pairs(read, found, given_types),
            decoding=DecodingOptions.of(self.config),
        )

    def _score_given(self, read: dict[str, Tensor], given_entities: Tensor) -> Tensor:
        if given_entities.shape[1] == 0:
            return read["hidden"].new_zeros((len(given_entities), 0, 1 + len(self.config.entity_types)))
        (logits,) = self._entities(read | {"given_entities": given_entities})
        return logits

    def _score_pairs(self, read: dict[str, Tensor], found: FoundEntities, given_types: Tensor | None) -> Tensor:
        if self._pairs is None or found.num_pairs == 0:
            return found.entity_logits.new_zeros((found.num_pairs, len(self.config.relation_types)))
        sentence, entity_spans = found.entity_spans()
        head, tail = ordered_pairs(found.candidate_counts, torch.arange(found.num_pairs))
        inputs = read | {"sentence": sentence, "entity_spans": entity_spans, "head": head, "tail": tail}
        if self.config.entity_type_features:
            inputs["type_probabilities"] = found.type_probabilities(self.config.entity_types, given_types)
        (logits,) = self._pairs(inputs)
        return logits


def _load_onnx(path: Path, num_threads: int | None) -> Graph:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Running ONNX models needs ONNX Runtime: pip install 'spert[onnx]'.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}

    def run(inputs: dict[str, Tensor]) -> list[Tensor]:
        feeds = {name: value.contiguous().numpy() for name, value in inputs.items() if name in names}
        return [torch.from_numpy(output) for output in session.run(None, feeds)]

    return run


def _load_torch(path: Path) -> Graph:
    module = torch.export.load(path).module()

    def run(inputs: dict[str, Tensor]) -> list[Tensor]:
        outputs = module(**inputs)
        return list(outputs) if isinstance(outputs, tuple) else [outputs]

    return run
