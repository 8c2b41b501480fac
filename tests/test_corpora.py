import copy
import json
import re

import pytest
from datasets import concatenate_datasets

from spert.corpora import (
    FEATURES,
    TEXT_FEATURES,
    load_corpus,
    load_files,
    read_spert_json,
    read_types,
    types_of,
    write_spert_json,
)
from spert.corpora.duplicates import merged_entities
from tests import tiny

RECORD = {
    "tokens": ["Ada", "of", "Oslo"],
    "entities": [{"type": "Person", "start": 0, "end": 1}, {"type": "Place", "start": 2, "end": 3}],
    "relations": [{"type": "lives_in", "head": 0, "tail": 1}],
    "orig_id": 7,
}
TYPES = {
    "entities": {"Place": {"short": "L", "verbose": "a place"}, "Person": {"short": "P", "verbose": "a person"}},
    "relations": {
        "lives_in": {"short": "l", "verbose": "lives in", "symmetric": False},
        "knows": {"short": "k", "verbose": "knows", "symmetric": True},
    },
}


def written(path, content):
    path.write_text(json.dumps(content))
    return path


class TestConll04:
    @pytest.fixture(scope="class")
    def corpus(self, data_dir):
        return load_corpus("conll04", str(data_dir / "conll04"))

    @pytest.mark.parametrize(
        ("split", "counts"),
        [("train", (922, 3377, 1283)), ("validation", (231, 893, 343)), ("test", (288, 1079, 422))],
    )
    def test_counts(self, corpus, split, counts):
        rows = corpus[split]
        assert (len(rows), sum(map(len, rows["entities"])), sum(map(len, rows["relations"]))) == counts
        assert rows.features == FEATURES

    def test_types_in_the_type_files_order(self, corpus):
        types = types_of(corpus)
        assert list(types.entities) == ["Loc", "Org", "Peop", "Other"]
        assert list(types.relations) == ["Work_For", "Kill", "OrgBased_In", "Live_In", "Located_In"]
        assert types.symmetric_relations == ()
        assert types.entities["Peop"].verbose == "People"

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"missing: conll04_train.json, .*conll04_types.json"):
            load_corpus("conll04", str(tmp_path))


class TestShippedCorpus:
    @pytest.fixture(scope="class")
    def corpus(self, root):
        return load_corpus(root / "examples" / "gazette")

    def test_it_is_as_large_and_as_varied_as_its_description_says(self, corpus):
        records = [record for split in corpus.values() for record in split]
        assert len(records) >= 300
        assert len({" ".join(record["tokens"]) for record in records}) == len(records)
        lengths = [len(record["tokens"]) for record in records]
        assert min(lengths) <= 3
        assert max(lengths) >= 40
        assert sum(not record["entities"] for record in records) >= 20
        nested = [
            record
            for record in records
            if any(
                one["start"] <= other["start"] and other["end"] <= one["end"]
                for one in record["entities"]
                for other in record["entities"]
                if one is not other
            )
        ]
        assert len(nested) >= 10

    def test_the_readme_counts_the_sentences(self, root, corpus):
        readme = (root / "examples" / "gazette" / "README.md").read_text()
        assert f"\n{sum(corpus.num_rows.values())} sentences " in readme
        assert ", ".join(f"`{split}.json` ({number})" for split, number in corpus.num_rows.items()) in readme

    def test_the_sentence_of_the_demonstration_has_unseen_names(self, root, corpus):
        sentence = re.search("^DEMO_SENTENCE := (.*)$", (root / "Makefile").read_text(), re.MULTILINE)[1]
        names = set(re.findall(r"\b[A-Z]\w+", sentence))
        assert names == {"Vera", "Lund", "Tromso", "Nils", "Polar", "Kayaks", "Sea", "Needle"}
        words = {word for split in corpus.values() for tokens in split["tokens"] for word in tokens}
        assert not names & words

    def test_types(self, corpus):
        types = types_of(corpus)
        assert list(types.entities) == ["Person", "Organization", "Place", "Product"]
        assert len(types.relations) == 5
        assert types.symmetric_relations == ("married_to",)
        assert set(corpus) == {"train", "validation", "test"}


TEXT = {"text": "Ada of  Oslo", "words": [[0, 3], [4, 6], [8, 12]]}


class TestText:
    def test_a_text_and_its_words_are_columns(self, tmp_path):
        corpus = load_corpus(written(tmp_path / "mine.json", [RECORD | TEXT, RECORD]))
        first, second = corpus["train"]
        assert (first["text"], first["words"]) == ("Ada of  Oslo", [[0, 3], [4, 6], [8, 12]])
        assert (second["text"], second["words"]) == (None, None)
        assert corpus["train"].features == FEATURES | TEXT_FEATURES

    def test_words_are_found_in_a_text_of_tokens_and_white_space(self, tmp_path):
        corpus = load_corpus(written(tmp_path / "mine.json", [RECORD | {"text": " Adaof\tOslo "}]))
        assert corpus["train"][0]["words"] == [[1, 4], [4, 6], [7, 11]]

    def test_splits_with_and_without_text_can_be_joined(self, tmp_path):
        written(tmp_path / "train.json", [RECORD | TEXT])
        written(tmp_path / "test.json", [RECORD | {"tokens": ["Tom", "of", "Oslo"]}])
        fold = load_corpus(tmp_path, fold=0, num_folds=2)
        texts = sorted((rows["text"] for split in fold.values() for rows in split), key=str)
        assert texts == ["Ada of  Oslo", None]

    def test_text_is_written_and_read_again(self, tmp_path):
        records = read_spert_json(written(tmp_path / "a.json", [RECORD | TEXT, RECORD]))
        write_spert_json(tmp_path / "b.json", records)
        assert read_spert_json(tmp_path / "b.json") == records
        write_spert_json(tmp_path / "c.json", load_corpus(tmp_path / "a.json")["train"])
        assert read_spert_json(tmp_path / "c.json") == records
        assert records[0]["text"] == "Ada of  Oslo"
        assert "text" not in records[1]


class TestDuplicateEntities:
    ADA, OSLO = RECORD["entities"]
    TWICE = RECORD | {
        "entities": [ADA, OSLO, ADA],
        "relations": [
            {"type": "lives_in", "head": 0, "tail": 1},
            {"type": "lives_in", "head": 2, "tail": 1},
            {"type": "knows", "head": 2, "tail": 1},
        ],
    }

    def test_they_are_one_entity_with_all_relations(self, tmp_path):
        corpus = load_corpus(written(tmp_path / "mine.json", [RECORD, self.TWICE]))
        first, second = corpus["train"]
        assert first["entities"] == second["entities"] == RECORD["entities"]
        assert second["relations"] == [{"type": kind, "head": 0, "tail": 1} for kind in ("lives_in", "knows")]

    def test_they_are_counted_also_from_the_cache_and_in_folds(self, tmp_path):
        path = written(tmp_path / "mine.json", [self.TWICE, RECORD | {"tokens": ["Tom", "of", "Oslo"]}])
        assert merged_entities(load_corpus(path)) == 1
        again = load_corpus(path)
        assert merged_entities(again) == merged_entities(again["train"].select([1])) == 1
        assert list(types_of(again).entities) == ["Person", "Place"]
        assert merged_entities(load_corpus(path, fold=0, num_folds=2)) == 1
        assert merged_entities(load_corpus(written(tmp_path / "other.json", [RECORD]))) == 0

    def test_splits_are_added_up(self, tmp_path):
        written(tmp_path / "train.json", [self.TWICE, self.TWICE])
        written(tmp_path / "test.json", [self.TWICE])
        written(tmp_path / "types.json", TYPES)
        assert merged_entities(load_corpus(tmp_path)) == 3

    def test_equal_words_of_two_types_stay_two_entities(self, tmp_path):
        record = RECORD | {"entities": [self.ADA, self.OSLO, self.ADA | {"type": "Place"}]}
        corpus = load_corpus(written(tmp_path / "mine.json", [record]))
        assert corpus["train"][0]["entities"] == record["entities"]
        assert merged_entities(corpus) == 0

    def test_a_relation_of_an_entity_with_its_duplicate_is_refused(self, tmp_path):
        record = self.TWICE | {"relations": [{"type": "knows", "head": 0, "tail": 2}]}
        path = written(tmp_path / "mine.json", [RECORD, record])
        with pytest.raises(ValueError, match=r"record 1, field 'relations', entry 0: .* entities 0 and 2, which have"):
            load_corpus(path)


class TestOwnFiles:
    def test_a_file_is_one_split_with_the_types_that_it_uses(self, tmp_path):
        corpus = load_corpus(written(tmp_path / "mine.json", [RECORD]))
        assert list(corpus) == ["train"]
        assert corpus["train"][0] == {name: RECORD[name] for name in ("tokens", "entities", "relations")} | {"id": "7"}
        assert list(types_of(corpus).entities) == ["Person", "Place"]
        assert list(types_of(corpus).relations) == ["lives_in"]

    def test_a_folder_with_a_type_file(self, tmp_path):
        written(tmp_path / "train.json", [RECORD])
        written(tmp_path / "test.json", [RECORD, RECORD])
        written(tmp_path / "types.json", TYPES)
        corpus = load_corpus(tmp_path)
        assert corpus.num_rows == {"train": 1, "test": 2}
        types = types_of(corpus)
        assert list(types.entities) == ["Place", "Person"]
        assert types.symmetric_relations == ("knows",)
        assert types.to_json() == TYPES

    def test_an_edited_file_is_read_anew(self, tmp_path):
        path = written(tmp_path / "mine.json", [RECORD])
        assert len(load_corpus(path)["train"]) == 1
        written(path, [RECORD, RECORD])
        assert len(load_corpus(path)["train"]) == 2

    def test_files_with_a_type_file_elsewhere(self, tmp_path):
        types_file = written(tmp_path / "t.json", TYPES)
        corpus = load_files({"train": written(tmp_path / "a.json", [RECORD])}, types_file)
        assert types_of(corpus["train"]).symmetric_relations == ("knows",)

    def test_types_survive_what_people_do_with_datasets(self, tmp_path):
        written(tmp_path / "train.json", [RECORD] * 4)
        written(tmp_path / "types.json", TYPES)
        rows = load_corpus(tmp_path)["train"]
        for changed in (rows.select([0, 2]), rows.map(lambda row: row), rows.shuffle(seed=1), rows.train_test_split(2)):
            assert types_of(changed).to_json() == TYPES
        rows.save_to_disk(str(tmp_path / "disk"))
        from datasets import load_from_disk

        assert types_of(load_from_disk(str(tmp_path / "disk"))).to_json() == TYPES

    def test_splits_are_cached_as_arrow_and_work_with_many_processes_and_streams(self, tmp_path):
        path = written(tmp_path / "mine.json", [RECORD] * 20)
        rows = load_corpus(path)["train"]
        assert rows.cache_files
        assert load_corpus(path)["train"].cache_files == rows.cache_files
        lengths = rows.map(_count_tokens, num_proc=2)["length"]
        assert list(lengths) == [3] * 20
        stream = rows.to_iterable_dataset(num_shards=2)
        assert [row["tokens"] for row in stream] == [RECORD["tokens"]] * 20

    def test_types_of_class_labels_keep_their_order(self):
        from datasets import ClassLabel, Dataset, Features, List, Value

        whole = Value("int64")
        features = Features(
            {
                "entities": List({"type": ClassLabel(names=["Z", "A"]), "start": whole, "end": whole}),
                "relations": List({"type": ClassLabel(names=["r"]), "head": whole, "tail": whole}),
            }
        )
        rows = Dataset.from_list([{"entities": [], "relations": []}], features=features)
        assert list(types_of(rows).entities) == ["Z", "A"]
        assert list(types_of(rows).relations) == ["r"]

    def test_parts_with_different_types_are_refused(self, tmp_path):
        one = load_corpus(written(tmp_path / "a.json", [RECORD]))["train"]
        other = copy.deepcopy(RECORD)
        other["entities"][0]["type"] = "Ship"
        two = load_corpus(written(tmp_path / "b.json", [other]))["train"]
        with pytest.raises(ValueError, match=r"one set of types, got different ones: .*Person.*Ship"):
            types_of(concatenate_datasets([one, two]))

    def test_any_dataset_with_the_columns_has_types(self):
        from datasets import Dataset

        types = types_of(Dataset.from_list(tiny.RECORDS, features=FEATURES))
        assert list(types.entities) == sorted(tiny.ENTITY_TYPES)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (
                ("no-such",),
                FileNotFoundError,
                r"a folder or file of annotations, or a dataset on the Hub \(org/name\), got 'no-such'",
            ),
            (("{tmp}",), FileNotFoundError, "at least one of train.json"),
            (("{tmp}", "x"), ValueError, "data_dir goes with a corpus's name"),
        ],
    )
    def test_refuses(self, tmp_path, arguments, error, message):
        with pytest.raises(error, match=message):
            load_corpus(*(argument.format(tmp=tmp_path) for argument in arguments))

    def test_a_corpus_without_entities_needs_a_type_file(self, tmp_path):
        record = {"tokens": ["a"], "entities": [], "relations": []}
        with pytest.raises(ValueError, match="Name a type file"):
            load_corpus(written(tmp_path / "a.json", [record]))


def _count_tokens(row):
    return {"length": len(row["tokens"])}


def changed(path, value):
    """RECORD with another value at a path; `...` takes the field out."""
    record = copy.deepcopy(RECORD)
    place = record
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return record


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("tokens",), ..., "expected a field 'tokens', got only"),
        (("tokens",), "Ada of", "field 'tokens': expected a list, got 'Ada of'"),
        (("tokens", 1), 3, "field 'tokens', entry 1: expected a string, got 3"),
        (("entities",), ..., "expected a field 'entities'"),
        (("entities",), {}, "field 'entities': expected a list, got {}"),
        (("entities", 0), [0, 1], "field 'entities', entry 0: expected an object with type, start and end"),
        (("entities", 1, "start"), ..., "field 'entities', entry 1: expected a field 'start'"),
        (("entities", 1, "start"), "2", "entry 1, field 'start': expected a whole number, got '2'"),
        (("entities", 1, "start"), True, "entry 1, field 'start': expected a whole number, got True"),
        (("entities", 1, "end"), 4, r"entry 1: .* <= 3, the number of tokens, got start 2, end 4"),
        (("entities", 1, "end"), 2, "got start 2, end 2"),
        (("entities", 0, "start"), -1, "got start -1, end 1"),
        (("entities", 0, "type"), "", "field 'type': expected the name of a type, got ''"),
        (("entities", 0, "type"), "Ship", r"entry 0, field 'type': expected one of \['Place', 'Person'\], got 'Ship'"),
        (("relations", 0, "type"), "eats", r"'relations', entry 0, field 'type': expected one of .* got 'eats'"),
        (("relations", 0, "tail"), 2, "field 'tail': expected the index of one of the record's 2 entities, got 2"),
        (("relations", 0, "head"), -1, "field 'head': .* got -1"),
        (("relations", 0, "tail"), 0, "a relation between two entities, got entity 0 as head and tail"),
        (("relations", 0, "head"), 0.5, "field 'head': expected a whole number, got 0.5"),
        (("relations", 0), "x", "expected an object with type, head and tail, got 'x'"),
        (("orig_id",), [1], "field 'orig_id': expected a string or a whole number, got"),
        (("orig_id",), True, "field 'orig_id': expected a string or a whole number, got True"),
        (("text",), 3, "field 'text': expected a string, got 3"),
        (
            ("text",),
            "Ada in Oslo",
            "field 'text': expected the token 1, 'of', at character 4, got 'in'.* in the field 'words'",
        ),
        (("text",), "Ada of Oslo.", r"white space after the last token, got '\.'.* or leave 'text' out"),
    ],
)
def test_a_broken_record_is_named_with_file_number_field_and_value(tmp_path, path, value, message):
    file = written(tmp_path / "mine.json", [RECORD, changed(path, value)])
    types = read_types(written(tmp_path / "types.json", TYPES))
    with pytest.raises(ValueError, match=message) as refused:
        read_spert_json(file, types)
    assert str(refused.value).startswith(f"{file}, record 1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("Ada", "field 'words': expected a list, got 'Ada'"),
        ([[0, 3], [4, 6]], "field 'words': expected a range of characters for each of 3 tokens, got 2"),
        ([[0, 3], [4, 6], [8, 12, 13]], r"entry 2: expected two whole numbers, \[start, end\), got \[8, 12, 13\]"),
        ([[0, 3], [4, 6], [8, 12.0]], r"entry 2: expected two whole numbers, .* got \[8, 12.0\]"),
        ([[0, 3], [4, True], [8, 12]], r"entry 1: expected two whole numbers, .* got \[4, True\]"),
        ([[0, 3], [4, 6], [8, 13]], r"entry 2: .* within \[6, 12\), .* got \[8, 13\)"),
        ([[0, 3], [2, 6], [8, 12]], r"entry 1: .* within \[3, 12\), .* got \[2, 6\)"),
        ([[0, 3], [6, 4], [8, 12]], r"entry 1: .* got \[6, 4\)"),
        ([[-1, 3], [4, 6], [8, 12]], r"entry 0: .* within \[0, 12\), .* got \[-1, 3\)"),
    ],
)
def test_words_that_are_not_in_the_text_are_refused(tmp_path, words, message):
    file = written(tmp_path / "mine.json", [RECORD, RECORD | TEXT | {"words": words}])
    with pytest.raises(ValueError, match=message) as refused:
        load_corpus(file)
    assert str(refused.value).startswith(f"{file}, record 1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2", "mine.json: expected JSON, but line 1, column"),
        ('{"a": 1}', "expected a list of records, got {'a': 1}"),
        ("[3]", "record 0: expected an object .* got 3"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, message):
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_spert_json(tmp_path / "mine.json")
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    with pytest.raises(ValueError, match="expected UTF-8, but byte 2"):
        read_spert_json(tmp_path / "latin.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"types.json: expected an object, got \[\]"),
        ({"entities": {}}, "at least one entity type"),
        ({"entities": {"A": {}}, "realtions": {}}, "field 'realtions': no such field is known"),
        ({"entities": ["A"]}, r"field 'entities': expected an object, got \['A'\]"),
        ({"entities": {"A": "a"}}, "field 'entities', field 'A': expected an object, got 'a'"),
        ({"entities": {"A": {"short": 1}}}, "field 'A', field 'short': expected a string, got 1"),
        (
            {"entities": {"A": {}}, "relations": {"r": {"symmetric": "no"}}},
            "field 'symmetric': expected true or false, got 'no'",
        ),
        ({"entities": {"A": {}}, "relations": {"r": {"symetric": True}}}, "field 'r', field 'symetric': no such field"),
        ({"entities": {"": {}}}, "field 'entities': expected a string that is not empty, got ''"),
        ({"entities": {"A\ud800": {}}}, "field 'entities': expected characters, got half of a surrogate pair"),
        ({"entities": {"A": {"symmetric": True}}}, "field 'symmetric': expected no value but false"),
    ],
)
def test_a_broken_type_file_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as refused:
        read_types(written(tmp_path / "types.json", content))
    assert "types.json" in str(refused.value)


def test_write_and_read_again(tmp_path):
    records = read_spert_json(written(tmp_path / "a.json", [RECORD, RECORD | {"orig_id": "ü"}]))
    write_spert_json(tmp_path / "b.json", records)
    assert read_spert_json(tmp_path / "b.json") == records
    write_spert_json(tmp_path / "empty.json", [])
    assert read_spert_json(tmp_path / "empty.json") == []


def test_named_corpora_bring_their_types(tmp_path):
    with pytest.raises(ValueError, match="brings its own types"):
        load_corpus("conll04", types_file=tmp_path)


def test_a_text_with_null_for_words_is_checked_in_whole_columns(tmp_path):
    with pytest.raises(ValueError, match="record 0, field 'text': expected the token 1"):
        load_corpus(written(tmp_path / "a.json", [RECORD | {"text": "Ada in Oslo", "words": None}]))


def test_an_id_is_called_by_its_own_name(tmp_path):
    with pytest.raises(ValueError, match="record 0, field 'id': expected a string or a whole number, got None"):
        read_spert_json(written(tmp_path / "a.json", [RECORD | {"id": None}]))
