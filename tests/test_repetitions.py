"""Folds and seeds: several runs in one command."""

import json
import statistics

import pytest

from spert.training.arguments import TrainingArguments, parse_arguments
from spert.training.repetitions import is_finished, runs_of
from tests.runs import ONE, settings, several, train


def times(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/model.safetensors")}


@pytest.mark.slow
def test_folds_spread_over_processes_and_go_on_where_they_stopped(small_corpus, small_encoder, tmp_path):
    folder = tmp_path / "folds"
    flags = settings(small_corpus, small_encoder, folds=3, max_train_steps=2)
    first = train(ONE, folder, *flags, "--only_folds", "0")
    assert first.returncode == 0, first.stderr
    assert times(folder).keys() == {"fold-0"}
    before = times(folder)["fold-0"]
    done = train(several(2), folder, *flags, ACCELERATE_USE_CPU="true")
    assert done.returncode == 0, done.stderr
    assert "fold-0: finished already" in done.stdout
    assert times(folder)["fold-0"] == before
    assert times(folder).keys() == {"fold-0", "fold-1", "fold-2"}
    assert "Resuming" not in done.stdout
    assert (folder / "fold-1" / "train.log").exists()
    predicted = [json.loads((folder / f"fold-{fold}" / "predictions.json").read_text()) for fold in range(3)]
    assert sum(map(len, predicted)) == 25, "every sentence of the three splits is tested once"
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) == {"all spans", "without overlapping"}
    for kind, name in (("all spans", "metrics.json"), ("without overlapping", "metrics_without_overlapping.json")):
        scores = [json.loads((folder / f"fold-{fold}" / name).read_text())["ner_micro_f1"] for fold in range(3)]
        assert summary[kind]["mean"]["ner_micro_f1"] == pytest.approx(statistics.mean(scores))
        assert summary[kind]["deviation"]["ner_micro_f1"] == pytest.approx(statistics.stdev(scores))
    assert "deviation" in done.stdout
    refused = train(ONE, folder, *settings(small_corpus, small_encoder, folds=3, max_train_steps=3))
    assert refused.returncode != 0
    assert "a run with other settings stands here: max_train_steps 2 there, 3 here" in refused.stderr


@pytest.mark.slow
def test_seeds_and_a_run_that_fails(small_corpus, small_encoder, tmp_path):
    folder = tmp_path / "seeds"
    flags = settings(small_corpus, small_encoder, seeds="1,2", max_train_steps=1)
    (folder / "seed-2").mkdir(parents=True)
    (folder / "seed-2" / "config.json").write_text("{}")  # of something else
    failed = train(ONE, folder, *flags)
    assert failed.returncode != 0
    assert "seed-2 (exit code 1)" in failed.stderr
    assert "give the command again to go on" in failed.stderr
    assert times(folder).keys() == {"seed-1"}
    (folder / "seed-2" / "config.json").unlink()
    done = train(ONE, folder, *flags)
    assert done.returncode == 0, done.stderr
    assert times(folder).keys() == {"seed-1", "seed-2"}
    alone = tmp_path / "alone"
    assert train(ONE, alone, *settings(small_corpus, small_encoder, seed=2, max_train_steps=1)).returncode == 0
    assert (alone / "model.safetensors").read_bytes() == (folder / "seed-2" / "model.safetensors").read_bytes()


def test_runs_of_folds_and_seeds():
    arguments = TrainingArguments(
        dataset_name="ade", folds="all", only_folds="3,1,3", seeds="5,6", output_dir="out", learning_rate=1e-4
    )
    runs = runs_of(arguments)
    assert [(run.fold, run.seed, run.output_dir) for run in runs] == [
        (3, 5, "out/fold-3-seed-5"),
        (3, 6, "out/fold-3-seed-6"),
        (1, 5, "out/fold-1-seed-5"),
        (1, 6, "out/fold-1-seed-6"),
    ]
    assert all(run.learning_rate == 1e-4 and not run.is_several_runs for run in runs)
    assert [run.fold for run in runs_of(TrainingArguments(dataset_name="ade", folds="all"))] == list(range(10))


def test_nothing_is_finished_in_an_empty_folder(tmp_path):
    assert not is_finished(TrainingArguments(dataset_name="ade", output_dir=str(tmp_path)))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--folds", "all"], "only ade comes in folds. Say how many"),
        (["--folds", "0,1"], "expected all, or a number of folds above 1, got '0,1'.*--only_folds 0,1,2"),
        (["--folds", "1"], "a number of folds above 1"),
        (["--only_folds", "1"], "go with --folds"),
        (["--fold", "1"], "go with --folds"),
        (["--folds", "3", "--only_folds", "0,3"], "expected folds from 0 to 2, got 3"),
        (["--folds", "3", "--fold", "3"], "expected folds from 0 to 2, got 3"),
        (["--seeds", "1;2"], "--seeds: expected whole numbers such as 1,2,3, got '1;2'"),
        (["--seeds", "1,2", "--push_to_hub", "true"], "uploads one model"),
    ],
)
def test_what_cannot_work_is_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        parse_arguments(["--dataset_name", "conll04", *flags])
