"""Model selection, learning rates by layer, a frozen encoder, trackers, precision, pictures, the card."""

import ast
import json
import re

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModel

from spert.corpora import load_files, types_of
from spert.evaluation import compute_scores
from spert.training.arguments import TrainingArguments
from spert.training.card import write_card
from spert.training.optimization import freeze_encoder, make_optimizer, set_training_mode
from spert.training.tracking import trackers_of
from tests import tiny
from tests.runs import settings, train_here


def test_training_stops_early_and_takes_the_best_epoch(finished_run):
    folder, _ = finished_run
    dev = [row["ner_micro_f1"] for row in json.loads((folder / "dev_scores.json").read_text())]
    best = dev.index(max(dev))
    assert len(dev) == best + 1 + 4 < 40
    outcome = json.loads((folder / "run.json").read_text())["outcome"]
    assert (outcome["epochs"], outcome["epoch_of_the_model"]) == (len(dev), best + 1)
    (weights,) = (folder / "checkpoints").glob("best-*/model.safetensors")
    kept, saved = load_file(weights), load_file(folder / "model.safetensors")
    assert all(torch.equal(value, kept[name]) for name, value in saved.items())


def test_trackers_hear_of_losses_and_scores(finished_run):
    folder, _ = finished_run
    events = EventAccumulator(str(folder / "spert"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"entity_loss", "relation_loss", "learning_rate", "validation_ner_micro_f1", "test_ner_micro_f1"} <= tags
    assert [event.step for event in events.Scalars("entity_loss")][:3] == [2, 4, 6]


def test_pictures(finished_run):
    folder, _ = finished_run
    for name in ("learning_curves.png", "scores_by_type.png"):
        content = (folder / name).read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
        assert min(width, height) > 300


class TestCard:
    def test_its_metadata_is_what_the_hub_reads(self, finished_run):
        folder, _ = finished_run
        card = ModelCard.load(folder / "README.md")
        metrics = json.loads((folder / "metrics.json").read_text())
        found = {result.metric_name: result.metric_value for result in card.data.eval_results}
        assert found["relations, strict: micro f1"] == round(metrics["rel_strict_micro_f1"], 4)
        assert len(found) == 9
        assert {result.dataset_split for result in card.data.eval_results} == {"test"}
        assert card.data.library_name == "transformers"
        assert "relation-extraction" in card.data.tags

    def test_its_code_runs(self, finished_run):
        folder, _ = finished_run
        (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
        names = {}
        exec(code, names)
        assert names["result"]["text"]

    def test_it_says_what_a_reader_asks(self, finished_run, easy_corpus):
        folder, _ = finished_run
        text = (folder / "README.md").read_text()
        for kind in json.loads((easy_corpus / "types.json").read_text())["entities"]:
            assert f"`{kind}`" in text
        for heading in ("Use it", "Types", "Data", "Scores", "Training", "Limits", "Licence and citation"):
            assert f"## {heading}\n" in text
        assert "`married_to` (symmetric)" in text
        assert "| sentences | 13 | 4 | 7 |" in text
        metrics = json.loads((folder / "metrics.json").read_text())
        assert f"| {metrics['ner_micro_f1']:.4f} |" in text
        assert not re.search(r"\{[{%]|None\b", text)

    def test_text_of_the_corpus_is_shown_as_text(self, finished_run, tmp_path):
        """A type and a word that would leave their places for a heading and a script."""
        folder, _ = finished_run
        run = json.loads((folder / "run.json").read_text())
        run["settings"] |= {"dataset_name": "my|<b>corpus</b>", "output_dir": 'out"\n```\n# Heading'}
        kind, word = "A`|<script>alert(1)</script>", 'Ada\n```\n# Heading\n<script>"\\'
        record = {"tokens": [word, "b", "c"], "entities": [{"type": kind, "start": 0, "end": 1}], "relations": []}
        (tmp_path / "train.json").write_text(json.dumps([record]))
        corpus = load_files({"train": str(tmp_path / "train.json")}, None)
        scores = compute_scores([record], [record])
        write_card(
            tmp_path / "README.md",
            config=tiny.config(**types_of(corpus).config_fields()),
            run=run,
            corpus=corpus,
            split="test",
            scores=scores,
            without_overlapping=scores,
            from_text=scores,
            predictions=[record],
        )
        content = ModelCard.load(tmp_path / "README.md").text
        assert "\n# Heading" not in content
        assert not re.search(r"(?<!\\)<(script|b)>", content.split("```")[0] + "".join(content.split("```")[2::2]))
        assert content.count("```") == 4, "two blocks of code"
        (code,) = re.findall(r"```python\n(.*?)```", content, flags=re.DOTALL)
        call = ast.parse(code).body[-1].value
        assert ast.literal_eval(call.args[0]) == f"{word} b c"
        assert ast.literal_eval(ast.parse(code).body[1].value.keywords[0].value) == run["settings"]["output_dir"]
        rows = [line for line in content.splitlines() if "alert" in line and line.startswith("|")]
        assert rows
        assert all(len(re.findall(r"(?<!\\)\|", row)) in (3, 7) for row in rows), "no type adds a column"


def test_train_on_validation(small_corpus, small_encoder, tmp_path):
    flags = settings(small_corpus, small_encoder, max_train_steps=1, train_on_validation=True)
    done = train_here(tmp_path / "both", *flags)
    assert "18 sentences, " in done.stdout
    (row,) = json.loads((tmp_path / "both" / "dev_scores.json").read_text())
    assert "ner_micro_f1" not in row


def test_bf16_and_a_frozen_encoder(small_corpus, small_encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")  # what `accelerate launch --mixed_precision bf16` sets
    train_here(tmp_path / "bf16", *settings(small_corpus, small_encoder, freeze_encoder=True, num_train_epochs=1))
    before = AutoModel.from_pretrained(small_encoder).state_dict()
    after = load_file(tmp_path / "bf16" / "model.safetensors")
    for name, value in after.items():
        assert value.dtype == torch.float32
        if name.startswith("encoder."):
            assert torch.equal(value, before[name.removeprefix("encoder.")])
    assert json.loads((tmp_path / "bf16" / "run.json").read_text())["machine"]["mixed_precision"] == "bf16"


class TestOptimizer:
    def rates(self, model, **flags):
        optimizer = make_optimizer(model, TrainingArguments(dataset_name="a", learning_rate=0.5, **flags))
        by_parameter = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
        return {name: by_parameter.get(id(parameter)) for name, parameter in model.named_parameters()}

    @pytest.mark.parametrize("kind", tiny.ENCODERS)
    def test_rates_by_layer(self, kind):
        rates = self.rates(tiny.model(kind), layerwise_lr_decay=0.5, head_learning_rate=0.75)
        for name, rate in rates.items():
            if not name.startswith("encoder."):
                assert rate == 0.75, name
            elif re.search(r"\.(layers?)\.1\.", name):
                assert rate == 0.5, name
            elif re.search(r"\.(layers?)\.0\.", name):
                assert rate == 0.25, name
            elif "embed" in name:
                assert rate == 0.125, name
            else:
                assert rate == 0.5, name
        assert {0.125, 0.25, 0.5, 0.75} == set(rates.values())

    def test_one_rate_by_default(self):
        assert set(self.rates(tiny.model("bert")).values()) == {0.5}

    def test_a_frozen_encoder_gets_no_rate_and_no_dropout(self):
        model = tiny.model("bert")
        freeze_encoder(model)
        rates = self.rates(model)
        assert all((rate is None) == name.startswith("encoder.") for name, rate in rates.items())
        set_training_mode(model)
        assert model.training
        assert not model.encoder.training

    def test_an_encoder_without_numbered_layers_is_refused(self):
        model = tiny.model("bert")
        model.encoder = torch.nn.Linear(2, 2)
        with pytest.raises(ValueError, match="expected an encoder with numbered layers, got Linear"):
            self.rates(model, layerwise_lr_decay=0.9)


def test_trackers_that_are_unknown_or_missing_are_refused(monkeypatch):
    arguments = TrainingArguments(dataset_name="a", with_tracking=True, report_to="tensorboard, mlflow")
    monkeypatch.setattr("spert.training.tracking.get_available_trackers", lambda: ["tensorboard"])
    with pytest.raises(ValueError, match=r"mlflow is not installed. Install it \(pip install mlflow\)"):
        trackers_of(arguments)
    arguments.report_to = "tensorbord"
    with pytest.raises(ValueError, match=r"expected trackers out of .*tensorboard.*, got 'tensorbord'"):
        trackers_of(arguments)
    arguments.report_to = "all"
    assert trackers_of(arguments) == ["tensorboard"]
    monkeypatch.setattr("spert.training.tracking.get_available_trackers", list)
    with pytest.raises(ValueError, match="found none"):
        trackers_of(arguments)
    arguments.with_tracking = False
    assert trackers_of(arguments) is None


def test_a_corpus_without_validation_cannot_choose(small_corpus, small_encoder, tmp_path):
    flags = settings(None, small_encoder, train_file=small_corpus / "train.json", early_stopping_patience=2)
    with pytest.raises(ValueError, match=r"needs a validation split, got the splits \{'train': 13\}"):
        train_here(tmp_path / "x", *flags)
