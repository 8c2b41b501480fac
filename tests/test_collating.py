import copy
import logging

import pytest
import torch
from torch.utils.data import DataLoader

from spert.collating_spert import SpertDataCollator, SpertTrainingDataset
from tests import tiny


def dataset(records=tiny.RECORDS, config=None, **arguments):
    return SpertTrainingDataset(records, tiny.processor("bert"), config or tiny.config(), **arguments)


def test_gold_comes_first_and_negatives_follow():
    item = dataset()[0]
    assert item["spans"][:3].tolist() == [[0, 2], [3, 5], [6, 7]]
    assert item["span_labels"][:3].tolist() == [1, 2, 3]
    assert set(item["span_labels"][3:].tolist()) == {0}
    assert len(item["spans"]) == 36  # all spans of 8 words: fewer than 3 + 100
    assert item["pairs"][:2].tolist() == [[0, 1], [1, 2]]
    assert item["pair_labels"][:2].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert sorted(item["pairs"][2:].tolist()) == [[0, 2], [1, 0], [2, 0], [2, 1]]
    assert item["pair_labels"][2:].sum() == 0


def test_a_symmetric_relation_runs_from_the_earlier_entity_and_its_reverse_is_a_negative():
    item = dataset()[2]
    labels = {tuple(pair): label for pair, label in zip(item["pairs"].tolist(), item["pair_labels"].tolist())}
    assert labels[0, 1] == [0, 0, 1]
    assert labels[1, 0] == [0, 0, 0]
    assert len(labels) == 4 * 3


def test_several_relations_of_a_pair_are_one_pair_with_several_labels():
    record = copy.deepcopy(tiny.RECORDS[0])
    record["relations"] = [{"type": kind, "head": 0, "tail": 1} for kind in ("works_for", "located_in")]
    item = dataset([record])[0]
    assert item["pairs"].tolist().count([0, 1]) == 1
    assert item["pair_labels"][0].tolist() == [1, 1, 0]


@pytest.mark.parametrize(("number", "spans", "pairs"), [(0, 3, 2), (5, 8, 6), (100, 36, 6)])
def test_as_many_negatives_as_asked_for_or_there_are(number, spans, pairs):
    item = dataset(num_negative_spans=number, num_negative_relations=number)[0]
    assert (len(item["spans"]), len(item["pairs"])) == (spans, pairs)


def test_negatives_are_no_wider_than_the_limit_but_gold_may_be():
    record = copy.deepcopy(tiny.RECORDS[2])
    record["entities"][3] = {"type": "Organization", "start": 0, "end": 15}
    item = dataset([record], config=tiny.config(max_span_width=2))[0]
    widths = item["spans"][:, 1] - item["spans"][:, 0]
    assert widths[3] == 15
    assert widths[4:].max() == 2


def test_weak_negatives():
    item = dataset(weak_negative_relations=True, num_negative_relations=50)[0]
    assert len(item["pairs"]) == 2 + 50
    assert item["pairs"][2:].max(dim=1).values.min() >= 3


def test_draws_are_new_in_each_epoch_and_alike_in_each_worker():
    records = tiny.RECORDS * 3

    def epochs(num_workers, **kwargs):
        data = dataset(records, num_negative_spans=5, **kwargs)
        loader = DataLoader(
            data,
            batch_size=2,
            collate_fn=SpertDataCollator(tiny.processor("bert")),
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
        )
        drawn = []
        for epoch in range(2):
            data.set_epoch(epoch)
            drawn.append([batch["spans"].tolist() for batch in loader])
        return drawn

    here, workers = epochs(0), epochs(2)
    assert here == workers
    assert here[0] != here[1]
    assert epochs(0, seed=43) != here


def test_padding():
    data = dataset(num_negative_spans=2, num_negative_relations=1)
    batch = SpertDataCollator(tiny.processor("bert"))([data[0], data[1]])
    assert batch["spans"].shape == (2, 5, 2)
    assert batch["span_labels"][1].tolist() == [0, 0, -100, -100, -100]
    assert batch["spans"][1, 2:].unique().tolist() == [0]
    assert batch["pairs"].shape == (2, 3, 2)
    assert batch["pair_labels"][1].unique().tolist() == [-100]


def test_without_relation_types_there_are_no_pairs():
    records = [record | {"relations": []} for record in tiny.RECORDS]
    item = dataset(records, config=tiny.config(relation_types=[], symmetric_relations=[]))[0]
    assert item["pairs"].shape == (0, 2)
    assert item["pair_labels"].shape == (0, 0)


def test_a_batch_is_padded_to_a_multiple():
    data = dataset()
    batch = SpertDataCollator(tiny.processor("bert"), pad_to_multiple_of=16)([data[0], data[1]])
    assert batch["input_ids"].shape[1] % 16 == 0
    assert batch["input_ids"].shape[1] > len(data[0]["input_ids"])


def test_entities_of_the_same_span_and_type_are_one_entity(caplog):
    record = copy.deepcopy(tiny.RECORDS[0])
    record["entities"].append(dict(record["entities"][0]))
    record["relations"].append({"type": "located_in", "head": 3, "tail": 1})
    logging.getLogger("transformers").addHandler(caplog.handler)
    data = dataset([tiny.RECORDS[2], record])
    logging.getLogger("transformers").removeHandler(caplog.handler)
    item = data[1]
    assert item["spans"][:3].tolist() == [[0, 2], [3, 5], [6, 7]]
    assert item["span_labels"][:3].tolist() == [1, 2, 3]
    assert item["span_labels"][3:].unique().tolist() == [0]
    labels = {tuple(pair): label for pair, label in zip(item["pairs"].tolist(), item["pair_labels"].tolist())}
    assert labels[0, 1] == [1, 1, 0]
    assert len(item["pairs"]) == len(labels) == 3 * 2
    assert data.num_merged_entities == 1
    assert "1 entities have the span and type of another entity of their record" in caplog.text
    assert dataset().num_merged_entities == 0


def test_a_span_of_two_types_has_one_row_for_each_pair_of_spans():
    record = copy.deepcopy(tiny.RECORDS[0])
    record["entities"].append(record["entities"][0] | {"type": "Place"})
    record["relations"].append({"type": "located_in", "head": 3, "tail": 1})
    item = dataset([record])[0]
    assert item["span_labels"][:4].tolist() == [1, 2, 3, 3]
    spans = item["spans"].tolist()
    pairs = [(*spans[head], *spans[tail]) for head, tail in item["pairs"].tolist()]
    assert len(pairs) == len(set(pairs)) == 3 * 2
    assert item["pair_labels"][pairs.index((0, 2, 3, 5))].tolist() == [1, 1, 0]
    record["relations"] = [{"type": "located_in", "head": 0, "tail": 3}]
    with pytest.raises(
        ValueError, match=r"relation 0: expected two entities of different words, got 0 and 3.*\[0, 2\)"
    ):
        dataset([record])


def test_a_symmetric_relation_of_entities_that_start_together_keeps_its_direction():
    record = {"tokens": ["Ada", "Park"], "entities": [], "relations": [{"type": "married_to", "head": 1, "tail": 0}]}
    record["entities"] = [{"type": "Person", "start": 0, "end": end} for end in (1, 2)]
    item = dataset([record])[0]
    assert item["pairs"].tolist() == [[1, 0], [0, 1]]
    assert item["pair_labels"].tolist() == [[0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entities": [{"type": "Person", "start": 0, "end": 9}]}, r"record 0 \(id 'a'\), entity 0: .* got \[0, 9\)"),
        ({"entities": [{"type": "Person", "start": 3, "end": 3}]}, r"entity 0: expected a word range .* got \[3, 3\)"),
        ({"entities": [{"type": "Ship", "start": 0, "end": 1}]}, r"entity 0: expected a type out of .* got 'Ship'"),
        ({"relations": [{"type": "eats", "head": 0, "tail": 1}]}, r"relation 0: expected a type out of .* got 'eats'"),
        ({"relations": [{"type": "works_for", "head": 0, "tail": 7}]}, r"a tail among the record's 3 entities, got 7"),
        ({"relations": [{"type": "works_for", "head": 1, "tail": 1}]}, r"two entities, got 1 twice"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        dataset([tiny.RECORDS[0] | change])


def test_an_entity_wider_than_the_table_is_refused_with_its_record():
    record = {"id": "wide", "tokens": ["a"] * 100, "relations": []}
    fits = record | {"entities": [{"type": "Person", "start": 0, "end": 99}]}
    assert dataset([fits])[0]["spans"][0].tolist() == [0, 99]
    with pytest.raises(ValueError, match=r"record 0 \(id 'wide'\), entity 0: expected at most 99 words, got the 100"):
        dataset([record | {"entities": [{"type": "Person", "start": 0, "end": 100}]}])
    with pytest.raises(ValueError, match="num_negative_spans: expected 0 or more, or -1 for all, got -2"):
        dataset(num_negative_spans=-2)


STOPS = {
    "id": "stops",
    "tokens": ["On", "Nov.", "22", "Sen.", "Park", "came"],
    "entities": [{"type": "Place", "start": 1, "end": 3}, {"type": "Person", "start": 3, "end": 5}],
    "relations": [{"type": "works_for", "head": 1, "tail": 0}],
}


def test_a_sentence_in_finer_words_has_the_same_entities_and_new_negatives():
    item = dataset([STOPS], finer_words_ratio=1.0)[0]
    assert len(item["word_pieces"]) == 8  # On Nov . 22 Sen . Park came
    assert item["spans"][:2].tolist() == [[1, 4], [4, 7]]
    assert item["span_labels"][:2].tolist() == [3, 1]
    assert item["pairs"][0].tolist() == [1, 0]
    negatives = item["spans"][2:].tolist()
    assert [1, 2] in negatives, "`Nov` is no entity"
    assert [2, 3] in negatives, "`.` is no entity"
    coarse = dataset([STOPS])[0]
    assert len(coarse["word_pieces"]) == 6
    assert item["input_ids"] == coarse["input_ids"]  # this tokenizer splits off signs by itself


def test_sentences_are_read_in_finer_words_as_often_as_asked_for():
    data = dataset([STOPS, tiny.RECORDS[0]] * 200, finer_words_ratio=0.25)
    lengths = [len(data[index]["word_pieces"]) for index in range(len(data))]
    assert 30 < lengths[::2].count(8) < 70
    assert set(lengths[::2]) == {6, 8}
    assert set(lengths[1::2]) == {8}
    data.set_epoch(1)
    assert lengths != [len(data[index]["word_pieces"]) for index in range(len(data))]
    # A sentence without finer words, and any sentence by default, is trained with as if there were no such setting.
    plain = dataset([STOPS, tiny.RECORDS[0]] * 200)
    plain.set_epoch(1)
    assert data[1]["spans"].tolist() == plain[1]["spans"].tolist()


def test_refuses_a_ratio_out_of_bounds():
    for ratio in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"finer_words_ratio: expected a number from 0 to 1, got {ratio}"):
            dataset(finer_words_ratio=ratio)


def test_trains_with_the_plain_trainer(tmp_path):
    from transformers import Trainer, TrainingArguments

    model = tiny.model("bert").train()
    before = copy.deepcopy(model.state_dict())
    data = dataset(tiny.RECORDS * 4, config=model.config)
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=str(tmp_path),
            num_train_epochs=6,
            per_device_train_batch_size=4,
            learning_rate=5e-3,
            logging_steps=1,
            report_to=[],
            use_cpu=True,
            save_strategy="no",
        ),
        train_dataset=data,
        eval_dataset=data,
        data_collator=SpertDataCollator(tiny.processor("bert")),
    )
    trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])
    assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert int(data._epoch) == 5  # Trainer told the dataset about each epoch
    predictions = trainer.predict(data)
    assert predictions.predictions[0].shape[0] == len(data)
    assert predictions.metrics["test_loss"] > 0
