"""A run of `train_accelerate.py` from end to end, its batches, optimizer and schedule."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from accelerate import DistributedType
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModel, AutoProcessor

import train_accelerate
from spert.collating_spert import SpertDataCollator
from spert.evaluation import compute_scores
from spert.prediction import as_spert_json, predict
from spert.training.arguments import TrainingArguments
from spert.training.batches import ShardedBatchSampler, TrainingCollator, count_targets
from spert.training.corpus import count_relation_arguments
from spert.training.launch import processes_asked_for, refuse_sharded_models
from spert.training.optimization import make_optimizer, make_schedule
from tests import forked, tiny
from tests.runs import ACCELERATE, ROOT, settings, train_here, variables
from tests.tolerance import assert_close


class TestResult:
    def test_what_a_run_leaves_behind(self, finished_run, easy_corpus):
        folder, _ = finished_run
        names = {file.name for file in folder.iterdir()}
        assert {"config.json", "model.safetensors", "processor_config.json", "modeling_spert.py"} <= names
        assert {"metrics.json", "predictions.json", "dev_scores.json", "run.json", "README.md"} <= names
        assert not [name for name in names if "partial" in name]
        predictions = json.loads((folder / "predictions.json").read_text())
        test = json.loads((easy_corpus / "test.json").read_text())
        assert [record["tokens"] for record in predictions] == [record["tokens"] for record in test]
        assert any(record["entities"] for record in predictions)
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics == compute_scores(test, predictions, symmetric_relations=["married_to"])
        dev = json.loads((folder / "dev_scores.json").read_text())
        assert [row["epoch"] for row in dev] == list(range(1, len(dev) + 1))
        assert [row["step"] for row in dev] == [4 * row["epoch"] for row in dev]
        assert dev[-1]["entity_loss"] < dev[0]["entity_loss"]
        assert dev[-1]["relation_loss"] < dev[0]["relation_loss"]
        assert "rel_strict_micro_f1" in dev[0]

    def test_what_a_run_prints(self, finished_run):
        folder, done = finished_run
        assert "13 sentences, 3 entity types, 3 relation types" in done.stdout
        assert "1 process(es)" in done.stdout
        assert f"The model is in {folder}." in done.stdout
        assert "Relations, strict" in " ".join(done.stdout.split())
        metrics = json.loads((folder / "metrics_from_text.json").read_text())
        assert f"text alone, micro F1: entities {metrics['ner_micro_f1']:.4f}" in done.stdout
        assert re.search(r"epoch 1: loss \d\.\d+ \+ \d\.\d+, validation: entities \d\.\d+, relations \d", done.stderr)

    def test_the_saved_model_predicts_what_was_scored(self, finished_run, easy_corpus):
        folder, _ = finished_run
        model = AutoModel.from_pretrained(folder, trust_remote_code=True)
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
        test = json.loads((easy_corpus / "test.json").read_text())
        records = as_spert_json(predict(model, processor, [record["tokens"] for record in test]))
        saved = json.loads((folder / "predictions.json").read_text())
        assert records == [{name: record[name] for name in ("tokens", "entities", "relations")} for record in saved]
        assert any(record["relations"] for record in records)

    def test_a_recorded_run_is_repeated_by_its_settings(self, finished_run, tmp_path):
        folder, _ = finished_run
        run = json.loads((folder / "run.json").read_text())
        assert run["finished"]
        assert run["corpus"]["train"]["sentences"] == 13
        assert re.fullmatch(r"[0-9a-f]{64}", run["identity"]["corpus"]["train"])
        assert run["versions"]["torch"] == torch.__version__
        assert "--early_stopping_patience 4" in run["command"]
        assert "hub_token" not in run["settings"]
        assert None in run["settings"].values()
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(run["settings"]))
        train_here(tmp_path / "again", tmp_path / "recipe.yaml")
        again = json.loads((tmp_path / "again" / "run.json").read_text())
        assert again["settings"] | {"output_dir": None} == run["settings"] | {"output_dir": None}
        assert again["identity"] == run["identity"]
        # The first epoch, before steps at this rate make much of how weights are rounded.
        losses = [json.loads((place / "dev_scores.json").read_text())[0] for place in (tmp_path / "again", folder)]
        for name in ("entity_loss", "relation_loss"):
            assert_close(losses[0][name], losses[1][name])

    def test_another_seed_is_another_run(self, small_corpus, small_encoder, tmp_path):
        for seed in (7, 8):
            train_here(tmp_path / str(seed), *settings(small_corpus, small_encoder, seed=seed, max_train_steps=1))
        one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("7", "8"))
        assert not all(torch.equal(value, other[name]) for name, value in one.items())

    def test_a_trained_model_is_not_overwritten(self, finished_run, easy_corpus, small_encoder):
        folder, _ = finished_run
        before = (folder / "model.safetensors").stat().st_mtime_ns
        with pytest.raises(FileExistsError, match="--overwrite_output_dir"):
            train_here(folder, *settings(easy_corpus, small_encoder))
        assert (folder / "model.safetensors").stat().st_mtime_ns == before

    def test_files_about_a_model_that_is_overwritten_go_with_it(self, small_encoder, tmp_path):
        """Also those that the new run does not write: here there is nothing to score."""
        record = {"tokens": ["Ada", "Park"], "entities": [{"type": "P", "start": 0, "end": 1}], "relations": []}
        (tmp_path / "train.json").write_text(json.dumps([record]))
        folder = tmp_path / "out"
        folder.mkdir()
        old = {"config.json", "metrics.json", "predictions.json", "tuning.json", "calibration.png"}
        for name in (*old, "notes.txt"):
            (folder / name).write_text("old")
        flags = ["--train_file", tmp_path / "train.json", "--model_name_or_path", small_encoder]
        train_here(folder, *flags, "--max_train_steps", 1, "--overwrite_output_dir")
        assert {name for name in old if (folder / name).exists()} == {"config.json"}
        assert (folder / "notes.txt").read_text() == "old"
        assert not [path.name for path in folder.glob(".*")], "no lock is left"

    def test_word_rules_are_learned_from_the_training_split(self, small_encoder, tmp_path):
        record = {"tokens": ["Ada", "-", "Park"], "entities": [{"type": "P", "start": 0, "end": 1}], "relations": []}
        (tmp_path / "train.json").write_text(json.dumps([record] * 3))
        flags = ["--train_file", tmp_path / "train.json", "--model_name_or_path", small_encoder]
        train_here(tmp_path / "out", *flags, "--max_train_steps", 1)
        saved = json.loads((tmp_path / "out" / "processor_config.json").read_text())
        processor = tiny.processor("bert")
        processor.learn_words([record["tokens"]] * 3)
        assert saved["word_rules"] == json.loads(json.dumps(processor.word_rules.to_dict()))

    def test_relation_arguments_are_learned_if_asked_for(self, finished_run, small_corpus):
        folder, _ = finished_run
        run, config = (json.loads((folder / name).read_text()) for name in ("run.json", "config.json"))
        assert run["relation_arguments"] == {
            "located_in": [["Organization", "Place", 4]],
            "married_to": [["Person", "Person", 3]],
            "works_for": [["Person", "Organization", 7]],
        }
        assert config["relation_arguments"] == {
            "located_in": [["Organization", "Place"]],
            "married_to": [["Person", "Person"]],
            "works_for": [["Person", "Organization"]],
        }
        assert count_relation_arguments([]) == {}


class TestInputs:
    """What a run reads."""

    def test_own_files_with_declared_types_and_no_test_split(self, small_corpus, small_encoder, tmp_path):
        flags = settings(
            None,
            small_encoder,
            train_file=small_corpus / "train.json",
            validation_file=small_corpus / "validation.json",
            types_file=small_corpus / "types.json",
            max_train_steps=2,
        )
        done = train_here(tmp_path / "own", *flags)
        predictions = json.loads((tmp_path / "own" / "predictions.json").read_text())
        assert len(predictions) == 5, "the sentences of validation"
        assert "validation, 5 sentences" in " ".join(done.stdout.split())
        assert json.loads((tmp_path / "own" / "config.json").read_text())["symmetric_relations"] == ["married_to"]
        dev = json.loads((tmp_path / "own" / "dev_scores.json").read_text())
        assert [(row["epoch"], row["step"]) for row in dev] == [(1, 2)]

    def test_entities_only(self, small_encoder, tmp_path):
        entity = {"type": "Place", "start": 2, "end": 3}
        records = [{"tokens": ["Ada", "of", "Oslo"], "entities": [entity], "relations": []}] * 5
        (tmp_path / "train.json").write_text(json.dumps(records))
        flags = settings(None, small_encoder, max_train_steps=30, per_device_train_batch_size=2)
        flags += ["--train_file", tmp_path / "train.json", "--test_file", tmp_path / "train.json"]
        train_here(tmp_path / "out", *flags)
        metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert metrics["ner_micro_f1"] == 1.0
        assert metrics["rel_strict_micro_f1"] == 0.0
        assert json.loads((tmp_path / "out" / "dev_scores.json").read_text())[0]["relation_loss"] == 0.0

    def test_without_anything_to_score(self, small_corpus, small_encoder, tmp_path):
        flags = settings(None, small_encoder, train_file=small_corpus / "train.json", max_train_steps=1)
        done = train_here(tmp_path / "out", *flags)
        assert f"The model is in {tmp_path / 'out'}." in done.stdout
        assert "neither a test nor a validation split: there are no scores" in done.stdout
        assert "epoch 1: loss" in done.stderr
        assert json.loads((tmp_path / "out" / "run.json").read_text())["finished"]
        assert not (tmp_path / "out" / "metrics.json").exists()

    @pytest.fixture
    def corpus_with(self, easy_corpus, tmp_path):
        """Makes a corpus whose third record of a split has other words."""

        def with_words(split, words):
            folder = tmp_path / "corpus"
            shutil.copytree(easy_corpus, folder)
            records = json.loads((folder / f"{split}.json").read_text())
            records[2] |= {"tokens": words, "entities": [], "relations": []}
            (folder / f"{split}.json").write_text(json.dumps(records))
            return folder

        return with_words

    def test_a_training_sentence_that_is_too_long_is_refused(self, corpus_with, tiny_bert_folder, tmp_path):
        corpus = corpus_with("train", ["Oslo"] * 600)
        with pytest.raises(ValueError, match=r"Split train, record 2 \(id 'train-2'\): .*602 pieces.*at most 512"):
            train_here(tmp_path / "out", *settings(corpus, tiny_bert_folder))
        assert not (tmp_path / "out" / "config.json").exists()

    @pytest.mark.parametrize("split", ["validation", "test"])
    def test_a_word_that_no_window_holds_is_refused_before_the_first_step(
        self, split, corpus_with, tiny_bert_folder, tmp_path
    ):
        corpus = corpus_with(split, ["!" * 600, "Oslo"])
        with pytest.raises(ValueError, match=rf"Split {split}, record 2 \(id '{split}-2'\): "):
            train_here(tmp_path / "out", *settings(corpus, tiny_bert_folder))
        assert not (tmp_path / "out" / "dev_scores.json").exists()

    def test_a_long_sentence_is_scored_in_windows_and_counted(self, corpus_with, tiny_bert_folder, tmp_path, caplog):
        corpus = corpus_with("test", ["Oslo"] * 600)
        train_here(tmp_path / "out", *settings(corpus, tiny_bert_folder, max_train_steps=1))
        assert "test: 1 sentences are longer than the encoder takes, and are scored in windows" in caplog.text
        predictions = json.loads((tmp_path / "out" / "predictions.json").read_text())
        assert len(predictions[2]["tokens"]) == 600

    def test_a_run_starts_from_a_trained_model(self, finished_run, easy_corpus, tmp_path):
        folder, _ = finished_run
        flags = settings(easy_corpus, folder, learning_rate=1e-9, max_train_steps=1)
        done = train_here(tmp_path / "more", *flags)
        assert (
            f"Starting from the SpERT model {folder}, with its encoder; width embeddings; heads of the entity types "
            f"Person, Organization, Place; heads of the relation types works_for, located_in, married_to."
            in done.stdout
        )
        before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "more"))
        assert_close({name: after[name] for name in before}, before)

    def test_only_heads_of_known_types_are_taken_over(self, finished_run, small_corpus, tmp_path):
        folder, _ = finished_run
        done = train_here(tmp_path / "other", *settings(small_corpus, folder, max_train_steps=1))
        (entity_types,) = re.findall("heads of the entity types (.*?);", done.stdout)
        assert set(entity_types.split(", ")) == {"Organization", "Person", "Place"}, "and not Product"


class TestFailures:
    """What goes wrong late costs as little as possible."""

    def test_a_model_is_saved_before_it_is_scored(self, easy_corpus, small_encoder, tmp_path, monkeypatch):
        folder = tmp_path / "out"
        flags = settings(easy_corpus, small_encoder, num_train_epochs=1, checkpointing_steps="epoch")
        score = train_accelerate.score

        def fail_on_test(run, model, split, **kwargs):
            if split == "test":
                raise RuntimeError("the disk is on fire")
            return score(run, model, split, **kwargs)

        monkeypatch.setattr(train_accelerate, "score", fail_on_test)
        with pytest.raises(RuntimeError, match="on fire"):
            train_here(folder, *flags)
        assert AutoModel.from_pretrained(folder, trust_remote_code=True).config.entity_types == tiny.ENTITY_TYPES
        assert AutoProcessor.from_pretrained(folder, trust_remote_code=True)
        assert not json.loads((folder / "run.json").read_text())["finished"]
        weights = (folder / "model.safetensors").read_bytes()

        monkeypatch.setattr(train_accelerate, "score", score)
        with pytest.raises(FileExistsError, match="this folder holds a trained model"):
            train_here(folder, *flags)
        with pytest.raises(FileExistsError, match=r"a run with other settings: seed 7 there, 8 here"):
            train_here(folder, *flags, "--seed", 8, "--resume_from_checkpoint", "latest")
        done = train_here(folder, *flags, "--resume_from_checkpoint", "latest")
        assert "Resuming at step 4 of 4." in done.stdout
        assert (folder / "model.safetensors").read_bytes() == weights
        assert json.loads((folder / "run.json").read_text())["finished"]
        assert (folder / "metrics.json").exists()
        assert "this run is finished" in train_here(folder, *flags, "--resume_from_checkpoint", "latest").stdout

    @pytest.mark.parametrize("checkpointing_steps", ["1", None])
    def test_a_loss_that_is_not_finite_ends_the_run(
        self, checkpointing_steps, easy_corpus, small_encoder, tmp_path, monkeypatch
    ):
        step = train_accelerate.train_step
        steps = []

        def diverge(*arguments):
            steps.append(step(*arguments))
            return steps[-1] * (float("nan") if len(steps) == 3 else 1)

        monkeypatch.setattr(train_accelerate, "train_step", diverge)
        flags = settings(easy_corpus, small_encoder, checkpointing_steps=checkpointing_steps, logging_steps=3)
        latest = "last good checkpoint is .*step-00000002" if checkpointing_steps else "There is no checkpoint"
        message = f"Step 3, epoch 1: expected finite losses .* got mean losses of nan .*--learning_rate.*{latest}"
        with pytest.raises(FloatingPointError, match=message):
            train_here(tmp_path / "out", *flags)
        assert not (tmp_path / "out" / "config.json").exists()

    def test_weights_that_are_not_finite_are_not_saved(self, easy_corpus, small_encoder, tmp_path, monkeypatch):
        step = train_accelerate.train_step

        def diverge(accelerator, model, *arguments):
            losses = step(accelerator, model, *arguments)
            model.width_embeddings.weight.data[3, 2] = float("inf")
            return losses

        monkeypatch.setattr(train_accelerate, "train_step", diverge)
        with pytest.raises(FloatingPointError, match=r"Step 1, .*and weights that are not finite"):
            train_here(tmp_path / "out", *settings(easy_corpus, small_encoder, checkpointing_steps=1))
        assert not list((tmp_path / "out").rglob("*.safetensors"))


def step_losses(folder):
    """The entity and the relation loss of each step, as the tracker got them."""
    events = EventAccumulator(str(folder / "spert"))
    events.Reload()
    return [[event.value for event in events.Scalars(name)] for name in ("entity_loss", "relation_loss")]


@pytest.mark.slow
def test_any_number_of_processes_trains_as_one_does(small_corpus, small_encoder, tmp_path):
    """Global batches of 6, and one of a single sentence, which leaves a process without any; also after resuming."""
    tracked = {"with_tracking": True, "logging_steps": 1, "report_to": "tensorboard", "checkpointing_steps": 1}
    train_here(tmp_path / "one", *settings(small_corpus, small_encoder, per_device_train_batch_size=6, **tracked))
    shape = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3}
    train_here(tmp_path / "accumulated", *settings(small_corpus, small_encoder, **shape, **tracked))
    flags = settings(small_corpus, small_encoder, per_device_train_batch_size=3, **tracked)
    two = forked.train_several(2, tmp_path / "two", *flags)
    assert two.returncode == 0, two.output
    assert "2 process(es) on cpu" in two.output
    assert two.output.count("epoch 2: loss") == 1, "only the main process prints"
    assert two.output.count("Relations, strict") == 1
    assert two.output.count("The model is in") == 1

    expected = step_losses(tmp_path / "one")
    assert [len(losses) for losses in expected] == [6, 6]
    for name in ("accumulated", "two"):
        assert_close(step_losses(tmp_path / name), expected)
        assert_same_result(tmp_path / name, tmp_path / "one")

    middle = tmp_path / "two" / "checkpoints" / "step-00000005"
    flags += ["--resume_from_checkpoint", middle]
    resumed = forked.train_several(2, tmp_path / "resumed", *flags)
    assert resumed.returncode == 0, resumed.output
    assert "Resuming at step 5 of 6" in resumed.output
    assert_same_result(tmp_path / "resumed", tmp_path / "two")


def assert_same_result(folder, other):
    rows, wanted = (json.loads((place / "dev_scores.json").read_text()) for place in (folder, other))
    assert_close(rows, wanted)
    weights, wanted = (load_file(place / "model.safetensors") for place in (folder, other))
    for name, value in wanted.items():
        torch.testing.assert_close(weights[name], value, atol=1e-3, rtol=1e-3)
    assert (folder / "predictions.json").read_text() == (other / "predictions.json").read_text()


class TestLaunch:
    @pytest.mark.slow
    def test_a_launcher_that_starts_fewer_processes_is_refused(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(
            "import os\n"
            "from spert.training.launch import check_number_of_processes\n"
            "check_number_of_processes(int(os.environ.get('WORLD_SIZE', 1)))\n"
        )
        launcher = [*ACCELERATE, "--cpu", "--num_processes", "2", str(script)]
        done = subprocess.run(launcher, capture_output=True, text=True, env=variables())
        assert done.returncode != 0
        assert "Expected 2 processes, as accelerate launch was asked for, but 1 run" in done.stderr

    def test_models_that_are_spread_over_processes_are_refused(self):
        for strategy in (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU):
            refuse_sharded_models(SimpleNamespace(distributed_type=strategy))
        with pytest.raises(ValueError, match="each hold the whole model, got FSDP"):
            refuse_sharded_models(SimpleNamespace(distributed_type=DistributedType.FSDP))

    def test_how_many_processes_a_launcher_was_asked_for(self, tmp_path, monkeypatch):
        monkeypatch.setattr("spert.training.launch.default_config_file", str(tmp_path / "none.yaml"))
        shape = {"compute_environment": "LOCAL_MACHINE", "distributed_type": "NO", "num_processes": 3}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(shape))

        def asked(*words):
            return processes_asked_for(SimpleNamespace(cmdline=lambda: list(words)))

        assert asked(*ACCELERATE, "--num_processes", "2", "train_accelerate.py", "--num_processes", "9") == 2
        assert asked("accelerate", "launch", "--config_file", str(tmp_path / "config.yaml"), "x.py") == 3
        assert asked("accelerate", "launch", "x.py") is None
        assert asked("accelerate", "config") is None
        assert asked(sys.executable, "launch", "x.py") is None
        assert processes_asked_for(None) is None


class TestBatches:
    @pytest.mark.parametrize("num_processes", [1, 2, 3])
    @pytest.mark.parametrize("accumulation_steps", [1, 2])
    def test_every_sentence_once_an_epoch_in_the_same_global_batches(self, num_processes, accumulation_steps):
        batch_size = 6 // num_processes
        samplers = [
            ShardedBatchSampler(
                23,
                batch_size,
                seed=1,
                accumulation_steps=accumulation_steps,
                process_index=index,
                num_processes=num_processes,
            )
            for index in range(num_processes)
        ]
        epochs = []
        for epoch in range(2):
            batches = []
            for sampler in samplers:
                sampler.set_epoch(epoch)
                assert len(list(sampler)) == len(sampler) == sampler.steps_per_epoch * accumulation_steps
                batches.append(list(sampler))
            steps = [
                [
                    i
                    for micro in range(accumulation_steps)
                    for own in batches
                    for i in own[s * accumulation_steps + micro]
                ]
                for s in range(samplers[0].steps_per_epoch)
            ]
            seen = [index for step in steps for index in step]
            assert sorted(seen) == list(range(23))
            epochs.append(seen)
        assert epochs[0] != epochs[1]
        alone = ShardedBatchSampler(23, 6, seed=1)
        assert [index for batch in alone for index in batch] == epochs[0]

    def test_no_two_epochs_of_different_seeds_share_an_order(self):
        orders = set()
        for seed in range(5):
            sampler = ShardedBatchSampler(50, 50, seed=seed)
            for epoch in range(5):
                sampler.set_epoch(epoch)
                orders.add(tuple(*sampler))
        assert len(orders) == 25

    @pytest.mark.parametrize("accumulation_steps", [1, 3])
    def test_skipped_steps_are_the_first_ones(self, accumulation_steps):
        sampler = ShardedBatchSampler(23, 2, seed=1, accumulation_steps=accumulation_steps)
        sampler.set_epoch(4)
        whole = list(sampler)
        for skipped in range(sampler.steps_per_epoch + 1):
            sampler.set_epoch(4, skip_steps=skipped)
            assert list(sampler) == whole[skipped * accumulation_steps :]

    def test_a_process_without_sentences_adds_nothing_but_takes_part(self):
        model = tiny.model("bert").train()
        batch = TrainingCollator(SpertDataCollator(tiny.processor("bert")), 3)([])
        assert count_targets(batch).tolist() == [0, 0, 0]
        outputs = model(**batch)
        assert outputs.loss == 0
        outputs.loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert sum(parameter.grad.abs().sum() for parameter in model.parameters()) == 0


def test_weight_decay_spares_biases_and_layer_norms():
    model = tiny.model("bert")
    optimizer = make_optimizer(model, TrainingArguments(dataset_name="a"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, spared = ({names[id(parameter)] for parameter in group["params"]} for group in optimizer.param_groups)
    assert (optimizer.param_groups[0]["weight_decay"], optimizer.param_groups[1]["weight_decay"]) == (0.01, 0.0)
    assert spared == {name for name in names.values() if name.endswith("bias") or "LayerNorm" in name}
    assert decayed | spared == set(names.values())


def test_the_rate_rises_over_a_tenth_and_falls_to_zero():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=5e-5)
    schedule = make_schedule(optimizer, TrainingArguments(dataset_name="a"), 100)
    rates = []
    for _ in range(101):
        rates.append(schedule.get_last_lr()[0] / 5e-5)
        optimizer.step()
        schedule.step()
    assert rates[0] == 0
    assert rates[5] == pytest.approx(0.5)
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == 0


def test_what_the_plain_trainer_saves_loads(tiny_bert_folder, tmp_path, monkeypatch):
    """The block of docs/training.md, as it stands there."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")
    exec(code, {"encoder": str(tiny_bert_folder)})
    (checkpoint,) = (tmp_path / "outputs" / "trainer").glob("checkpoint-*")
    model = AutoModel.from_pretrained(checkpoint, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(checkpoint, trust_remote_code=True)
    (result,) = predict(model.eval(), processor, [["Ada", "Park"]])
    assert result["text"] == "Ada Park"
