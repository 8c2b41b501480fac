"""Folds and seeds: several runs in one command."""

import json
import statistics
import sys
from pathlib import Path

import pytest

import train_accelerate
from spert.training import repetitions
from spert.training.arguments import TrainingArguments
from spert.training.repetitions import runs_of
from spert.training.run_record import is_finished
from tests import forked
from tests.runs import settings, train_here
from tests.tolerance import assert_close


def times(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/model.safetensors")}


@pytest.fixture
def in_one_process(monkeypatch):
    """Each run is trained in this process, without the seconds that a process of its own needs to start."""
    recipes = []

    def run(command, environment, log):
        recipes.append(Path(command[-1]))
        try:
            train_accelerate.main(command[2:])
        except (ValueError, OSError) as error:
            print(error)
            return 1
        return 0

    monkeypatch.setattr(repetitions, "_run", run)
    return recipes


@pytest.mark.slow
def test_folds_spread_over_processes_and_go_on_where_they_stopped(
    small_corpus, small_encoder, tmp_path, in_one_process
):
    folder = tmp_path / "folds"
    flags = settings(small_corpus, small_encoder, folds=3, max_train_steps=2)
    train_here(folder, *flags, "--only_folds", "0")
    assert times(folder).keys() == {"fold-0"}
    before = times(folder)["fold-0"]
    done = forked.train_several(2, folder, *flags)
    assert done.returncode == 0, done.output
    assert "fold-0: already finished" in done.output
    assert times(folder)["fold-0"] == before
    assert times(folder).keys() == {"fold-0", "fold-1", "fold-2"}
    assert "Resuming" not in done.output
    assert (folder / "fold-1" / "train.log").exists()
    predicted = [json.loads((folder / f"fold-{fold}" / "predictions.json").read_text()) for fold in range(3)]
    assert sum(map(len, predicted)) == 25, "every sentence of the three splits is tested once"
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) == {"all spans", "without overlapping", "from text"}
    for kind, name in (("all spans", "metrics.json"), ("without overlapping", "metrics_without_overlapping.json")):
        scores = [json.loads((folder / f"fold-{fold}" / name).read_text())["ner_micro_f1"] for fold in range(3)]
        assert summary[kind]["mean"]["ner_micro_f1"] == pytest.approx(statistics.mean(scores))
        assert summary[kind]["deviation"]["ner_micro_f1"] == pytest.approx(statistics.stdev(scores))
    assert "deviation" in done.output
    with pytest.raises(FileExistsError, match="a run with other settings: max_train_steps 2 there, 3 here"):
        train_here(folder, *settings(small_corpus, small_encoder, folds=3, max_train_steps=3))


def test_seeds_and_a_run_that_fails(small_corpus, small_encoder, tmp_path, in_one_process):
    folder = tmp_path / "seeds"
    flags = settings(small_corpus, small_encoder, seeds="1,2", max_train_steps=1)
    (folder / "seed-2").mkdir(parents=True)
    (folder / "seed-2" / "config.json").write_text("{}")  # of something else
    with pytest.raises(ChildProcessError, match=r"seed-2 \(exit code 1\).*give the command again"):
        train_here(folder, *flags)
    assert times(folder).keys() == {"seed-1"}
    (folder / "seed-2" / "config.json").unlink()
    del in_one_process[:]
    done = train_here(folder, *flags)
    assert in_one_process == [folder / "seed-2" / "recipe.yaml"], "seed 1 is kept"
    assert "seed-1: already finished" in done.stdout
    assert times(folder).keys() == {"seed-1", "seed-2"}
    alone = tmp_path / "alone"
    train_here(alone, *settings(small_corpus, small_encoder, seed=2, max_train_steps=1))
    (row,), (expected,) = (json.loads((run / "dev_scores.json").read_text()) for run in (folder / "seed-2", alone))
    assert_close([row["entity_loss"], row["relation_loss"]], [expected["entity_loss"], expected["relation_loss"]])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dataset_name": "mine"}, FileNotFoundError, "expected one of conll04, .* got 'mine'"),
        ({"model_name_or_path": "/nowhere/mine"}, OSError, "nowhere/mine"),
        ({"with_tracking": True, "report_to": "tensorbord"}, ValueError, "expected trackers out of"),
    ],
)
def test_what_all_runs_would_fail_at_is_refused_before_the_first(
    changes, error, message, small_corpus, small_encoder, tmp_path, in_one_process
):
    flags = settings(small_corpus, small_encoder, folds=5, seeds="1,2,3", **changes)
    with pytest.raises(error, match=message):
        train_here(tmp_path / "out", *flags)
    assert in_one_process == []
    assert not (tmp_path / "out").exists()


def test_a_process_of_its_own():
    assert repetitions._run([sys.executable, "-c", "raise SystemExit(3)"], {}, None) == 3


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
