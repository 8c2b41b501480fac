"""`spert experiments`: what it says about runs that are finished, and about those that are not."""
# ruff: noqa: E501 (the rows of a table)

import json

import pytest
import torch
import yaml
from safetensors.torch import save_file

import train_accelerate
from spert.studies.experiments import experiments_in, markdown_of_experiments
from tests.runs import settings, train_here
from tests.test_cli import spert


def dev_row(epoch, value):
    return {"epoch": epoch, "ner_micro_f1": value, "rel_strict_micro_f1": value / 2}


def finished(folder, value, *, test=True, epochs=2, **settings):
    """A run whose best epoch was the first one."""
    folder.mkdir(parents=True)
    splits = ("train", "validation", "test") if test else ("train", "validation")
    record = {
        "finished": True,
        "settings": {
            "dataset_name": "/data/corpora/small",
            "train_file": None,
            "fold": None,
            "max_span_width": 7,
            **settings,
        },
        "corpus": {split: {"sentences": 5} for split in splits},
        "outcome": {"epoch_of_the_model": 1, "seconds": 90.0},
    }
    metrics = {"ner_micro_f1": value + 0.1, "rel_boundary_micro_f1": value, "rel_strict_micro_f1": value - 0.1}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "dev_scores.json").write_text(
        json.dumps([dev_row(epoch + 1, value - epoch / 10) for epoch in range(epochs)])
    )
    save_file({"a": torch.zeros(30, 40), "b": torch.zeros(5)}, folder / "model.safetensors")


@pytest.fixture
def outputs(tmp_path):
    finished(tmp_path / "slow" / "seed-1", 0.5, seed=1, ema_decay=0.5, learning_rate=1e-3)
    finished(tmp_path / "slow" / "seed-2", 0.7, seed=2, ema_decay=0.5, learning_rate=1e-3)
    finished(tmp_path / "fast", 0.6, seed=1, learning_rate=5e-4, test=False)
    (tmp_path / "killed").mkdir()
    recipe = {"dataset_name": "/data/corpora/small", "seed": 1, "max_span_width": 7, "learning_rate": 5e-4}
    (tmp_path / "killed" / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (tmp_path / "killed" / "dev_scores.json").write_text(json.dumps([dev_row(1, 0.25)]))
    return tmp_path


def test_literal(outputs):
    assert (
        markdown_of_experiments(experiments_in([outputs]))
        == """\
## corpora/small

4 run(s), 1 of them not finished. All with `max_span_width=7`.

| run | settings | seed | epochs | dev entities | dev strict | test entities | test boundary | test strict | minutes | parameters |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| `fast` | `learning_rate=0.0005` | 1 | 2 | 0.6000 | 0.3000 | – | – | – | 1.5 | 1,205 |
| `killed` | `learning_rate=0.0005` | 1 | 1, not finished | 0.2500 | 0.1250 | – | – | – | – | – |
| `slow/seed-1` | `learning_rate=0.001`, `ema_decay=0.5` | 1 | 2 | 0.5000 | 0.2500 | 0.6000 | 0.5000 | 0.4000 | 1.5 | 1,205 |
| `slow/seed-2` | `learning_rate=0.001`, `ema_decay=0.5` | 2 | 2 | 0.7000 | 0.3500 | 0.8000 | 0.7000 | 0.6000 | 1.5 | 1,205 |
| **mean of 2** | `learning_rate=0.001`, `ema_decay=0.5` |  |  | **0.6000 ± 0.1414** | **0.3000 ± 0.0707** | **0.7000 ± 0.1414** | **0.6000 ± 0.1414** | **0.5000 ± 0.1414** | 1.5 |  |"""
    )


def test_corpora_stand_apart_and_each_run_once(outputs):
    finished(outputs / "other", 0.5, dataset_name="conll04", fold=3)
    text = markdown_of_experiments(experiments_in([outputs / "other", outputs, outputs / "fast"]))
    assert [line for line in text.splitlines() if line.startswith("##")] == ["## conll04", "## corpora/small"]
    assert text.count("`fast`") == 1
    assert "| 42, fold 3 |" in text


def test_a_run_that_recorded_nothing_but_scores_is_listed(outputs):
    (outputs / "lost").mkdir()
    (outputs / "lost" / "dev_scores.json").write_text(json.dumps([dev_row(1, 0.1)]))
    text = markdown_of_experiments(experiments_in([outputs]))
    assert "| `lost` | not recorded | – | 1, not finished | 0.1000 | 0.0500 |" in text


def test_a_checkpoint_tells_the_settings_of_an_interrupted_run(easy_corpus, small_encoder, tmp_path, monkeypatch):
    def stop(run):
        raise OSError("stopped")

    monkeypatch.setattr(train_accelerate, "finish", stop)
    flags = settings(easy_corpus, small_encoder, checkpointing_steps=3, num_train_epochs=1, max_span_width=4)
    with pytest.raises(OSError, match="stopped"):
        train_here(tmp_path / "run", *flags)
    (run,) = experiments_in([tmp_path])
    assert (run.is_finished, run.epochs, run.setting("max_span_width")) == (False, 1, 4)
    assert run.seconds > 0


def test_folders_without_runs_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected the folder of a run, or folders of runs in it, .*got none"):
        experiments_in([tmp_path])


def test_the_command_writes_the_document(outputs, monkeypatch, capsys):
    assert spert("experiments", outputs, "--output", outputs / "experiments.md", monkeypatch=monkeypatch) == 0
    assert "experiments.md: 4 run(s)." in capsys.readouterr().out
    text = (outputs / "experiments.md").read_text()
    assert text.startswith("# Experiments\n")
    assert markdown_of_experiments(experiments_in([outputs])) in text
