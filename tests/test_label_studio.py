"""Exports of Label Studio as the tool writes them: gold is only what a person said."""

import json

import pytest
from typer.testing import CliRunner

from spert.cli import app
from spert.corpora.formats import read_records, write_records
from spert.corpora.reading import Reading, Writing

TEXT = "Ada Park joined Northwind Labs."


def region(name, start, end, *labels, text=TEXT, **more):
    value = {"start": start, "end": end, "text": text[start:end], "labels": list(labels)}
    return {"id": name, "from_name": "label", "to_name": "text", "type": "labels", "value": value} | more


def arrow(head, tail, *labels, direction="right"):
    return {"type": "relation", "from_id": head, "to_id": tail, "direction": direction, "labels": list(labels)}


ADA = region("p", 0, 8, "Person")
LABS = region("o", 16, 30, "Organization")


def annotation(*result, by=None, **more):
    return {"id": 1, "completed_by": by, "result": list(result), "was_cancelled": False, "ground_truth": False} | more


def task(*annotations, **more):
    return {"id": 17, "data": {"text": TEXT}, "annotations": list(annotations), "predictions": []} | more


def read(tmp_path, *tasks, **choices):
    (tmp_path / "x.json").write_text(json.dumps(tasks))
    reading = Reading(**choices)
    return read_records(tmp_path / "x.json", reading, "label-studio"), reading


def types(records):
    return [[entity["type"] for entity in record["entities"]] for record in records]


def test_an_export(tmp_path):
    skipped = annotation(was_cancelled=True)
    (record,), reading = read(
        tmp_path, task(skipped, annotation(ADA, arrow("o", "p", "works_for", direction="left"), LABS))
    )
    assert record["id"] == "17"
    assert record["text"] == TEXT
    assert record["relations"] == [{"type": "works_for", "head": 0, "tail": 1}]
    assert +reading.lost == {"skipped (cancelled) annotations beside others": 1}


def test_what_no_person_said_is_left_out_counted_and_named(tmp_path):
    unlabelled = {key: value for key, value in region("u", 0, 3)["value"].items() if key != "labels"}
    tasks = [
        task(annotation(was_cancelled=True)),
        task(predictions=[{"result": [ADA]}]),
        task(),
        task(annotation(region("u", 0, 3))),
        task(annotation(LABS, region("u", 0, 3) | {"value": unlabelled}, arrow("o", "u", "r"), arrow("o", "o2"))),
        task(annotation()),  # a person found nothing
    ]
    tasks[4]["annotations"][0]["result"].append(region("o2", 0, 8, "Person"))
    records, reading = read(tmp_path, *tasks)
    assert types(records) == [["Organization", "Person"], []]
    assert [record["relations"] for record in records] == [[], []]
    file, result = tmp_path / "x.json", "field 'annotations', entry 0, field 'result'"
    assert reading.left_out == {
        "tasks that were skipped (cancelled)": [f"{file}, task 0"],
        "tasks with predictions only, which nobody annotated": [f"{file}, task 1"],
        "tasks that nobody annotated": [f"{file}, task 2"],
        "regions without a label": [f"{file}, task 3, {result}, entry 0", f"{file}, task 4, {result}, entry 1"],
        "annotations of nothing but regions without a label": [f"{file}, task 3, {result}"],
        "relations of regions without a label": [f"{file}, task 4, {result}, entry 2"],
        "relations without a label": [f"{file}, task 4, {result}, entry 3"],
    }
    (record,), reading = read(tmp_path, tasks[1], predictions=True)
    assert types([record]) == [["Person"]]
    assert reading.lost["tasks that nobody annotated, whose predictions were read"] == 1


def test_a_conversion_names_them(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps([task(annotation(ADA)), task(predictions=[{"result": [ADA]}])]))
    command = ["corpus", "convert", str(tmp_path / "x.json"), str(tmp_path / "y.json"), "--from-format", "label-studio"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    named = f"1 tasks with predictions only, which nobody annotated, left out: {tmp_path / 'x.json'}, task 1\n"
    assert named in done.output
    (tmp_path / "x.json").write_text(json.dumps([task()]))
    (tmp_path / "y.json").unlink()
    assert "expected at least one record, got none. Of what it holds, 1 left out" in str(
        CliRunner().invoke(app, command).exception
    )


ANN, BEN, CAT = 1, {"id": 2, "email": "ben@x.org"}, 3
SEVERAL = [
    annotation(ADA, LABS, arrow("p", "o", "works_for"), by=ANN, created_at="2024-05-02T10:00:00Z"),
    annotation(
        ADA, region("o", 16, 30, "Company"), arrow("p", "o", "works_for"), by=BEN, created_at="2024-05-01T10:00:00Z"
    ),
    annotation(ADA, LABS, by=CAT, created_at="2024-05-03T10:00:00Z"),
]


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"annotator": "1"}, (["Person", "Organization"], 1)),
        ({"annotator": "ben@x.org"}, (["Person", "Company"], 1)),
        ({"annotator": "2"}, (["Person", "Company"], 1)),
        ({"agreement": "first"}, (["Person", "Company"], 1)),
        ({"agreement": "majority"}, (["Person", "Organization"], 0)),
    ],
)
def test_several_annotators(tmp_path, choices, expected):
    (record,), reading = read(tmp_path, task(*SEVERAL), **choices)
    assert (types([record])[0], len(record["relations"])) == expected
    assert len(reading.compared) == 3
    if choices == {"agreement": "majority"}:
        assert reading.lost["entities without a majority, left out"] == 1
        assert reading.lost["relations without a majority, left out"] == 2


def test_several_annotators_are_refused_where_nothing_decides(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"task 0, field 'annotations': expected one annotation, got 3, by 1, ben@x.org, 3: decide which",
    ):
        read(tmp_path, task(*SEVERAL))
    with pytest.raises(ValueError, match="--agreement: expected one of refuse, first, majority, got 'most'"):
        Reading(agreement="most")
    records, reading = read(tmp_path, task(*SEVERAL), annotator="dan")
    assert not records
    assert list(reading.left_out) == ["texts that 'dan' did not annotate"]


def test_the_agreement_is_printed(tmp_path):
    """Of Ann's and Ben's two entities each, one is the same: F1 is a half; their relation has another argument."""
    (tmp_path / "x.json").write_text(json.dumps([task(*SEVERAL[:2])]))
    files = [str(tmp_path / name) for name in ("x.json", "y.json")]
    done = CliRunner().invoke(app, ["corpus", "convert", *files, "--from-format=label-studio", "--agreement=first"])
    assert done.exit_code == 0, done.output
    assert "agreement of 1 pairs of annotations: entities 50.00% F1, relations 0.00% F1\n" in done.output


def test_own_fields_and_controls(tmp_path):
    other = region("q", 0, 3, "Noun", from_name="pos")
    own = task(annotation(ADA, other, arrow("p", "q", "r"))) | {"data": {"body": TEXT, "source": "a.html"}}
    (record,), reading = read(tmp_path, own, text_field="body", from_name="label")
    assert types([record]) == [["Person"]]
    assert +reading.lost == {
        "results of other controls or texts": 1,
        "relations of results that are not read": 1,
        "fields 'source' of data not read": 1,
    }
    with pytest.raises(ValueError, match=r"the text in a field 'text', got \['body', 'source'\]. Name the field"):
        read(tmp_path, own)


def test_hypertext(tmp_path):
    """Offsets count the characters of the text without tags."""
    html = "<p>Ada &amp; <b>Park</b><br>joined.</p>"
    value = {"start": "/p[1]/b[1]/text()[1]", "end": "/p[1]/b[1]/text()[1]", "startOffset": 0, "endOffset": 4}
    value |= {"globalOffsets": {"start": 6, "end": 10}, "text": "Park", "hypertextlabels": ["Person"]}
    result = {"id": "h", "from_name": "label", "to_name": "html", "type": "hypertextlabels", "value": value}
    (record,), reading = read(tmp_path, task(annotation(result)) | {"data": {"html": html}}, text_field="html")
    assert record["text"] == "Ada & Park\njoined."
    assert record["entities"] == [{"type": "Person", "start": 2, "end": 3}]
    assert reading.lost["texts of HTML, read without their tags"] == 1


def test_json_min(tmp_path):
    def entry(annotation_id, annotator, *values):
        labels = {"label": [region("", *value)["value"] for value in values]} if values else {}
        return {
            "text": TEXT,
            "id": 5,
            "annotator": annotator,
            "annotation_id": annotation_id,
            "lead_time": 2.1,
        } | labels

    entries = [entry(1, 7, (0, 8, "Person")), entry(2, 8, (0, 8, "Person"), (16, 30, "Organization"))]
    (record,), reading = read(tmp_path, *entries, annotator="8")
    assert (record["id"], types([record])) == ("5", [["Person", "Organization"]])
    assert reading.lost["annotations of JSON-MIN, an export without relations"] == 2
    assert len(reading.compared) == 1
    records, reading = read(tmp_path, entry(None, {}), entry(3, 7) | {"id": 6})
    assert types(records) == [[]]  # a person found nothing
    assert list(reading.left_out) == ["tasks that nobody annotated"]


RECORD = {
    "id": "a",
    "tokens": ["Ada", "met", "Tom"],
    "entities": [{"type": "Person", "start": 0, "end": 1, "score": 0.75}, {"type": "Person", "start": 2, "end": 3}],
    "relations": [{"type": "knows", "head": 0, "tail": 1, "score": 0.5}],
}


def test_what_is_written(tmp_path):
    writing = Writing(text_field="body", from_name="ner", to_name="doc")
    write_records(tmp_path / "x.json", [RECORD], "label-studio", writing)
    (written,) = json.loads((tmp_path / "x.json").read_text())
    assert written["data"] == {"id": "a", "body": "Ada met Tom", "words": [[0, 3], [4, 7], [8, 11]]}
    (prediction,) = written["predictions"]
    assert prediction["score"] == 0.75
    first, second, relation = prediction["result"]
    value = {"start": 0, "end": 3, "text": "Ada", "labels": ["Person"]}
    names = {"from_name": "ner", "to_name": "doc"}
    assert first == {"id": "e0", "type": "labels", "value": value, "score": 0.75} | names
    assert "score" not in second
    assert (relation["from_id"], relation["to_id"], relation["score"]) == ("e0", "e1", 0.5)
    writing = Writing(annotations=True)
    write_records(tmp_path / "x.json", [RECORD], "label-studio", writing)
    records = read_records(tmp_path / "x.json", Reading(), "label-studio")
    assert [set(entity) for entity in records[0]["entities"]] == [{"type", "start", "end"}] * 2
    assert writing.lost["records whose scores were not written: annotations have none"] == 1
