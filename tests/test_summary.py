"""`spert summary`: which runs are meant, which belong together, and what is computed."""

import io
import json
import shutil

import pytest
from rich.console import Console

from spert.evaluation.summary import print_summary, summarize

TASKS = ("ner", "rel_boundary", "rel_strict")
NUMBERS = [
    f"{task}_{average}_{figure}"
    for task in TASKS
    for average in ("micro", "macro")
    for figure in ("precision", "recall", "f1")
]


def scores(value, support=3, kind="A"):
    per_type = {kind: {"precision": value, "recall": value, "f1": value, "support": support}}
    return dict.fromkeys(NUMBERS, value) | {f"{task}_per_type": per_type for task in TASKS}


def written(folder, value, record=None, **gold):
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(scores(value, **gold)))
    if record is not None:
        (folder / "run.json").write_text(json.dumps(record))
    return folder


def fold_record(fold, name="ade", folds="all", sentences=10):
    settings = {"dataset_name": name, "train_file": None, "fold": fold, "folds": folds}
    return {"settings": settings, "corpus": {"train": {"sentences": sentences - 1}, "test": {"sentences": 1}}}


def runs_of(summary):
    return {name: values["ner_micro_f1"] for name, values in summary["all spans"]["runs"].items()}


def test_mean_and_sample_deviation(tmp_path):
    folders = [written(tmp_path / str(number), value) for number, value in enumerate([0.1, 0.2, 0.6])]
    summary = summarize(folders)
    assert list(summary) == ["all spans"], "not every run has scores without overlapping entities"
    assert summary["all spans"]["mean"]["ner_macro_f1"] == pytest.approx(0.3)
    assert summary["all spans"]["deviation"]["rel_strict_micro_recall"] == pytest.approx(0.07**0.5)
    assert "deviation" not in summarize(folders[:1])["all spans"]


@pytest.mark.parametrize(
    ("file", "kind"),
    [("metrics_without_overlapping.json", "without overlapping"), ("metrics_from_text.json", "from text")],
)
def test_other_scores_where_every_run_has_them(tmp_path, file, kind):
    folders = [written(tmp_path / name, 0.5) for name in "ab"]
    (folders[0] / file).write_text(json.dumps(scores(0.2)))
    assert list(summarize(folders)) == ["all spans"]
    (folders[1] / file).write_text(json.dumps(scores(0.4)))
    assert summarize(folders)[kind]["mean"]["ner_micro_f1"] == pytest.approx(0.3)
    assert summarize(folders)["all spans"]["mean"]["ner_micro_f1"] == pytest.approx(0.5)


class TestWhichRuns:
    def test_runs_of_one_name_in_two_folders(self, tmp_path):
        summary = summarize([written(tmp_path / "a" / "run", 0.1), written(tmp_path / "b" / "run", 0.3)])
        assert runs_of(summary) == {"a/run": 0.1, "b/run": 0.3}

    def test_a_folder_of_runs_means_its_runs_in_the_order_of_their_numbers(self, tmp_path):
        for number in (10, 2, 1):
            written(tmp_path / f"fold-{number}", number / 10)
        (tmp_path / "summary.json").write_text("{}")
        (tmp_path / ".partial-x").mkdir()
        expected = {"fold-1": 0.1, "fold-2": 0.2, "fold-10": 1.0}
        assert runs_of(summarize([tmp_path])) == expected
        assert list(runs_of(summarize([tmp_path]))) == list(expected)
        visible = sorted(path for path in tmp_path.iterdir() if not path.name.startswith("."))
        assert runs_of(summarize(visible)) == expected, "OUT/*"

    def test_a_folder_of_runs_beside_a_run(self, tmp_path):
        written(tmp_path / "several" / "seed-1", 0.1)
        alone = written(tmp_path / "alone", 0.2)
        assert runs_of(summarize([tmp_path / "several", alone])) == {"several/seed-1": 0.1, "alone": 0.2}

    def test_one_run_in_the_working_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(written(tmp_path / "run", 0.1))
        assert runs_of(summarize(["."])) == {"run": 0.1}

    def test_what_is_no_run_is_refused(self, tmp_path):
        run = written(tmp_path / "seed-1", 0.1)
        (tmp_path / "notes.txt").write_text("")
        (tmp_path / "summary.json").write_text("{}")
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match=r"notes\.txt: expected the folder of a finished run, got a file"):
            summarize([run, tmp_path / "notes.txt"])
        with pytest.raises(ValueError, match=r"nowhere: expected the folder of a finished run, got nothing"):
            summarize([run, tmp_path / "nowhere"])
        with pytest.raises(ValueError, match=r"empty: expected the folder of a finished run, with metrics\.json, or a"):
            summarize([run, tmp_path / "empty"])
        with pytest.raises(ValueError, match=r"expected finished runs only, got without metrics\.json: empty\. Finish"):
            summarize([tmp_path])
        with pytest.raises(ValueError, match=r"got only summary\.json files"):
            summarize([tmp_path / "summary.json"])
        with pytest.raises(ValueError, match="expected at least one folder"):
            summarize([])

    def test_the_same_run_twice_is_refused(self, tmp_path):
        run = written(tmp_path / "seed-1", 0.1)
        (tmp_path / "link").symlink_to(run)
        for again in (run, tmp_path, tmp_path / "link", tmp_path / "seed-1" / ".." / "seed-1"):
            with pytest.raises(ValueError, match="expected each run once, got it twice"):
                summarize([run, again])


class TestOneCorpus:
    def test_other_gold_annotations_are_refused(self, tmp_path):
        first = written(tmp_path / "a", 0.1)
        for name, other in (("types", {"kind": "B"}), ("counts", {"support": 4})):
            second = written(tmp_path / name, 0.1, **other)
            message = (
                rf"expected runs on one corpus, got .*a \(3 gold entities.*\) and .*{name} .*each corpus by itself"
            )
            with pytest.raises(ValueError, match=message):
                summarize([first, second])

    def test_types_that_are_only_predicted_make_no_other_corpus(self, tmp_path):
        first, second = written(tmp_path / "a", 0.1), written(tmp_path / "b", 0.1)
        content = scores(0.1)
        content["ner_per_type"]["B"] = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
        (second / "metrics.json").write_text(json.dumps(content))
        assert len(runs_of(summarize([first, second]))) == 2

    def test_folds_belong_together_though_their_gold_differs(self, tmp_path):
        first = written(tmp_path / "fold-0", 0.1, fold_record(0))
        second = written(tmp_path / "fold-1", 0.3, fold_record(1), support=5)
        assert summarize([first, second])["all spans"]["mean"]["ner_micro_f1"] == pytest.approx(0.2)
        for name, other in (
            ("corpus", fold_record(1, name="scierc")),
            ("folds", fold_record(1, folds="5")),
            ("sentences", fold_record(1, sentences=11)),
            ("no-fold", fold_record(None)),
        ):
            third = written(tmp_path / name, 0.3, other, support=5)
            with pytest.raises(ValueError, match=r"expected runs on one corpus, got .*ade, 10 sentences in all folds"):
                summarize([first, third])


class TestMalformedFiles:
    """One message, which names file and field."""

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"ner_micro_f1": None}, r"metrics\.json, ner_micro_f1: expected a valid number, got None"),
            ({"ner_micro_f1": 1.5}, r"ner_micro_f1: expected a number less than or equal to 1, got 1\.5"),
            ({"ner_micro_f1": float("nan")}, "ner_micro_f1: expected a finite number, got nan"),
            ({"ner_micro_f1": True}, "ner_micro_f1: expected a valid number, got True"),
            ({"ner_per_type": [1]}, r"ner_per_type: expected .*, got \[1\]"),
            ({"rel_strict_per_type": {"A": {}}}, r"rel_strict_per_type\.A\.support: expected a value, but the field"),
            ({"ner_per_type": {"A": {"support": -1}}}, r"ner_per_type\.A\.support: expected a number greater than"),
        ],
    )
    def test_scores(self, tmp_path, change, message):
        run = written(tmp_path / "run", 0.1)
        (run / "metrics.json").write_text(json.dumps(scores(0.1) | change))
        with pytest.raises(ValueError, match=message):
            summarize([run])

    @pytest.mark.parametrize("content", [b"[]", b"", b"\xff{}", b"{", b'{"a": ' * 3000, b'{"a": "\\ud800"}', b"null"])
    def test_no_object(self, tmp_path, content):
        run = written(tmp_path / "run", 0.1)
        (run / "metrics.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"metrics\.json: expected "):
            summarize([run])

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"settings": None}, "settings"),
            ({"settings": []}, "settings"),
            ({"settings": {}}, r"settings\.dataset_name"),
            ({"settings": {"dataset_name": 1}}, r"settings\.dataset_name"),
            ({"corpus": None}, "corpus"),
            ({"corpus": {"train": {}}}, r"corpus\.train\.sentences"),
            ({"corpus": {"train": {"sentences": "9"}}}, r"corpus\.train\.sentences"),
        ],
    )
    def test_run_record(self, tmp_path, change, field):
        run = written(tmp_path / "run", 0.1, fold_record(0) | change)
        with pytest.raises(ValueError, match=rf"run\.json, {field}: expected "):
            summarize([run])


def test_tables_show_every_run_and_only_the_first_process_prints(tmp_path, monkeypatch):
    for name in ("a[b]", "b"):
        written(tmp_path / name / "run", 0.0175)
    summary = summarize([tmp_path / "a[b]" / "run", tmp_path / "b" / "run"])
    console = Console(record=True, width=160, file=io.StringIO())
    print_summary(summary, "[2] runs", console)
    text = console.export_text()
    for row in ("[2] runs: micro scores, all spans", "a[b]/run", "b/run", "mean", "deviation"):
        assert row in text
    assert text.count("0.0175") == 3 * 9
    monkeypatch.setenv("RANK", "1")
    print_summary(summary, "runs", console)
    assert not console.export_text()


def test_the_command(tmp_path, capsys, monkeypatch):
    from spert.cli import main

    for name in "ab":
        written(tmp_path / name / "run", 0.5)
    monkeypatch.setattr("sys.argv", ["spert", "summary", str(tmp_path / "a"), str(tmp_path / "b" / "run")])
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "2 runs" in printed
    assert "b/run" in printed
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert "run: expected the folder of a finished run, got nothing" in capsys.readouterr().err
