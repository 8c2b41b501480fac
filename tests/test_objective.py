"""What a step minimises besides the two losses: pairs with wrong spans, R-Drop, teachers; and averaged weights."""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from spert import SpertModel, SpertProcessor
from spert.candidates_spert import false_entity_pairs
from spert.collating_spert import SpertDataCollator, SpertTrainingDataset
from spert.losses_spert import false_pair_loss
from spert.neighbours_spert import with_context
from spert.training.arguments import TrainingArguments
from spert.training.averaging import WeightAverage
from spert.training.objective import (
    Objective,
    entity_divergence,
    relation_divergence,
    soft_entity_loss,
    soft_relation_loss,
)
from spert.training.teachers import SoftTargets, Teachers, load_teachers
from tests import forked, tiny
from tests.runs import settings, train_here
from tests.tolerance import assert_close


def logits_of(*types):
    """Logits of two types for each span: of its likeliest class, and how likely that is."""
    rows = torch.zeros(1, len(types), 3)
    for span, (kind, size) in enumerate(types):
        rows[0, span, kind] = size
    return rows


@pytest.fixture(scope="module")
def batch():
    rows = SpertTrainingDataset(tiny.RECORDS, tiny.processor(), tiny.config(), num_negative_spans=20)
    return SpertDataCollator(tiny.processor())([rows[index] for index in range(4)])


class TestFalseEntityPairs:
    # Gold, gold that is missed, called an entity (surely, less surely), not called one, padding.
    LOGITS = logits_of((1, 5.0), (0, 1.0), (2, 4.0), (1, 1.0), (0, 2.0), (1, 9.0))
    LABELS = torch.tensor([[1, 2, 0, 0, 0, -100]])

    def pairs(self, number):
        pairs, is_pair = false_entity_pairs(self.LOGITS, self.LABELS, number)
        assert pairs.shape == (*is_pair.shape, 2)
        return [tuple(pair) for pair in pairs[is_pair].tolist()]

    def test_hold_a_span_that_is_wrongly_called_an_entity(self):
        assert sorted(self.pairs(100)) == [
            *((0, 2), (0, 3), (1, 2), (1, 3)),
            *((2, 0), (2, 1), (2, 3), (3, 0), (3, 1), (3, 2)),
        ]

    def test_are_those_of_the_surest_spans(self):
        assert self.pairs(2) == [(0, 2), (2, 0)]
        assert self.pairs(4) == [(0, 2), (2, 0), (0, 3), (3, 0)]

    def test_of_a_batch_are_those_of_its_sentences(self, batch):
        logits = torch.randn(*batch["span_labels"].shape, 4, generator=torch.Generator().manual_seed(0))
        pairs, is_pair = false_entity_pairs(logits, batch["span_labels"], 7)
        for row in range(len(logits)):
            alone, is_alone = false_entity_pairs(logits[row : row + 1], batch["span_labels"][row : row + 1], 7)
            assert torch.equal(pairs[row][is_pair[row]], alone[0][is_alone[0]])
        assert is_pair.any()

    def test_none(self):
        for labels in (self.LABELS[:, :2], self.LABELS[:, 4:], self.LABELS[:, :0]):
            _, is_pair = false_entity_pairs(self.LOGITS[:, : labels.shape[1]] * -1, labels, 5)
            assert not is_pair.any()

    def test_loss_is_a_mean_over_sentences(self):
        logits = torch.tensor([[[0.0, 2.0], [-1.0, 0.5]], [[3.0, 1.0], [9.0, 9.0]], [[9.0, 9.0]] * 2, [[9.0, 9.0]] * 2])
        is_pair = torch.tensor([[True, True], [True, False], [False, False], [False, False]])
        labels = torch.tensor([[1, 0], [0, -100], [0, 0], [-100, -100]])  # the last sentence is padding
        first = sum(math.log1p(math.exp(value)) for value in (0.0, 2.0, -1.0, 0.5)) / 4
        second = sum(math.log1p(math.exp(value)) for value in (3.0, 1.0)) / 2
        assert_close(false_pair_loss(logits, is_pair, labels), (first + second + 0) / 3)

    def test_the_model_adds_the_loss_and_nothing_else(self, batch):
        model = tiny.model()
        plain, more = model(**batch), model(**batch, num_false_entity_pairs=10)
        assert plain.false_pair_loss is None
        assert more.false_pair_loss > 0
        for name in ("entity_loss", "relation_loss", "entity_logits", "relation_logits"):
            assert torch.equal(plain[name], more[name])
        assert_close(more.loss, plain.loss + more.false_pair_loss)
        more.false_pair_loss.backward()
        assert model.pair_classifier.linear.weight.grad.abs().sum() > 0
        assert model.span_classifier.linear.weight.grad is None  # it only decides
        with pytest.raises(ValueError, match="expected `pairs` and `span_labels` beside `num_false_entity_pairs`"):
            model(batch["input_ids"], batch["word_pieces"], num_false_entity_pairs=10)

    @pytest.mark.parametrize("fields", [{}, tiny.ALL_CHOICES], ids=["paper", "all"])
    def test_the_model_scores_them_as_given_pairs(self, batch, fields):
        model = tiny.model(**fields)
        found = model(**batch, num_false_entity_pairs=10)
        pairs, is_pair = false_entity_pairs(found.entity_logits, batch["span_labels"], 10)
        assert is_pair.any()
        assert not is_pair.all()  # some are padding
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "word_pieces", "cls_piece", "spans")}
        logits = model(**inputs, pairs=pairs).relation_logits
        assert_close(found.false_pair_loss, false_pair_loss(logits, is_pair, batch["span_labels"]))
        found.false_pair_loss.backward()
        assert all(weights.grad is None or weights.grad.isfinite().all() for weights in model.parameters())


class TestParts:
    def test_literal(self):
        logits = torch.tensor([[[0.0, 0.0], [1.0, 0.0]], [[0.0, math.log(3)], [5.0, 0.0]]])
        labels = torch.tensor([[0, -100], [0, -100]])
        # (1/2, 1/2) and (1/4, 3/4)
        divergence = 0.5 * math.log(2) + 0.5 * math.log(2 / 3) + 0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2)
        assert_close(entity_divergence(logits, labels), divergence / 2)
        of_pairs = torch.tensor([[[0.0, 7.0]], [[math.log(3), 1.0]]])
        assert_close(relation_divergence(of_pairs, torch.tensor([[[1.0, -100.0]], [[1.0, -100.0]]])), divergence / 2)

    def test_soft_losses_of_hard_probabilities_are_the_losses(self, batch):
        outputs = tiny.model()(**batch)
        hard = functional.one_hot(batch["span_labels"].clamp(min=0), 4).float()
        assert_close(soft_entity_loss(outputs.entity_logits, hard, batch["span_labels"]), outputs.entity_loss)
        hard = batch["pair_labels"].clamp(min=0)
        assert_close(soft_relation_loss(outputs.relation_logits, hard, batch["pair_labels"]), outputs.relation_loss)

    def test_without_options_they_are_those_of_the_model(self, batch):
        model = tiny.model()
        outputs = model(**batch)
        assert Objective()(model, batch) == [outputs.entity_loss, outputs.relation_loss]

    def test_r_drop_of_a_model_without_dropout_adds_nothing(self, batch):
        model = tiny.model()
        assert_close(torch.stack(Objective(r_drop_weight=3.0)(model, batch)), torch.stack(Objective()(model, batch)))
        torch.manual_seed(0)
        model.train()
        with_drop, without = (Objective(r_drop_weight=weight)(model, batch) for weight in (1e-9, 0.0))
        assert len(with_drop) == len(without) == 2
        torch.manual_seed(1)
        light = torch.stack(Objective(r_drop_weight=1.0)(model, batch))
        torch.manual_seed(1)
        assert (torch.stack(Objective(r_drop_weight=2.0)(model, batch)) > light).all()

    def test_teachers(self, batch):
        """A model that teaches itself has no gradient from its teacher; the mean of two is in the middle."""
        model, other = tiny.model(), tiny.model(seed=1)
        alone = Objective(teach=Teachers([model]), distillation_weight=1.0)
        torch.stack(alone(model, batch)).sum().backward()
        assert all(weights.grad is None or weights.grad.abs().max() < 1e-5 for weights in model.parameters())
        both, *each = (Teachers(models)(batch) for models in ([model, other], [model], [other]))
        for name in SoftTargets._fields:
            assert_close(getattr(both, name), (getattr(each[0], name) + getattr(each[1], name)) / 2)
        hard = torch.stack(Objective()(model, batch))
        soft = torch.stack(Objective(teach=Teachers([other]), distillation_weight=1.0)(model, batch))
        mixed = torch.stack(Objective(teach=Teachers([other]), distillation_weight=0.25)(model, batch))
        assert_close(mixed, 0.75 * hard + 0.25 * soft)


def test_an_average_follows_the_weights():
    model = tiny.model()
    average = WeightAverage(model, decay=0.25)
    expected = None
    for step in range(1, 6):
        with torch.no_grad():
            model.span_classifier.linear.bias.fill_(float(step))
        average.update_parameters(model)
        decay = min(0.25, step / (9 + step))
        expected = float(step) if expected is None else decay * expected + (1 - decay) * step
        assert_close(average.module.span_classifier.linear.bias, torch.full((4,), expected))
    assert not any(weights.requires_grad for weights in average.parameters())


ALL = {
    "hard_negative_ratio": 0.5,
    "false_entity_pairs_from": 0.25,
    "ema_decay": 0.5,
    "r_drop_weight": 0.5,
}


@pytest.fixture(scope="module")
def teacher(small_corpus, small_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "run"
    train_here(folder, *settings(small_corpus, small_encoder, num_train_epochs=1, seed=3))
    return folder


@pytest.fixture(scope="module")
def flags(small_corpus, small_encoder, teacher):
    return settings(small_corpus, small_encoder, **ALL, teachers=f"{teacher},{teacher}", learning_rate=1e-3)


@pytest.fixture(scope="module")
def through(flags, tmp_path_factory):
    """A run with all of them."""
    folder = tmp_path_factory.mktemp("through") / "run"
    more = ["--checkpointing_steps", 3, "--save_total_limit", 9, "--load_best_model_at_end", "true"]
    train_here(folder, *flags, *more)
    return folder


class TestRuns:
    def test_resume_to_the_same_bits(self, flags, tmp_path):
        flags = [*flags, "--head_dropout", 0.3, "--load_best_model_at_end", "true"]
        train_here(tmp_path / "through", *flags, "--checkpointing_steps", 6)
        checkpoint = tmp_path / "through" / "checkpoints" / "step-00000006"
        assert (checkpoint / "average.safetensors").exists()
        train_here(tmp_path / "resumed", *flags, "--resume_from_checkpoint", checkpoint)
        weights, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("resumed", "through"))
        assert weights.keys() == expected.keys()
        assert all(torch.equal(values, expected[name]) for name, values in weights.items())
        dev = [json.loads((tmp_path / name / "dev_scores.json").read_text()) for name in ("resumed", "through")]
        assert dev[0] == dev[1]

    def test_the_result_is_the_average(self, through):
        """Of the last epoch or an earlier one: the checkpoint of the last step tells averages from weights."""
        saved = load_file(through / "model.safetensors")
        best = next((through / "checkpoints").glob("best-*"))
        assert all(torch.equal(values, saved[name]) for name, values in load_file(best / "model.safetensors").items())
        last = through / "checkpoints" / "step-00000008"
        average, weights = (load_file(last / f"{name}.safetensors") for name in ("average", "model"))
        assert average.keys() == weights.keys()
        assert any(not torch.equal(average[name], weights[name]) for name in weights)
        if best.name == "best-00000008":
            assert all(torch.equal(average[name], values) for name, values in saved.items())

    def test_micro_batches_train_as_one_batch_does(self, flags, through, tmp_path):
        flags = [*flags, "--per_device_train_batch_size", 2, "--gradient_accumulation_steps", 2]
        train_here(tmp_path / "run", *flags)
        dev = [json.loads((folder / "dev_scores.json").read_text()) for folder in (through, tmp_path / "run")]
        for name in ("entity_loss", "relation_loss"):
            assert_close([row[name] for row in dev[1]], [row[name] for row in dev[0]])

    @pytest.mark.slow
    def test_two_processes_train_as_one_does(self, flags, through, tmp_path):
        done = forked.train_several(2, tmp_path / "run", *flags, "--per_device_train_batch_size", 2)
        assert done.returncode == 0, done.output
        dev = [json.loads((folder / "dev_scores.json").read_text()) for folder in (through, tmp_path / "run")]
        for name in ("entity_loss", "relation_loss"):
            assert_close([row[name] for row in dev[1]], [row[name] for row in dev[0]])

    def test_what_a_run_says_about_it(self, through, teacher):
        run = json.loads((through / "run.json").read_text())
        assert {name: run["settings"][name] for name in ALL} == ALL
        assert len(set(run["identity"]["teachers"])) == 1
        card = (through / "README.md").read_text()
        assert "Distilled from 2 teacher(s), whose mean probabilities have a weight of 0.5 in the loss." in card
        assert "| `ema_decay` | 0.5 |" in card
        assert str(teacher) not in card

    def test_teachers_that_do_not_fit_are_refused(self, small_corpus, small_encoder, teacher, tmp_path):
        def refused(message, teachers, **changes):
            with pytest.raises(ValueError, match=message):
                train_here(tmp_path / "run", *settings(small_corpus, small_encoder, teachers=teachers, **changes))

        refused(
            r"--teachers: expected folders of trained models, with model.safetensors, got .*nowhere",
            tmp_path / "nowhere",
        )
        other = tmp_path / "other"
        shutil.copytree(teacher, other)
        config = json.loads((other / "config.json").read_text())
        config["relation_types"] = config["relation_types"][::-1]
        (other / "config.json").write_text(json.dumps(config))
        refused(r"other: expected the relation_types of the corpus, in the same order", other)
        shutil.copy(teacher / "config.json", other / "config.json")
        file = other / "processor_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"context_words": 2}))
        records = with_context([record | {"id": f"doc/{index}"} for index, record in enumerate(tiny.RECORDS)], 2)
        model = SpertModel.from_pretrained(teacher)
        load_teachers([teacher], model, SpertProcessor.from_pretrained(teacher), records)
        with pytest.raises(ValueError, match=r"other: expected a model that reads .* record 0 \(id 'doc/0'\) of train"):
            load_teachers([teacher, other], model, SpertProcessor.from_pretrained(teacher), records)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_negative_spans": -1, "hard_negative_ratio": 0.5}, "-1 draws nothing: remove --hard_negative_ratio"),
        ({"num_negative_spans": -2}, r"--num_negative_spans: expected a number >= -1, got -2"),
        ({"false_entity_pairs_from": 0.5, "num_negative_relations": 0}, "num_negative_relations pairs .* which is 0"),
        ({"false_entity_pairs_from": 1.0}, r"--false_entity_pairs_from: expected a number >= 0 and < 1, got 1.0"),
        ({"ema_decay": 1.0}, r"--ema_decay: expected a number > 0 and < 1, got 1.0"),
        ({"r_drop_weight": -1.0}, r"--r_drop_weight: expected a number >= 0, got -1.0"),
        ({"teachers": " , "}, "--teachers: expected folders such as a,b,c, got ' , '"),
        ({"distillation_weight": 0.0}, r"--distillation_weight: expected a number > 0 and <= 1, got 0.0"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainingArguments(dataset_name="a", **changes)
