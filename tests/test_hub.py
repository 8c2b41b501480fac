"""To the Hub and back: the real client, against a server on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert f"go on with: spert push {trained} org/spert-small" in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(trained) == before


@pytest.mark.slow
def test_a_connection_cut_in_the_middle_of_an_upload(hub, trained, tmp_path):
    hub.cut_uploads = 100
    before = snapshot(trained)
    done = spert("push", trained, "org/spert-small", env=environment(hub, tmp_path, "hf_writer"))
    assert done.returncode == 1
    assert "the upload did not come about" in done.stderr
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


def test_a_folder_without_a_model_is_refused(tmp_path):
    done = spert("push", tmp_path, "org/x")
    assert done.returncode == 1
    assert "expected a trained model's folder, got one without config.json" in done.stderr
