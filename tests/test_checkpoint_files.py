"""Checkpoints that are damaged, malformed, hostile, or written to a full disk."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch

from spert.training.checkpoints import prepare_folder
from spert.training.progress import Best, Progress
from tests.checkpoint_parts import checkpoints_of, full_disk, make_parts, train_step
from tests.runs import forget_processes

FILES = ["manifest.json", "model.safetensors", "optimizer.safetensors", "progress.json", "random_0.json", "state.json"]


@pytest.fixture
def parts(tmp_path):
    yield make_parts(tmp_path)
    forget_processes()


@pytest.fixture
def place(parts):
    """A complete checkpoint, with the weights of a best epoch."""
    train_step(parts)
    progress = Progress(epoch=1, step=1, best=Best(1, 1, 0.5))
    checkpoints_of(parts).save_best(parts.model, progress)
    return checkpoints_of(parts).save(progress)


def replace(place, name, content):
    """Give a file other content, and the manifest its digest, as somebody would who wants it to be read."""
    (place / name).write_bytes(content)
    if name != "manifest.json":
        manifest = json.loads((place / "manifest.json").read_text())
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
        (place / "manifest.json").write_text(json.dumps(manifest))


def refused(parts, match):
    """Nothing changes where a checkpoint is refused."""
    train_step(parts)
    before, number = parts.model.weight.detach().clone(), torch.get_rng_state()
    with pytest.raises(ValueError, match=match):
        checkpoints_of(parts).load("latest")
    assert torch.equal(parts.model.weight, before)
    assert torch.equal(torch.get_rng_state(), number)


def test_the_files_of_a_checkpoint(place):
    assert sorted(path.name for path in place.iterdir()) == FILES


class _Planted:
    """Unpickled, it makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


class TestCodeInFiles:
    @pytest.fixture(params=["pickle", "torch"])
    def payload(self, request, tmp_path):
        planted = _Planted(tmp_path / "it-ran")
        if request.param == "pickle":
            content = pickle.dumps(planted)
            pickle.loads(content).close()
        else:
            torch.save(planted, tmp_path / "planted")
            content = (tmp_path / "planted").read_bytes()
            torch.load(tmp_path / "planted", weights_only=False).close()
        (tmp_path / "it-ran").unlink()  # unpickled, it does run
        return content

    @pytest.mark.parametrize("name", FILES)
    def test_a_pickle_in_any_file_is_refused_and_does_not_run(self, name, payload, parts, place, tmp_path):
        replace(place, name, payload)
        refused(parts, match=rf"{name}: expected |{name}, .*: expected ")
        assert not (tmp_path / "it-ran").exists()

    @pytest.mark.parametrize("is_listed", [True, False])
    @pytest.mark.parametrize(
        "name", ["custom_checkpoint_0.pkl", "optimizer.bin", "pytorch_model.bin", "random_states_0.pkl", "scaler.pt"]
    )
    def test_files_that_accelerate_would_unpickle_are_not_read(self, name, is_listed, payload, parts, place, tmp_path):
        if is_listed:
            replace(place, name, payload)
            refused(parts, match=rf"manifest\.json, files: expected .* got .*{name}.*Another version of this package")
        else:
            (place / name).write_bytes(payload)
            assert checkpoints_of(parts).load("latest").step == 1
        assert not (tmp_path / "it-ran").exists()

    def test_weights_of_the_best_epoch(self, payload, parts, place, tmp_path):
        best = place.parent / "best-00000001" / "model.safetensors"
        best.write_bytes(payload)
        progress = json.loads((place / "progress.json").read_text())
        progress["best"]["digest"] = hashlib.sha256(payload).hexdigest()
        replace(place, "progress.json", json.dumps(progress).encode())
        found = checkpoints_of(parts).load("latest")
        with pytest.raises(ValueError, match=r"model\.safetensors: expected a safetensors file"):
            checkpoints_of(parts).load_best(parts.model, found)
        assert not (tmp_path / "it-ran").exists()


class TestMalformed:
    """One message, which names file and field."""

    @pytest.mark.parametrize(
        ("name", "field", "value"),
        [
            ("manifest.json", "files", None),
            ("manifest.json", "files", {"model.safetensors": "abc"}),
            ("manifest.json", "identity", []),
            ("progress.json", "step", "7"),
            ("progress.json", "step", -1),
            ("progress.json", "seconds", float("nan")),
            ("progress.json", "losses", [0.5]),
            ("progress.json", "losses", [0.5, float("inf")]),
            ("progress.json", "dev_scores", [{"epoch": 1}]),
            ("progress.json", "best.score", None),
            ("progress.json", "best.epoch", 0),
            ("progress.json", "unknown", 1),
            ("state.json", "schedule.last_epoch", 1.5),
            ("state.json", "schedule.learning_rates", []),
            ("state.json", "schedule.learning_rates", [float("nan")]),
            ("state.json", "scaler", {}),
            ("random_0.json", "python.words", [1, 2]),
            ("random_0.json", "python.words", [2**32] * 625),
            ("random_0.json", "numpy.position", 1000),
            ("random_0.json", "torch", "AAAA"),
            ("random_0.json", "torch", "no base64"),
            ("random_0.json", "device", "AAAA"),
        ],
    )
    def test_fields(self, name, field, value, parts, place):
        content = json.loads((place / name).read_text())
        *outer, last = field.split(".")
        inner = content
        for key in outer:
            inner = inner[key]
        inner[last] = value
        replace(place, name, json.dumps(content).encode())
        refused(parts, match=rf"{name}, {field}.*: expected ")

    @pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
    def test_each_field_is_needed(self, name, parts, place):
        for field in json.loads((place / name).read_text()):
            content = json.loads((place / name).read_text())
            if name == "progress.json":  # all have defaults, but no program leaves one out
                content[field] = None if field != "best" else 1
            else:
                del content[field]
            original = (place / name).read_bytes()
            replace(place, name, json.dumps(content).encode())
            refused(parts, match=rf"{name}, {field}: expected ")
            replace(place, name, original)

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1", b"null", b"[" * 5000])
    def test_files(self, name, content, parts, place):
        replace(place, name, content)
        refused(parts, match=rf"{name}: expected ")

    def test_tensors_of_another_model(self, parts, place, tmp_path):
        other = make_parts(tmp_path / "other", width=3)
        train_step(other)
        (tmp_path / "other").mkdir()
        other.state.save(tmp_path / "other")
        replace(place, "optimizer.safetensors", (tmp_path / "other" / "optimizer.safetensors").read_bytes())
        refused(parts, match=r"optimizer\.safetensors, 0\.exp_avg.*: expected the shape \(2, 2\) of its parameter")

    def test_the_weights_of_another_model(self, parts, place, tmp_path):
        other = make_parts(tmp_path / "other", width=3)
        (tmp_path / "other").mkdir()
        other.state.save(tmp_path / "other")
        replace(place, "model.safetensors", (tmp_path / "other" / "model.safetensors").read_bytes())
        with pytest.raises(ValueError, match=r"expected the tensors of the model\. .*size mismatch"):
            checkpoints_of(parts).load("latest")


class TestBestWeights:
    """They are checked when a run is resumed, not after all its training."""

    def test_a_flipped_bit(self, parts, place):
        best = place.parent / "best-00000001" / "model.safetensors"
        content = best.read_bytes()
        best.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        refused(parts, match=r"best-00000001: damaged: expected model\.safetensors to have the SHA-256")

    def test_a_missing_file(self, parts, place):
        (place.parent / "best-00000001" / "model.safetensors").unlink()
        refused(parts, match=r"best-00000001: damaged: model\.safetensors is missing")

    def test_damage_while_the_run_goes_on(self, parts, place):
        progress = checkpoints_of(parts).load("latest")
        best = place.parent / "best-00000001" / "model.safetensors"
        best.write_bytes(best.read_bytes()[:-1])
        with pytest.raises(ValueError, match="best-00000001: damaged"):
            checkpoints_of(parts).load_best(parts.model, progress)

    def test_those_of_a_checkpoint_in_another_folder(self, parts, place):
        elsewhere = checkpoints_of(parts, folder=parts.folder / "elsewhere")
        (place.parent / "best-00000001" / "model.safetensors").unlink()
        with pytest.raises(ValueError, match="best-00000001: damaged"):
            elsewhere.load(str(place))

    def test_a_damaged_checkpoint_costs_no_best_weights(self, parts, place):
        """An older checkpoint that cannot be read may refer to any of them."""
        (place / "progress.json").write_text("{")
        progress = Progress(epoch=2, step=2, best=Best(2, 2, 0.6))
        checkpoints_of(parts).save_best(parts.model, progress)
        assert (place.parent / "best-00000001").is_dir()


class TestRemoval:
    """Of a checkpoint beyond the limit, a part of whose files is gone when the process is killed."""

    @pytest.fixture
    def half_removed(self, parts, place, monkeypatch):
        def killed(folder):
            (Path(folder) / "progress.json").unlink()
            raise KeyboardInterrupt

        train_step(parts)
        with monkeypatch.context() as patch:
            patch.setattr("spert.training.checkpoints.shutil.rmtree", killed)
            with pytest.raises(KeyboardInterrupt):
                checkpoints_of(parts, limit=1).save(Progress(step=2))

    def test_a_kill_leaves_nothing_that_looks_complete(self, half_removed, parts, place):
        assert checkpoints_of(parts).latest().name == "step-00000002"
        assert not place.exists()
        prepare_folder(place.parent.parent, resume=True, overwrite=False)
        assert sorted(path.name for path in place.parent.iterdir()) == ["best-00000001", "step-00000002"]

    def test_what_an_earlier_version_left_stops_no_run(self, parts, place):
        (place / "progress.json").unlink()
        checkpoints_of(parts).save_best(parts.model, Progress(epoch=2, step=2, best=Best(2, 2, 0.6)))
        assert (place.parent / "best-00000001").is_dir()


class TestFullDisk:
    @pytest.fixture
    def parts(self, tmp_path):
        """Weights of 40 KB, moments of 80 KB, and 16 KB of random states."""
        yield make_parts(tmp_path, width=100)
        forget_processes()

    @pytest.mark.parametrize("largest_file", [500, 30_000, 60_000])
    def test_a_checkpoint(self, largest_file, parts, place):
        train_step(parts)
        message = rf"step-00000002: this checkpoint could not be written: .* The last complete checkpoint is {place}"
        with full_disk(largest_file), pytest.raises(OSError, match=message):
            checkpoints_of(parts).save(Progress(step=2))
        assert sorted(path.name for path in place.parent.iterdir()) == ["best-00000001", place.name]
        assert checkpoints_of(parts).load("latest").step == 1

    def test_a_checkpoint_that_replaces_one_of_the_same_step(self, parts, place):
        before = (place / "model.safetensors").read_bytes()
        train_step(parts)
        with full_disk(30_000), pytest.raises(OSError, match="could not be written"):
            checkpoints_of(parts).save(Progress(step=1))
        assert (place / "model.safetensors").read_bytes() == before
        assert checkpoints_of(parts).load("latest").step == 1

    def test_the_disk_fails_while_one_checkpoint_replaces_another(self, parts, place, monkeypatch):
        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("spert.training.checkpoints.publish", fail)
        with pytest.raises(OSError, match="could not be written: No space left on device"):
            checkpoints_of(parts).save(Progress(step=1))
        assert checkpoints_of(parts).load("latest").step == 1
        assert sorted(path.name for path in place.parent.iterdir()) == ["best-00000001", place.name]

    def test_weights_of_the_best_epoch(self, parts, place):
        progress = Progress(epoch=2, step=2, best=Best(2, 2, 0.6))
        with full_disk(30_000), pytest.raises(OSError, match="best-00000002: this checkpoint could not be written: "):
            checkpoints_of(parts).save_best(parts.model, progress)
        assert checkpoints_of(parts).load("latest").step == 1
