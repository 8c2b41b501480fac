"""The command in any surroundings: closed or broken streams, other locales, odd names; and it answers at once."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spert import __version__
from spert.evaluation import compute_scores
from tests import tiny

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "spert"]

HEAVY = ("torch", "transformers", "datasets", "pyarrow", "numpy", "matplotlib", "huggingface_hub")


@pytest.fixture
def finished(tmp_path):
    """The folder of a finished run, as far as `spert summary` looks at it."""
    folder = tmp_path / "größe 日本"
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(compute_scores(tiny.RECORDS, tiny.RECORDS)))
    return folder


def environment(**variables):
    return os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | variables


def run(*words, shell="", **variables):
    """The command with redirections of a shell."""
    line = f"exec {shlex.join([*COMMAND, *map(str, words)])} {shell}"
    return subprocess.run(["bash", "-c", line], capture_output=True, env=environment(**variables))


@pytest.mark.parametrize("shell", [">&-", "<&- >&- 2>&-"])
def test_closed_streams(finished, shell):
    target = finished.parent / "numbers.json"
    done = run("summary", finished, "--output", target, shell=shell)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(target.read_text())["all spans"]["runs"], "what was printed did not go into the file"
    refused = run("summary", finished.parent / "none", shell=shell)
    assert refused.returncode == 1
    assert refused.stderr.count(b"\n") == ("2>" not in shell)


def test_a_reader_that_has_enough(finished):
    for words in (["--help"], ["summary", str(finished)]):
        with subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        ) as process:
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_behind_the_output(finished):
    done = run("summary", finished, shell="> /dev/full")
    assert done.returncode == 1
    assert done.stderr == b"spert: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}],
    ids=["C", "ascii", "output"],
)
def test_locales_other_than_utf8(finished, variables):
    done = run("summary", finished, finished / "日本", **variables)
    assert done.returncode == 1
    assert done.stderr.startswith(b"spert: ")
    assert b"expected the folder of a finished run, got nothing" in done.stderr
    assert done.stderr.count(b"\n") == 1
    shown = run("summary", finished, **variables)
    assert shown.returncode == 0, shown.stderr
    assert b"1 runs" in shown.stdout
    assert shown.stderr == b""


def test_a_name_that_utf8_cannot_hold(finished):
    """On Linux the name of a file is bytes; JSON, which the numbers are written as, is UTF-8."""
    try:
        odd = Path(os.fsdecode(os.fsencode(finished.parent) + b"/run\xff"))
        finished.rename(odd)
    except OSError:
        pytest.skip("this file system has names of UTF-8 only")
    done = run("summary", odd, "--output", finished.parent / "numbers.json")
    assert done.returncode == 1
    assert done.stderr.startswith(b"spert: expected names and text that UTF-8 can hold, got ")
    assert done.stderr.count(b"\n") == 1
    assert not (finished.parent / "numbers.json").exists()


@pytest.mark.slow
def test_text_and_paths_of_every_script_in_an_ascii_locale(saved_model, tmp_path):
    folder = tmp_path / "größe 日本 עברית"
    folder.mkdir()
    texts = ["Zürich liegt im Süden.", "東京は日本の首都です。", "ירושלים היא עיר."]
    (folder / "in.jsonl").write_bytes(b"".join(json.dumps(text).encode() + b"\n" for text in texts))
    (folder / "model").symlink_to(saved_model)
    words = ["--model", folder / "model", "--input", folder / "in.jsonl", "--output", folder / "ausgänge.jsonl"]
    done = run("predict", *words, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    lines = (folder / "ausgänge.jsonl").read_bytes().decode("utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == texts


IMPORTED = """
import json, sys
from spert.cli import main
commands, heavy = json.loads(sys.argv[1])
for words in commands:
    sys.argv = ["spert", *words]
    try:
        main()
    except SystemExit as stopped:
        print("\\n" + json.dumps([stopped.code, words, [name for name in heavy if name in sys.modules]]))
"""


def test_commands_that_need_no_model_answer_without_torch(finished, tmp_path):
    """What they import decides how fast they answer: torch and transformers take seconds."""
    commands = [["--help"], ["--version"], ["predict", "--help"], ["corpus", "--help"], ["summary", str(finished)]]
    (tmp_path / "types.json").write_text('{"entities": {"Person": {}, "Organization": {}, "Place": {}}}')
    (tmp_path / "records.json").write_text(json.dumps([record | {"relations": []} for record in tiny.RECORDS]))
    records = str(tmp_path / "records.json")
    files = ["--references", records, "--predictions", records, "--types", str(tmp_path / "types.json")]
    commands.append(["score", *files, "--output", str(tmp_path / "scores.json")])
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, json.dumps([commands, HEAVY])],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=finished,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [json.loads(line) for line in lines if line.startswith("[")] == [[0, words, []] for words in commands]
    assert __version__ in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predct"], "No such command 'predct'. Did you mean 'predict', 'inspect'?"),
        (["corpus", "stat"], "No such command 'stat'. Did you mean 'stats'?"),
        (["score", "--referenzes", "x"], "No such option: --referenzes. Did you mean --references?"),
        (["summary", "--ouput", "x", "y"], "No such option: --ouput"),
    ],
)
def test_a_misspelt_word_is_met_with_the_right_one(words, message):
    from typer.testing import CliRunner

    from spert.cli import app

    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
