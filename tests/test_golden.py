"""Equality with the original implementation; see tests/golden/README.md before changing anything here."""

import json

import pytest
import torch

from spert.collating_spert import SpertDataCollator
from spert.conversion import convert_checkpoint
from spert.corpora import read_types
from spert.evaluation import compute_scores


@pytest.fixture(scope="module")
def converted(golden):
    return convert_checkpoint(golden / "original_checkpoint", read_types(golden / "types.json"), lowercase=True)


@pytest.fixture(scope="module")
def inputs(golden):
    return json.loads((golden / "inputs.json").read_text())


@pytest.fixture(scope="module")
def expected(golden):
    return json.loads((golden / "expected_inference.json").read_text())


def check_findings(result, expected):
    def entity(one):
        return (one["word_start"], one["word_end"], one["type"])

    scores = {entity(one): one["score"] for one in result["entities"]}
    assert scores == pytest.approx(
        {(one["start"], one["end"], one["type"]): one["score"] for one in expected["entities"]}, abs=1e-5
    )
    scores = {
        (entity(result["entities"][one["head"]]), entity(result["entities"][one["tail"]]), one["type"]): one["score"]
        for one in result["relations"]
    }
    assert len(scores) == len(result["relations"])
    assert scores == pytest.approx(
        {(tuple(one["head"]), tuple(one["tail"]), one["type"]): one["score"] for one in expected["relations"]}, abs=1e-5
    )


@pytest.mark.parametrize("index", range(10))
def test_inference_one_sentence_at_a_time(converted, inputs, expected, index):
    model, processor = converted
    batch = processor(inputs[index]["tokens"], is_split_into_words=True)
    assert batch["input_ids"][0].tolist() == expected[index]["input_ids"]
    with torch.inference_mode():
        outputs = model(**batch)
    assert outputs.spans[0].tolist() == expected[index]["word_spans"]
    torch.testing.assert_close(
        outputs.entity_logits[0].softmax(-1), torch.tensor(expected[index]["entity_probs"]), atol=1e-5, rtol=0
    )
    # The original scores one padding pair where there is none.
    assert max(len(outputs.candidate_logits), 1) == expected[index]["candidate_pairs"]
    (result,) = processor.post_process_entity_relation_extraction(outputs, batch)
    check_findings(result, expected[index])


def test_inference_in_one_batch(converted, inputs, expected):
    model, processor = converted
    batch = processor([record["tokens"] for record in inputs], is_split_into_words=True)
    with torch.inference_mode():
        results = processor.post_process_entity_relation_extraction(model(**batch), batch)
    assert sum(len(result["relations"]) for result in results) > 800
    for result, wanted in zip(results, expected, strict=True):
        check_findings(result, wanted)


@pytest.mark.parametrize("training", [False, True])
def test_training(converted, golden, training):
    """Losses, logits and gradients; in training mode each joined vector is built, in evaluation mode none is."""
    model, processor = converted
    wanted = json.loads((golden / "expected_training.json").read_text())
    sentences = processor.encode([sentence["tokens"] for sentence in wanted["batch"]])
    items = [
        {
            "input_ids": encoded.input_ids,
            "word_pieces": encoded.word_pieces,
            "cls_piece": encoded.cls_piece,
            **{name: torch.tensor(given[name]) for name in ("spans", "span_labels", "pairs", "pair_labels")},
        }
        for encoded, given in zip(sentences, wanted["batch"])
    ]
    model.zero_grad()
    if training:  # the heads alone: the encoder's dropout has to stay off
        model.span_classifier.train()
        model.pair_classifier.train()
        model.span_classifier.dropout.p = model.pair_classifier.dropout.p = 1e-12
    outputs = model(**SpertDataCollator(processor)(items))
    outputs.loss.backward()
    model.eval()
    for name in ("loss", "entity_loss", "relation_loss"):
        assert getattr(outputs, name).item() == pytest.approx(wanted[name], abs=1e-4)
    for name in ("entity_logits", "relation_logits"):
        for ours, theirs in zip(getattr(outputs, name), wanted[name]):
            torch.testing.assert_close(ours[: len(theirs)], torch.tensor(theirs), atol=1e-4, rtol=0)
    renamed = {"encoder": "bert", "span_classifier.linear": "entity_classifier"}
    renamed |= {"pair_classifier.linear": "rel_classifier", "width_embeddings": "size_embeddings"}
    norms = {}
    for name, parameter in model.named_parameters():
        prefix = next(prefix for prefix in renamed if name.startswith(prefix + "."))
        norms[renamed[prefix] + name[len(prefix) :]] = parameter.grad.norm().item()
    assert norms == pytest.approx(wanted["gradient_norms"], abs=1e-4)


def test_gold_of_the_training_batch_is_the_originals(golden, converted):
    """Which spans and pairs are gold, with their labels and in their order, as the collator finds them."""
    from spert.collating_spert import SpertTrainingDataset

    model, processor = converted
    wanted = json.loads((golden / "expected_training.json").read_text())["batch"]
    records = {tuple(record["tokens"]): record for record in json.loads((golden / "inputs.json").read_text())}
    for sentence in wanted:
        record = records[tuple(sentence["tokens"])]
        item = SpertTrainingDataset([record], processor, model.config)[0]
        gold = len(record["entities"])
        assert item["spans"][:gold].tolist() == sentence["spans"][:gold]
        assert item["span_labels"][:gold].tolist() == sentence["span_labels"][:gold]
        ours = {tuple(pair): label for pair, label in zip(item["pairs"].tolist(), item["pair_labels"].tolist())}
        theirs = {tuple(pair): label for pair, label in zip(sentence["pairs"], sentence["pair_labels"])}
        assert ours == theirs


@pytest.mark.parametrize("file", ["conll04_dev.json", "scierc_dev.json"])
@pytest.mark.parametrize("setting", ["all_spans", "without_overlapping"])
def test_scores(golden_metrics, file, setting):
    recorded = json.loads((golden_metrics / file).read_text())
    scores = compute_scores(
        recorded["references"],
        recorded["predictions"],
        symmetric_relations=[name for name, shown in recorded["types"]["relations"].items() if shown["symmetric"]],
        without_overlapping=setting == "without_overlapping",
    )
    wanted = {
        f"{task}_{name}": value / 100
        for task, values in recorded["expected"][setting].items()
        for name, value in values.items()
    }
    assert len(wanted) == 18
    assert {name: scores[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)
