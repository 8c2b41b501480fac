"""Which sentences to annotate next: numbers that can be computed by hand."""

import pytest
import torch

from spert.outputs_spert import SpertOutput
from spert.prediction import predict
from spert.selection import ScoredSentences, choose_sentences, expected_mistakes, score_sentences
from tests import tiny

ONE = {"entities": 1.0, "relations": 1.0}


def test_expected_mistakes_of_spans_and_pairs():
    outputs = SpertOutput(
        entity_logits=torch.tensor([[[0.75, 0.25], [0.5, 0.5]], [[0.1, 0.9], [0.5, 0.5]]]).log(),
        spans=torch.tensor([[[0, 1], [1, 2]], [[0, 1], [0, 0]]]),  # the last one is padding
        candidate_entities=torch.tensor([[0, 0], [0, 1]]),
        candidate_counts=torch.tensor([2, 0]),
        candidate_logits=torch.tensor([[0.1, 0.8], [0.5, 0.5]]).logit(),
    )
    torch.testing.assert_close(
        expected_mistakes(outputs, ONE), torch.tensor([0.25 + 0.5 + 0.1 + 0.2 + 1.0, 0.1]), check_dtype=False
    )
    outputs.candidate_logits = torch.zeros(0, 2)
    torch.testing.assert_close(expected_mistakes(outputs, ONE), torch.tensor([0.75, 0.1]), check_dtype=False)


def scored(uncertainties, vectors):
    return ScoredSentences(torch.tensor(uncertainties, dtype=torch.float64), torch.tensor(vectors), [])


def test_the_least_certain_comes_first_and_those_like_it_last():
    """Sentences 0 and 1 read alike, 2 and 3 are others."""
    vectors = [[1.0, 0.0], [1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]]
    assert choose_sentences(scored([3.0, 2.9, 1.0, 0.5], vectors), 3) == [0, 2, 3]
    assert choose_sentences(scored([3.0, 2.9, 1.0, 0.5], vectors), 99) == [0, 2, 3, 1]
    assert choose_sentences(scored([0.0], [[1.0, 0.0]]), 1) == [0]
    with pytest.raises(ValueError, match="expected a number of at least 1, got 0"):
        choose_sentences(scored([3.0], [[1.0, 0.0]]), 0)


def test_sentences_are_scored_as_they_are_predicted():
    model, processor = tiny.choosy_model(), tiny.processor()
    together = score_sentences(model, processor, tiny.SENTENCES, batch_size=4)
    assert together.results == predict(model, processor, tiny.SENTENCES)
    torch.testing.assert_close(together.vectors.norm(dim=-1), torch.ones(4))
    assert (together.uncertainties > 0).all()
    alone = score_sentences(model, processor, tiny.SENTENCES[:1])
    torch.testing.assert_close(alone.uncertainties, together.uncertainties[:1], rtol=1e-4, atol=1e-4)
    assert not model.encoder._forward_hooks
