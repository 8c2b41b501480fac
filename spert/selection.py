"""Which sentences a person should annotate next: those about which a model is least certain, and that differ.

A sentence's *uncertainty* is the number of mistakes that the model expects to make in it: over all spans, the
probability that the span is not what the model takes it for, and over all pairs of entities and relation types, the
probability of the less likely answer. Sentences that read alike are uncertain for the same reason; so each one that is
chosen lessens those near to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm.auto import tqdm

from .encoding_spert import EncodedDocument
from .modeling_spert import SpertModel
from .options_spert import DecodingOptions
from .prediction import evaluation_mode
from .processing_spert import SpertProcessor
from .spans_spert import ordered_pairs


@dataclass(frozen=True)
class ScoredSentences:
    """What a model thinks of sentences.

    Args:
        uncertainties: the mistakes that the model expects in each.
        vectors: how each reads, of length 1.
        results: what the model finds in each, as `spert.prediction.predict` gives it.

    Shapes:
        uncertainties: `(sentences,)`, float64
        vectors: `(sentences, hidden)`, float32
    """

    uncertainties: Tensor
    vectors: Tensor
    results: list[dict[str, Any]]


def score_sentences(
    model: SpertModel,
    processor: SpertProcessor,
    sentences: Sequence[str | Sequence[str]],
    *,
    batch_size: int = 16,
    progress: bool = False,
) -> ScoredSentences:
    """Run a model over sentences. One that is longer than the encoder takes is read in windows, which add up.

    Args:
        sentences: a string is the text of one sentence, a list its words.
        batch_size: sentences that pass the encoder together.

    Raises:
        ValueError: a sentence cannot be read; the message says which and why.
    """
    options = DecodingOptions.of(model.config)
    choices = [False if isinstance(sentence, str) else None for sentence in sentences]
    documents: list[EncodedDocument] = processor.encode_documents(list(sentences), sentences=choices)
    uncertainties = torch.zeros(len(documents), dtype=torch.float64)
    vectors = torch.zeros(len(documents), model.config.get_text_config().hidden_size)
    found: list[list[Any]] = [[None] * len(document.rows) for document in documents]
    total = sum(len(document.rows) for document in documents)
    with (
        tqdm(total=total, unit="sentence", disable=not progress) as bar,
        evaluation_mode(model),
        torch.inference_mode(),
    ):
        for rows in processor.plan_batches(documents, batch_size):
            batch = processor.pad([documents[number].rows[index] for number, index in rows])
            batch.to(model.device)
            with _HiddenStates(model) as hidden:
                outputs = model(**batch)
            expected = expected_mistakes(outputs, options.temperature)
            mask = batch["attention_mask"].unsqueeze(-1)
            means = ((hidden.states.float() * mask).sum(dim=1) / mask.sum(dim=1)).cpu()
            for place, (number, _) in enumerate(rows):
                uncertainties[number] += expected[place]
                vectors[number] += means[place]
            for (number, index), sentence in zip(rows, processor.decode(outputs, batch, options)):
                found[number][index] = sentence
            bar.update(len(rows))
    results = [processor.merge(document, of_rows, options) for document, of_rows in zip(documents, found)]
    return ScoredSentences(uncertainties, normalize(vectors, dim=-1), results)


class _HiddenStates:
    """Keeps what a model's encoder returns in a forward: the heads' input, which the output does not hold."""

    def __init__(self, model: SpertModel):
        self.states = torch.empty(0)
        self._hook = model.encoder.register_forward_hook(self._keep)

    def _keep(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        self.states = output.last_hidden_state

    def __enter__(self) -> "_HiddenStates":
        return self

    def __exit__(self, *exception: Any) -> None:
        self._hook.remove()


def expected_mistakes(outputs: Any, temperature: Any) -> Tensor:
    """How many spans and relations of each row the model expects to get wrong.

    Args:
        outputs: a `SpertOutput` with candidates.
        temperature: what the logits of `entities` and of `relations` are divided by.

    Shapes:
        result: `(batch,)`, float64, on the CPU
    """
    logits = outputs.entity_logits.double() / temperature["entities"]
    is_span = outputs.spans[..., 1] > outputs.spans[..., 0]
    of_spans = ((1 - logits.softmax(dim=-1).amax(dim=-1)) * is_span).sum(dim=1)
    if outputs.candidate_logits is None or outputs.candidate_logits.numel() == 0:
        return of_spans.cpu()
    scores = (outputs.candidate_logits.double() / temperature["relations"]).sigmoid()
    of_pairs = torch.minimum(scores, 1 - scores).sum(dim=-1)
    head, _ = ordered_pairs(outputs.candidate_counts, torch.arange(len(of_pairs), device=of_pairs.device))
    row = outputs.candidate_entities[head, 0]
    return (of_spans + torch.zeros_like(of_spans).index_add(0, row, of_pairs)).cpu()


def choose_sentences(scored: ScoredSentences, number: int) -> list[int]:
    """The sentences to annotate next, the most useful first.

    One after the other, the sentence with the most uncertainty is taken, and the others lose as much of theirs as they
    have in common with it: the cosine of the two vectors, from which the mean of all was taken, where it is positive.

    Args:
        number: how many; all of them where there are fewer.

    Returns:
        Their indices.
    """
    if number < 1:
        raise ValueError(f"choose_sentences: expected a number of at least 1, got {number}.")
    vectors = normalize(scored.vectors - scored.vectors.mean(dim=0), dim=-1)  # all sentences have much in common
    worth = scored.uncertainties.clone()
    left = torch.ones_like(worth, dtype=torch.bool)
    chosen: list[int] = []
    for _ in range(min(number, len(worth))):
        index = int(torch.where(left, worth, torch.full_like(worth, -1)).argmax())
        chosen.append(index)
        left[index] = False
        worth *= 1 - (vectors @ vectors[index]).clamp(0, 1).double()
    return chosen
