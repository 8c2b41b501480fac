"""A forward in few fixed shapes, in which nothing depends on the data: what a GPU can replay as one graph.

A batch is padded to a size that many batches share, and as many entities and pairs are scored as a size has room for,
chosen on the device. The numbers of those that there really are come to the host with them. Where there are more than
fit, the batch is run again as it is, and the next ones get more room.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..batches_spert import SpertBatch
from ..candidates_spert import ScoredCandidates, refuse_not_finite
from ..encoders_spert import encoder_max_pieces
from ..heads_spert import limit_of
from ..modeling_spert import CANDIDATE_CHUNK_ELEMENTS, SpertModel
from ..spans_spert import ordered_pairs
from .eager import EagerForward, Scored, Started
from .masks import ready_mask, takes_ready_mask
from .transfers import HostCopy, to_device

PIECE_STEPS, LAST_PIECE_STEP = ((64, 2), (128, 4)), 16
"""Up to 64 pieces are padded to a multiple of 2, and so on: few shapes come about, and little more is read than without
them (`python -m benchmarks.gpu --parts padding`).
"""

WORD_STEP = 8
"""Words are padded to a multiple of this."""

ENTITIES_PER_ROW, PAIRS_PER_ROW = 8, 32
"""Room for entities and pairs at first: twice as many as a sentence of CoNLL04 has."""

MOST_ENTITIES_PER_ROW, MOST_PAIRS_PER_ROW = 64, 1024
"""Room grows up to here, and as long as the pairs fit into one of the model's chunks (`CANDIDATE_CHUNK_ELEMENTS`)."""

MOST_OVERFLOWS, FREE_OVERFLOWS = 0.1, 16
"""Where more than this share of the batches do not fit, after those that let the room grow, all are run as they are."""

MOST_SHAPES = 64
"""Shapes that are kept; batches of other shapes run as they are."""


class Sizes(NamedTuple):
    """A fixed shape: rows of a batch, their pieces and words, and the entities and pairs that it has room for."""

    rows: int
    pieces: int
    words: int
    entities: int
    pairs: int


class FixedOutputs(NamedTuple):
    """What a forward in a fixed shape gives.

    Shapes:
        numbers: `(3,)`, as for `CountedEntities`: those that there are, which may be more than fit
        counts: `(rows,)`, entities of each row
        sentence: `(entities,)`
        spans: `(entities, 2)`
        logits: `(entities, 1 + entity types)`
        pair_logits: `(pairs, relation types)`

    What comes after the entities and pairs that there are holds nothing of meaning.
    """

    numbers: Tensor
    counts: Tensor
    sentence: Tensor
    spans: Tensor
    logits: Tensor
    pair_logits: Tensor


class StartedFixed(NamedTuple):
    """A forward in a fixed shape, whose outputs are on their way to the host."""

    batch: SpertBatch
    sizes: Sizes
    outputs: HostCopy


def rounded_pieces(number: int, most: int | None = None) -> int:
    """The number of pieces that a row is padded to.

    >>> [rounded_pieces(number) for number in (1, 64, 65, 129)], rounded_pieces(500, 512), rounded_pieces(510, 511)
    ([2, 64, 68, 144], 512, 511)

    Args:
        most: pieces that the encoder takes. Default: any number.
    """
    step = next((step for largest, step in PIECE_STEPS if number <= largest), LAST_PIECE_STEP)
    size = -(-number // step) * step
    return size if most is None else max(number, min(size, most))


def pad_to(batch: SpertBatch, sizes: Sizes, pad_piece: int, pin_memory: bool) -> dict[str, Tensor]:
    """The tensors of a batch in a fixed shape. A row that is added has one piece and no word."""
    (num_rows, num_pieces), num_words = batch["input_ids"].shape, batch["word_pieces"].shape[1]
    options: dict[str, Any] = {"dtype": torch.long, "pin_memory": pin_memory}
    input_ids = torch.full((sizes.rows, sizes.pieces), pad_piece, **options)
    attention_mask = torch.zeros((sizes.rows, sizes.pieces), **options)
    word_pieces = torch.zeros((sizes.rows, sizes.words, 2), **options)
    cls_piece = torch.zeros(sizes.rows, **options)
    input_ids[:num_rows, :num_pieces] = batch["input_ids"]
    attention_mask[:num_rows, :num_pieces] = batch["attention_mask"]
    attention_mask[num_rows:, 0] = 1
    word_pieces[:num_rows, :num_words] = batch["word_pieces"]
    cls_piece[:num_rows] = batch["cls_piece"]
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "word_pieces": word_pieces,
        "cls_piece": cls_piece,
    }


def forward_in_shape(model: SpertModel, inputs: dict[str, Tensor], sizes: Sizes) -> FixedOutputs:
    """Run a model in a fixed shape. Every shape is known beforehand, and nobody waits.

    Args:
        inputs: what `pad_to` gives, on the model's device.
    """
    mask = inputs["attention_mask"]
    if takes_ready_mask(model.encoder):
        mask = ready_mask(mask, model.encoder.dtype)
    hidden = model.encoder(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state
    states = model.sentence_states(hidden, inputs["word_pieces"], inputs["cls_piece"])
    counted = model.count_entities(states)
    num_spans = counted.spans.shape[1]
    # Past the last entity stand some span and some pair: whoever reads the numbers leaves them out.
    position = counted.entity_positions(sizes.entities).clamp(max=sizes.rows * num_spans - 1)
    sentence, span = position.div(num_spans, rounding_mode="floor"), position % num_spans
    spans, logits = counted.spans[sentence, span], counted.entity_logits[sentence, span]
    if model.pair_classifier is None:
        pair_logits = counted.entity_logits.new_zeros((sizes.pairs, 0))
    else:
        # A group more takes the pairs that are too many.
        counts = functional.pad(counted.counts, (0, 1), value=sizes.pairs + 1)
        pairs = ordered_pairs(counts, torch.arange(sizes.pairs, device=counts.device))
        head, tail = (index.clamp(max=sizes.entities - 1) for index in pairs)
        probabilities = logits.softmax(dim=-1) if model.config.entity_type_features else None
        entities = model.read_entities(states, sentence, spans, probabilities)
        pair_logits = model.score_pairs_of(states, entities, head, tail)
    return FixedOutputs(counted.numbers, counted.counts, sentence, spans, logits, pair_logits)


class FixedForward:
    """Runs batches in fixed shapes, and those that do not fit as they are.

    Args:
        model: in evaluation mode.
        rows: of a batch; batches that have less than half of them run as they are.
        prepare: makes what runs a shape. Default: each call launches its kernels one by one.
        seen_before: how often a shape must have come before it is prepared.
    """

    def __init__(
        self,
        model: SpertModel,
        rows: int,
        prepare: Callable[[SpertModel, Sizes], Callable[[dict[str, Tensor]], FixedOutputs]] | None = None,
        seen_before: int = 0,
    ):
        self.model = model
        self.rows = rows
        self.eager = EagerForward(model)
        self.entities_per_row, self.pairs_per_row = ENTITIES_PER_ROW, PAIRS_PER_ROW
        self.num_started = self.num_overflows = 0
        self._prepare = prepare or run_in_shape
        self._seen_before = seen_before
        self._seen: dict[Sizes, int] = {}
        self._runs: dict[Sizes, Callable[[dict[str, Tensor]], FixedOutputs]] = {}
        self._max_pieces = encoder_max_pieces(model.config.encoder_config)
        numbers = limit_of(CANDIDATE_CHUNK_ELEMENTS, model.device)
        self._most_pairs = max(1, numbers // model.config.encoder_config.hidden_size)

    def start(self, batch: SpertBatch) -> StartedFixed | Started:
        """Launch a batch."""
        sizes = self.sizes_of(batch)
        run = None if sizes is None else self._run_of(sizes)
        if sizes is None or run is None:
            return self.eager.start(batch)
        self.num_started += 1
        pad_piece = self.model.config.encoder_config.pad_token_id or 0
        inputs = pad_to(batch, sizes, pad_piece, pin_memory=self.model.device.type == "cuda")
        return StartedFixed(batch, sizes, HostCopy(run(inputs)))

    def finish(self, started: StartedFixed | Started) -> Scored:
        """Take what there is out of what there was room for, or run the batch again."""
        if isinstance(started, Started):
            return self.eager.finish(started)
        outputs = FixedOutputs(*started.outputs.wait())
        num_entities, num_pairs, num_not_finite = outputs.numbers.tolist()
        refuse_not_finite(num_not_finite, "spans")
        if num_entities > started.sizes.entities or num_pairs > started.sizes.pairs:
            self._make_room(num_entities, num_pairs)
            return self.eager.finish(self.eager.start(started.batch))
        return Scored(
            ScoredCandidates(
                outputs.sentence[:num_entities],
                outputs.spans[:num_entities],
                outputs.logits[:num_entities],
                outputs.counts[: len(started.batch["input_ids"])],
                outputs.pair_logits[:num_pairs],
            )
        )

    def sizes_of(self, batch: SpertBatch) -> Sizes | None:
        """The fixed shape of a batch; `None` where it has none."""
        (num_rows, num_pieces), num_words = batch["input_ids"].shape, batch["word_pieces"].shape[1]
        if "given_entities" in batch or num_words == 0 or not self.rows <= 2 * num_rows <= 2 * self.rows:
            return None
        if self.num_overflows > FREE_OVERFLOWS + self.num_started * MOST_OVERFLOWS:
            return None
        pieces, words = rounded_pieces(num_pieces, self._max_pieces), -(-num_words // WORD_STEP) * WORD_STEP
        entities = self.rows * self.entities_per_row
        pairs = min(self.rows * self.pairs_per_row, self._most_pairs)
        return Sizes(self.rows, pieces, words, entities, pairs)

    def _run_of(self, sizes: Sizes) -> Callable[[dict[str, Tensor]], FixedOutputs] | None:
        if sizes not in self._runs:
            seen = self._seen[sizes] = self._seen.get(sizes, 0) + 1
            if seen <= self._seen_before or len(self._runs) >= MOST_SHAPES:
                return None
            self._runs[sizes] = self._prepare(self.model, sizes)
        return self._runs[sizes]

    def _make_room(self, num_entities: int, num_pairs: int) -> None:
        """Let the next batches have room for as many, up to a limit; what had less is not needed any more."""
        self.num_overflows += 1
        before = self.entities_per_row, self.pairs_per_row
        while self.entities_per_row * self.rows < num_entities and self.entities_per_row < MOST_ENTITIES_PER_ROW:
            self.entities_per_row *= 2
        while self.pairs_per_row * self.rows < num_pairs and self.pairs_per_row < MOST_PAIRS_PER_ROW:
            self.pairs_per_row *= 2
        if before != (self.entities_per_row, self.pairs_per_row):
            self._runs.clear()


def run_in_shape(model: SpertModel, sizes: Sizes) -> Callable[[dict[str, Tensor]], FixedOutputs]:
    """Runs a shape by launching its kernels one by one."""
    return lambda inputs: forward_in_shape(model, to_device(inputs, model.device), sizes)
