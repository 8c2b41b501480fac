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

from spert.hub import check_token, files_to_push, push_folder
from tests import tiny
from tests.hub_server import HubServer
from tests.runs import ONE, settings, train
from tests.tolerance import assert_close

ROOT = Path(__file__).parent.parent


@pytest.fixture
def hub():
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def trained(small_corpus, small_encoder, tmp_path_factory):
    output = tmp_path_factory.mktemp("trained") / "spert-small"
    done = train(ONE, output, *settings(small_corpus, small_encoder, checkpointing_steps="epoch"))
    assert done.returncode == 0, done.stderr
    return output


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


LOAD = """
import json, sys
sys.path = [path for path in sys.path if path != sys.argv[3]]
from transformers import AutoModel, AutoProcessor, pipeline
repo, revision = sys.argv[1], sys.argv[2] or None
model = AutoModel.from_pretrained(repo, trust_remote_code=True, revision=revision)
processor = AutoProcessor.from_pretrained(repo, trust_remote_code=True, revision=revision)
extract = pipeline("entity-relation-extraction", model=repo, trust_remote_code=True, revision=revision)
batch = processor(["Ada Park joined Northwind Labs ."], return_tensors="pt")
results = processor.post_process_entity_relation_extraction(model.eval()(**batch), batch)
piped = extract(["Ada Park joined Northwind Labs ."])
print(json.dumps([results, piped, float(model.span_classifier.linear.bias[0])]))
"""


def load(hub, tmp_path, revision="", token=None):
    tmp_path.mkdir(exist_ok=True)
    done = python(LOAD, "org/spert-small", revision, str(ROOT), env=environment(hub, tmp_path, token), cwd=tmp_path)
    if done.returncode:
        return done.stderr
    results, piped, bias = json.loads(done.stdout.splitlines()[-1])
    assert_close(piped, results)
    return results, bias


@pytest.mark.slow
def test_push_then_load_in_a_new_process_pinned_by_revision(hub, trained, tmp_path):
    before = snapshot(trained)
    done = spert("push", trained, "org/spert-small", env=environment(hub, tmp_path, "hf_writer"))
    assert done.returncode == 0, done.stderr
    repo = hub.repos["org/spert-small"]
    assert len(repo.commits) == 2, "one commit after the empty one"
    first, files = repo.commits[-1]
    assert first in done.stdout
    names = {"config.json", "model.safetensors", "processor_config.json", "modeling_spert.py", "README.md"}
    assert names | {"metrics.json", "learning_curves.png"} <= files.keys()
    assert not {"predictions.json", "run.json"} & files.keys()
    assert not [name for name in files if "/" in name or name.endswith((".bin", ".pkl", ".pt"))]
    assert b'model="org/spert-small"' in files["README.md"]
    assert snapshot(trained) == before, "pushing changes nothing here"
    results, bias = load(hub, tmp_path)
    assert results[0]["text"] == "Ada Park joined Northwind Labs ."

    code = """
import sys
from spert import SpertModel, SpertProcessor
model, processor = SpertModel.from_pretrained(sys.argv[1]), SpertProcessor.from_pretrained(sys.argv[1])
model.span_classifier.linear.bias.data += 1
model.push_to_hub("org/spert-small")
processor.push_to_hub("org/spert-small")
"""
    done = python(code, str(trained), env=environment(hub, tmp_path, "hf_writer"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(repo.commits) == 4
    assert {name for name in repo.commits[-1][1] if name.endswith("_spert.py")} == {
        path.name for path in ROOT.glob("*_spert.py")
    }
    assert load(hub, tmp_path)[1] == pytest.approx(bias + 1)
    assert_close(load(hub, tmp_path, revision=first), (results, bias))


def test_a_private_repository_opens_for_its_owner_only(hub, trained, tmp_path):
    words = ["push", trained, "org/spert-small", "--private"]
    assert spert(*words, env=environment(hub, tmp_path, "hf_writer")).returncode == 0
    assert hub.repos["org/spert-small"].private
    assert "is not a local folder and is not a valid model identifier" in load(hub, tmp_path / "a")
    assert "is not a valid model identifier" in load(hub, tmp_path / "b", token="hf_stranger")
    assert load(hub, tmp_path / "c", token="hf_writer")[0][0]["words"]


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


@pytest.mark.slow
def test_a_connection_cut_in_the_middle_of_an_upload(hub, trained, tmp_path):
    hub.cut_uploads = 100
    before = snapshot(trained)
    done = spert("push", trained, "org/spert-small", env=environment(hub, tmp_path, "hf_writer"))
    assert done.returncode == 1
    assert "the upload failed" in done.stderr
    assert len(hub.repos["org/spert-small"].commits) == 1, "nothing half-way"
    assert snapshot(trained) == before
    hub.cut_uploads = 1  # a single break is tried again by the client
    assert spert("push", trained, "org/spert-small", env=environment(hub, tmp_path, "hf_writer")).returncode == 0
    assert load(hub, tmp_path)[0]


@pytest.mark.slow
def test_training_pushes_its_result(hub, small_corpus, small_encoder, tmp_path):
    flags = settings(small_corpus, small_encoder, num_train_epochs=1, hub_model_id="org/from-training")
    clean = {name: "" for name in os.environ if name.startswith("HF_")}
    variables = clean | environment(hub, tmp_path) | {"HF_HUB_OFFLINE": "0"}
    refused = train(ONE, tmp_path / "no", *flags, "--push_to_hub", "--hub_token", "hf_wrong", **variables)
    assert refused.returncode != 0
    assert "expected a token that the Hub knows" in refused.stderr
    assert not (tmp_path / "no" / "config.json").exists(), "refused before training"
    done = train(ONE, tmp_path / "yes", *flags, "--push_to_hub", "--hub_token", "hf_writer", **variables)
    assert done.returncode == 0, done.stderr
    assert "Uploaded: " in done.stdout
    assert b'model="org/from-training"' in hub.repos["org/from-training"].commits[-1][1]["README.md"]
    for file in (tmp_path / "yes").iterdir():
        assert b"hf_writer" not in file.read_bytes(), file


@pytest.fixture
def local(hub, monkeypatch):
    """Pushes of this process go to the server."""
    monkeypatch.setattr("spert.hub.HfApi", functools.partial(HfApi, endpoint=hub.url))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return hub


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
        (model_folder / "model.safetensors.index.json").write_text(parts)
        with pytest.raises(ValueError, match=r"index\.json: expected 'weight_map' from tensors to names of files"):
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
