"""`spert study`: grids, breakdowns, and tables from runs."""

import json
import math
import statistics
from pathlib import Path

import pytest
import torch

from spert.evaluation.comparison import compare
from spert.studies.breakdown import BREAKDOWNS, break_down
from spert.studies.grid import read_study, varying
from spert.studies.plots import draw_study, numeric_axis
from spert.studies.report import print_report, study_numbers, write_report
from spert.studies.running import locked_study, train_study
from spert.training.arguments import TrainingArguments
from spert.training.corpus import load_training_corpus
from spert.training.flags import parse_arguments
from spert.training.initialization import reset_encoder
from spert.training.workers import Workers
from tests import tiny
from tests.runs import ROOT
from tests.side_by_side import recipes  # noqa: F401

STUDIES = sorted((ROOT / "configs" / "studies").glob("*.yaml"))


def write(folder, text):
    (folder / "mine.yaml").write_text(text)
    return folder / "mine.yaml"


class TestGrids:
    @pytest.mark.parametrize("recipe", STUDIES, ids=lambda path: path.stem)
    def test_the_shipped_ones(self, recipe):
        study = read_study(recipe)
        assert study.name == recipe.stem
        assert str(study.output_dir) == f"outputs/studies/{recipe.stem}"
        assert len(study.runs) == 3 * len(study.rows)
        assert varying(study.rows)
        first = study.rows[0].arguments
        paper = TrainingArguments(dataset_name="conll04")
        for name in study.rows[0].settings:
            assert getattr(first, name) == getattr(paper, name), "the first row is the paper's setting"

    def test_every_value_with_every_other(self, tmp_path):
        text = "dataset_name: conll04\nseed: 3\ngrid:\n  span_pooling: [max, mean]\n  num_negative_spans: [1, 2]\n"
        study = read_study(write(tmp_path, text), ["--output_dir", "out"])
        assert [row.label for row in study.rows] == [
            "span_pooling=max, num_negative_spans=1",
            "span_pooling=max, num_negative_spans=2",
            "span_pooling=mean, num_negative_spans=1",
            "span_pooling=mean, num_negative_spans=2",
        ]
        assert [run.output_dir for run in study.runs][:2] == [
            "out/span_pooling=max,num_negative_spans=1/seed-3",
            "out/span_pooling=max,num_negative_spans=2/seed-3",
        ]
        assert {run.checkpointing_steps for run in study.runs} == {"epoch"}
        assert {run.resume_from_checkpoint for run in study.runs} == {"latest"}

    def test_linked_settings_and_repetitions(self, tmp_path):
        text = (
            "dataset_name: conll04\nfolds: 2\ngrid:\n  - {num_negative_spans: 5, num_negative_relations: 5}\n"
            "  - {layerwise_lr_decay: [null, 0.9]}\n"
        )
        study = read_study(write(tmp_path, text), ["--seeds", "1,2", "--checkpointing_steps", "7"])
        assert [dict(row.settings) for row in study.rows] == [
            {"num_negative_spans": 5, "num_negative_relations": 5},
            {"layerwise_lr_decay": None},
            {"layerwise_lr_decay": 0.9},
        ]
        assert [Path(run.output_dir).name for run in study.rows[0].runs] == [
            "fold-0-seed-1",
            "fold-0-seed-2",
            "fold-1-seed-1",
            "fold-1-seed-2",
        ]
        assert {run.checkpointing_steps for run in study.runs} == {"7"}
        runs = [(Path(run.output_dir).parent.name, run.fold, run.seed) for run in study.runs]
        assert runs[:4] == [
            ("num_negative_spans=5,num_negative_relations=5", 0, 1),
            ("layerwise_lr_decay=null", 0, 1),
            ("layerwise_lr_decay=0.9", 0, 1),
            ("num_negative_spans=5,num_negative_relations=5", 0, 2),
        ]

    @pytest.mark.parametrize(
        ("text", "flags", "message"),
        [
            ("", [], "expected a `grid:` of settings with lists of values"),
            ("grid: 3", [], "line 2, grid: expected settings with lists of values, or a list of such"),
            ("grid: {}", [], "line 2, grid: expected at least one setting"),
            ("grid: {span_pooling: []}", [], "grid, span_pooling: expected at least one value, got none"),
            ("grid: {span_pooling: [median]}", [], "span_pooling: expected one of max, mean, sum, got 'median'"),
            ("grid: {span_poling: [max]}", [], "line 2: unknown setting 'span_poling'; did you mean 'span_pooling'"),
            ("grid: {seed: [1, 2]}", [], "grid, seed: expected a setting in which the models of the rows differ"),
            ("grid: {output_dir: [a]}", [], "grid, output_dir: expected a setting in which the models"),
            ("grid: {span_pooling: [max, max]}", [], "expected each row once, got span_pooling=max twice"),
            ("grid: {span_pooling: [max]}\nspan_pooling: max", [], "in the grid alone, got span_pooling twice"),
            ("grid: {span_pooling: [max]}", ["--span_pooling=sum"], "in the grid alone, got span_pooling twice"),
            ("grid: {span_pooling: [max]}\nbreak_down_by: size", [], "names out of distance, .*, got 'size'"),
            (
                "freeze_encoder: true\ngrid: {layerwise_lr_decay: [0.9]}",
                [],
                r"mine\.yaml, layerwise_lr_decay=0\.9: --freeze_encoder leaves no layers",
            ),
        ],
    )
    def test_what_cannot_work_is_refused(self, tmp_path, text, flags, message):
        with pytest.raises(ValueError, match=message):
            read_study(write(tmp_path, f"dataset_name: conll04\n{text}"), flags)

    def test_training_refuses_a_study(self):
        with pytest.raises(ValueError, match=r"context\.yaml, line \d+, grid: this recipe is a study.*`spert study`"):
            parse_arguments([str(ROOT / "configs" / "studies" / "context.yaml")])


class TestBreakdowns:
    SENTENCE = {
        "tokens": ["w"] * 25,
        "entities": [{"type": "A", "start": start, "end": end} for start, end in ((0, 1), (2, 4), (15, 20))],
        "relations": [{"type": "r", "head": 0, "tail": 1}, {"type": "r", "head": 2, "tail": 0}],
    }

    def test_by_distance(self):
        near = self.SENTENCE | {"relations": self.SENTENCE["relations"][:1]}
        rows = break_down([self.SENTENCE], [[near], [self.SENTENCE]], BREAKDOWNS["distance"])
        assert [(row["bucket"], row["f1"], row["support"]) for row in rows] == [
            ("0", None, 0),
            ("1-2", 1.0, 1),
            ("3-5", None, 0),
            ("6-10", None, 0),
            ("11-20", 0.5, 1),
            ("21+", None, 0),
        ]

    def test_by_length_and_width(self):
        short = {"tokens": ["w"] * 5, "entities": self.SENTENCE["entities"][:1], "relations": []}
        found = [{"tokens": ["w"] * 25, "entities": self.SENTENCE["entities"][1:], "relations": []}, short]
        by_length = break_down([self.SENTENCE, short], [found], BREAKDOWNS["sentence_length"])
        assert [(row["f1"], row["support"]) for row in by_length] == [(None, 0), (0.0, 2), (None, 0), (None, 0)]
        by_width = break_down([self.SENTENCE, short], [found], BREAKDOWNS["entity_width"])
        assert [row["support"] for row in by_width] == [2, 1, 0, 1, 0, 0]
        assert [by_width[index]["f1"] for index in (0, 1, 3)] == [pytest.approx(2 / 3), 1.0, 1.0]


@pytest.fixture
def small_study(small_corpus, small_encoder, tmp_path):
    text = "per_device_train_batch_size: 4\nmax_train_steps: 1\nhead_dropout: 0.0\nlearning_rate: 1.0e-2\n"
    text += "grid: {relation_context: [localized, cls]}\nbreak_down_by: [distance, entity_width]\n"
    flags = ["--dataset_name", str(small_corpus), "--model_name_or_path", str(small_encoder)]
    flags += ["--output_dir", str(tmp_path / "out")]
    recipe = write(tmp_path, text)
    return lambda *more: read_study(recipe, [*flags, *more])


def test_runs_are_trained_once_and_become_a_table(small_study, small_corpus, recipes, capsys):  # noqa: F811
    study = small_study("--seeds", "1")
    assert train_study(study) == []
    assert len(recipes) == 2
    more = small_study("--seeds", "1,2")
    with locked_study(more):
        assert train_study(more, num_processes=2) == []
        numbers = study_numbers(more, resamples=200)
        write_report(more, numbers)
        print_report(more, numbers)
    assert [path.parent.name for path in recipes[2:]] == ["seed-2", "seed-2"], "seed 1 is kept"
    printed = capsys.readouterr().out
    assert "relation_context=cls/seed-1: already finished" in printed
    assert "Micro F1 (entities) by words of the entity" in printed
    assert not list(more.output_dir.glob("*/*/checkpoints"))

    rows = numbers["rows"]
    assert [(row["label"], row["runs"]) for row in rows] == [
        ("relation_context=localized", 2),
        ("relation_context=cls", 2),
    ]
    folders = [more.output_dir / f"relation_context={name}" for name in ("localized", "cls")]
    scores = [
        [json.loads((folder / f"seed-{seed}" / "metrics.json").read_text())["ner_micro_f1"] for seed in (1, 2)]
        for folder in folders
    ]
    for row, of_row in zip(rows, scores):
        assert row["mean"]["ner_micro_f1"] == pytest.approx(statistics.mean(of_row))
        assert row["deviation"]["ner_micro_f1"] == pytest.approx(statistics.stdev(of_row))
    gold = json.loads((small_corpus / "test.json").read_text())
    systems = [
        [json.loads((folder / f"seed-{seed}" / "predictions.json").read_text()) for seed in (1, 2)]
        for folder in folders
    ]
    expected = compare(gold, *systems, symmetric_relations=["married_to"], resamples=200)["scores"]["ner_micro_f1"]
    assert "difference" not in rows[0]
    assert rows[1]["difference"]["ner_micro_f1"] == {
        "value": expected["difference"],
        "interval": expected["interval"],
        "p": expected["p"],
    }
    assert json.loads((more.output_dir / "study.json").read_text()) == numbers
    table = (more.output_dir / "study.md").read_text()
    assert table.startswith("Micro F1, mean ± standard deviation over runs; 7 sentences of test")
    assert f"{statistics.mean(scores[1]):.4f} ± {statistics.stdev(scores[1]):.4f}" in table
    assert (more.output_dir / "study.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_that_fails_takes_no_other_with_it(small_study, recipes):  # noqa: F811
    study = small_study("--seeds", "1")
    broken = study.output_dir / "relation_context=localized" / "seed-1"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text("{}")  # of something else
    (failed,) = train_study(study)
    assert failed.startswith("relation_context=localized/seed-1 (exit code 1, ")
    numbers = study_numbers(study, resamples=10)
    assert [row["label"] for row in numbers["rows"]] == ["relation_context=cls"]
    assert "difference" not in numbers["rows"][0], "there is no first row to compare with"
    assert numbers["unfinished"] == [str(broken)]


def test_no_table_without_a_run(small_study):
    with pytest.raises(ValueError, match="expected at least one finished run of the study, got none"):
        study_numbers(small_study())


class TestPictures:
    def row(self, **settings):
        names = [f"{task}_micro_f1" for task in ("ner", "rel_boundary", "rel_strict")]
        return {"label": str(settings), "settings": settings, "runs": 1, "mean": dict.fromkeys(names, 0.5)}

    def test_numbers_make_an_axis(self, tmp_path):
        rows = [self.row(num_negative_spans=n, num_negative_relations=n, span_pooling="max") for n in (1, 20, 100)]
        varied = ["num_negative_spans", "num_negative_relations", "span_pooling"]
        assert numeric_axis(rows, varied) == ["num_negative_spans", "num_negative_relations"]
        rows += [self.row(num_negative_spans=5, num_negative_relations=5, span_pooling="mean")]
        numbers = {"study": "s", "rows": rows, "varying": varied, "split": "test", "sentences": 7}
        draw_study(tmp_path / "s.png", numbers)
        assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")

    def test_words_and_switches_do_not(self):
        assert numeric_axis([self.row(span_pooling=name) for name in ("max", "sum", "mean")], ["span_pooling"]) is None
        assert numeric_axis([self.row(freeze_encoder=value) for value in (False, True)], ["freeze_encoder"]) is None
        assert numeric_axis([self.row(train_fraction=value) for value in (0.5, 1.0)], ["train_fraction"]) is None


class TestTrainFraction:
    def test_shares_are_nested_and_seeded(self, small_corpus):
        def ids(fraction, seed=1):
            arguments = TrainingArguments(dataset_name=str(small_corpus), train_fraction=fraction, seed=seed)
            corpus = load_training_corpus(arguments)
            assert corpus.num_rows["validation"] == 5
            return corpus["train"]["tokens"]

        everything = ids(1.0)
        half = ids(0.5)
        assert [len(ids(fraction)) for fraction in (1.0, 0.5, 0.25, 0.001)] == [13, round(6.5), 3, 1]
        assert all(words in half for words in ids(0.25))
        assert half == [words for words in everything if words in half], "in the corpus's order"
        assert ids(0.5) == half
        assert ids(0.5, seed=2) != half

    def test_the_types_stay(self, small_corpus):
        from spert.corpora.types import types_of

        whole, part = (
            load_training_corpus(TrainingArguments(dataset_name=str(small_corpus), train_fraction=fraction))
            for fraction in (1.0, 0.1)
        )
        assert types_of(part) == types_of(whole)
        assert "1 of 13 sentences (seed 42)" in part["train"].info.description


class TestEncoderWeights:
    def weights(self, encoder_weights, model_type="bert", seed=0):
        model = tiny.model(model_type, seed=5)
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        torch.manual_seed(seed)
        reset_encoder(model, encoder_weights)
        return {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}, model

    def test_the_heads_stay(self):
        changed, model = self.weights("random")
        assert {name.split(".")[0] for name in changed} == {"encoder"}
        matrices = {name for name, weight in model.named_parameters() if weight.ndim > 1 and "encoder." in name}
        assert matrices <= changed
        deviation = model.encoder.get_input_embeddings().weight.std().item()
        assert math.isclose(deviation, model.encoder.config.initializer_range, rel_tol=0.1), "as the configuration says"

    @pytest.mark.parametrize("model_type", ["bert", "distilbert", "deberta-v2", "modernbert"])
    def test_embeddings_may_stay(self, model_type):
        changed, model = self.weights("embeddings", model_type)
        names = {name for name, weight in model.named_parameters() if weight.ndim > 1 and name.startswith("encoder.")}
        assert {name for name in names if name.startswith("encoder.embeddings.")}.isdisjoint(changed)
        assert {name for name in names if not name.startswith("encoder.embeddings.")} <= changed

    def test_pretrained_is_the_default(self):
        assert TrainingArguments(dataset_name="a").encoder_weights == "pretrained"
        assert self.weights("pretrained")[0] == set()

    def test_the_seed_decides(self):
        one, same, other = (self.weights("random", seed=seed)[1].encoder.state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert not all(torch.equal(one[name], other[name]) for name in one)

    def test_an_encoder_without_a_layer_of_embeddings_is_refused(self, monkeypatch):
        monkeypatch.setattr("spert.training.initialization._EMBEDDINGS", "vectors.")
        with pytest.raises(ValueError, match="--encoder_weights embeddings: expected an encoder with a layer"):
            self.weights("embeddings")


class TestWorkers:
    """Processes of runs, of which none trains anything."""

    class Process:
        def __init__(self):
            self.code, self.signals = None, []

        def poll(self):
            return self.code

        def terminate(self):
            self.signals.append("term")
            self.code = 143

    @pytest.fixture
    def started(self, monkeypatch):
        started = []

        def start(command, environment, log):
            started.append((command, environment, self.Process()))
            return started[-1][2]

        monkeypatch.setattr("spert.training.workers._start_process", start)
        return started

    def run(self, folder, name):
        return TrainingArguments(dataset_name="a", output_dir=str(folder / name))

    def test_so_many_at_a_time(self, started, tmp_path, monkeypatch):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        runs = [self.run(tmp_path, name) for name in "abc"]
        with Workers(2) as workers:
            workers.start(runs[0])
            assert workers.has_room
            workers.start(runs[1])
            assert not workers.has_room
            assert workers.ended(seconds=0) == []
            started[0][2].code = 3
            assert workers.ended(seconds=0) == [(runs[0], 3)]
            workers.start(runs[2])
            workers.stop(runs[2])
            assert workers.ended(seconds=0) == [(runs[2], 143)]
        assert started[1][2].signals == ["term"], "what still runs when the block ends is asked to end"
        command, environment, _ = started[0]
        assert command[1:3] == ["-m", "spert.train_accelerate"]
        assert parse_arguments(command[3:]) == runs[0]
        assert int(environment["OMP_NUM_THREADS"]) >= 1
        assert "SPERT_STARTED_BY" in environment

    def test_a_folder_that_somebody_writes_to(self, started, tmp_path, monkeypatch):
        from spert.locks import FolderLock

        monkeypatch.setattr("spert.training.workers._SECONDS_UNTIL_FREE", 0.0)
        lock = FolderLock(tmp_path / "a", "--output_dir")
        lock.acquire()
        with Workers(1) as workers, pytest.raises(BlockingIOError, match="expected a folder that nobody writes to"):
            workers.start(self.run(tmp_path, "a"))
        lock.release()
        assert started == []


def test_the_documentation_names_every_study():
    text = (ROOT / "docs" / "studies.md").read_text()
    results = text[text.index("## Results") :]
    for recipe in STUDIES:
        assert f"`{recipe.name}`" in text[: text.index("## Results")]
        assert f"`{recipe.name}`" in results, "what it found, or that it was not run"
        assert f" {recipe.stem}" in text[text.index("for study in") : text.index("; do")]
