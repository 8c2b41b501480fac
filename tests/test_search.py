"""`spert search`: spaces, trials that are runs of their own, pruning, going on after a kill, and the best recipe."""

import json

import pytest
import yaml

from spert.files import write_json
from spert.search import plan as planning
from spert.search.plan import Choices, open_study, read_plan
from spert.search.running import search_settings
from spert.search.space import Range, Values, read_space
from spert.training import workers
from spert.training.flags import parse_arguments
from tests.runs import ROOT
from tests.side_by_side import recipes  # noqa: F401

optuna = pytest.importorskip("optuna")

SPACES = sorted((ROOT / "configs" / "searches").glob("*.yaml"))


def write(folder, text, name="space.yaml"):
    (folder / name).write_text(text)
    return folder / name


class TestSpaces:
    def test_what_is_read(self, tmp_path):
        text = (
            "learning_rate: {low: 1.0e-5, high: 1.0e-3, log: true}\nnum_train_epochs: {low: 10, high: 40, step: 10}\n"
        )
        text += "layerwise_lr_decay: [null, 0.9]\nhead_dropout: {low: 0, high: 0.5}\nfreeze_encoder: [true, false]\n"
        assert read_space(write(tmp_path, text)) == {
            "learning_rate": Range(1e-5, 1e-3, None, True, False),
            "num_train_epochs": Range(10, 40, 10, False, True),
            "layerwise_lr_decay": Values([None, 0.9]),
            "head_dropout": Range(0.0, 0.5, None, False, False),
            "freeze_encoder": Values([True, False]),
        }

    def test_what_is_drawn(self, tmp_path):
        text = "num_train_epochs: {low: 10, high: 40, step: 10}\nhead_dropout: {low: 0, high: 0.5, step: 0.25}\n"
        space = read_space(write(tmp_path, text + "span_pooling: [max, sum]\n"))
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        drawn = []
        for _ in range(60):
            trial = study.ask()
            drawn.append({name: values.draw(trial, name) for name, values in space.items()})
        assert {values["num_train_epochs"] for values in drawn} == {10, 20, 30, 40}
        assert {values["head_dropout"] for values in drawn} == {0.0, 0.25, 0.5}
        assert {values["span_pooling"] for values in drawn} == {"max", "sum"}

    @pytest.mark.parametrize(
        "space", sorted((ROOT / "configs" / "searches").glob("*.yaml")), ids=lambda path: path.stem
    )
    def test_the_shipped_ones(self, space, tmp_path):
        plan = read_plan(ROOT / "configs" / "conll04.yaml", space, ["--output_dir", str(tmp_path / "out")])
        choices = Choices(startup_trials=1000)
        (tmp_path / "out").mkdir()
        study = open_study(plan, choices)
        for _ in range(4):
            trial = study.ask()
            plan.run_of({name: values.draw(trial, name) for name, values in plan.space.items()})

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "expected at least one setting with a range"),
            ("learning_rte: [1.0, 2.0]", "line 1: unknown setting 'learning_rte'; did you mean 'learning_rate'"),
            ("learning_rate: 0.1", "line 1, learning_rate: expected a list of values, or a range such as"),
            ("learning_rate: [0.1]", "learning_rate: expected at least two different values"),
            ("learning_rate: [0.1, 0.1]", "learning_rate: expected at least two different values"),
            ("learning_rate: [0.1, 2.0]", "learning_rate: expected a number > 0 and <= 1, got 2"),
            ("learning_rate: {low: 0.1}", "expected numbers for low and high, got no high"),
            ("learning_rate: {low: 0.1, high: 0.1}", "expected a low number below the high one, got 0.1 and 0.1"),
            ("learning_rate: {low: 0.1, high: 3.0}", "learning_rate, high: expected a number > 0 and <= 1, got 3"),
            ("learning_rate: {low: 0.1, hi: 0.2}", "expected fields out of low, high, step, log, got 'hi'"),
            ("learning_rate: {low: 0.1, low: 0.2}", "learning_rate, low: expected each field once"),
            ("learning_rate: {low: 0.1, high: 0.2, log: 1}", "log: expected true or false, got 1"),
            ("learning_rate: {low: 0.1, high: 0.2, step: 0.3}", "step: expected a number above 0 and at most 0.1"),
            (
                "num_train_epochs: {low: 1, high: 9, step: 0.5}",
                "step: expected a number above 0 and at most 8, got",
            ),
            ("weight_decay: {low: 0.0, high: 0.1, log: true}", "expected a low number above 0, and no step"),
            ("span_pooling: {low: max, high: sum}", "expected a list of values, since the setting is no number"),
            ("seed: [1, 2]", "seed: expected a setting of the model or of its training"),
            ("output_dir: [a, b]", "output_dir: expected a setting of the model or of its training"),
            ("freeze_encoder: [true, false]\nfreeze_encoder: [true, false]", "line 2, .*expected each setting once"),
        ],
    )
    def test_what_cannot_be_is_refused(self, tmp_path, text, message):
        with pytest.raises(ValueError, match=message):
            read_space(write(tmp_path, text))


@pytest.mark.parametrize(
    ("recipe", "flags", "message"),
    [
        ("seeds: 1,2", [], "expected a single run for each trial, got --seeds"),
        ("folds: 3", [], "expected a single run for each trial, got --folds"),
        ("train_on_validation: true", [], "got --train_on_validation"),
        ("", ["--learning_rate", "0.1"], r"expected flags that .*space\.yaml does not set, got learning_rate"),
        ("", ["--overwrite_output_dir", "true"], "To start anew, name another --output_dir"),
        ("freeze_encoder: true\nlayerwise_lr_decay: 0.9", [], r"recipe\.yaml: --freeze_encoder leaves no layers"),
    ],
)
def test_recipes_that_cannot_be_searched_are_refused(tmp_path, recipe, flags, message):
    space = write(tmp_path, "learning_rate: [0.1, 0.2]")
    with pytest.raises(ValueError, match=message):
        read_plan(write(tmp_path, f"dataset_name: a\n{recipe}", "recipe.yaml"), space, flags)


def test_optuna_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'spert\[search\]'"):
        planning.import_optuna()


class Scripted:
    """A process of a run that is not trained: each second look at it, of two in a row, ends another epoch.

    Args:
        scores: the validation scores of its epochs.
        code: its exit code after the last epoch.
    """

    def __init__(self, folder, scores, code=0):
        self.folder, self.scores, self.code = folder, scores, code
        self.looks, self.epochs, self.is_stopped = 0, 0, False

    def poll(self):
        if self.is_stopped:
            return 143
        if self.epochs == len(self.scores):
            return self.code
        self.looks += 1
        self.epochs = self.looks // 2
        rows = [{"epoch": number + 1, "rel_strict_micro_f1": score} for number, score in enumerate(self.scores)]
        write_json(self.folder / "dev_scores.json", rows[: self.epochs])
        return None

    def terminate(self):
        self.is_stopped = True


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """A search whose trials are scripted by their learning rate: `search(scores, **choices)`."""
    recipe = write(tmp_path, "dataset_name: mine\nnum_train_epochs: 8\noutput_dir: out\n", "recipe.yaml")
    space = write(tmp_path, "learning_rate: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]\n")
    started = []

    def search(scores, *flags, **choices):
        def start(command, environment, log):
            run = parse_arguments([command[-1]])
            started.append(run)
            return Scripted(tmp_path / run.output_dir, *scores(run))

        monkeypatch.setattr(workers, "_start_process", start)
        return search_settings(recipe, space, ["--output_dir", str(tmp_path / "out"), *flags], Choices(**choices))

    monkeypatch.setattr(workers.time, "sleep", lambda _: None)
    monkeypatch.setattr("spert.search.running.check_once", lambda _: None)
    monkeypatch.setattr("spert.search.running.load_training_corpus", lambda _: {"validation": []})
    monkeypatch.setattr("spert.search.running.write_pictures", lambda *_: None)
    search.started, search.folder = started, tmp_path / "out"
    return search


def test_the_best_trial_becomes_a_recipe(scripted, capsys):
    study = scripted(lambda run: ([0.0, 1 - run.learning_rate],), trials=4)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE"] * 4
    best = min(run.learning_rate for run in scripted.started)
    assert study.best_value == 1 - best
    text = (scripted.folder / "best.yaml").read_text()
    assert text.startswith(
        f"# The best of 4 trials of recipe.yaml: trial {study.best_trial.number}, rel_strict_micro_f1 "
    )
    assert yaml.safe_load(text) == {
        "dataset_name": "mine",
        "num_train_epochs": 8,
        "output_dir": str(scripted.folder / "best"),
        "learning_rate": best,
    }
    assert parse_arguments([str(scripted.folder / "best.yaml")]).learning_rate == best
    trials = json.loads((scripted.folder / "search.json").read_text())["trials"]
    assert [trial["epochs"] for trial in trials] == [{"1": 0.0, "2": trial["value"]} for trial in trials]
    assert "4 trials: 4 ended, 0 stopped early, 0 failed" in " ".join(capsys.readouterr().out.split())


def test_the_value_is_that_of_the_model_that_is_kept(scripted):
    study = scripted(lambda run: ([0.2, 0.8, 0.3],), "--load_best_model_at_end", "true", trials=1)
    assert study.trials[0].value == 0.8


def test_what_is_drawn_twice_is_trained_once(scripted, tmp_path):
    write(tmp_path, "freeze_encoder: [true, false]\n")
    study = scripted(lambda run: ([0.1, 0.5 + 0.1 * run.freeze_encoder],), trials=6, num_processes=3)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6
    at_once = [run.output_dir for run in scripted.started]
    assert len(at_once) < 6
    assert all(trial.value == pytest.approx(0.5 + 0.1 * trial.params["freeze_encoder"]) for trial in study.trials)


def test_a_trial_below_the_median_is_stopped(scripted):
    def scores(run):  # the first three are good, and the others hopeless
        return ([0.5] * 5 if len(scripted.started) <= 3 else [0.01] * 5,)

    study = scripted(scores, trials=5, startup_trials=2)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3 + ["PRUNED"] * 2
    assert [len(trial.intermediate_values) for trial in study.trials] == [5, 5, 5, 3, 3], "not in two epochs"
    states = [trial["state"] for trial in json.loads((scripted.folder / "search.json").read_text())["trials"]]
    assert states == ["complete"] * 3 + ["pruned"] * 2


def test_without_pruning_none_is_stopped(scripted):
    scores = lambda run: ([0.5 if len(scripted.started) <= 3 else 0.01] * 5,)  # noqa: E731
    study = scripted(scores, trials=5, startup_trials=2, prunes=False)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}


def test_a_trial_that_fails_is_passed_over(scripted):
    study = scripted(lambda run: ([0.5], 0) if len(scripted.started) != 2 else ([], 1), trials=3)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.trials[1].user_attrs == {"exit_code": 1}


def test_a_search_in_which_all_fails_ends(scripted):
    with pytest.raises(ChildProcessError, match="the first 3 trials failed, the last one with 1"):
        scripted(lambda run: ([], 1), trials=50)


def test_it_goes_on_after_a_kill(scripted, tmp_path):
    class Killed(BaseException):
        pass

    def scores(run):
        if len(scripted.started) == 3:
            raise Killed
        return ([run.learning_rate],)

    with pytest.raises(Killed):
        scripted(scores, trials=4)
    interrupted = scripted.started[-1]
    study = scripted(lambda run: ([run.learning_rate],), trials=4)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert study.trials[3].user_attrs == {"continues": 2}
    assert study.trials[3].params == study.trials[2].params
    assert scripted.started[3].output_dir == interrupted.output_dir, "its run goes on in its folder"
    assert scripted.started[3].resume_from_checkpoint == "latest"
    number = len(scripted.started)
    assert len(scripted(lambda run: ([0.5],), trials=4).trials) == 5, "there is nothing left to do"
    assert len(scripted.started) == number
    with pytest.raises(ValueError, match="holds the trials of another search, which differs in num_train_epochs"):
        scripted(lambda run: ([0.5],), "--num_train_epochs", "9", trials=4)
    write(tmp_path, "learning_rate: [0.1, 0.2]\n")
    with pytest.raises(ValueError, match="another search, which differs in range of learning_rate"):
        scripted(lambda run: ([0.5],), trials=4)


def test_the_recipes_own_values_come_first(scripted, tmp_path):
    write(tmp_path, "learning_rate: {low: 1.0e-5, high: 0.1}\nhead_dropout: {low: 0.0, high: 0.5, step: 0.1}\n")
    study = scripted(lambda run: ([0.5],), trials=2)
    assert study.trials[0].params == {"learning_rate": 5e-5, "head_dropout": 0.1}
    assert study.trials[1].params != study.trials[0].params


def test_a_search_without_a_validation_split_is_refused(scripted, monkeypatch):
    monkeypatch.setattr("spert.search.running.load_training_corpus", lambda _: {"train": [], "test": []})
    with pytest.raises(ValueError, match="expected a corpus with a validation split"):
        scripted(lambda run: ([0.5],), trials=1)


@pytest.mark.slow
def test_real_runs_and_their_pictures(small_corpus, small_encoder, tmp_path, recipes):  # noqa: F811
    recipe = write(tmp_path, "max_train_steps: 2\nper_device_train_batch_size: 8\n", "recipe.yaml")
    space = write(tmp_path, "learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}\nspan_pooling: [max, mean]\n")
    flags = ["--dataset_name", str(small_corpus), "--model_name_or_path", str(small_encoder)]
    flags += ["--output_dir", str(tmp_path / "out"), "--metric_for_best_model", "ner_micro_f1"]
    study = search_settings(recipe, space, flags, Choices(trials=3, num_processes=2))
    assert len(recipes) == 3
    for trial in study.trials:
        (folder,) = (
            path.parent
            for path in (tmp_path / "out").glob("trial-*/run.json")
            if json.loads(path.read_text())["settings"]["learning_rate"] == trial.params["learning_rate"]
        )
        dev = json.loads((folder / "dev_scores.json").read_text())
        assert trial.value == dev[-1]["ner_micro_f1"]
        assert not (folder / "checkpoints").exists()
    for name in ("history.png", "epochs.png", "settings.png", "together.png", "importance.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG"), name
    assert (tmp_path / "out" / "trials.db").is_file()
