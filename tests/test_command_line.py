"""The command line as people meet it: quick, with results to look at, standard streams, patterns, suggestions."""

import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from spert.cli import main
from spert.evaluation.report import print_scores
from spert.evaluation.scores import compute_scores
from spert.files import by_number, matching
from spert.showing import print_result
from spert.terminal import visible
from spert.training.flags import parse_arguments
from tests import tiny
from tests.extracting import lines, run, written

SENTENCE = " ".join(tiny.SENTENCES[0])


@pytest.fixture
def spert(monkeypatch, capsys):
    """Run the command in this process: exit status, standard output and standard error."""

    def spert(*words, stdin=""):
        monkeypatch.setattr(sys, "argv", ["spert", *map(str, words)])
        read, write = os.pipe()
        with os.fdopen(write, "wb") as file:
            file.write(stdin.encode())
        with os.fdopen(read, encoding="utf-8") as file:
            monkeypatch.setattr(sys, "stdin", file)
            with pytest.raises(SystemExit) as stopped:
                main()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return spert


WITHOUT_MODELS = """
import sys
from spert.cli import main
import spert
for words in {commands!r}:
    sys.argv = ["spert", *words]
    try:
        main()
    except SystemExit as stopped:
        assert not stopped.code, (words, stopped.code)
heavy = {{"torch", "transformers", "datasets", "pandas", "matplotlib", "spacy", "networkx", "rdflib", "accelerate"}}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
print(len(sys.modules), file=sys.stderr)
"""


def test_commands_that_need_no_model_import_little(tmp_path):
    """Less than half a second is what these modules take; the number keeps it so on any machine."""
    records = tmp_path / "records.json"
    records.write_text(json.dumps(tiny.RECORDS))
    found = written(tmp_path / "found.jsonl", [{"text": "Oslo", "entities": [], "relations": []}])
    commands = [
        ["--help"],
        ["--version"],
        ["predict", "--help"],
        ["show", str(found)],
        ["graph", str(found), "--output", str(tmp_path / "g.json")],
        ["graph", str(found), "--output", str(tmp_path / "g.graphml")],
        ["score", "--references", str(records), "--predictions", str(records)],
        ["compare", str(records), str(records), "--references", str(records), "--resamples", "10"],
        ["corpus", "check", str(records)],
        ["corpus", "convert", str(records), str(tmp_path / "records.jsonl")],
    ]
    script = WITHOUT_MODELS.format(commands=commands)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split()[-1]) < 900
    done = subprocess.run(
        [sys.executable, "-c", "import sys, spert, spert.found, spert.showing; print(len(sys.modules))"],
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) < 600


def test_names_do_not_steer_the_terminal(capsys, tmp_path, monkeypatch):
    name = "Per\x1b[31mson"
    record = {"tokens": ["Ada"], "entities": [{"type": name, "start": 0, "end": 1}], "relations": []}
    print_scores(compute_scores([record], [record]), name)
    monkeypatch.setattr("sys.argv", ["spert", "show", str(tmp_path / name)])
    with pytest.raises(SystemExit):
        main()
    out, err = capsys.readouterr()
    assert "Per␛[31mson" in out
    assert "Per␛[31mson" in err
    assert "\x1b" not in out + err


class TestPredict:
    def test_a_text_at_once(self, spert, saved_model):
        code, out, _ = spert("predict", "--model", saved_model, "--text", SENTENCE, "--text", "Nobody came.")
        assert code == 0
        results = [json.loads(line) for line in out.splitlines()]
        assert [result["text"] for result in results] == [SENTENCE, "Nobody came."]
        assert results[0]["entities"]
        again = spert("predict", "--model", saved_model, "--text", SENTENCE, "--output", "-", "--sentences", "one")
        assert json.loads(again[1])["sentences"] == [[0, len(SENTENCE)]]

    def test_a_text_in_a_terminal(self, spert, saved_model, monkeypatch):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", "60")
        code, out, _ = spert("predict", "--model", saved_model, "--text", "Ada Park joined Northwind Labs in Oslo .")
        assert code == 0
        out = re.sub(r"\x1b\[[0-9;]*m", "", out)
        assert out.splitlines()[0].strip() == "Ada Park joined Northwind Labs in Oslo ."
        assert "└" in out

    def test_standard_streams(self, spert, saved_model, tmp_path):
        inputs = [{"id": 7, "text": SENTENCE}, tiny.SENTENCES[1], "broken", SENTENCE, {"tokens": [1]}]
        text = "".join(f"{json.dumps(one)}\n" if one != "broken" else "{\n" for one in inputs)
        code, out, err = spert("predict", "--model", saved_model, "--input", "-", "--output", "-", stdin=text)
        assert code == 0
        results = [json.loads(line) for line in out.splitlines()]
        assert [result.get("id") for result in results] == [7, None, None]
        assert results[1]["text"] == " ".join(tiny.SENTENCES[1])
        assert "spert: standard input, line 3: expected JSON" in err
        assert "spert: standard input, line 5: field 'tokens': expected a text or a list of words" in err
        assert err.endswith("2 of 5 entries were refused.\n")
        target = tmp_path / "out.jsonl"
        code, out, err = spert("predict", "--model", saved_model, "--input", "-", "--output", target, stdin=text)
        assert (code, out) == (0, f"{target}: 3 records.\n")
        assert lines(target) == results
        assert "standard input, line 3" in err
        written(tmp_path / "in.jsonl", inputs[:2])
        _, out, _ = spert("predict", "--model", saved_model, "--input", tmp_path / "in.jsonl", "--output", "-")
        assert [json.loads(line) for line in out.splitlines()] == results[:2]

    @pytest.mark.parametrize("form", ["txt", "json"])
    def test_other_formats_of_standard_input(self, form, spert, saved_model):
        text = f"{SENTENCE}\n\n" if form == "txt" else json.dumps([SENTENCE, ""])
        words = ["predict", "--model", saved_model, "--input", "-", "--output", "-", "--input-format", form]
        _, out, _ = spert(*words, stdin=text)
        assert [json.loads(line)["text"] for line in out.splitlines()] == [SENTENCE, ""]

    def test_patterns(self, saved_model, tmp_path):
        for number in (10, 9):
            written(
                tmp_path / f"part-{number}.jsonl", [{"id": f"{number}-{index}", "text": "Oslo"} for index in (0, 1)]
            )
        (tmp_path / "part-10.jsonl").write_text((tmp_path / "part-10.jsonl").read_text() + "{\n")
        run(
            "predict",
            "--model",
            saved_model,
            "--input",
            tmp_path / "part-*.jsonl",
            "--output",
            tmp_path / "out/a.jsonl",
        )
        assert [one["id"] for one in lines(tmp_path / "out" / "a.jsonl")] == ["9-0", "9-1", "10-0", "10-1"]
        (refused,) = lines(tmp_path / "out" / "a.jsonl.errors.jsonl")
        assert (refused["record"], refused["reason"].split(":")[0]) == (4, f"{tmp_path / 'part-10.jsonl'}, line 3")
        (tmp_path / "part-11.txt").touch()
        for pattern, output, message in (
            ("part-*", "b.jsonl", "expected a pattern that matches files of one ending out of"),
            ("none-*.jsonl", "b.jsonl", "expected a pattern that matches files, got one that matches nothing"),
            ("part-*.jsonl", "part-9.jsonl", "expected another file than the input"),
        ):
            words = ["--input", tmp_path / pattern, "--output", tmp_path / output]
            assert message in run("predict", "--model", saved_model, *words, code=1)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "expected --input with documents, or --text with a text, got neither"),
            (["--input", "a.jsonl"], "--output: expected the name of a file or a folder, or - for standard output"),
            (["--text", "a", "--input", "a.jsonl"], "--text: prints what it finds in a text, got --input"),
            (["--text", "a", "--output", "a.jsonl"], "--text: prints what it finds in a text"),
            (["--input", "a.jsonl", "--output", "-", "--resume"], "--output: expected a file with --resume"),
            (["--input", "a.jsonl", "--output", "-", "--input-format", "txt"], "--input-format: goes with --input -"),
        ],
    )
    def test_refusals(self, words, message, spert):
        code, _, err = spert("predict", "--model", "nowhere", *words)
        assert code == 1
        assert message in err


class TestSuggestions:
    @pytest.mark.parametrize(
        ("words", "meant"),
        [
            (["predict", "--modle", "x"], "--model"),
            (["corpus", "check", "x", "--tpyes", "y"], "--types"),
            (["graph", "x", "--outptu", "y"], "--output"),
            (["predcit"], "'predict'"),
            (["corpus", "convrt"], "'convert'"),
        ],
    )
    def test_commands(self, words, meant, spert):
        code, _, err = spert(*words)
        assert code == 2
        assert f"Did you mean {meant}?" in err
        assert "Possible options" not in err

    def test_training(self, capsys, monkeypatch):
        with pytest.raises(SystemExit) as stopped:
            parse_arguments(["--learning_rte", "3", "--sead=1", "--dataset_name", "a"])
        assert stopped.value.code == 2
        assert "--learning_rte 3 --sead=1. Did you mean --learning_rate and --seed?" in capsys.readouterr().err
        monkeypatch.setenv("RANK", "1")
        with pytest.raises(SystemExit):
            parse_arguments(["--learning_rte", "3"])
        assert capsys.readouterr().err == "", "the first process has said it"


def shown(result, width=60, **options):
    console = Console(width=width, markup=False, highlight=False, soft_wrap=True, color_system=None, **options)
    with console.capture() as capture:
        print_result(console, result)
    return capture.get()


def entity(kind, start, end, **more):
    return {"type": kind, "start": start, "end": end, **more}


class TestShow:
    def test_overlapping_entities(self):
        text = "Ada of the University of Oslo [b]left[/b]"
        entities = [entity("Org", 11, 29), entity("Place", 25, 29), entity("Person", 0, 3), entity("Part", 20, 33)]
        assert shown({"text": text, "entities": entities, "relations": []}).splitlines() == [
            "  Ada of the University of Oslo [b]left[/b]",
            "  └─┘        └────────────────┘",
            "  Person     Org",
            "                      └───────────┘",
            "                      Part",
            "                           └──┘",
            "                           Place",
            "",
        ]

    def test_lines_and_wide_letters(self):
        text = "東京 Oslo\r\n\r\nAda\tPark lives here and there"
        entities = [entity("A", 0, 2), entity("B", 3, 7), entity("C", 11, 19)]
        result = {"text": text, "entities": entities, "relations": [{"type": "r", "head": 2, "tail": 0, "score": 0.5}]}
        assert shown(result, width=14).splitlines() == [
            "  東京 Oslo",
            "  └──┘ └──┘",
            "  A    B",
            "  Ada Park",
            "  └──────┘",
            "  C",
            "  lives here",
            "  and there",
            "  Ada Park ── r 0.5000 → 東京",
            "",
        ]

    def test_nothing_reaches_the_terminal(self):
        text = "\x1b[31mAda\x07 \u202eOslo\x9b"
        out = shown({"text": text, "entities": [entity("\x1b]0;x\x07", 5, 8)], "relations": []})
        assert out.replace("\n", "").isprintable()
        assert "␛[31mAda␇" in out

    @settings(max_examples=40, deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(12, 30), st.data())
    def test_any_text_is_shown_whole(self, text, width, data):
        spans = data.draw(st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40)), max_size=4))
        entities = [entity("T", start, end) for start, end in spans if start < end <= len(text)]
        out = shown({"text": text, "entities": entities, "relations": []}, width=width)
        assert out.replace("\n", "").replace("\u200d", "").replace("\u200c", "").isprintable()
        letters = [letter for letter in visible(text) if not letter.isspace()]
        rest = iter(out)
        assert all(letter in rest for letter in letters), "in order, and none is lost"
        assert all(cell_len(line) <= width + 2 for line in out.splitlines() if "nothing" not in line) or entities

    def test_commands(self, spert, tmp_path):
        results = [{"id": number, "text": "Oslo", "entities": [], "relations": []} for number in range(3)]
        path = written(tmp_path / "found.jsonl", results)
        code, out, _ = spert("show", path, "--skip", 1, "--number", 1)
        assert (code, out) == (0, f"{path}, line 2, id 1\n  Oslo\n  nothing found\n\n")
        _, out, _ = spert("show", "-", stdin=path.read_text())
        assert out.count("nothing found") == 3
        assert "standard input, line 3, id 2" in out
        code, _, err = spert("show", path, "--skip", 3)
        assert (code, err) == (1, f"spert: {path}: expected more than 3 results, got no more.\n")


def test_names_on_the_command_line(tmp_path):
    for name in ("part-10", "part-9", "a[1]"):
        (tmp_path / name).touch()
    assert [path.name for path in matching(str(tmp_path / "part-*"))] == ["part-9", "part-10"]
    assert [path.name for path in matching(str(tmp_path / "a[1]"))] == ["a[1]"], "a file of that name, no pattern"
    assert sorted(["b2", "b10", "a3"], key=by_number) == ["a3", "b2", "b10"]
