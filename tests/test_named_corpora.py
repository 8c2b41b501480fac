"""SciERC and ADE: from the real files, and from small ones made here."""

import json
import tarfile

import pytest

from spert.corpora import load_corpus, types_of
from spert.corpora.ade import split_into_words
from spert.corpora.statistics import overlapping


def counts(rows):
    return len(rows), sum(map(len, rows["entities"])), sum(map(len, rows["relations"]))


class TestScierc:
    ABSTRACT = {
        "doc_key": "X1",
        "sentences": [["We", "use", "-LRB-", "CRFs", "-RRB-", "."], ["They", "help", "parsing", "and", "tagging", "."]],
        "ner": [[[3, 3, "Method"]], [[6, 6, "Generic"], [8, 8, "Task"], [10, 10, "Task"]]],
        "relations": [[], [[6, 6, 8, 8, "USED-FOR"], [8, 8, 10, 10, "CONJUNCTION"]]],
        "clusters": [],
    }

    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("train", "dev", "test"):
            (tmp_path / f"{name}.json").write_text(json.dumps(self.ABSTRACT) + "\n")
        return tmp_path

    def check(self, corpus):
        first, second = corpus["train"]
        assert first["tokens"] == ["We", "use", "(", "CRFs", ")", "."]
        assert [first["id"], second["id"]] == ["X1/0", "X1/1"]
        assert second["entities"][1] == {"type": "Task", "start": 2, "end": 3}
        assert second["relations"] == [
            {"type": "Used-for", "head": 0, "tail": 1},
            {"type": "Conjunction", "head": 1, "tail": 2},
        ]
        assert types_of(corpus).symmetric_relations == ("Compare", "Conjunction")

    def test_official_files(self, folder):
        self.check(load_corpus("scierc", str(folder)))

    def test_official_archive(self, folder, tmp_path_factory):
        target = tmp_path_factory.mktemp("archive")
        with tarfile.open(target / "sciERC_processed.tar.gz", "w:gz") as archive:
            for name in ("train", "dev", "test"):
                archive.add(folder / f"{name}.json", f"processed_data/json/{name}.json")
        self.check(load_corpus("scierc", str(target)))

    def test_what_else_is_in_an_archive_is_written_nowhere(self, folder, tmp_path_factory):
        target = tmp_path_factory.mktemp("archive") / "data"
        target.mkdir()
        with tarfile.open(target / "sciERC_processed.tar.gz", "w:gz") as archive:
            for name in ("train", "dev", "test"):
                archive.add(folder / f"{name}.json", f"processed_data/json/{name}.json")
            archive.add(folder / "train.json", "../evil")
            archive.add(folder / "train.json", str(target.parent / "evil"))
            link = tarfile.TarInfo("processed_data/link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc"
            archive.addfile(link)
        self.check(load_corpus("scierc", str(target)))
        assert [path.name for path in target.parent.rglob("*")] == ["data", "sciERC_processed.tar.gz"]

    def test_spert_json(self, folder, tmp_path_factory):
        from spert.corpora import write_spert_json

        target = tmp_path_factory.mktemp("spert")
        for split, rows in load_corpus("scierc", str(folder)).items():
            name = "dev" if split == "validation" else split
            write_spert_json(target / f"scierc_{name}.json", rows)
        self.check(load_corpus("scierc", str(target)))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"relations": [[], [[0, 0, 8, 8, "USED-FOR"]]]},
                r"line 1, sentence X1/1, field 'relations', entry 0: expected the words of an entity .* got \[0, 0\]",
            ),
            ({"relations": [[], [[6, 6, 8, 8, "EATS"]]]}, "expected one of .* got 'EATS'"),
            ({"ner": [[[3, 9, "Method"]], []], "relations": [[], []]}, r"X1/0, field 'ner', entry 0: .* got 3 to 9"),
            ({"ner": [[]]}, "line 1, field 'ner': expected a list for each of 2 sentences, got 1"),
            ({"ner": [[[3, 3]], []]}, "line 1, field 'ner', entry 0, entry 0: expected a list of another length"),
            ({"ner": None}, "line 1, field 'ner': expected a list, got None"),
            ({"sentences": [["We", 3], []]}, "field 'sentences', entry 0, entry 1: expected a string, got 3"),
            ({"doc_key": None}, "line 1, field 'doc_key': expected a string, got None"),
        ],
    )
    def test_broken_abstracts_are_named(self, folder, change, message):
        (folder / "train.json").write_text(json.dumps(self.ABSTRACT | change))
        with pytest.raises(ValueError, match=message):
            load_corpus("scierc", str(folder))
        (folder / "train.json").write_text("{")
        with pytest.raises(ValueError, match=r"train\.json, line 1: expected JSON"):
            load_corpus("scierc", str(folder))

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"sciERC_processed\.tar\.gz"):
            load_corpus("scierc", str(tmp_path))

    def test_real_counts(self, data_dir):
        corpus = load_corpus("scierc", str(data_dir / "scierc"))
        assert {split: counts(rows) for split, rows in corpus.items()} == {
            "train": (1861, 5598, 3219),
            "validation": (275, 811, 455),
            "test": (551, 1685, 974),
        }
        tokens = {token for rows in corpus.values() for words in rows["tokens"] for token in words}
        assert "(" in tokens
        assert not any(token.startswith("-") and token.endswith("RB-") for token in tokens)
        types = types_of(corpus)
        assert list(types.entities) == ["Task", "Method", "Material", "OtherScientificTerm", "Metric", "Generic"]
        assert list(types.relations)[-2:] == list(types.symmetric_relations) == ["Compare", "Conjunction"]


class TestAde:
    LINES = (
        "1|Rash after aspirin and rash after aspirin.|Rash|10|14|aspirin|21|28\n"
        "1|Rash after aspirin and rash after aspirin.|rash|33|37|aspirin|44|51\n"
        "1|Acute rash (FK506)-induced.|Acute rash|0|10|FK506|12|17\n"
        "1|Acute rash (FK506)-induced.|rash|6|10|FK506|12|17\n"
    )

    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "DRUG-AE.rel").write_text(self.LINES)
        return tmp_path

    def test_raw_file(self, folder):
        first, second = load_corpus("ade", str(folder))["train"]
        assert first["tokens"] == ["Rash", "after", "aspirin", "and", "rash", "after", "aspirin", "."]
        assert [(one["head"], one["tail"]) for one in first["relations"]] == [(0, 1), (2, 3)]
        assert first["entities"][0] == {"type": "Adverse-Effect", "start": 0, "end": 1}
        assert second["tokens"] == ["Acute", "rash", "(", "FK506", ")", "-", "induced", "."]
        assert [(one["type"], one["start"], one["end"]) for one in second["entities"]] == [
            ("Adverse-Effect", 0, 2),
            ("Adverse-Effect", 1, 2),
            ("Drug", 3, 4),
        ]
        assert [first["id"], second["id"]] == ["1/0", "1/1"]
        assert second["text"] == "Acute rash (FK506)-induced."
        assert second["words"] == [[0, 5], [6, 10], [11, 12], [12, 17], [17, 18], [18, 19], [19, 26], [26, 27]]

    def test_equal_mentions_are_taken_in_turn(self, tmp_path):
        line = "1|aspirin rash aspirin rash|rash|8|12|aspirin|0|7\n"
        (tmp_path / "DRUG-AE.rel").write_text(line * 2)
        (record,) = load_corpus("ade", str(tmp_path))["train"]
        assert len(record["entities"]) == 4
        (tmp_path / "DRUG-AE.rel").write_text(line * 3)
        with pytest.raises(ValueError, match=r"line 3: expected 'rash' and 'aspirin', -8 characters apart"):
            load_corpus("ade", str(tmp_path))

    @pytest.mark.parametrize(
        ("sentence", "words"),
        [
            ("Given amphotericin B.", "Given amphotericin B ."),
            ("(FK506)-induced, bisabolol- a part", "( FK506 ) - induced , bisabolol - a part"),
            ("Dr. Ray didn't.", "Dr. Ray did n't ."),
        ],
    )
    def test_words(self, sentence, words):
        assert [sentence[start:end] for start, end in split_into_words(sentence)] == words.split()

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("1|a b|a|0|1|b|2", "line 1: expected 8 fields"),
            ("x|a b|a|0|1|b|2|3", "with whole numbers"),
            ("1|ab b|a|0|1|b|3|4", "the mention 'a' cuts through a word"),
        ],
    )
    def test_broken_lines_are_named(self, tmp_path, line, message):
        (tmp_path / "DRUG-AE.rel").write_text(line + "\n")
        with pytest.raises(ValueError, match=message):
            load_corpus("ade", str(tmp_path))

    def test_published_folds_come_first(self, folder):
        record = {"tokens": ["a"], "entities": [{"type": "Drug", "start": 0, "end": 1}], "relations": []}
        for part, number in (("train", 3), ("test", 1)):
            (folder / f"ade_split_2_{part}.json").write_text(json.dumps([record] * number))
        corpus = load_corpus("ade", str(folder), fold=2)
        assert corpus.num_rows == {"train": 3, "test": 1}
        assert "published fold 2" in corpus["test"].info.description
        lines = [f"{number}|Rash after aspirin.|Rash|10|14|aspirin|21|28\n" for number in range(20)]
        (folder / "DRUG-AE.rel").write_text("".join(lines))
        made = load_corpus("ade", str(folder), fold=0)
        assert "not published folds" in made["test"].info.description

    def test_too_few_sentences_for_ten_folds(self, folder):
        with pytest.raises(ValueError, match="expected at least 10 different sentences for the folds, got 2"):
            load_corpus("ade", str(folder), fold=0)

    @pytest.mark.parametrize("fold", [-1, 10, True, "1"])
    def test_there_are_ten_folds(self, folder, fold):
        with pytest.raises(ValueError, match="Expected a fold from 0 to 9"):
            load_corpus("ade", str(folder), fold=fold)
        with pytest.raises(ValueError, match="only ade comes in folds"):
            load_corpus("conll04", str(folder), fold=1)

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"expected DRUG-AE\.rel, or ade_split_0_train\.json"):
            load_corpus("ade", str(tmp_path))

    def test_real_counts(self, data_dir):
        rows = load_corpus("ade", str(data_dir / "ade"))["train"]
        assert counts(rows) == (4272, 10839, 6821)
        assert sum(map(overlapping, rows["entities"])) == 119
        assert max(map(len, rows["tokens"])) == 97
        assert max(one["end"] - one["start"] for entities in rows["entities"] for one in entities) == 14
        assert len(set(rows["id"])) == 4272
        assert all([row["text"][start:end] for start, end in row["words"]] == row["tokens"] for row in rows)

    def test_real_folds_part_the_corpus_the_same_everywhere(self, data_dir):
        folds = [load_corpus("ade", str(data_dir / "ade"), fold=fold) for fold in (0, 1, 9)]
        tests = [set(fold["test"]["id"]) for fold in folds]
        assert [len(ids) for ids in tests] == [428, 428, 427]
        assert not tests[0] & tests[1]
        assert all(not set(fold["train"]["id"]) & set(fold["test"]["id"]) for fold in folds)
        assert folds[0]["test"][0]["id"] == "10084639/0"


class TestDamagedFiles:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"no archive", "expected the official archive, but it cannot be read whole"),
            (None, "expected the official archive with processed_data/json/train.json, got one without it"),
        ],
    )
    def test_an_archive_is_refused_by_name(self, tmp_path, content, message):
        place = tmp_path / "sciERC_processed.tar.gz"
        if content is None:
            tarfile.open(place, "w:gz").close()
        else:
            place.write_bytes(content)
        with pytest.raises(ValueError, match=message) as refused:
            load_corpus("scierc", str(tmp_path))
        assert str(refused.value).startswith(str(place))

    def test_an_archive_that_unpacks_to_too_much_is_refused(self, tmp_path, monkeypatch):
        (tmp_path / "train.json").write_text(json.dumps(TestScierc.ABSTRACT))
        with tarfile.open(tmp_path / "sciERC_processed.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "train.json", "processed_data/json/train.json")
        (tmp_path / "train.json").unlink()
        monkeypatch.setattr("spert.corpora.scierc.MAX_UNPACKED", 100)
        with pytest.raises(ValueError, match=r"train\.json: expected at most 100 bytes unpacked, got \d+"):
            load_corpus("scierc", str(tmp_path))

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (b"1|\xff|a|0|1|b|2|3\n", "line 1: expected UTF-8, but byte 2 is none"),
            ("1|a b|a|0|²|b|2|3\n".encode(), "line 1: expected 8 fields between '|', with whole numbers"),
            (b"1|a b|a|0|5|b|2|3\n", "line 1: expected the effect 'a' to be as long as its offsets 0 and 5"),
            (b"1|a b||0|0|b|2|3\n", "line 1: expected an effect and a drug"),
        ],
    )
    def test_lines_of_ade_are_checked(self, tmp_path, line, message):
        (tmp_path / "DRUG-AE.rel").write_bytes(line)
        with pytest.raises(ValueError, match=message):
            load_corpus("ade", str(tmp_path))
