"""`spert compare`: the scores are those of `compute_scores`, and p says what it should."""

import json
import random

import pytest
from typer.testing import CliRunner

from spert.cli import app
from spert.corpora import write_spert_json
from spert.evaluation.comparison import compare
from spert.evaluation.scores import compute_scores
from tests import tiny
from tests.tolerance import assert_close

GOLD = [record | {"id": str(number)} for number, record in enumerate(tiny.RECORDS * 15)]


def spoilt(share, seed):
    """The gold annotations, of which a share of the sentences has lost its last entity and its relations."""
    generator = random.Random(seed)
    return [
        record | {"entities": record["entities"][:-1], "relations": []} if generator.random() < share else record
        for record in GOLD
    ]


def test_scores_are_the_means_of_compute_scores():
    systems = [spoilt(0.2, 0), spoilt(0.3, 1)], [spoilt(0.8, 2)]
    numbers = compare(GOLD, *systems, symmetric_relations=tiny.SYMMETRIC, resamples=50)
    expected = [[compute_scores(GOLD, run, symmetric_relations=tiny.SYMMETRIC) for run in system] for system in systems]
    for name, row in numbers["scores"].items():
        first, second = (sum(scores[name] for scores in system) / len(system) for system in expected)
        assert_close([row["first"], row["second"], row["difference"]], [first, second, second - first])
    for task, rows in numbers["per_type"].items():
        for kind, row in rows.items():
            by_type = [
                [scores[f"{task}_per_type"].get(kind, {"f1": 0.0})["f1"] for scores in system] for system in expected
            ]
            assert_close([row["first"], row["second"]], [sum(by_type[0]) / 2, by_type[1][0]])
    place = numbers["per_type"]["ner"]["Place"]
    support = compute_scores(GOLD, GOLD)["ner_per_type"]["Place"]["support"]
    assert place["found_by_second"]["correct"] + place["found_by_second"]["missed"] == support
    assert place["found_by_second"]["spurious"] == 0
    assert numbers["runs"] == [2, 1]


def test_equal_systems_do_not_differ():
    row = compare(GOLD, [spoilt(0.3, 0)], [spoilt(0.3, 0)], resamples=200)["scores"]["rel_strict_micro_f1"]
    assert (row["difference"], row["interval"], row["p"]) == (0.0, [0.0, 0.0], 1.0)


def test_p_is_small_where_one_is_better_and_large_where_chance_decides():
    better = compare(GOLD, [spoilt(0.9, 0)], [spoilt(0.1, 1)], resamples=1000)["scores"]["rel_strict_micro_f1"]
    assert better["p"] < 0.01
    assert 0 < better["interval"][0] < better["difference"] < better["interval"][1]
    worse = compare(GOLD, [spoilt(0.1, 1)], [spoilt(0.9, 0)], resamples=1000)["scores"]["rel_strict_micro_f1"]
    assert worse["p"] == better["p"]
    assert_close(worse["difference"], -better["difference"])
    chance = compare(GOLD, [spoilt(0.5, 0)], [spoilt(0.5, 4)], resamples=1000)["scores"]["ner_micro_f1"]
    assert chance["p"] > 0.2


def test_the_same_seed_gives_the_same_numbers():
    systems = [spoilt(0.5, 0)], [spoilt(0.3, 1)]
    assert compare(GOLD, *systems, resamples=700) == compare(GOLD, *systems, resamples=700)
    assert compare(GOLD, *systems, resamples=700, seed=1) != compare(GOLD, *systems, resamples=700)


def test_a_sentence_that_decides_alone_is_no_evidence():
    """One sentence of 60 differs: a third of the resamples (1/e) leave it out."""
    other = [GOLD[0] | {"relations": []}, *GOLD[1:]]
    row = compare(GOLD, [other], [GOLD], resamples=2000)["scores"]["rel_strict_micro_f1"]
    assert row["p"] == pytest.approx(2 / 2.71828, abs=0.06)


@pytest.mark.parametrize(
    ("first", "second", "more", "message"),
    [
        ([], [GOLD], {}, "at least one list of predictions of each system"),
        ([GOLD], [GOLD[:-1]], {}, "expected one prediction for each reference, got 60 references and 59"),
        ([GOLD], [GOLD], {"resamples": 0}, "at least one resample, got 0"),
    ],
)
def test_refuses(first, second, more, message):
    with pytest.raises(ValueError, match=message):
        compare(GOLD, first, second, **more)


class TestCommand:
    @pytest.fixture
    def folder(self, tmp_path):
        write_spert_json(tmp_path / "gold.json", GOLD)
        for name, share in (("a-1", 0.2), ("a-2", 0.3), ("b", 0.8)):
            (tmp_path / name).mkdir()
            predictions = spoilt(share, len(name))
            write_spert_json(tmp_path / name / "predictions.json", predictions)
            (tmp_path / name / "metrics.json").write_text(json.dumps(compute_scores(GOLD, predictions)))
        return tmp_path

    def run(self, *words):
        return CliRunner().invoke(app, ["compare", *map(str, words), "--resamples", "100"])

    def test_runs_patterns_and_files(self, folder):
        output = folder / "numbers.json"
        flags = ["--references", folder / "gold.json", "--output", output]
        done = self.run(folder / "a-*", folder / "b", *flags)
        assert done.exit_code == 0, done.output
        assert "(2 runs)" in " ".join(done.output.split())
        numbers = json.loads(output.read_text())
        assert numbers["runs"] == [2, 1]
        assert numbers["scores"]["rel_strict_micro_f1"]["difference"] < 0
        done = self.run(folder / "a-1", folder / "b" / "predictions.json", *flags)
        assert done.exit_code == 0, done.output
        assert json.loads(output.read_text())["runs"] == [1, 1]

    def test_a_corpus_by_folder(self, folder):
        corpus = folder / "corpus"
        corpus.mkdir()
        write_spert_json(corpus / "test.json", GOLD)
        done = self.run(folder / "a-1", folder / "b", "--dataset", corpus)
        assert done.exit_code == 0, done.output
        done = self.run(folder / "a-1", folder / "b", "--dataset", corpus, "--split", "train")
        assert "expected one of test, got 'train'" in str(done.exception)

    def test_errors(self, folder):
        gold = ["--references", folder / "gold.json"]
        assert "either --references or --dataset, got neither" in str(self.run(folder / "b", folder / "b").exception)
        assert "got nothing there" in str(self.run(folder / "none", folder / "b", *gold).exception)
        write_spert_json(folder / "other.json", [GOLD[0] | {"tokens": ["x"] * 8}, *GOLD[1:]])
        done = self.run(folder / "b", folder / "other.json", *gold)
        assert "other.json, record 0, field 'tokens'" in str(done.exception)
        (folder / "b" / "predictions.json").unlink()
        assert "expected a run with predictions.json" in str(self.run(folder / "b", folder / "a-1", *gold).exception)
