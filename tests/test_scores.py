import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spert.evaluation import METRIC, compute_scores
from spert.evaluation.scores import TASKS, check_same_tokens


def record(entities, relations=()):
    """(type, start, end) and (type, head, tail) to a record."""
    return {
        "entities": [{"type": kind, "start": start, "end": end} for kind, start, end in entities],
        "relations": [{"type": kind, "head": head, "tail": tail} for kind, head, tail in relations],
    }


def f1(reference, prediction, **options):
    scores = compute_scores([reference], [prediction], **options)
    return [scores[f"{task}_micro_f1"] for task in TASKS]


REFERENCE = record([("A", 0, 2), ("B", 4, 5), ("A", 6, 7)], [("r", 0, 1), ("s", 2, 1)])


def test_literal_scores():
    prediction = record([("A", 0, 2), ("A", 4, 5), ("A", 6, 8)], [("r", 0, 1), ("s", 1, 0)])
    scores = compute_scores([REFERENCE], [prediction])
    assert scores["ner_micro_precision"] == scores["ner_micro_recall"] == pytest.approx(1 / 3)
    assert scores["ner_per_type"] == {
        "A": {"precision": pytest.approx(1 / 3), "recall": 0.5, "f1": pytest.approx(0.4), "support": 2},
        "B": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
    }
    assert scores["ner_macro_f1"] == pytest.approx(0.2)
    assert scores["rel_boundary_micro_f1"] == 0.5
    assert scores["rel_strict_micro_f1"] == 0.0


def test_direction_counts_unless_symmetric():
    turned = record([("A", 0, 2), ("B", 4, 5), ("A", 6, 7)], [("r", 1, 0), ("s", 1, 2)])
    assert f1(REFERENCE, turned)[1] == 0
    assert f1(REFERENCE, turned, symmetric_relations=["s"])[1:] == [0.5, 0.5]


def test_duplicates_count_once():
    twice = record([("A", 0, 2), ("A", 0, 2), ("B", 4, 5), ("A", 6, 7)], [("r", 0, 2), ("r", 1, 2), ("s", 3, 2)])
    assert f1(REFERENCE, twice) == [1.0, 1.0, 1.0]


def test_without_overlapping_filters_each_side_against_itself():
    reference = record([("A", 0, 3), ("B", 1, 2), ("A", 5, 6)], [("r", 0, 1), ("r", 0, 2)])
    assert f1(reference, reference, without_overlapping=True) == [1.0, 1.0, 1.0]
    scores = compute_scores([reference], [reference], without_overlapping=True)
    assert scores["ner_per_type"]["A"]["support"] == 1  # [0, 3) and [1, 2) fall away
    assert scores["rel_boundary_per_type"]["r"]["support"] == 1  # the relation of the two does, the other stays
    plain = record([("A", 0, 3), ("A", 5, 6)], [("r", 0, 1)])
    assert f1(reference, plain, without_overlapping=True)[0] == pytest.approx(2 / 3)


def test_macro_runs_over_types_of_either_side():
    scores = compute_scores([record([("A", 0, 1)])], [record([("A", 0, 1), ("C", 2, 3)])])
    assert set(scores["ner_per_type"]) == {"A", "C"}
    assert scores["ner_macro_f1"] == 0.5


def test_nothing_at_all_is_zero():
    assert f1(record([]), record([])) == [0.0, 0.0, 0.0]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="got 2 references and 1 predictions"):
        compute_scores([REFERENCE] * 2, [REFERENCE])


def test_other_sentences_are_refused_with_the_record():
    first, second = {"tokens": ["Ada", "Park"]}, {"tokens": ["Oslo"]}
    check_same_tokens([first, second], [{"tokens": ("Ada", "Park")}, second], "gold.json", "found.json")
    with pytest.raises(
        ValueError,
        match=r"found.json, record 1, field 'tokens': expected the words of gold.json, 'Oslo', got 'Ada Park'",
    ):
        check_same_tokens([first, second], [first, first], "gold.json", "found.json")
    with pytest.raises(ValueError, match=r"found.json: expected one record for each of the 2 of gold.json, got 1"):
        check_same_tokens([first, second], [first], "gold.json", "found.json")


spans = st.tuples(st.sampled_from("AB"), st.integers(0, 9), st.integers(1, 4))


@given(st.lists(spans.map(lambda span: (span[0], span[1], span[1] + span[2])), max_size=6, unique=True))
def test_overlapping_entities_are_those_that_share_a_word_with_another(entities):
    def shares(one, other):
        return bool({*range(*one[1:])} & {*range(*other[1:])})

    alone = [one for one in entities if not any(shares(one, other) for other in entities if other != one)]
    pairs = [(i, j) for i in range(len(entities)) for j in range(len(entities)) if i != j]
    apart = [pair for pair in pairs if not shares(entities[pair[0]], entities[pair[1]])]
    scores = compute_scores(
        [record(entities, [("r", *pair) for pair in pairs])], [record([])], without_overlapping=True
    )
    assert sum(values["support"] for values in scores["ner_per_type"].values()) == len(alone)
    spans = {(entities[head][1:], entities[tail][1:]) for head, tail in apart}
    assert sum(values["support"] for values in scores["rel_boundary_per_type"].values()) == len(spans)


entities = st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 4), st.integers(5, 8)), max_size=4)


@given(entities, entities)
def test_properties(first, second):
    one, other = record(first), record(second)
    scores, swapped = compute_scores([one], [other]), compute_scores([other], [one])
    assert scores["ner_micro_precision"] == swapped["ner_micro_recall"]
    assert scores["ner_micro_f1"] == pytest.approx(swapped["ner_micro_f1"])
    assert f1(one, one)[0] == (1.0 if first else 0.0)
    assert all(0 <= value <= 1 for value in scores.values() if isinstance(value, float))


def test_the_evaluate_metric_gives_the_same(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    evaluate = pytest.importorskip("evaluate")
    prediction = record([("A", 0, 2), ("A", 4, 5)], [("s", 1, 0)])
    metric = evaluate.load(METRIC, cache_dir=str(tmp_path))
    metric.add_batch(predictions=[prediction], references=[REFERENCE])
    metric.add(prediction=prediction, reference=REFERENCE)
    scores = metric.compute(symmetric_relations=["s"], without_overlapping=True)
    assert scores == compute_scores(
        [REFERENCE] * 2, [prediction] * 2, symmetric_relations=["s"], without_overlapping=True
    )


def test_two_processes_load_the_metric(tmp_path):
    """At once, into one cache. They are forks: importing `evaluate` anew would take them half a minute."""
    import evaluate

    context = multiprocessing.get_context("fork")
    barrier, loaded = context.Barrier(2), context.SimpleQueue()

    def load():
        barrier.wait(timeout=60)
        loaded.put(evaluate.load(METRIC, cache_dir=str(tmp_path)).name)

    running = [context.Process(target=load) for _ in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join(timeout=60)
    assert [process.exitcode for process in running] == [0, 0]
    assert [loaded.get(), loaded.get()] == ["entity_relation_metric"] * 2
