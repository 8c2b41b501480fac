"""To the Hub and back: the real client, against a server on this machine."""

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import http_backoff
from typer.testing import CliRunner

from spert import SpertModel, SpertProcessor
from spert.cli import app
from spert.hub import check_token, files_to_push, push_folder
from spert.locks import LOCK_FILES
from tests import tiny
from tests.hub_server import HubServer
from tests.runs import command, settings, train_here
from tests.tolerance import assert_close

ROOT = Path(__file__).parent.parent


@pytest.fixture
def hub():
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def trained(small_corpus, small_encoder, tmp_path_factory):
    output = tmp_path_factory.mktemp("trained") / "spert-small"
    train_here(output, *settings(small_corpus, small_encoder, num_train_epochs=1, checkpointing_steps="epoch"))
    for picture in output.glob("*.png"):
        picture.write_bytes(b"a picture " * 1000)
    return output


@pytest.fixture
def local(hub, monkeypatch):
    """Pushes of this process go to the server."""
    monkeypatch.setattr("spert.hub.HfApi", functools.partial(HfApi, endpoint=hub.url))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return hub


def environment(hub, tmp_path, token=None):
    """What a process needs to take the server for the Hub; it shares no cache with others."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    variables |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    variables |= {"PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return variables | ({"HF_TOKEN": token} if token else {})


def python(code, *arguments, **kwargs):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, **kwargs)


def spert(*words, **kwargs):
    return subprocess.run([sys.executable, "-m", "spert", *map(str, words)], capture_output=True, text=True, **kwargs)


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def spert_here(*words):
    """The command, in this process. What it raises, `spert` prints as one line."""
    return CliRunner().invoke(app, [*map(str, words)])


LOAD = """
import json, sys
repo, here, *attempts = sys.argv[1:]
sys.path = [path for path in sys.path if path != here]
from transformers import AutoModel, AutoProcessor, pipeline
def load(**source):
    source = {"trust_remote_code": True, **source}
    model, processor = AutoModel.from_pretrained(repo, **source), AutoProcessor.from_pretrained(repo, **source)
    extract = pipeline("entity-relation-extraction", model=repo, **source)
    batch = processor(["Ada Park joined Northwind Labs ."], return_tensors="pt")
    results = processor.post_process_entity_relation_extraction(model.eval()(**batch), batch)
    return [results, extract(["Ada Park joined Northwind Labs ."]), float(model.span_classifier.linear.bias[0])]
for attempt in attempts:
    try:
        print(json.dumps(load(**json.loads(attempt))))
    except OSError as error:
        print(json.dumps(str(error)))
"""


def load(hub, tmp_path, *sources, token=None):
    """For each source (a revision, or a token instead of the environment's) results and a bias, or an error.

    One new process, which does not see this checkout, loads them in turn.
    """
    words = [json.dumps(source) for source in sources]
    done = python(LOAD, "org/spert-small", str(ROOT), *words, env=environment(hub, tmp_path, token), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = []
    for line in done.stdout.splitlines()[-len(sources) :]:
        outcome = json.loads(line)
        if not isinstance(outcome, str):
            results, piped, bias = outcome
            assert_close(piped, results)
            outcome = results, bias
        loaded.append(outcome)
    return loaded


@pytest.mark.slow
def test_push_then_load_in_a_new_process_pinned_by_revision(hub, trained, tmp_path):
    before = snapshot(trained)
    code = """
import sys
from spert import SpertModel, SpertProcessor
from spert.cli import app
app(["push", sys.argv[1], "org/spert-small"], standalone_mode=False)
model, processor = SpertModel.from_pretrained(sys.argv[1]), SpertProcessor.from_pretrained(sys.argv[1])
model.span_classifier.linear.bias.data += 1
model.push_to_hub("org/spert-small")
processor.push_to_hub("org/spert-small")
"""
    done = python(code, str(trained), env=environment(hub, tmp_path, "hf_writer"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    repo = hub.repos["org/spert-small"]
    assert len(repo.commits) == 1 + 1 + 2, "an empty one, one by the command, one each of model and processor"
    first, files = repo.commits[1]
    assert f"Uploaded: {hub.url}/org/spert-small/commit/{first}" in done.stdout
    names = {"config.json", "model.safetensors", "processor_config.json", "modeling_spert.py", "README.md"}
    assert names | {"metrics.json", "learning_curves.png"} <= files.keys()
    assert not {"predictions.json", "run.json"} & files.keys()
    assert not [name for name in files if "/" in name or name.endswith((".bin", ".pkl", ".pt"))]
    assert b'model="org/spert-small"' in files["README.md"]
    assert snapshot(trained) == before, "pushing changes nothing here"
    assert {name for name in repo.commits[-1][1] if name.endswith("_spert.py")} == {
        path.name for path in ROOT.glob("*_spert.py")
    }

    model, processor = SpertModel.from_pretrained(trained), SpertProcessor.from_pretrained(trained)
    batch = processor(["Ada Park joined Northwind Labs ."], return_tensors="pt")
    results = processor.post_process_entity_relation_extraction(model.eval()(**batch), batch)
    bias = float(model.span_classifier.linear.bias[0])
    last, pinned = load(hub, tmp_path, {}, {"revision": first})
    assert last[0][0]["text"] == "Ada Park joined Northwind Labs ."
    assert last[1] == pytest.approx(bias + 1)
    assert_close(pinned, (json.loads(json.dumps(results)), bias))


@pytest.mark.slow
def test_a_private_repository_opens_for_its_owner_only(local, trained, tmp_path):
    done = spert_here("push", trained, "org/spert-small", "--private", "--token", "hf_writer")
    assert done.exit_code == 0, done.exception
    assert local.repos["org/spert-small"].private
    sources = [{"token": False}, {"token": "hf_stranger"}, {}]
    nobody, stranger, owner = load(local, tmp_path, *sources, token="hf_writer")
    assert "is not a local folder and is not a valid model identifier" in nobody
    assert "is not a valid model identifier" in stranger
    assert owner[0][0]["words"]


@pytest.mark.parametrize(
    ("token", "message"), [("hf_wrong", "401"), ("hf_stranger", "403"), (None, "401")], ids=["wrong", "other's", "none"]
)
def test_a_push_that_is_refused_says_how_to_go_on(hub, trained, tmp_path, token, message):
    before = snapshot(trained)
    done = spert("push", trained, "org/spert-small", env=environment(hub, tmp_path, token))
    assert done.returncode == 1
    assert message in done.stderr
    assert f"To try again: spert push {trained} org/spert-small" in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(trained) == before


def test_a_connection_cut_in_the_middle_of_an_upload(local, trained, monkeypatch):
    quick = functools.partial(http_backoff, base_wait_time=0.01, max_wait_time=0.02)  # or else 23 seconds of waiting
    monkeypatch.setattr("huggingface_hub.lfs.http_backoff", quick)
    words = ["push", trained, "org/spert-small", "--token", "hf_writer"]
    local.cut_uploads = 100
    before = snapshot(trained)
    done = spert_here(*words)
    assert isinstance(done.exception, ConnectionError)
    assert "the upload failed" in str(done.exception)
    assert local.cut_uploads < 100
    assert len(local.repos["org/spert-small"].commits) == 1, "nothing half-way"
    assert snapshot(trained) == before
    local.cut_uploads = 1  # a single break is tried again by the client
    done = spert_here(*words)
    assert done.exit_code == 0, done.exception
    assert local.cut_uploads == 0
    files = local.repos["org/spert-small"].commits[-1][1]
    assert len(files) == len(files_to_push(trained))
    assert all(content == before[name] for name, content in files.items() if name != "README.md")


def test_training_pushes_its_result(local, small_corpus, small_encoder, tmp_path):
    flags = settings(small_corpus, small_encoder, num_train_epochs=1, hub_model_id="org/from-training")
    with pytest.raises(ConnectionError, match="expected a token that the Hub knows"):
        train_here(tmp_path / "no", *flags, "--push_to_hub", "--hub_token", "hf_wrong")
    assert not (tmp_path / "no" / "config.json").exists(), "refused before training"
    done = train_here(tmp_path / "yes", *flags, "--push_to_hub", "--hub_token", "hf_writer", draws=True)
    assert "Uploaded: " in done.stdout
    assert b'model="org/from-training"' in local.repos["org/from-training"].commits[-1][1]["README.md"]
    for file in (tmp_path / "yes").iterdir():
        assert b"hf_writer" not in file.read_bytes(), file


@pytest.mark.slow
def test_a_training_process_pushes_its_result_and_nothing_else(hub, small_corpus, small_encoder, tmp_path):
    output = tmp_path / "spert-small"
    flags = settings(small_corpus, small_encoder, max_train_steps=1, hub_model_id="org/spert-small")
    words = command([sys.executable], output, *flags, "--push_to_hub", "--hub_private_repo")
    done = subprocess.run(
        words, env=environment(hub, tmp_path, "hf_writer"), cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    repo = hub.repos["org/spert-small"]
    assert repo.private
    assert len(repo.commits) == 2, "an empty one, and one with everything"
    commit, files = repo.commits[-1]
    assert f"Uploaded: {hub.url}/org/spert-small/commit/{commit}" in done.stdout
    assert files.keys() == {file.name for file in files_to_push(output)}
    assert not [name for name in files if name.startswith(".")]
    for file in output.rglob("*"):
        assert file.is_dir() or b"hf_writer" not in file.read_bytes(), file


@pytest.fixture
def model_folder(saved_model, tmp_path):
    return Path(shutil.copytree(saved_model, tmp_path / "model"))


class TestWhatGoesUp:
    def test_all_of_a_saved_model(self, saved_model):
        assert {file.name for file in files_to_push(saved_model)} == {file.name for file in saved_model.iterdir()}

    def test_parts_of_the_weights(self, tmp_path):
        model, processor = tiny.model("bert"), tiny.processor("bert")
        model.save_pretrained(tmp_path, max_shard_size="20KB")
        processor.save_pretrained(tmp_path)
        parts = {file.name for file in tmp_path.glob("model-*.safetensors")}
        assert len(parts) > 1
        assert parts | {"model.safetensors.index.json"} <= {file.name for file in files_to_push(tmp_path)}

    def test_foreign_files_stay(self, model_folder, local):
        ours = {file.name for file in model_folder.iterdir()}
        foreign = [
            "private_spert.py",
            ".env_spert.py",
            "diagram.png",
            "vocab.bak",
            "metrics_private.json",
            "model-1.safetensors",
            *LOCK_FILES,
        ]
        for name in foreign:
            (model_folder / name).write_text("secret")
        (model_folder.parent / "secret").write_text("secret")
        (model_folder / "link.png").symlink_to(model_folder.parent / "secret")
        (model_folder / "metrics.json").write_text("{}")
        push_folder(model_folder, "org/x", token="hf_writer")
        assert local.repos["org/x"].commits[-1][1].keys() == ours | {"metrics.json"}

    @pytest.mark.parametrize("name", ["metrics.json", "config.json"])
    def test_a_symbolic_link_is_refused(self, model_folder, name):
        """Also one to a file of the same folder: what it points to would go up under a name that says otherwise."""
        secret = model_folder.parent / "secret.json"
        secret.write_text("{}")
        inside = model_folder / "predictions.json"
        inside.write_bytes((model_folder / "config.json").read_bytes())
        for target in (secret, inside):
            (model_folder / name).unlink(missing_ok=True)
            (model_folder / name).symlink_to(target)
            with pytest.raises(ValueError, match=rf"{name}: expected a file, got a symbolic link to .*{target.name}"):
                files_to_push(model_folder)

    @pytest.mark.parametrize(
        ("auto_map", "message"),
        [
            ({"AutoModel": "../secret.Model"}, r"got one without \.py|names of files in this folder"),
            ({"AutoModel": "folder/secret.Model"}, r"without folder/secret\.py|names of files in this folder"),
            ({"AutoModel": ["a.B"]}, r"config\.json: expected the names of classes, got \['a\.B'\]"),
            (["a.B"], r"config\.json: expected names of classes in auto_map"),
        ],
    )
    def test_code_that_is_no_file_of_the_folder(self, model_folder, auto_map, message):
        (model_folder / "folder").mkdir()
        (model_folder / "folder" / "secret.py").write_text("secret")
        values = json.loads((model_folder / "config.json").read_text())
        (model_folder / "config.json").write_text(json.dumps(values | {"auto_map": auto_map}))
        with pytest.raises(ValueError, match=message):
            files_to_push(model_folder)

    @pytest.mark.parametrize("parts", ["{}", '{"weight_map": {"a": "../secret"}}', '{"weight_map": {"a": 1}}', "[]"])
    def test_an_index_that_names_no_parts(self, model_folder, parts):
        (model_folder / "model.safetensors").unlink()
        (model_folder / "model.safetensors.index.json").write_text(parts)
        with pytest.raises(ValueError, match=r"index\.json, field 'weight_map': expected for each tensor"):
            files_to_push(model_folder)

    @pytest.mark.parametrize("name", ["model.safetensors", "spans_spert.py", "modeling_spert.py"])
    def test_a_file_is_missing(self, model_folder, name):
        (model_folder / name).unlink()
        with pytest.raises((ValueError, FileNotFoundError), match=name):
            files_to_push(model_folder)

    def test_the_card_names_the_repository(self, model_folder, local):
        card = 'pipeline("entity-relation-extraction", model="outputs/a", trust_remote_code=True)\nmodel="outputs/a"\n'
        (model_folder / "README.md").write_text(card)
        push_folder(model_folder, "org/x", token="hf_writer")
        pushed = local.repos["org/x"].commits[-1][1]["README.md"].decode()
        assert pushed == card.replace("outputs/a", "org/x", 1)
        assert (model_folder / "README.md").read_text() == card


def test_private_onto_a_public_repository_is_refused(model_folder, local):
    push_folder(model_folder, "org/x", token="hf_writer")
    commits = len(local.repos["org/x"].commits)
    with pytest.raises(ValueError, match=r"expected a private repository .--private., but it exists and is public"):
        push_folder(model_folder, "org/x", token="hf_writer", private=True)
    assert len(local.repos["org/x"].commits) == commits
    for private in (True, True, None):
        push_folder(model_folder, "org/y", token="hf_writer", private=private)
    assert local.repos["org/y"].private, "without --private an existing repository stays as it is"
    assert len(local.repos["org/y"].commits) == 1 + 3


def test_without_a_network(model_folder, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setattr("spert.hub.HfApi", functools.partial(HfApi, endpoint=address))
        with pytest.raises(ConnectionError, match=r"org/x: the upload failed: .*To try again: spert push .* --private"):
            push_folder(model_folder, "org/x", token="hf_writer", private=True)
        with pytest.raises(ConnectionError, match="expected a token that the Hub knows"):
            check_token("hf_writer")


def test_a_folder_without_a_model_is_refused(tmp_path):
    done = spert("push", tmp_path, "org/x")
    assert done.returncode == 1
    assert "expected a trained model's folder, got one without config.json" in done.stderr
