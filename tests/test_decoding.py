import pytest
import torch

from spert import SpertOutput
from spert.decoding_spert import decode
from spert.options_spert import DecodingOptions

SETTINGS = DecodingOptions(("A", "B"), ("r", "s"), ("s",), 0.4)


def output(spans, types, scores, settings=SETTINGS):
    """An output of one sentence whose spans are the given ones; `scores` maps (head, tail) to relation scores."""
    spans = torch.tensor(spans).reshape(1, -1, 2)
    entity_logits = torch.full((1, spans.shape[1], 3), -5.0)
    for index, kind in enumerate(types):
        entity_logits[0, index, kind] = 5.0
    entities = [index for index, kind in enumerate(types) if kind]
    pairs = [(head, tail) for head in entities for tail in entities if head != tail]
    logits = torch.tensor([scores.get(pair, (0.0, 0.0)) for pair in pairs], dtype=torch.double).reshape(-1, 2).logit()
    return SpertOutput(
        spans=spans,
        entity_logits=entity_logits,
        candidate_entities=torch.tensor([[0, index] for index in entities]).reshape(-1, 2),
        candidate_counts=torch.tensor([len(entities)]),
        candidate_logits=logits.float(),
        decoding=settings,
    )


def found(*arguments, threshold=None):
    (sentence,) = decode(output(*arguments), SETTINGS.override(relation_threshold=threshold))
    return [tuple(entity[:3]) for entity in sentence.entities], [tuple(one[:3]) for one in sentence.relations]


def test_entities_are_sorted_and_no_entity_is_left_out():
    entities, _ = found([[4, 5], [0, 1], [1, 2], [0, 3]], [2, 1, 0, 1], {})
    assert entities == [(0, 1, "A"), (0, 3, "A"), (4, 5, "B")]


def test_relations_index_the_sorted_entities_and_are_sorted():
    _, relations = found([[4, 5], [0, 1], [0, 3]], [1, 1, 1], {(0, 1): (0.9, 0), (1, 0): (0.8, 0), (2, 0): (0.7, 0)})
    assert relations == [(0, 2, "r"), (1, 2, "r"), (2, 0, "r")]


def test_a_score_of_exactly_the_threshold_is_a_relation():
    half = {(0, 1): (0.5, 0.0)}
    assert found([[0, 1], [1, 2]], [1, 1], half, threshold=0.5)[1] == [(0, 1, "r")]
    assert found([[0, 1], [1, 2]], [1, 1], half, threshold=0.51)[1] == []
    assert found([[0, 1], [1, 2]], [1, 1], half)[1] == [(0, 1, "r")]  # the configuration's 0.4


def test_the_earlier_entity_heads_a_symmetric_relation():
    # Candidate order is by width, then start: the wide span [0, 3) comes second.
    spans, types = [[4, 5], [0, 3]], [1, 1]
    assert found(spans, types, {(0, 1): (0.9, 0.9)})[1] == [(0, 1, "s"), (1, 0, "r")]
    assert found(spans, types, {(1, 0): (0.9, 0.9)})[1] == [(0, 1, "r"), (0, 1, "s")]


def test_of_both_directions_the_first_candidate_is_left():
    (sentence,) = decode(output([[4, 5], [0, 3]], [1, 1], {(0, 1): (0, 0.6), (1, 0): (0, 0.9)}))
    assert [(one.head, one.tail, one.type) for one in sentence.relations] == [(0, 1, "s")]
    assert sentence.relations[0].score == pytest.approx(0.6)


def test_entities_with_equal_starts_are_neither_turned_nor_merged():
    _, relations = found([[0, 1], [0, 3]], [1, 1], {(0, 1): (0, 0.6), (1, 0): (0, 0.9)})
    assert relations == [(0, 1, "s"), (1, 0, "s")]


def test_scores_are_probabilities():
    (sentence,) = decode(output([[0, 1], [1, 2]], [1, 2], {(0, 1): (0.75, 0)}))
    expected = torch.tensor([-5.0, 5.0, -5.0]).softmax(-1)[1].item()
    assert [entity.score for entity in sentence.entities] == pytest.approx([expected, expected])
    assert sentence.relations[0].score == pytest.approx(0.75)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, "0.4", True, float("nan")])
def test_refuses_a_threshold_that_is_no_probability(threshold):
    with pytest.raises(ValueError, match="relation_threshold: expected a number from 0 to 1"):
        SETTINGS.override(relation_threshold=threshold)


def test_refuses_outputs_of_given_pairs():
    with pytest.raises(ValueError, match="without `spans` and `pairs`"):
        decode(SpertOutput(spans=torch.zeros(1, 1, 2), entity_logits=torch.zeros(1, 1, 3), decoding=SETTINGS))
