"""`spert tune`: what it finds is what decoding then does, and it can be undone and interrupted."""

import json
import os
import random

import numpy as np
import pytest
import torch
from datasets import Dataset

from spert import SpertModel, SpertProcessor
from spert.corpora import FEATURES, load_corpus
from spert.evaluation.evaluator import evaluate_model
from spert.exported.export import export_model
from spert.hub import TUNING_RESULTS, files_to_push
from spert.locks import LOCK_FILES, FolderLock
from spert.options_spert import DecodingOptions
from spert.prediction import as_spert_json, predict
from spert.training.output import save_model
from spert.tuning import record
from spert.tuning.calibration import sigmoid
from spert.tuning.choosing import FOLDS, LEAST_GOLD, Choice, folds_of
from spert.tuning.collecting import score_split
from spert.tuning.plots import CALIBRATION, PRECISION_RECALL
from spert.tuning.record import TUNING
from spert.tuning.tuner import report_of, tune_model
from tests import tiny
from tests.test_cli import refused, run, spert  # noqa: F401  # fixtures
from tests.tolerance import assert_close

NUMBER, SMALL_NUMBER = 24, 12


@pytest.fixture(autouse=True, scope="module")
def few_repetitions():
    """Cross-validation that is over soon."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("spert.tuning.choosing.REPEATS", 2)
        yield


SHIFTS = {"works_for": 0.0, "located_in": 1.0, "married_to": 2.0}


def annotated(model, processor, number=NUMBER, seed=0, length=9):
    """Sentences whose gold annotations are what a model finds, but surer of itself, and with other thresholds."""
    drawn = random.Random(seed)
    words = sorted({word for sentence in tiny.SENTENCES for word in sentence})
    sentences = [drawn.choices(words, k=drawn.randint(3, length)) for _ in range(number)]
    found = predict(model, processor, sentences, relation_threshold=0.0, relation_arguments={})
    records = []
    for index, (result, made) in enumerate(zip(found, as_spert_json(found))):
        made["entities"] = [one | ({"type": "Place"} if drawn.random() < 0.02 else {}) for one in made["entities"]]
        likely = [
            {name: relation[name] for name in ("type", "head", "tail")}
            for relation in result["relations"]
            if drawn.random() < float(sigmoid(3 * logit(relation["score"]) - SHIFTS[relation["type"]]))
        ]
        records.append({**made, "relations": likely, "id": f"{index // 3}/{index}"})
    return Dataset.from_list(records, features=FEATURES)


@pytest.fixture(scope="module")
def model():
    return tiny.model(max_span_width=2)


@pytest.fixture(scope="module")
def processor():
    return tiny.processor()


@pytest.fixture(scope="module")
def dataset(model, processor):
    return annotated(model, processor)


@pytest.fixture(scope="module")
def tuned(model, processor, dataset):
    return tune_model(model, processor, dataset, DecodingOptions.of(model.config), choice=Choice.by_type)


def strict(model, processor, dataset, fields):
    """What `spert evaluate` says with these values."""
    options = {name: value for name, value in fields.items() if value is not None}
    before = {name: getattr(model.config, name) for name in options}
    model.config.update(options)
    try:
        scores, _ = evaluate_model(model, processor, dataset)
    finally:
        model.config.update(before)
    return {name: scores[f"rel_strict_micro_{name}"] for name in ("precision", "recall", "f1")}


def logit(score):
    return np.log(np.float64(score) / (1 - np.float64(score)))


class TestWhatIsFound:
    def test_scores_are_those_of_an_evaluation(self, model, processor, dataset, tuned):
        before, after = tuned.relations.on_split
        assert_close(before, strict(model, processor, dataset, {}))
        assert_close(after, strict(model, processor, dataset, tuned.fields))
        assert after["f1"] > before["f1"] > 0
        assert tuned.relations.held_out[Choice.by_type].mean <= after["f1"]

    @pytest.mark.parametrize(
        "options",
        [
            {"overlapping_entities": "none"},
            {"overlapping_entities": "nested", "entity_threshold": 0.5},
            {"relation_arguments": {"works_for": [["Person", "Organization"], ["Place", "Place"]]}},
            {"temperature": {"entities": 2.0, "relations": 0.5}, "relation_threshold": {"works_for": 0.7}},
            {"entity_threshold": {"Person": 0.9}},
        ],
    )
    def test_whatever_the_options(self, model, processor, dataset, options):
        start = DecodingOptions.of(model.config).override(**options)
        tuned = tune_model(model, processor, dataset, start, choice=Choice.by_type)
        fields = {"overlapping_entities": start.overlapping_entities}
        assert_close(tuned.relations.on_split[1], strict(model, processor, dataset, fields | dict(tuned.fields)))
        assert_close(tuned.relations.on_split[0], strict(model, processor, dataset, options))

    def test_sentences_in_windows_count_as_others_do(self, model, processor):
        short = SpertProcessor(processor.tokenizer, max_pieces=14)
        dataset = annotated(model, short, number=16, length=30)
        assert max(len(document.rows) for document in short.encode_documents(dataset["tokens"])) > 2
        tuned = tune_model(model, short, dataset, DecodingOptions.of(model.config), choice=Choice.common)
        assert_close(tuned.relations.on_split[0], strict(model, short, dataset, {}))
        assert_close(tuned.relations.on_split[1], strict(model, short, dataset, tuned.fields))

    def test_untuned_thresholds_let_the_same_pass_at_the_new_temperature(self, model, processor, dataset):
        options = DecodingOptions.of(model.config)
        tuned = tune_model(model, processor, dataset, options, choice=Choice.untuned)
        assert tuned.fields["temperature"]["relations"] != 1
        assert tuned.fields["relation_threshold"] != 0.4
        assert tuned.relations.on_split[0] == tuned.relations.on_split[1]
        assert_close(strict(model, processor, dataset, tuned.fields), strict(model, processor, dataset, {}))

    def test_temperatures_lower_the_loss_and_keep_the_types(self, model, processor, dataset, tuned):
        for calibrated in (tuned.entity_temperature, tuned.relation_temperature):
            assert calibrated.losses[1] < calibrated.losses[0]
            assert calibrated.reliability[0].counts.sum() == calibrated.number > 0
        words = dataset["tokens"][0]
        (plain,) = predict(model, processor, [words])
        (tempered,) = predict(model, processor, [words], temperature=tuned.fields["temperature"])
        assert [one["type"] for one in plain["entities"]] == [one["type"] for one in tempered["entities"]]

    def test_the_same_again(self, model, processor, dataset, tuned):
        again = tune_model(model, processor, dataset, DecodingOptions.of(model.config), choice=Choice.by_type)
        assert_close(report_of(again), report_of(tuned))

    def test_types_with_few_gold_relations_keep_the_common_threshold(self, model, processor):
        dataset = annotated(model, processor, number=6)
        options = DecodingOptions.of(model.config)
        by_type = tune_model(model, processor, dataset, options, choice=Choice.by_type).relations
        common = tune_model(model, processor, dataset, options, choice=Choice.common).relations
        rare = [kind for kind, number in by_type.gold.items() if number < LEAST_GOLD]
        assert rare
        assert all(by_type.after[kind] == common.after[kind] for kind in rare)

    def test_cross_validation_chooses(self, model, processor, dataset):
        tuned = tune_model(model, processor, dataset, DecodingOptions.of(model.config))
        means = {choice: score.mean for choice, score in tuned.relations.held_out.items()}
        assert tuned.relations.choice == max(means, key=means.get) != Choice.untuned
        assert list(tuned.entities.held_out) == list(Choice)

    def test_noise_is_left_alone(self, model, processor):
        """Relations that have nothing to do with the scores: no threshold holds on other sentences."""
        dataset = annotated(model, processor, number=24).to_list()
        drawn = random.Random(1)
        for row in dataset:
            pairs = [(head, tail) for head in range(len(row["entities"])) for tail in range(head)]
            chosen = drawn.sample(pairs, min(len(pairs), 1))
            row["relations"] = [{"type": "works_for", "head": head, "tail": tail} for head, tail in chosen]
        noise = Dataset.from_list(dataset, features=FEATURES)
        tuned = tune_model(model, processor, noise, DecodingOptions.of(model.config))
        held_out = tuned.relations.held_out
        assert held_out[tuned.relations.choice].mean >= held_out[Choice.untuned].mean

    def test_a_model_that_finds_nothing_stays_as_it_is(self, processor, dataset):
        nothing = tiny.model(max_span_width=2)
        with torch.no_grad():
            nothing.span_classifier.linear.bias[0] += 1e6
        tuned = tune_model(nothing, processor, dataset, DecodingOptions.of(nothing.config))
        assert tuned.relations.choice == Choice.untuned
        assert tuned.fields["temperature"] == {"entities": 1.0, "relations": 1.0}
        assert tuned.fields["relation_threshold"] == 0.4

    def test_millions_of_pairs_are_no_objects(self, model, processor, dataset):
        split = score_split(model, processor, dataset, DecodingOptions.of(model.config))
        assert all(isinstance(column, np.ndarray) for column in vars(split).values())
        assert split.head.max() < len(split.entity_type)
        assert (split.entity_sentence[split.head] == split.entity_sentence[split.tail]).all()


def test_folds_hold_whole_documents():
    identifiers = [f"abstract-{index // 4}/{index}" for index in range(80)]
    first, second = (folds_of(identifiers, repetition, 0) for repetition in range(2))
    assert set(first) == set(range(FOLDS))
    assert all(len(set(first[start : start + 4])) == 1 for start in range(0, 80, 4))
    assert (first != second).any()
    assert (first == folds_of(identifiers, 0, 0)).all()
    assert len(set(folds_of(["5178", "1755", "5178", "9", "2"], 0, 0))) == FOLDS  # no documents: each sentence is one


@pytest.fixture
def folder(model, processor, tmp_path):
    place = tmp_path / "model"
    save_model(place, model, processor)
    (place / "README.md").write_text(
        "# A card\n\nfound is scored; pairs with a score of at least 0.4 are relations.\n\n"
        "## Scores\n\nGood.\n\n## Training\n\nSlow.\n"
    )
    (place / "notes.txt").write_text("mine")
    return place


@pytest.fixture
def corpus(dataset, tmp_path):
    place = tmp_path / "corpus"
    place.mkdir()
    for split in ("train", "validation"):
        (place / f"{split}.json").write_text(json.dumps(dataset.to_list()[:SMALL_NUMBER]))
    types = {
        "entities": {name: {} for name in tiny.ENTITY_TYPES},
        "relations": {name: {"symmetric": name in tiny.SYMMETRIC} for name in tiny.RELATION_TYPES},
    }
    (place / "types.json").write_text(json.dumps(types))
    return place


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def fields_of(folder):
    config = json.loads((folder / "config.json").read_text())
    return {name: config[name] for name in ("relation_threshold", "entity_threshold", "temperature")}


class TestTheCommand:
    def test_tunes_and_is_undone(self, run, folder, corpus):  # noqa: F811
        before = contents(folder)
        printed = run("tune", "--model", folder, "--dataset", corpus, "--thresholds", "by-type")
        assert "taken" in printed
        assert f"spert tune --model {folder} --reset" in printed.replace("\n", "")
        after = contents(folder)
        new = {"tuning.json", "calibration.png", "precision_recall.png"}
        assert after.keys() - before.keys() == new
        assert {name for name in before if before[name] != after[name]} == {"config.json", "README.md"}
        assert all(after[name][:8] == b"\x89PNG\r\n\x1a\n" for name in new if name.endswith(".png"))
        written = json.loads(after["tuning.json"])
        assert written["after"] == json.loads(json.dumps(written["after"]))
        assert written["after"]["relation_threshold"] == fields_of(folder)["relation_threshold"]
        assert (written["dataset"], written["split"], written["sentences"]) == ("corpus", "validation", SMALL_NUMBER)
        changed = json.loads(after["config.json"])
        assert {name for name, value in json.loads(before["config.json"]).items() if changed[name] != value} == {
            "relation_threshold",
            "temperature",
        }
        assert new <= {path.name for path in files_to_push(folder)}
        run("tune", "--model", folder, "--reset")
        assert contents(folder) == before

    def test_the_card_says_so(self, run, folder, corpus):  # noqa: F811
        run("tune", "--model", folder, "--dataset", corpus)
        run("tune", "--model", folder, "--dataset", corpus)
        card = (folder / "README.md").read_text()
        assert card.count("## Tuned thresholds\n") == 1
        assert card.index("## Scores") < card.index("## Tuned thresholds") < card.index("## Training")
        assert "split `validation` of corpus" in card
        assert "score of at least 0.4" not in card
        written = json.loads((folder / "tuning.json").read_text())
        assert f"{written['relation_threshold']['on_split']['after']['f1']:.4f} tuned" in card

    def test_a_second_tuning_starts_from_the_untuned_values(self, run, folder, corpus):  # noqa: F811
        before = contents(folder)
        run("tune", "--model", folder, "--dataset", corpus, "--thresholds", "common")
        once = contents(folder)
        run("tune", "--model", folder, "--dataset", corpus, "--thresholds", "by-type")
        assert contents(folder)["config.json"] != once["config.json"]
        run("tune", "--model", folder, "--dataset", corpus, "--thresholds", "common")
        assert contents(folder)["config.json"] == once["config.json"]
        run("tune", "--model", folder, "--reset")
        assert contents(folder) == before

    def test_a_copy_is_tuned_in_place_of_the_model(self, run, refused, folder, corpus, tmp_path):  # noqa: F811
        before = contents(folder)
        (folder / "checkpoints").mkdir()
        for name in LOCK_FILES:  # of a run that was killed
            (folder / name).touch()
        words = ["tune", "--model", folder, "--dataset", corpus, "--output", tmp_path / "copy"]
        run(*words)
        (folder / "checkpoints").rmdir()
        for name in LOCK_FILES:
            (folder / name).unlink()
        assert contents(folder) == before
        copy = contents(tmp_path / "copy")
        assert copy.keys() == before.keys() | {"tuning.json", "calibration.png", "precision_recall.png"}
        SpertModel.from_pretrained(tmp_path / "copy")
        assert "a model stands here" in refused(*words)
        run("tune", "--model", tmp_path / "copy", "--reset")
        assert contents(tmp_path / "copy") == before

    @pytest.mark.parametrize(
        "flags", [["--dataset", "corpus"], ["--dataset", "corpus", "--output", "copy"], ["--reset"]]
    )
    def test_two_at_once(self, run, refused, folder, corpus, tmp_path, flags):  # noqa: F811
        before = contents(folder)
        flags = [tmp_path / word if word in ("corpus", "copy") else word for word in flags]
        locked = tmp_path / "copy" if "--output" in flags else folder
        with FolderLock(locked, "--output"):
            error = refused("tune", "--model", folder, *flags)
        assert f"{locked}: expected a folder that nobody writes to, but process {os.getpid()} on " in error
        assert contents(folder) == before
        assert not (tmp_path / "copy").exists()

    def test_the_files_of_an_earlier_tuning_go_with_its_model(self, run, folder, corpus, model, processor):  # noqa: F811
        before = contents(folder)
        run("tune", "--model", folder, "--dataset", corpus)
        assert (folder / "tuning.json").exists()
        save_model(folder, model, processor)
        assert contents(folder).keys() == before.keys()
        assert {TUNING, CALIBRATION, PRECISION_RECALL} == set(TUNING_RESULTS)

    def test_relation_arguments_are_learned(self, run, refused, folder, corpus):  # noqa: F811
        words = ["tune", "--model", folder, "--dataset", corpus, "--relation-arguments", "learned"]
        before = contents(folder)
        run(*words, "--thresholds", "untuned")
        arguments = json.loads((folder / "config.json").read_text())["relation_arguments"]
        rows = load_corpus(corpus)["train"]
        joined = {
            (relation["type"], row["entities"][relation["head"]]["type"], row["entities"][relation["tail"]]["type"])
            for row in rows
            for relation in row["relations"]
        }
        assert {(kind, *pair) for kind, pairs in arguments.items() for pair in pairs} == joined
        run("tune", "--model", folder, "--dataset", corpus)
        assert json.loads((folder / "config.json").read_text())["relation_arguments"] is None
        run("tune", "--model", folder, "--reset")
        assert contents(folder) == before
        assert "--train-split: expected one of train, validation, got 'training'" in refused(
            *words, "--train-split", "training"
        )

    def test_values_that_were_changed_since(self, run, refused, monkeypatch, capsys, folder, corpus):  # noqa: F811
        run("tune", "--model", folder, "--dataset", corpus)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"relation_threshold": 0.77}))
        assert "they were changed since. Nothing was undone" in refused("tune", "--model", folder, "--reset")
        code = spert("tune", "--model", folder, "--dataset", corpus, "--thresholds", "untuned", monkeypatch=monkeypatch)
        assert code == 0
        assert "tuning starts from them" in capsys.readouterr().err
        assert json.loads((folder / "tuning.json").read_text())["before"]["relation_threshold"] == 0.77

    @pytest.mark.slow
    def test_an_exported_model(self, run, folder, corpus, model, processor, tmp_path, monkeypatch):  # noqa: F811
        monkeypatch.setenv("SPERT_TRUST_PROGRAMS", "1")
        export_model(model, processor, tmp_path / "exported", "torch")
        before = contents(tmp_path / "exported")
        for place in (folder, tmp_path / "exported"):
            run("tune", "--model", place, "--dataset", corpus, "--thresholds", "common")
        assert_close(fields_of(tmp_path / "exported")["temperature"], fields_of(folder)["temperature"])
        run("tune", "--model", tmp_path / "exported", "--reset")
        assert contents(tmp_path / "exported") == before

    def test_what_is_refused(self, refused, folder, corpus, dataset, tmp_path):  # noqa: F811
        words = ["tune", "--model", folder, "--dataset"]
        assert "--dataset: expected a corpus by name" in refused(*words[:-1])
        assert "--split: expected one of train, validation, got 'dev'" in refused(*words, corpus, "--split", "dev")
        assert "needs no data" in refused(*words, corpus, "--reset")
        assert "expected a tuned model, got a folder without tuning.json" in refused(*words[:-1], "--reset")
        assert "expected a folder, because tuning writes into it" in refused(
            "tune", "--model", "org/name", "--dataset", corpus
        )
        bare = [row | {"relations": []} for row in dataset.to_list()]
        (tmp_path / "bare.json").write_text(json.dumps(bare))
        assert f"{NUMBER} sentences without any" in refused(*words, tmp_path / "bare.json")
        (tmp_path / "other.json").write_text(json.dumps(dataset.to_list()).replace("works_for", "owns"))
        assert "expected relations of the types that the model knows" in refused(*words, tmp_path / "other.json")
        assert not (folder / "tuning.json").exists()


def test_the_sentence_and_the_place_are_those_of_the_card(root):
    """Tuning changes what training wrote: a template with other words needs other words in `record`."""
    template = (root / "spert" / "training" / "card_template.md").read_text()
    assert len(record._THRESHOLD_TEXT.findall(template.replace("{{ relation_threshold }}", "0.4"))) == 1
    assert f"\n{record._BEFORE_SECTION}\n" in template


class _KilledError(Exception):
    """Stands for the end of the process."""


class TestAKill:
    """Whatever has been written when the process ends, the model is whole, and the untuned values are known."""

    @pytest.mark.parametrize("number", range(5))
    def test_while_it_writes(self, model, processor, dataset, tuned, folder, monkeypatch, number):
        first = fields_of(folder)
        other = tune_model(model, processor, dataset, DecodingOptions.of(model.config), choice=Choice.common)
        about = {"dataset": "corpus", "split": "validation"}
        before, _ = record.untuned_values(folder)
        record.write_tuning(folder, before, other, about)
        old = fields_of(folder)
        writers = [(record, "write_json"), (record, "_write_text"), (record, "draw_calibration")]
        writers += [(record, "draw_precision_recall")]
        done = 0

        def counting(write):
            def count(*arguments):
                nonlocal done
                if done == number:
                    raise _KilledError
                done += 1
                return write(*arguments)

            return count

        with monkeypatch.context() as patched:
            for module, name in writers:
                patched.setattr(module, name, counting(getattr(module, name)))
            with pytest.raises(_KilledError):
                record.write_tuning(folder, before, tuned, about)
        assert fields_of(folder) in (old, {name: tuned.fields[name] for name in old})
        assert record.untuned_values(folder) == (before, True)
        SpertModel.from_pretrained(folder)
        record.reset_tuning(folder)
        assert fields_of(folder) == first

    @pytest.mark.parametrize("number", range(5))
    def test_while_it_is_undone(self, tuned, folder, monkeypatch, number):
        first = contents(folder)
        before, _ = record.untuned_values(folder)
        record.write_tuning(folder, before, tuned, {"dataset": "corpus", "split": "validation"})
        writers, done = {name: getattr(record, name) for name in ("_write_text", "remove")}, 0

        def counting(write):
            def count(*arguments):
                nonlocal done
                if done == number:
                    raise _KilledError
                done += 1
                return write(*arguments)

            return count

        with monkeypatch.context() as patched:
            for name, write in writers.items():
                patched.setattr(record, name, counting(write))
            with pytest.raises(_KilledError):
                record.reset_tuning(folder)
        record.reset_tuning(folder)
        assert contents(folder) == first


def test_a_model_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="got one without config"):
        record.untuned_values(tmp_path / "none")
