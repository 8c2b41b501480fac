import inspect
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spert import SpertOutput
from spert.decoding_spert import decode
from spert.options_spert import DECODING_FIELDS, DecodingOptions

SETTINGS = DecodingOptions(("A", "B"), ("r", "s"), ("s",), 0.4)


def output(spans, types, scores, settings=SETTINGS):
    """An output of one sentence whose spans are the given ones; `scores` maps (head, tail) to relation scores."""
    spans = torch.tensor(spans).reshape(1, -1, 2)
    entity_logits = torch.full((1, spans.shape[1], 3), -5.0)
    for index, kind in enumerate(types):
        entity_logits[0, index, kind] = 5.0
    entities = [index for index, kind in enumerate(types) if kind]
    pairs = [(head, tail) for head in entities for tail in entities if head != tail]
    logits = (
        torch.tensor([scores.get(pair, (0.0, 0.0)) for pair in pairs], dtype=torch.double).reshape(-1, 2).logit(1e-12)
    )
    return SpertOutput(
        spans=spans,
        entity_logits=entity_logits,
        candidate_entities=torch.tensor([[0, index] for index in entities]).reshape(-1, 2),
        candidate_counts=torch.tensor([len(entities)]),
        candidate_logits=logits.float(),
        decoding=settings,
    )


def found(spans, types, scores, **override):
    (sentence,) = decode(output(spans, types, scores), SETTINGS.override(**override))
    return [tuple(entity[:3]) for entity in sentence.entities], [tuple(one[:3]) for one in sentence.relations]


def test_entities_are_sorted_and_no_entity_is_left_out():
    entities, _ = found([[4, 5], [0, 1], [1, 2], [0, 3]], [2, 1, 0, 1], {})
    assert entities == [(0, 1, "A"), (0, 3, "A"), (4, 5, "B")]


def test_relations_index_the_sorted_entities_and_are_sorted():
    _, relations = found([[4, 5], [0, 1], [0, 3]], [1, 1, 1], {(0, 1): (0.9, 0), (1, 0): (0.8, 0), (2, 0): (0.7, 0)})
    assert relations == [(0, 2, "r"), (1, 2, "r"), (2, 0, "r")]


def test_a_score_of_exactly_the_threshold_is_a_relation():
    half = {(0, 1): (0.5, 0.0)}
    assert found([[0, 1], [1, 2]], [1, 1], half, relation_threshold=0.5)[1] == [(0, 1, "r")]
    assert found([[0, 1], [1, 2]], [1, 1], half, relation_threshold=0.51)[1] == []
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


def scored(spans, types, margins, scores):
    """As `output`, with the logit of each entity's type."""
    made = output(spans, types, scores)
    for index, (kind, margin) in enumerate(zip(types, margins)):
        made.entity_logits[0, index] = 0.0
        made.entity_logits[0, index, kind] = margin
    return made


class TestThresholds:
    PAIRS = ([[0, 1], [1, 2]], [1, 2], {(0, 1): (0.5, 0.0), (1, 0): (0.7, 0.0)})

    def test_by_type_of_relation(self):
        assert found(*self.PAIRS, relation_threshold={"r": 0.6})[1] == [(1, 0, "r")]
        assert found(*self.PAIRS, relation_threshold={"s": 0.6})[1] == [(0, 1, "r"), (1, 0, "r")]

    def test_by_type_of_entity(self):
        outputs = scored([[0, 1], [1, 2]], [1, 2], [2.0, 2.0], {(0, 1): (0.9, 0.0)})
        score = torch.tensor([0.0, 2.0, 0.0]).softmax(-1)[1].item()
        (sentence,) = decode(outputs, SETTINGS.override(entity_threshold={"B": score + 0.01}))
        assert [one.type for one in sentence.entities] == ["A"]
        assert sentence.relations == []
        (sentence,) = decode(outputs, SETTINGS.override(entity_threshold=score - 0.01))
        assert len(sentence.entities) == 2

    def test_types_left_out_have_the_default_or_keep_what_there_is(self):
        options = DecodingOptions(("A", "B"), ("r", "s"), relation_threshold={"r": 0.7}, entity_threshold={"B": 0.2})
        assert options.thresholds("relation_threshold") == {"r": 0.7, "s": 0.4}
        assert options.thresholds("entity_threshold") == {"A": 0.0, "B": 0.2}
        changed = options.override(relation_threshold={"s": 0.1}, temperature={"relations": 2})
        assert changed.thresholds("relation_threshold") == {"r": 0.7, "s": 0.1}
        assert changed.temperature == {"entities": 1.0, "relations": 2.0}
        assert options.override() is options
        with pytest.raises(ValueError, match=r"relation_threshold: expected names out of \['r', 's'\], got 'q'"):
            options.override(relation_threshold={"q": 0.1})

    def test_every_name_of_an_override_is_an_option(self):
        assert set(DECODING_FIELDS) == set(inspect.signature(SETTINGS.override).parameters)


def test_temperature_divides_logits():
    arguments = ([[0, 1], [1, 2]], [1, 2], {(0, 1): (0.9, 0)})
    (sentence,) = decode(output(*arguments), SETTINGS.override(temperature={"entities": 5, "relations": 2}))
    assert sentence.entities[0].score == pytest.approx(torch.tensor([-1.0, 1.0, -1.0]).softmax(-1)[1].item())
    assert sentence.relations[0].score == pytest.approx((torch.tensor(0.9).logit() / 2).sigmoid().item())


class TestRelationArguments:
    ARGUMENTS = ([[0, 1], [1, 2]], [1, 2], {(0, 1): (0.9, 0.9), (1, 0): (0.9, 0.0)})

    def test_other_pairs_are_not_found(self):
        relations = found(*self.ARGUMENTS, relation_arguments={"r": [["A", "B"]]})[1]
        assert relations == [(0, 1, "r"), (0, 1, "s")]
        assert found(*self.ARGUMENTS, relation_arguments={"r": []})[1] == [(0, 1, "s")]

    def test_those_of_a_symmetric_relation_count_in_both_orders(self):
        assert (0, 1, "s") in found(*self.ARGUMENTS, relation_arguments={"s": [["B", "A"]]})[1]
        assert (0, 1, "s") not in found(*self.ARGUMENTS, relation_arguments={"s": [["A", "A"]]})[1]

    def test_an_empty_mapping_lifts_them(self):
        options = SETTINGS.override(relation_arguments={"r": []})
        (sentence,) = decode(output(*self.ARGUMENTS), options.override(relation_arguments={}))
        assert len(sentence.relations) == 3


class TestOverlaps:
    # 0: [0, 3) A, 1: [2, 5) A crosses it and is better, 2: [0, 2) B lies inside 0, 3: [6, 7) B stands alone.
    SPANS, TYPES, MARGINS = [[0, 3], [2, 5], [0, 2], [6, 7]], [1, 1, 2, 2], [2.0, 3.0, 1.0, 1.0]

    def found(self, policy, scores, types=None, margins=None):
        outputs = scored(self.SPANS, types or self.TYPES, margins or self.MARGINS, scores)
        (sentence,) = decode(outputs, SETTINGS.override(overlapping_entities=policy))
        return [one[:2] for one in sentence.entities], sentence.relations

    def test_policies(self):
        assert self.found("all", {})[0] == [(0, 2), (0, 3), (2, 5), (6, 7)]
        assert self.found("nested", {})[0] == [(0, 2), (2, 5), (6, 7)]
        assert self.found("none", {})[0] == [(0, 2), (2, 5), (6, 7)]
        nested = [4.0, 3.0, 1.0, 1.0]
        assert self.found("nested", {}, margins=nested)[0] == [(0, 2), (0, 3), (6, 7)]
        assert self.found("none", {}, margins=nested)[0] == [(0, 3), (6, 7)]

    @pytest.mark.parametrize("inner", [[0, 2], [1, 3], [1, 2]])
    @pytest.mark.parametrize("margins", [[2.0, 1.0], [1.0, 2.0]])
    def test_a_nested_entity_may_share_a_border(self, inner, margins):
        outputs = scored([[0, 3], inner], [1, 2], margins, {})
        (nested,) = decode(outputs, SETTINGS.override(overlapping_entities="nested"))
        assert len(nested.entities) == 2
        (none,) = decode(outputs, SETTINGS.override(overlapping_entities="none"))
        assert [list(one[:2]) for one in none.entities] == [[0, 3] if margins[0] > margins[1] else inner]

    def test_relations_move_to_the_entity_that_stays(self):
        _, relations = self.found("none", {(0, 3): (0.8, 0.0), (3, 0): (0.6, 0.0)})
        assert [one[:3] for one in relations] == [(1, 2, "r"), (2, 1, "r")]
        assert [one.score for one in relations] == pytest.approx([0.8, 0.6])

    def test_they_go_where_the_types_differ(self):
        _, relations = self.found("none", {(0, 3): (0.8, 0.0)}, types=[2, 1, 1, 2])
        assert relations == []

    def test_none_joins_an_entity_with_itself(self):
        assert self.found("none", {(0, 1): (0.8, 0.8), (1, 0): (0.9, 0.9)})[1] == []

    @pytest.mark.parametrize(("moved", "own"), [(0.9, 0.6), (0.6, 0.9)])
    def test_of_equal_ones_the_better_score_is_left(self, moved, own):
        _, relations = self.found("none", {(0, 3): (moved, 0.0), (1, 3): (own, 0.0)})
        assert [one[:3] for one in relations] == [(1, 2, "r")]
        assert relations[0].score == pytest.approx(0.9)

    def test_of_equal_scores_the_first_and_then_the_longer_stays(self):
        equal = [1.0, 1.0, 1.0, 1.0]
        assert self.found("none", {}, types=[1, 1, 1, 1], margins=equal)[0] == [(0, 3), (6, 7)]

    @given(
        st.lists(
            st.tuples(st.integers(0, 8), st.integers(1, 4), st.integers(1, 2), st.integers(1, 5)),
            min_size=1,
            max_size=8,
            unique_by=lambda row: row[:2],
        ),
        st.sampled_from(["nested", "none"]),
        st.data(),
    )
    @settings(max_examples=60, deadline=None)
    def test_what_stays_does_not_overlap_and_relations_are_between_it(self, rows, policy, data):
        spans = [[start, start + width] for start, width, _, _ in rows]
        chance = st.floats(0.05, 0.95)
        pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j]
        scores = {pair: (data.draw(chance), data.draw(chance)) for pair in pairs}
        outputs = scored(spans, [row[2] for row in rows], [float(row[3]) for row in rows], scores)
        (every,) = decode(outputs, SETTINGS)
        (sentence,) = decode(outputs, SETTINGS.override(overlapping_entities=policy))
        assert set(sentence.entities) <= set(every.entities)

        def clash(first, second):
            shared = min(first.end, second.end) > max(first.start, second.start)
            inside = (first.start <= second.start and second.end <= first.end) or (
                second.start <= first.start and first.end <= second.end
            )
            return shared and not (policy == "nested" and inside)

        for first, second in itertools.combinations(sentence.entities, 2):
            assert not clash(first, second)
        for dropped in set(every.entities) - set(sentence.entities):
            assert any(clash(dropped, kept) and kept.score >= dropped.score for kept in sentence.entities)
        assert len({one[:3] for one in sentence.relations}) == len(sentence.relations)
        for one in sentence.relations:
            assert one.head != one.tail
            assert max(one.head, one.tail) < len(sentence.entities)


def test_all_scores():
    arguments = ([[4, 5], [0, 1], [2, 3]], [2, 1, 0], {(0, 1): (0.9, 0.1), (1, 0): (0.2, 0.3)})
    (sentence,) = decode(output(*arguments), return_all_scores=True)
    assert [list(one.scores) for one in sentence.entities] == [["no_entity", "A", "B"]] * 2
    assert [sum(one.scores.values()) for one in sentence.entities] == pytest.approx([1.0, 1.0])
    assert [one.scores[one.type] for one in sentence.entities] == [one.score for one in sentence.entities]
    assert [pair[:2] for pair in sentence.pairs] == [(0, 1), (1, 0)]
    assert sentence.pairs[0].scores == pytest.approx({"r": 0.2, "s": 0.3})
    assert sentence.pairs[1].scores == pytest.approx({"r": 0.9, "s": 0.1})
    (plain,) = decode(output(*arguments))
    assert plain.pairs is None
    assert plain.entities[0].scores is None
    assert plain.relations == sentence.relations


def test_scores_below_the_threshold_are_never_made_into_objects(monkeypatch):
    """`tolist` of entities and of found relations only: a model may score millions of pairs."""
    number = 60
    scores = {(0, 1): (0.9, 0.0)}
    outputs = output([[index, index + 1] for index in range(number)], [1] * number, scores)
    sizes = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: sizes.append(tensor.numel()) or tolist(tensor))
    decode(outputs)
    assert max(sizes) <= 4 * number < number * (number - 1)
