"""The settings of training: defaults, recipes, flags, and what is refused."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from spert import SpertConfig
from spert.training.arguments import TrainingArguments
from spert.training.flags import parse_arguments
from spert.training.recipes import read_recipe
from spert.training.settings import meanings_of

CONFIGS = Path(__file__).parent.parent / "configs"


def test_the_papers_settings_are_the_defaults():
    arguments = TrainingArguments(dataset_name="conll04")
    assert (arguments.learning_rate, arguments.warmup_ratio, arguments.weight_decay) == (5e-5, 0.1, 0.01)
    assert (arguments.per_device_train_batch_size, arguments.num_train_epochs) == (2, 20)
    assert (arguments.num_negative_spans, arguments.num_negative_relations) == (100, 100)
    assert (arguments.max_grad_norm, arguments.head_dropout, arguments.width_embedding_size) == (1.0, 0.1, 25)


class TestMeanings:
    def test_settings_of_the_configuration(self):
        arguments = TrainingArguments(dataset_name="a", head_dropout=0.25, span_pooling="mean")
        assert arguments.config_fields() == {
            "max_span_width": 10,
            "width_embedding_size": 25,
            "head_dropout": 0.25,
            "span_pooling": "mean",
            "relation_context": "localized",
            "relation_head": "linear",
            "relation_hidden_size": 256,
            "entity_type_features": False,
            "distance_embedding_size": 0,
            "span_boundaries": False,
            "context_window": 0,
            "relation_threshold": 0.4,
        }
        assert SpertConfig(entity_types=["A"], **arguments.config_fields()).span_pooling == "mean"

    def test_settings_that_may_change_when_a_run_is_resumed(self):
        handling = {name for name, meaning in meanings_of(TrainingArguments).items() if meaning.role == "handling"}
        assert handling == {
            *("data_dir", "only_folds", "seeds", "per_device_eval_batch_size", "dataloader_num_workers"),
            *("checkpointing_steps", "save_total_limit", "resume_from_checkpoint"),
            *("logging_steps", "with_tracking", "report_to", "output_dir", "overwrite_output_dir"),
            *("push_to_hub", "hub_model_id", "hub_token", "hub_private_repo"),
        }

    def test_settings_that_name_what_is_known_by_its_content(self):
        sources = {name for name, meaning in meanings_of(TrainingArguments).items() if meaning.role == "source"}
        files = {"train_file", "validation_file", "test_file", "types_file"}
        assert sources == {"dataset_name", "model_name_or_path", "teachers"} | files

    def test_no_file_gets_a_secret(self):
        arguments = TrainingArguments(dataset_name="a", hub_token="hf_secret")
        assert "hf_secret" not in str(arguments.to_dict())
        assert arguments.to_dict().keys() == {field.name for field in dataclasses.fields(arguments)} - {"hub_token"}


class TestRecipes:
    def test_flags_override_the_recipe(self, tmp_path):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text("dataset_name: conll04\nlearning_rate: 1.0e-3\nseed: 5\nweight_decay: 0\n")
        arguments = parse_arguments([str(recipe), "--seed", "6"])
        assert (arguments.dataset_name, arguments.learning_rate, arguments.seed) == ("conll04", 1e-3, 6)
        assert arguments.weight_decay == 0.0

    @pytest.mark.parametrize("recipe", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
    def test_the_shipped_ones_are_read(self, recipe):
        assert parse_arguments([str(recipe)]).dataset_name

    def test_all_settings_come_back(self, tmp_path):
        arguments = TrainingArguments(dataset_name="ade", folds="10", only_folds="0,1", checkpointing_steps="500")
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(arguments.to_dict()))
        assert parse_arguments([str(tmp_path / "recipe.yaml")]) == arguments

    def test_numbers_stand_for_their_digits(self, tmp_path):
        (tmp_path / "r.yaml").write_text("dataset_name: a\nfolds: 10\ncheckpointing_steps: 500\nseeds: 3\n")
        arguments = parse_arguments([str(tmp_path / "r.yaml")])
        assert (arguments.folds, arguments.checkpointing_steps, arguments.seeds) == ("10", "500", "3")

    def test_null_is_a_default_of_none(self, tmp_path):
        (tmp_path / "r.yaml").write_text("checkpointing_steps: null\nfold: null\n")
        assert read_recipe(tmp_path / "r.yaml", TrainingArguments) == {"checkpointing_steps": None, "fold": None}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("\nlearning_rte: 1.0", "line 2: unknown setting 'learning_rte'; did you mean 'learning_rate'"),
            ("learning_rate: 5e-5", r"line 1, learning_rate: expected a value of type float, got '5e-5'.*write 5.0e-5"),
            ("learning_rate: null", "learning_rate: expected a value of type float, got None"),
            ("seed: yes", "seed: expected a value of type int, got True"),
            ("folds: yes", "folds: expected a value of type str, got True"),
            ("fold: 1.5", r"fold: expected a value of type int, got 1\.5"),
            ("seed: [1, 2]", "line 1, seed: expected a value of type int, got a list"),
            ("seed: {a: 1}", "line 1, seed: expected a value of type int, got a mapping"),
            ("- 1", "line 1: expected settings, one `name: value` a line, got a list"),
            ("conll04", "line 1: expected settings, one `name: value` a line, got 'conll04'"),
            ("seed: 1\nfolds: 2\nseed: 3", "line 3, seed: expected each setting once, but line 1 sets it as well"),
            ("seed: 1\nfold: [1", r"line 2: expected YAML: expected ',' or ']'"),
            ("seed: 1\n\tfold: 1", "line 2: expected YAML: "),
            ("seed: !!python/object/apply:os.getcwd []", "line 1, seed: expected a value of type int, got a list"),
            ("seed: !!python/name:os.getcwd x", "line 1: expected YAML: could not determine a constructor"),
            ("seed: 1\n--- \nseed: 2", "line 2: expected YAML: but found another document"),
            ("seed: *a", "line 1: expected YAML: found undefined alias"),
            ("? [a]\n: 1", r"line 1: unknown setting"),
            ("<<: {seed: 1}", "line 1: unknown setting '<<'"),
            (f"seed: {'9' * 5000}", "line 1, seed: expected a value of type int, but: Exceeds the limit"),
            ("seed: 2001-99-99", "line 1, seed: expected a value of type int, but: month must be in"),
            ("[" * 600, "expected settings, one `name: value` a line, got values nested too deeply"),
            ("seed: 1\nfolds: \x07", "line 2: expected YAML: special characters are not allowed"),
            ('output_dir: "\\ud800"', r"line 1, output_dir: expected a text that UTF-8 can encode"),
            ('output_dir: "a\\0b"', r"line 1, output_dir: expected a text that UTF-8 can encode, without null"),
            ("learning_rate: .inf", "line 1, learning_rate: expected a number > 0 and <= 1, got inf"),
            ("max_grad_norm: .inf", "line 1, max_grad_norm: expected a finite number, got inf"),
            ("\nspan_pooling: median", "line 2, span_pooling: expected one of max, mean, sum, got 'median'"),
        ],
    )
    def test_a_recipe_with_a_fault_is_refused(self, tmp_path, text, message):
        (tmp_path / "r.yaml").write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            parse_arguments([str(tmp_path / "r.yaml")])
        assert str(caught.value).startswith(str(tmp_path / "r.yaml"))

    def test_a_byte_that_is_not_utf8_is_named_with_its_line(self, tmp_path):
        (tmp_path / "r.yaml").write_bytes(b"seed: 1\noutput_dir: caf\xe9\n")
        with pytest.raises(ValueError, match=r"r\.yaml, line 2: expected UTF-8, but byte 23 of the file is 0xe9"):
            parse_arguments([str(tmp_path / "r.yaml")])

    def test_a_byte_order_mark_is_passed_over(self, tmp_path):
        (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbfseed: 1\n")
        assert read_recipe(tmp_path / "r.yaml", TrainingArguments) == {"seed": 1}

    @pytest.mark.parametrize("value", ["[hf_secret]", "{hf_secret: 1}", '"hf_secret\\0"', "!!binary aGZfc2VjcmV0"])
    def test_no_message_shows_a_secret(self, tmp_path, value):
        (tmp_path / "r.yaml").write_text(f"hub_token: {value}")
        with pytest.raises(ValueError, match="hub_token: expected") as caught:
            parse_arguments([str(tmp_path / "r.yaml")])
        assert "hf_secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "either --dataset_name or --train_file"),
        (["--dataset_name", "a", "--train_file", "b"], "either --dataset_name or --train_file"),
        (["--dataset_name", "a", "--test_file", "b"], "go with --train_file"),
        (["--train_file", "a", "--folds", "3", "--fold", "3"], "--fold: expected folds from 0 to 2, got 3"),
    ],
)
def test_a_corpus_is_named_once(flags, message):
    with pytest.raises(ValueError, match=message):
        parse_arguments(flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--num_train_epochs", "0"], "--num_train_epochs: expected a number >= 1, got 0"),
        (["--num_negative_spans", "-2"], "--num_negative_spans: expected a number >= -1, got -2"),
        (["--warmup_ratio", "2"], "--warmup_ratio: expected a number >= 0 and <= 1, got 2.0"),
        (["--learning_rate", "0"], "--learning_rate: expected a number > 0 and <= 1, got 0.0"),
        (["--learning_rate", "1e30"], "--learning_rate: expected a number > 0 and <= 1, got 1e"),
        (["--learning_rate", "inf"], "--learning_rate: expected a number > 0 and <= 1, got inf"),
        (["--head_learning_rate", "nan"], "--head_learning_rate: expected a number > 0 and <= 1, got nan"),
        (["--weight_decay", "nan"], "--weight_decay: expected a number >= 0 and <= 1, got nan"),
        (["--max_grad_norm", "nan"], "--max_grad_norm: expected a number > 0, got nan"),
        (["--max_grad_norm", "inf"], "--max_grad_norm: expected a finite number, got inf"),
        (["--max_span_width", "0"], "--max_span_width: expected a number >= 1 and <= 99, got 0"),
        (["--width_embedding_size", "0"], "--width_embedding_size: expected a number >= 1"),
        (["--head_dropout", "1"], "--head_dropout: expected a number >= 0 and < 1, got 1.0"),
        (["--relation_threshold", "nan"], "--relation_threshold: expected a number >= 0 and <= 1, got nan"),
        (["--dataloader_num_workers", "100000"], "--dataloader_num_workers: expected a number >= 0 and <= 1000"),
        (["--output_dir", "a\udcff"], "--output_dir: expected a text that UTF-8 can encode"),
        (["--folds", "²"], "--folds: expected all, or a number of folds above 1, got '²'"),
        (["--seeds", "9" * 5000], "--seeds: expected whole numbers"),
        (["--seed", "-1"], "--seed: expected a number >= 0 and <= 4294967295, got -1"),
        (["--checkpointing_steps", "often"], "expected a number of steps above 0, or epoch, got 'often'"),
        (["--checkpointing_steps", "0"], "expected a number of steps above 0"),
        (["--metric_for_best_model", "f1"], "expected one of ner_micro_precision"),
        (["--early_stopping_patience", "0"], "--early_stopping_patience: expected a number >= 1"),
        (["--train_on_validation", "true", "--load_best_model_at_end", "true"], "leaves no sentences to choose"),
        (["--freeze_encoder", "true", "--layerwise_lr_decay", "0.9"], "leaves no layers to train"),
        (["--layerwise_lr_decay", "0"], "--layerwise_lr_decay: expected a number > 0 and <= 1"),
        (["--folds", "all"], "only ade comes in folds. Say how many"),
        (["--folds", "0,1"], "expected all, or a number of folds above 1, got '0,1'.*--only_folds 0,1,2"),
        (["--folds", "1"], "a number of folds above 1"),
        (["--only_folds", "1"], "go with --folds"),
        (["--fold", "1"], "go with --folds"),
        (["--folds", "3", "--only_folds", "0,3"], "--only_folds: expected folds from 0 to 2, got 3"),
        (["--seeds", "1;2"], "--seeds: expected whole numbers such as 1,2,3, got '1;2'"),
        (["--seeds", "1,2", "--push_to_hub", "true"], "uploads one model"),
    ],
)
def test_what_cannot_work_is_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        parse_arguments(["--dataset_name", "conll04", *flags])


@pytest.mark.parametrize("flags", [["--learning_rte", "1"], ["--learning_rat", "1"], ["--relation_arguments", "given"]])
def test_unknown_flags_and_choices_are_refused(flags, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--dataset_name", "a", *flags])
    assert "error: " in capsys.readouterr().err
