"""`train_accelerate.py` as users run it: real processes."""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModel, AutoProcessor

from spert.evaluation import compute_scores
from spert.prediction import as_spert_json, predict
from spert.training.arguments import TrainingArguments, parse_arguments
from spert.training.batches import ShardedBatchSampler, TrainingCollator, count_targets
from spert.training.optimization import make_optimizer, make_schedule
from tests import tiny
from tests.runs import ACCELERATE, ONE, settings, several, train


@pytest.fixture(scope="module")
def trained(small_corpus, small_encoder, tmp_path_factory):
    output = tmp_path_factory.mktemp("run") / "one"
    done = train(ONE, output, *settings(small_corpus, small_encoder))
    assert done.returncode == 0, done.stderr
    return output, done


def test_what_a_run_leaves_behind(trained, small_corpus):
    output, done = trained
    names = {file.name for file in output.iterdir()}
    assert {"config.json", "model.safetensors", "processor_config.json", "modeling_spert.py"} <= names
    assert {"metrics.json", "predictions.json", "dev_scores.json"} <= names
    assert not [name for name in names if "partial" in name]
    predictions = json.loads((output / "predictions.json").read_text())
    test = json.loads((small_corpus / "test.json").read_text())
    assert [one["tokens"] for one in predictions] == [one["tokens"] for one in test]
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics == compute_scores(test, predictions, symmetric_relations=["married_to"])
    dev = json.loads((output / "dev_scores.json").read_text())
    assert [row["epoch"] for row in dev] == [1, 2]
    assert [row["step"] for row in dev] == [4, 8]
    assert dev[1]["entity_loss"] < dev[0]["entity_loss"]
    assert "rel_strict_micro_f1" in dev[0]
    assert "Relations, strict" in done.stdout
    assert "1 process(es)" in done.stdout


def test_the_saved_model_predicts_what_was_scored(trained, small_corpus):
    output, _ = trained
    model = AutoModel.from_pretrained(output, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(output, trust_remote_code=True)
    test = json.loads((small_corpus / "test.json").read_text())
    records = as_spert_json(predict(model, processor, [one["tokens"] for one in test]))
    saved = json.loads((output / "predictions.json").read_text())
    assert records == [{name: one[name] for name in ("tokens", "entities", "relations")} for one in saved]


def test_same_seed_same_result(trained, small_corpus, small_encoder, tmp_path):
    output, _ = trained
    assert train(ONE, tmp_path / "again", *settings(small_corpus, small_encoder)).returncode == 0
    assert train(ONE, tmp_path / "other", *settings(small_corpus, small_encoder, seed=8)).returncode == 0
    ours, again, other = (
        load_file(folder / "model.safetensors") for folder in (output, tmp_path / "again", tmp_path / "other")
    )
    assert all(torch.equal(value, again[name]) for name, value in ours.items())
    assert not all(torch.equal(value, other[name]) for name, value in ours.items())
    assert (output / "metrics.json").read_text() == (tmp_path / "again" / "metrics.json").read_text()


def step_losses(folder):
    """The entity and the relation loss of each step, as the tracker heard of them."""
    events = EventAccumulator(str(folder / "spert"))
    events.Reload()
    return [[event.value for event in events.Scalars(name)] for name in ("entity_loss", "relation_loss")]


@pytest.mark.slow
def test_any_number_of_processes_trains_as_one_does(small_corpus, small_encoder, tmp_path):
    """Global batches of 6, and one of a single sentence, which leaves processes without any."""
    shapes = {
        "one": (ONE, {"per_device_train_batch_size": 6}),
        "accumulated": (ONE, {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3}),
        "two": (several(2), {"per_device_train_batch_size": 3}),
        "three": (several(3), {"per_device_train_batch_size": 2}),
    }
    for name, (launcher, changes) in shapes.items():
        flags = settings(small_corpus, small_encoder, **changes, with_tracking=True, logging_steps=1)
        done = train(launcher, tmp_path / name, *flags, "--report_to", "tensorboard", ACCELERATE_USE_CPU="true")
        assert done.returncode == 0, done.stderr
        number = {"two": 2, "three": 3}.get(name, 1)
        assert f"{number} process(es) on cpu" in done.stdout
    expected = step_losses(tmp_path / "one")
    assert [len(losses) for losses in expected] == [6, 6]
    one = tmp_path / "one"
    for name in ("accumulated", "two", "three"):
        folder = tmp_path / name
        for losses, wanted in zip(step_losses(folder), expected, strict=True):
            assert losses == pytest.approx(wanted, abs=1e-5)
        rows, wanted = (json.loads((one_of / "dev_scores.json").read_text()) for one_of in (folder, one))
        for row, wanted_row in zip(rows, wanted, strict=True):
            assert row == pytest.approx(wanted_row, abs=1e-5)
        weights, wanted = load_file(folder / "model.safetensors"), load_file(one / "model.safetensors")
        for parameter, value in weights.items():
            torch.testing.assert_close(value, wanted[parameter], atol=1e-3, rtol=1e-3)
        assert (folder / "predictions.json").read_text() == (one / "predictions.json").read_text()


def test_a_launcher_that_starts_fewer_processes_is_refused(small_corpus, small_encoder, tmp_path):
    done = train([*ACCELERATE, "--cpu", "--num_processes", "2"], tmp_path / "x", *settings(small_corpus, small_encoder))
    assert done.returncode != 0
    assert "Expected 2 processes, as accelerate launch was asked for, but 1 run" in done.stderr
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"compute_environment": "LOCAL_MACHINE", "distributed_type": "NO", "num_processes": 3})
    )
    launcher = [*ACCELERATE, "--cpu", "--config_file", str(tmp_path / "config.yaml")]
    done = train(launcher, tmp_path / "x", *settings(small_corpus, small_encoder))
    assert "Expected 3 processes" in done.stderr


def test_own_files_with_declared_types_and_no_test_split(small_corpus, small_encoder, tmp_path):
    flags = {
        "train_file": small_corpus / "train.json",
        "validation_file": small_corpus / "validation.json",
        "types_file": small_corpus / "types.json",
        "model_name_or_path": small_encoder,
        "max_train_steps": 2,
        "per_device_train_batch_size": 4,
    }
    launcher = [sys.executable]  # without a launcher, too
    done = train(launcher, tmp_path / "own", *[word for name, value in flags.items() for word in (f"--{name}", value)])
    assert done.returncode == 0, done.stderr
    predictions = json.loads((tmp_path / "own" / "predictions.json").read_text())
    assert len(predictions) == 5  # of validation
    assert json.loads((tmp_path / "own" / "config.json").read_text())["symmetric_relations"] == ["married_to"]
    dev = json.loads((tmp_path / "own" / "dev_scores.json").read_text())
    assert [(row["epoch"], row["step"]) for row in dev] == [(1, 2)]


def test_entities_only(small_encoder, tmp_path):
    records = [
        {"tokens": ["Ada", "of", "Oslo"], "entities": [{"type": "Place", "start": 2, "end": 3}], "relations": []}
    ] * 5
    (tmp_path / "train.json").write_text(json.dumps(records))
    flags = ["--train_file", tmp_path / "train.json", "--test_file", tmp_path / "train.json", "--max_train_steps", 30]
    flags += ["--learning_rate", 1e-2, "--model_name_or_path", small_encoder]
    done = train([sys.executable], tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["ner_micro_f1"] == 1.0
    assert metrics["rel_strict_micro_f1"] == 0.0
    assert json.loads((tmp_path / "out" / "dev_scores.json").read_text())[0]["relation_loss"] == 0.0


def test_a_trained_model_is_not_overwritten_unasked(trained, small_corpus, small_encoder):
    output, _ = trained
    before = (output / "model.safetensors").stat().st_mtime_ns
    done = train([sys.executable], output, *settings(small_corpus, small_encoder))
    assert done.returncode != 0
    assert "--overwrite_output_dir" in done.stderr
    assert (output / "model.safetensors").stat().st_mtime_ns == before


class TestArguments:
    def test_the_papers_settings_are_the_defaults(self):
        arguments = TrainingArguments(dataset_name="conll04")
        assert (arguments.learning_rate, arguments.warmup_ratio, arguments.weight_decay) == (5e-5, 0.1, 0.01)
        assert (arguments.per_device_train_batch_size, arguments.num_train_epochs) == (2, 20)
        assert (arguments.num_negative_spans, arguments.num_negative_relations) == (100, 100)
        assert (arguments.max_grad_norm, arguments.head_dropout, arguments.width_embedding_size) == (1.0, 0.1, 25)

    def test_flags_override_the_recipe(self, tmp_path):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text("dataset_name: conll04\nlearning_rate: 1.0e-3\nseed: 5\nweight_decay: 0\n")
        arguments = parse_arguments([str(recipe), "--seed", "6"])
        assert (arguments.dataset_name, arguments.learning_rate, arguments.seed) == ("conll04", 1e-3, 6)
        assert arguments.weight_decay == 0.0

    @pytest.mark.parametrize("recipe", sorted((Path(__file__).parent.parent / "configs").glob("*.yaml")))
    def test_the_recipes_are_read(self, recipe):
        assert parse_arguments([str(recipe)]).dataset_name

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("learning_rte: 1.0", "unknown setting 'learning_rte'; did you mean 'learning_rate'"),
            ("learning_rate: 5e-5", r"learning_rate: expected a value of type float, got '5e-5'.*write 5.0e-5"),
            ("seed: yes", "seed: expected a value of type int, got True"),
            ("- 1", "expected settings, one `name: value` a line"),
        ],
    )
    def test_a_recipe_with_a_fault_is_refused(self, tmp_path, text, message):
        (tmp_path / "r.yaml").write_text(text)
        with pytest.raises(ValueError, match=message):
            parse_arguments([str(tmp_path / "r.yaml")])

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            ([], "either --dataset_name or --train_file"),
            (["--dataset_name", "a", "--train_file", "b"], "either --dataset_name or --train_file"),
            (["--dataset_name", "a", "--test_file", "b"], "go with --train_file"),
            (["--dataset_name", "a", "--num_train_epochs", "0"], "--num_train_epochs: expected at least 1, got 0"),
            (["--dataset_name", "a", "--num_negative_spans", "-1"], "--num_negative_spans: expected at least 0"),
            (["--dataset_name", "a", "--warmup_ratio", "2"], "--warmup_ratio: expected a number from 0 to 1"),
            (["--dataset_name", "a", "--learning_rate", "0"], "--learning_rate: expected a number above 0"),
        ],
    )
    def test_what_cannot_work_is_refused(self, flags, message):
        with pytest.raises(ValueError, match=message):
            parse_arguments(flags)

    def test_unknown_flags_are_refused(self, capsys):
        with pytest.raises((SystemExit, ValueError)):
            parse_arguments(["--dataset_name", "a", "--learning_rte", "1"])


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

    def test_a_process_without_sentences_adds_nothing_but_takes_part(self):
        from spert.collating_spert import SpertDataCollator

        model = tiny.model("bert").train()
        batch = TrainingCollator(SpertDataCollator(tiny.processor("bert")), 3)([])
        assert count_targets(batch).tolist() == [0, 0]
        outputs = model(**batch)
        assert outputs.loss == 0
        outputs.loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert sum(parameter.grad.abs().sum() for parameter in model.parameters()) == 0


def test_weight_decay_spares_biases_and_layer_norms():
    model = tiny.model("bert")
    optimizer = make_optimizer(model, TrainingArguments(dataset_name="a"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, spared = ({names[id(one)] for one in group["params"]} for group in optimizer.param_groups)
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
