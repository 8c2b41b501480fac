"""A model's page as a Space: what goes up, and that it runs there without this package."""

import ast
import functools
import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from huggingface_hub import HfApi, RepoCard
from packaging.requirements import Requirement
from packaging.version import Version
from typer.testing import CliRunner

from spert.cli import app
from spert.hub import Pushed
from spert.samples import readable, samples_of_file, samples_of_model
from spert.spaces import GRADIO_VERSION, MODULES, REQUIREMENTS, space_files
from tests.hub_server import HubServer

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "spert" / "demo"
FILES = {"README.md", "app.py", "requirements.txt", "space.json", "spert/__init__.py", "spert/demo/style.css"} | {
    f"spert/demo/{module}.py" for module in MODULES
}


@pytest.fixture
def local(monkeypatch):
    with HubServer() as hub:
        monkeypatch.setattr("spert.hub.HfApi", functools.partial(HfApi, endpoint=hub.url))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield hub


def push(*words):
    return CliRunner().invoke(app, ["push", *map(str, words), "--token", "hf_writer"])


def test_a_space_goes_up_beside_its_model(saved_model, local, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("Ada Park of Oslo.\n\nNobody came.\n")
    done = push(saved_model, "org/x", "--space", "org/page", "--examples", texts)
    assert done.exit_code == 0, done.exception
    model, space = local.repos["org/x"], local.repos["spaces/org/page"]
    (_, first), (name, files) = space.commits
    assert not first
    assert files.keys() == FILES
    assert f"Uploaded: {local.url}/spaces/org/page/commit/{name}" in done.stdout
    assert json.loads(files["space.json"]) == {
        "model": "org/x",
        "revision": model.commits[-1][0],
        "examples": ["Ada Park of Oslo.", "Nobody came."],
    }
    card = RepoCard(files["README.md"].decode()).data.to_dict()
    assert card["sdk"] == "gradio"
    assert card["app_file"] == "app.py"
    assert card["models"] == ["org/x"]
    assert card["title"] == "page"
    assert len(card["short_description"]) <= 60, "the Hub takes no more"
    assert not space.private


def test_a_private_model_gets_a_private_space(saved_model, local):
    assert push(saved_model, "org/x", "--space", "org/page", "--private").exit_code == 0
    assert local.repos["spaces/org/page"].private
    assert json.loads(local.repos["spaces/org/page"].commits[-1][1]["space.json"])["examples"] == []
    local.repos["spaces/org/page"].private = False
    done = push(saved_model, "org/x", "--space", "org/page", "--private")
    assert "org/page: expected a private repository" in str(done.exception)


def test_a_space_that_is_refused_says_how_to_go_on(saved_model, local):
    done = push(saved_model, "org/x", "--space", "other/page")
    assert isinstance(done.exception, ConnectionError)
    message = str(done.exception)
    assert message.startswith("other/page: the upload failed: ")
    assert "The model is at http" in message
    assert message.endswith(f"To try again: spert push {saved_model} org/x --space other/page")
    done = push(saved_model, "org/x", "--examples", "texts.txt")
    assert "--examples: expected --space as well" in str(done.exception)


def test_versions_are_those_of_the_package():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(REQUIREMENTS) <= set(extras["dependencies"])
    (gradio,) = (Requirement(line) for line in extras["optional-dependencies"]["demo"])
    assert Version(GRADIO_VERSION) in gradio.specifier


def test_the_page_stands_without_the_package():
    """Its files import gradio, what gradio and transformers require, the standard library and each other."""
    assert {path.stem for path in DEMO.glob("*.py")} == {*MODULES, "app"}
    for path in DEMO.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1, path
                assert node.module in MODULES, path
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                for name in names:
                    is_app = path.stem == "app" and name == "spert.demo.space"
                    known = {*sys.stdlib_module_names, "gradio", "starlette", "transformers"}
                    assert is_app or name.split(".")[0] in known, (path, name)


@pytest.mark.slow
def test_a_space_runs_as_it_was_pushed(saved_model, local, tmp_path):
    """In a folder that holds what the Hub has, in a process that does not see this checkout."""
    pytest.importorskip("gradio")
    from gradio_client import Client

    assert push(saved_model, "org/x", "--space", "org/page").exit_code == 0
    place = tmp_path / "space"
    for name, content in local.repos["spaces/org/page"].commits[-1][1].items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = "import runpy, sys; sys.path = [path for path in sys.path if path != sys.argv[1]]; sys.path.insert(0, '.')"
    command = [sys.executable, "-c", f"{start}; runpy.run_path('app.py', run_name='__main__')", str(ROOT)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
    environment |= {"HF_ENDPOINT": local.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(tmp_path / "gradio")}
    with subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(600):
                with socket.socket() as attempt:
                    if process.poll() is not None or attempt.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            assert process.poll() is None, process.stderr.read()
            client = Client(f"http://127.0.0.1:{port}", verbose=False)
            result = client.predict("Ada Park joined Northwind Labs. Nobody came.", api_name="/extract")
            client.close()
        finally:
            process.terminate()
            process.wait(30)
    assert result["sentences"] == [[0, 31], [32, 44]]
    assert result["entities"]
    for entity in result["entities"]:
        assert entity["text"] == result["text"][entity["start"] : entity["end"]]


class TestSamples:
    def test_of_a_file(self, tmp_path):
        path = tmp_path / "texts.jsonl"
        values = ["One.", "", {"text": "Two."}, {"tokens": ["Three", "."]}, "x" * 3000, "One.", *map(str, range(9))]
        path.write_text("\n".join(map(json.dumps, values)))
        assert samples_of_file(path) == ["One.", "Two.", "Three.", "0", "1", "2"]
        path.write_text('""')
        with pytest.raises(ValueError, match="expected texts of up to 2,000 characters, got none"):
            samples_of_file(path)

    def test_of_predictions_each_shows_new_types(self, tmp_path):
        def record(word, *types, relations=()):
            entities = [{"type": name, "start": index, "end": index + 1} for index, name in enumerate(types)]
            relations = [{"type": name, "head": 0, "tail": 1} for name in relations]
            return {"tokens": [word] * 9 + ["."], "entities": entities, "relations": relations}

        records = [record("a"), record("b", "P"), record("c", "P", "Q", relations=["r"]), record("d", "R"), {"x": 1}]
        (tmp_path / "predictions.json").write_text(json.dumps(records))
        assert [text[0] for text in samples_of_model(tmp_path)] == ["c", "d", "b"]
        for broken in ("[", "{}", "[1]"):
            (tmp_path / "predictions.json").write_text(broken)
            assert samples_of_model(tmp_path) == []

    def test_of_a_card(self, tmp_path):
        template = (ROOT / "spert" / "training" / "card_template.md").read_text()
        line = next(line for line in template.splitlines() if "{{example_text}}" in line)
        (tmp_path / "README.md").write_text(line.replace("{{example_text}}", '"Ada said \\"no\\" ."'))
        assert samples_of_model(tmp_path) == ['Ada said "no".']

    def test_readable(self):
        assert readable(["He", "did", "n't", "say", ":", "``", "go", "!", "''"]) == "He didn't say: `` go! ''"


def test_the_name_of_a_space_is_only_a_name():
    """A repository's name is the one thing of others that a Space's card holds."""
    files = space_files("org/a_b.c-d", Pushed("url", "org/x", "0" * 40))
    assert RepoCard(files["README.md"].decode()).data.to_dict()["title"] == "a_b.c-d"
    assert re.search(r"^# `a_b.c-d`$", files["README.md"].decode(), re.MULTILINE)
