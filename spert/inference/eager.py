"""A forward in two halves: all that needs no number from the device, and the rest."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..batches_spert import SpertBatch
from ..candidates_spert import CountedEntities, ScoredCandidates, scored_candidates, take_entities
from ..modeling_spert import SentenceStates, SpertModel
from .masks import encoder_mask
from .transfers import HostCopy, to_device


class Scored:
    """The candidates of a batch, on their way to the host."""

    def __init__(self, scored: ScoredCandidates):
        self._copy = HostCopy(scored)

    def wait(self) -> ScoredCandidates:
        """The candidates, on the host, once they are there. Any thread may ask."""
        return ScoredCandidates(*self._copy.wait())


class Forward(Protocol):
    """What `run_ahead` runs. The model is in evaluation mode, and the caller in inference mode."""

    def start(self, batch: SpertBatch) -> Any:
        """Launch what needs no number from the device. The batch is on the host."""
        ...

    def finish(self, started: Any) -> Scored:
        """Wait for the number of candidates, and launch the rest.

        Raises:
            RuntimeError: a logit of a span is not finite.
        """
        ...


class Started(NamedTuple):
    """A forward up to the number of its entities, which is on its way to the host."""

    states: SentenceStates
    counted: CountedEntities
    numbers: HostCopy
    given_types: Tensor | None


class EagerForward:
    """Runs a model as it is.

    Args:
        model: in evaluation mode.
    """

    def __init__(self, model: SpertModel):
        self.model = model

    def start(self, batch: SpertBatch) -> Started:
        """Encoder, span head and the count of entities."""
        model = self.model
        inputs = to_device(batch.data, model.device)
        mask = encoder_mask(model.encoder, batch["attention_mask"], inputs["attention_mask"])
        hidden = model.encoder(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state
        states = model.sentence_states(hidden, inputs["word_pieces"], inputs["cls_piece"])
        counted = model.count_entities(states, given_entities=inputs.get("given_entities"))
        return Started(states, counted, HostCopy([counted.numbers]), inputs.get("given_types"))

    def finish(self, started: Started) -> Scored:
        """Pair head."""
        (numbers,) = started.numbers.wait()
        found = take_entities(started.counted, numbers)
        return Scored(scored_candidates(found, self.model.score_pairs(started.states, found, started.given_types)))


def run_ahead(forward: Forward, batches: Iterable[SpertBatch]) -> Iterator[Scored]:
    """The candidates of each batch, in order. The next batch is started before one is finished, so that the device has
    work while the host waits for a number.
    """
    waiting: list[Any] = []
    for batch in batches:
        waiting.append(forward.start(batch))
        if len(waiting) == 2:
            yield forward.finish(waiting.pop(0))
    for started in waiting:
        yield forward.finish(started)


def runs_ahead(model: Any) -> bool:
    """Whether a model can be run in halves: it is ours, and nobody compiled it, hooked onto it or spread it over
    devices, all of which act on its forward as a whole.
    """
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "count_entities"):
        return False
    is_changed = (
        hasattr(model, "_orig_mod")
        or getattr(model, "_compiled_call_impl", None) is not None
        or hasattr(model, "_hf_hook")
        or len(getattr(model, "hf_device_map", None) or ()) > 1
        or bool(model._forward_hooks or model._forward_pre_hooks)
        or "forward" in vars(model)
    )
    return not is_changed
