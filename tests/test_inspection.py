"""Classes of mistakes add up to what the scores count, repairs never do harm, and text stays text."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from spert.cli import app
from spert.evaluation.scores import compute_scores, count_by_sentence
from spert.inspection.breakdowns import NOTHING, Seen, breakdowns, confusion
from spert.inspection.files import LABELS_FORMAT, read_labels, read_scored_predictions
from spert.inspection.inspected import MOST_LISTED, Inspected, listed, system_of
from spert.inspection.ladder import climb
from spert.inspection.mistakes import CLASSES, ENTITIES, RELATIONS, Mistake, count_classes, flat, mistakes_in
from spert.inspection.page import render_page
from spert.inspection.proposals import argument_types, propose
from spert.inspection.readings import Entity, Reading, Relation, reading_of
from spert.inspection.report import count_shared, page_data, report_of
from tests import tiny
from tests.tolerance import assert_close

A, B, C = Entity(0, 2, "Person"), Entity(3, 5, "Organization"), Entity(6, 7, "Place")


def reading(*things):
    """Of entities and relations; relations bring their entities."""
    relations = [thing for thing in things if isinstance(thing, Relation)]
    entities = {side for relation in relations for side in relation[1:]}
    entities |= {thing for thing in things if isinstance(thing, Entity)}
    return Reading(dict.fromkeys(sorted(entities)), dict.fromkeys(sorted(relations)))


def named(gold, found, symmetric=()):
    return [(one.task[0], one.name, one.gold, one.found) for one in mistakes_in(gold, found, symmetric)]


@st.composite
def records(draw):
    number = draw(st.integers(0, 5))
    entities = []
    for _ in range(number):
        start = draw(st.integers(0, 5))
        end = draw(st.integers(start + 1, start + 3))
        entities.append({"type": draw(st.sampled_from("AB")), "start": start, "end": end})
    pairs = st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda pair: pair[0] != pair[1])
    relations = [
        {"type": draw(st.sampled_from("rs=")), "head": head, "tail": tail, "score": draw(st.sampled_from([0.5, 0.9]))}
        for head, tail in draw(st.lists(pairs, max_size=6))
        if max(head, tail) < number
    ]
    return {"entities": entities, "relations": relations}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(records(), records()), min_size=1, max_size=3))
def test_classes_add_up_and_repairs_do_no_harm(pairs):
    """Each false negative and false positive of the scores is in one mistake; no rung of the ladder lowers a score."""
    references, predictions = zip(*pairs)
    gold, found = ([reading_of(record, "=") for record in side] for side in (references, predictions))
    counted = count_by_sentence(references, predictions, symmetric_relations="=")
    mistakes = [mistakes_in(*sentence, "=") for sentence in zip(gold, found)]
    for of_sentence, counts in zip(mistakes, counted):
        classes = count_classes(of_sentence)
        for task, name in ((ENTITIES, "ner"), (RELATIONS, "rel_strict")):
            correct, num_found, expected = (sum(row[place] for row in counts[name].values()) for place in range(3))
            assert sum(row["missed"] for row in classes[task].values()) == expected - correct
            assert sum(row["spurious"] for row in classes[task].values()) == num_found - correct
            things = [thing for one in of_sentence for thing in (one.gold, one.found) if one.task == task and thing]
            sides = [(one.gold is not None, one.found is not None) for one in of_sentence if one.task == task]
            assert len(things) == sum(map(sum, sides)) == expected + num_found - 2 * correct
        assert all(one.name in CLASSES[one.task] for one in of_sentence)

    scores = compute_scores(references, predictions, symmetric_relations="=")
    ladder = climb(list(zip(gold, found)), "=", 0.5)
    last = ladder["start"]
    assert_close([last["ner_f1"], last["rel_strict_f1"]], [scores["ner_micro_f1"], scores["rel_strict_micro_f1"]])
    for rung in ladder["rungs"]:
        for name in last:
            assert rung["together"][name] >= last[name]
            assert rung["alone"][name] >= ladder["start"][name]
        last = rung["together"]
    assert last["ner_f1"] == any(one.entities for one in gold)
    assert last["rel_strict_f1"] == any(one.relations for one in gold)

    rows = breakdowns([["w"] * 9] * len(gold), list(zip(gold, found)))
    for task, name in ((ENTITIES, "ner"), (RELATIONS, "rel_strict")):
        for breakdown in rows[task]:
            for place, column in enumerate(("correct", "found", "expected")):
                total = sum(row[place] for sentence in counted for row in sentence[name].values())
                assert sum(row[column] for row in breakdown["rows"]) == total, breakdown["title"]
        table = confusion(task, list(zip(gold, found)), mistakes)
        assert sum(sum(row.values()) for row in table.values()) == sum(
            row[0] for sentence in counted for row in sentence[name].values()
        ) + sum(one.task == task for one in flat(mistakes))


@pytest.mark.parametrize(
    ("gold", "found", "expected"),
    [
        ([A], [A._replace(type="Place")], [("e", "wrong_type", A, A._replace(type="Place"))]),
        ([A], [A._replace(end=3)], [("e", "wrong_boundary", A, A._replace(end=3))]),
        ([A], [Entity(1, 3, "Place")], [("e", "wrong_both", A, Entity(1, 3, "Place"))]),
        ([A], [Entity(2, 3, "Person")], [("e", "missed", A, None), ("e", "made_up", None, Entity(2, 3, "Person"))]),
        # An equal span comes before a type, a type before the words in common, and each is in one pair.
        (
            [A],
            [A._replace(type="Place"), A._replace(end=3)],
            [("e", "wrong_type", A, A._replace(type="Place")), ("e", "made_up", None, A._replace(end=3))],
        ),
        (
            [Entity(0, 4, "Person")],
            [Entity(0, 3, "Place"), Entity(0, 1, "Person")],
            [
                ("e", "made_up", None, Entity(0, 3, "Place")),
                ("e", "wrong_boundary", Entity(0, 4, "Person"), Entity(0, 1, "Person")),
            ],
        ),
        # An entity that is right takes part in no mistake, whatever overlaps it.
        ([A], [A, A._replace(end=1)], [("e", "made_up", None, A._replace(end=1))]),
    ],
)
def test_entities_by_class(gold, found, expected):
    found_names = named(reading(*gold), reading(*found))
    assert sorted(found_names, key=str) == sorted(expected, key=str)


WORKS, LIVES = Relation("works_for", A, B), Relation("lives_in", A, B)
WIDE, OTHER = B._replace(end=6), B._replace(type="Place")


@pytest.mark.parametrize(
    ("gold", "found", "expected"),
    [
        ([WORKS], [Relation("works_for", B, A)], [("wrong_direction", WORKS, Relation("works_for", B, A))]),
        ([WORKS], [LIVES], [("wrong_type", WORKS, LIVES)]),
        ([WORKS], [Relation("lives_in", B, A)], [("wrong_type", WORKS, Relation("lives_in", B, A))]),
        ([WORKS], [A, B], [("missed", WORKS, None)]),
        ([A, B], [WORKS], [("made_up", None, WORKS)]),
        ([WORKS], [WORKS, LIVES], [("made_up", None, LIVES)]),
        ([WORKS], [A], [("lost_entity_missed", WORKS, None)]),
        ([WORKS], [A, WIDE], [("lost_entity_boundary", WORKS, None)]),
        (
            [WORKS],
            [Relation("works_for", A, WIDE)],
            [("lost_entity_boundary", WORKS, Relation("works_for", A, WIDE))],
        ),
        ([WORKS], [Relation("works_for", A, OTHER)], [("lost_entity_type", WORKS, Relation("works_for", A, OTHER))]),
        ([WORKS], [A._replace(end=1), OTHER], [("lost_entity_both", WORKS, None)]),
        (
            [WORKS],
            [Relation("lives_in", A, WIDE)],
            [("lost_entity_boundary", WORKS, None), ("made_up_wrong_entity", None, Relation("lives_in", A, WIDE))],
        ),
    ],
)
def test_relations_by_class(gold, found, expected):
    mistakes = named(reading(*gold), reading(*found))
    assert [one[1:] for one in mistakes if one[0] == "r"] == expected


def test_a_symmetric_relation_has_no_wrong_direction_and_finds_its_counterpart():
    married = Relation("married_to", Entity(3, 5, "Person"), Entity(6, 7, "Person"))
    assert reading_of(
        {
            "entities": [{"type": "Person", "start": 6, "end": 7}, {"type": "Person", "start": 3, "end": 5}],
            "relations": [{"type": "married_to", "head": 0, "tail": 1}],
        },
        ["married_to"],
    ).relations.keys() == {married}
    wider = Entity(5, 8, "Person")  # the other partner, whose wrong boundary leaves the order as it is
    found = Relation("married_to", married.head, wider)
    assert ("r", "lost_entity_boundary", married, found) in named(reading(married), reading(found), ["married_to"])


def test_the_ladder_on_an_example():
    """Two of four relations are right; each repair brings one."""
    wide = C._replace(end=8)
    gold = [
        reading(WORKS),
        reading(WORKS),
        reading(Relation("in", B, C)),
        reading(Relation("in", B, C)),
        reading(WORKS),
    ]
    found = [
        reading(WORKS),
        Reading({A: 0.9, B: 0.9}, {LIVES: 0.6}),
        reading(Relation("in", B, wide)),
        reading(Relation("in", B, C._replace(type="Person"))),
        reading(A, Entity(7, 8, "Place")),
    ]
    ladder = climb(list(zip(gold, found)), (), 0.4)
    by_name = {rung["name"]: rung for rung in ladder["rungs"]}
    assert_close(ladder["start"]["rel_strict_f1"], 2 / 9)
    assert_close(by_name["threshold"]["alone"]["rel_strict_f1"], 2 / 8)
    assert 0.6 < by_name["threshold"]["threshold"] <= 1
    for name, alone in (("boundaries", 4 / 9), ("types", 4 / 9), ("relations", 4 / 9), ("made_up", 2 / 9)):
        assert_close(by_name[name]["alone"]["rel_strict_f1"], alone)
    assert_close(by_name["missed"]["alone"]["rel_strict_f1"], 4 / 10)
    together = [rung["together"]["rel_strict_f1"] for rung in ladder["rungs"]]
    assert_close(together, [2 / 8, 4 / 8, 6 / 8, 8 / 9, 8 / 9, 1])
    assert next(rung["name"] for rung in climb(list(zip(gold, found)))["rungs"]) == "boundaries"


def test_rules_propose_labels():
    joined = argument_types([reading(WORKS, Relation("in", B, C))])
    gold = reading(WORKS, Relation("in", B, C), Relation("in", A, C))
    for mistake, label in (
        (Mistake(RELATIONS, "missed", Relation("in", A, C), None), "logical"),  # by way of B
        (Mistake(RELATIONS, "made_up", None, Relation("works_for", A, B), 0.6), "syntax"),
        (Mistake(RELATIONS, "made_up", None, Relation("works_for", A, B), 0.95), "missing_annotation"),
        (Mistake(RELATIONS, "made_up", None, Relation("works_for", A, C), 0.6), None),
        (Mistake(ENTITIES, "made_up", None, A, 0.95), "missing_annotation"),
        (Mistake(ENTITIES, "missed", A, None), None),
        (Mistake(ENTITIES, "wrong_type", A, A), "classification"),
        (Mistake(ENTITIES, "wrong_boundary", A, A), "incorrect_spans"),
    ):
        assert propose(mistake, gold, joined) == label, mistake
    assert propose(Mistake(RELATIONS, "missed", WORKS, None), reading(WORKS), joined) is None


def test_what_training_held():
    seen = Seen.of(tiny.RECORDS)
    words = ["Maria", "of", "ada", "park", "and", "Zed", "Oslo"]
    assert [seen.entity(Entity(*span, "Person"), words) for span in ((2, 4), (0, 2), (5, 6))] == [
        "an entity in training",
        "all words in training",
        "with a word that is new",
    ]
    sides = [Entity(2, 4, "Person"), Entity(6, 7, "Place"), Entity(5, 6, "Person"), Entity(4, 5, "Place")]
    assert [seen.relation(Relation("x", sides[a], sides[b]), words) for a, b in ((0, 1), (0, 2), (2, 3))] == [
        "both entities in training",
        "one entity is new",
        "both entities are new",
    ]
    names = ["Northwind", "Labs", "of", "Ada", "Park"]
    pair = Relation("x", Entity(0, 2, "Organization"), Entity(3, 5, "Person"))
    assert seen.relation(pair, names) == "related in training"


def test_many_mistakes_of_a_sentence_are_counted_and_the_most_certain_ones_listed():
    found = Reading({Entity(place, place + 1, "A"): place / 1000 for place in range(MOST_LISTED + 30)})
    records = [{"id": "x", "tokens": ["w"] * 200, "entities": [], "relations": []}]
    system = system_of("s", records, [found], ())
    assert [one.score for one in listed(system.mistakes[0])] == [place / 1000 for place in range(30, MOST_LISTED + 30)]
    inspected = Inspected.of("t", {}, records, [system], ())
    report = report_of(inspected)["systems"][0]
    assert report["classes"][ENTITIES]["made_up"]["mistakes"] == MOST_LISTED + 30
    assert report["mistakes_not_listed"] == 30
    assert page_data(inspected)["sentences"][0]["u"] == 30
    assert "30 mistakes in sentences with more than 100 are counted above and not listed here." in render_page(
        inspected, report_of(inspected)
    )


HOSTILE = [
    "</script><script>window.broken=1</script>",
    "<!--",
    "<script",
    "&lt;b&gt;",
    "\u2028",
    "'\"`${1}{{2}}",
    "$x_1$",
]


def hostile():
    """A report whose words, types, identifiers and names are markup."""
    gold = {
        "id": "<img src=x onerror=window.broken=2>",
        "tokens": HOSTILE,
        "entities": [{"type": "<b>$T$</b>", "start": 0, "end": 2}, {"type": "</style>", "start": 3, "end": 4}],
        "relations": [{"type": "</script>", "head": 0, "tail": 1}],
    }
    found = {"entities": [{"type": "<b>$T$</b>", "start": 0, "end": 1, "score": 0.9}], "relations": []}
    systems = [system_of("<i>m</i>", [gold], [reading_of(found)], ())]
    return Inspected.of("<h1>&</h1>", {"<u>": "</dd>"}, [gold], systems, (), [gold])


def test_text_of_others_is_never_markup():
    inspected = hostile()
    page = render_page(inspected, report_of(inspected))
    scripts = re.findall(r"<script.*?>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 3, "the data, its description, and the program"
    assert json.loads(scripts[0]) == page_data(inspected)
    assert json.loads(scripts[0])["sentences"][0]["t"] == HOSTILE
    for tag in ("<img src=x", "<b>$T$", "<i>m", "<u>", "<h1>&<", "\u2028"):
        assert tag not in page
    assert page.count("</style>") == 1
    assert "&lt;h1&gt;&amp;&lt;/h1&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page), "no other resource is asked for"


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=True)


@pytest.fixture
def gold_file(tmp_path):
    return write(tmp_path / "gold.json", tiny.RECORDS)


@pytest.fixture
def types_file(tmp_path):
    types = {
        "entities": {name: {} for name in tiny.ENTITY_TYPES},
        "relations": {name: {"symmetric": name in tiny.SYMMETRIC} for name in tiny.RELATION_TYPES},
    }
    return write(tmp_path / "types.json", types)


def test_inspect_a_model(saved_model, gold_file, types_file, tmp_path):
    """The numbers are those of `spert evaluate`, and every mistake has a score."""
    out = tmp_path / "out"
    flags = ["--dataset", gold_file, "--batch-size", 2]
    done = run("inspect", "--model", saved_model, *flags, "--train-file", gold_file, "--output", out)
    assert done.exit_code == 0, done.exception
    assert {path.name for path in out.iterdir()} == {"report.html", "report.json"}
    report = json.loads((out / "report.json").read_text())
    (system,) = report["systems"]
    assert run("evaluate", "--model", saved_model, *flags, "--output", tmp_path / "scores").exit_code == 0
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert_close(system["scores"], metrics)
    assert (
        run("evaluate", "--model", saved_model, *flags, "--given-entities", "--output", tmp_path / "given").exit_code
        == 0
    )
    given = json.loads((tmp_path / "given" / "metrics.json").read_text())
    assert_close(system["rel_strict_f1_on_given_entities"], given["rel_strict_micro_f1"])
    assert system["mistakes"]
    assert all(0 <= mistake["score"] <= 1 for mistake in system["mistakes"])
    assert system["threshold"] == 0.4
    assert "whether it was seen in training" in {row["title"] for row in system["breakdowns"]["relations"]}
    assert str(tmp_path) not in (out / "report.html").read_text(), "no path of this machine"

    again = tmp_path / "again"
    read = ["--references", gold_file, "--predictions", tmp_path / "scores" / "predictions.json", "--types", types_file]
    done = run("inspect", *read, "--output", again)
    assert done.exit_code == 0, done.exception
    (other,) = json.loads((again / "report.json").read_text())["systems"]
    assert other["classes"] == system["classes"]
    assert next(rung["name"] for rung in other["oracle_ladder"]["rungs"]) == "boundaries"
    assert other["calibration"] == {"entities": None, "relations": None}


def test_lines_of_predict_bring_scores(saved_model, gold_file, tmp_path):
    lines = tmp_path / "found.jsonl"
    assert run("predict", "--model", saved_model, "--input", gold_file, "--output", lines).exit_code == 0
    done = run("inspect", "--dataset", gold_file, "--predictions", lines, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.exception
    (system,) = json.loads((tmp_path / "out" / "report.json").read_text())["systems"]
    assert system["calibration"]["entities"]["bins"]
    assert any(mistake["score"] is not None for mistake in system["mistakes"])


def test_labels_come_back(gold_file, tmp_path):
    empty = [record | {"entities": [], "relations": []} for record in tiny.RECORDS]
    predictions = write(tmp_path / "found.json", empty)
    flags = ["--references", gold_file, "--predictions", predictions, "--output", tmp_path / "out"]
    assert run("inspect", *flags).exit_code == 0
    (system,) = json.loads((tmp_path / "out" / "report.json").read_text())["systems"]
    key = system["mistakes"][0]["mistake"]
    assert key == "0 | a | 0 | entities | Person 0-2 | nothing"
    rows = [{"mistake": key, "label": "logical"}, {"mistake": "9 | gone", "label": "syntax"}]
    labels = write(tmp_path / "labels.json", {"format": LABELS_FORMAT, "labels": rows})
    done = run("inspect", *flags, "--labels", labels)
    assert f"1 of the 2 labels in {labels} are of mistakes in this report." in " ".join(done.output.split())
    (system,) = json.loads((tmp_path / "out" / "report.json").read_text())["systems"]
    assert system["labelled"]["logical"] == 1
    assert system["mistakes"][0]["label"] == "logical"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "field 'format': expected 'spert inspection labels'"),
        ({"format": LABELS_FORMAT, "labels": 1}, "field 'labels': expected a list, got 1"),
        (
            {"format": LABELS_FORMAT, "labels": [{"label": "syntax"}]},
            "entry 0: expected an object with a text 'mistake'",
        ),
        (
            {"format": LABELS_FORMAT, "labels": [{"mistake": "x", "label": "bad"}]},
            r"entry 0, field 'label': expected one of \['incorrect_spans', .*, got 'bad'",
        ),
    ],
)
def test_other_files_of_labels_are_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_labels(write(tmp_path / "labels.json", content))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", [tiny.RECORDS[0]], "expected one record for each of the 4 of gold, got 1"),
        (
            "a.json",
            [{"tokens": ["x"], "entities": [{"type": "A", "start": 0, "end": 1, "score": 2}], "relations": []}],
            "record 0, field 'entities', entry 0, field 'score': expected a number from 0 to 1, got 2",
        ),
        ("a.jsonl", {"text": "x"}, "line 1: expected an object with text, words, entities and relations"),
        (
            "a.jsonl",
            {"text": "x", "words": [[0, 1]], "entities": [1], "relations": []},
            r"line 1, field 'entities': expected a list of objects, got \[1\]",
        ),
        (
            "a.jsonl",
            {"text": "x", "words": [3], "entities": [], "relations": []},
            r"line 1, field 'words': expected ranges of characters, \[start, end\), got \[3\]",
        ),
    ],
)
def test_other_predictions_are_refused(name, content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_scored_predictions(write(tmp_path / name, content), tiny.RECORDS, "gold", None)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "expected either --model or --predictions, got neither"),
        (["--model", "m", "--predictions", "p"], "expected either --model or --predictions, got both"),
        (["--model", "m"], "expected either --dataset or --references, got neither"),
        (["--predictions", "p", "--references", "r", "--fold", 1], "--fold and --num-folds go with --dataset"),
    ],
)
def test_inspect_refuses(flags, message):
    assert message in str(run("inspect", *flags).exception)


def test_a_model_with_other_types_is_refused(saved_model, tmp_path):
    records = [{"tokens": ["a"], "entities": [{"type": "Ship", "start": 0, "end": 1}], "relations": []}]
    flags = ["--model", saved_model, "--references", write(tmp_path / "gold.json", records), "--output", tmp_path]
    assert re.search(
        "expected entities of the types that the model knows, .* got 'Ship'", str(run("inspect", *flags).exception)
    )


def test_two_systems_in_one_page(gold_file, tmp_path):
    first = write(tmp_path / "first.json", [record | {"relations": []} for record in tiny.RECORDS])
    second = write(
        tmp_path / "second.json",
        [
            record | {"entities": record["entities"][:2], "relations": record["relations"][:1]}
            for record in tiny.RECORDS
        ],
    )
    page = tmp_path / "page.html"
    done = run("compare", first, second, "--references", gold_file, "--resamples", 20, "--report", page)
    assert done.exit_code == 0, done.exception
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), flags=re.DOTALL)[1])
    assert data["systems"] == [f"{tmp_path.name}/first.json", f"{tmp_path.name}/second.json"]
    shared = {tuple(mistake[:2]): mistake[6] for mistake in data["sentences"][0]["m"]}
    titles = {index: name for index, (_, name, _) in enumerate(data["classes"])}
    assert {(system, titles[index]): is_shared for (system, index), is_shared in shared.items()} == {
        (0, "missed"): 1,  # the second loses the same relation, because it misses an entity
        (1, "missed"): 0,
        (1, "lost_entity_missed"): 1,
    }

    done = run("compare", first, f"{tmp_path}/*.json", "--references", gold_file, "--report", page)
    assert "--report: expected one run of each system, got several in" in str(done.exception)
    done = run("compare", first, second, "--references", gold_file, "--report", page, "--without-overlapping")
    assert "--report: shows all entities" in str(done.exception)


def test_mistakes_of_two_systems_are_counted():
    gold = reading(WORKS, Relation("in", B, C))
    systems = [reading(A, B, C, LIVES), reading(A, B)]
    records = [
        {
            "id": "x",
            "tokens": ["w"] * 9,
            "entities": [entity._asdict() for entity in gold.entities],
            "relations": [{"type": "in", "head": 1, "tail": 2}, {"type": "works_for", "head": 0, "tail": 1}],
        }
    ]
    inspected = Inspected.of("t", {}, records, [system_of(str(n), records, [r], ()) for n, r in enumerate(systems)], ())
    counts = {(row["task"], row["class"]): row for row in count_shared(inspected)}
    assert counts[RELATIONS, "wrong_type"] | {"both": 1} == counts[RELATIONS, "wrong_type"]
    assert counts[RELATIONS, "missed"]["both"] == 1
    assert counts[ENTITIES, "missed"]["only_second"] == 1
    total = sum(row["only_first"] + row["only_second"] + row["both"] for row in counts.values())
    assert total == 3
    assert NOTHING == ""
