"""`spert predict`: what is refused before anything is made, how a run goes on, and what a fault leaves behind."""

import errno
import json
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spert.extraction import bulk
from spert.extraction.outputs import output_of
from spert.extraction.shards import Shards, read_record
from spert.extraction.sources import open_source
from spert.locks import FolderLock
from tests import tiny
from tests.extracting import lines, names_in, predict_files, written

SENTENCES = [{"id": number, "tokens": tiny.SENTENCES[number % 4]} for number in range(20)]
FLAGS = ["--shard-size", 5, "--batch-size", 2]


@pytest.fixture
def source(tmp_path):
    return written(tmp_path / "in.jsonl", SENTENCES)


@pytest.fixture
def interrupted(saved_model, source, tmp_path, monkeypatch):
    """The folder of shards of a run that failed when all four of them were finished."""

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(bulk, "_join", fail)
        error = predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, code=1)
    assert "No space left on device. 4 finished shards are kept: go on with --resume." in error
    return tmp_path / "out.jsonl.shards"


def assert_complete(target):
    assert [one["id"] for one in lines(target)] == list(range(20))
    assert names_in(target.parent) == ["in.jsonl", target.name, f"{target.name}.run.json"]


class TestOutputs:
    @pytest.mark.parametrize(
        ("name", "is_folder", "shards"),
        [
            ("found.jsonl", False, "found.jsonl.shards"),
            ("found.parquet", False, "found.parquet.shards"),
            ("found.v2.json", False, "found.v2.json.shards"),
            ("found", True, "found"),
            ("found/", True, "found"),
            ("found.parquet/", True, "found.parquet"),
            ("found.v2/", True, "found.v2"),
            ("there.v2", True, "there.v2"),
            ("there.jsonl", True, "there.jsonl"),
        ],
    )
    def test_a_file_or_a_folder(self, tmp_path, monkeypatch, name, is_folder, shards):
        monkeypatch.chdir(tmp_path)
        Path("there.v2").mkdir()
        Path("there.jsonl").mkdir()
        output = output_of(name)
        assert (output.is_folder, str(output.shards)) == (is_folder, shards)
        assert output.format == (".jsonl" if is_folder else output.path.suffix)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("found.v2", "found.v2: expected a file that ends in"),
            ("", "--output: expected the name of a file or a folder, got none"),
            ("file", "file: expected a folder, or no file of that name yet, got a file"),
            ("file/", "file/: expected a folder, or no file of that name yet, got a file"),
        ],
    )
    def test_refused(self, tmp_path, monkeypatch, name, message):
        monkeypatch.chdir(tmp_path)
        Path("file").write_text("")
        with pytest.raises(ValueError, match=message):
            output_of(name)

    @pytest.mark.parametrize("name", ["found.v2/", "found.parquet/"])
    def test_folders_with_a_dot_are_made_and_gone_on_with(self, saved_model, source, tmp_path, name):
        predict_files(saved_model, source, f"{tmp_path}/{name}", "--shard-size", 15)
        assert names_in(tmp_path / name) == ["part-00000.jsonl", "part-00001.jsonl", "run.json"]
        again = f"{tmp_path}/{name}".rstrip("/")
        assert "there is nothing to do" in predict_files(saved_model, source, again, "--shard-size", 15, "--resume")
        error = predict_files(saved_model, source, again, code=1)
        assert "the result of a finished run stands here" in error

    def test_a_folder_with_other_files(self, saved_model, source, tmp_path):
        error = predict_files(saved_model, source, f"{tmp_path}/", code=1)
        assert "expected an empty folder for shards, got one that holds other files: in.jsonl" in error


class TestNothingIsMadeBeforeAllIsChecked:
    def test_then_the_corrected_command_works(self, saved_model, source, tmp_path):
        target = tmp_path / "out.jsonl"
        empty = tmp_path.parent / f"{tmp_path.name}-empty"
        empty.mkdir()
        (tmp_path / "broken.parquet").write_text("no parquet")
        for flags, message in (
            ([saved_model / "misspelt", source, target], "expected a trained model's folder, got none of that name"),
            ([empty, source, target], "expected a trained model's folder, got one without config.json"),
            ([saved_model, tmp_path / "none.jsonl", target], "expected a file to read sentences from"),
            ([saved_model, tmp_path / "broken.parquet", target], "broken.parquet: expected a Parquet file"),
            ([saved_model, source, tmp_path / "in.jsonl" / "out.jsonl"], "expected an output that can be written"),
            ([saved_model, source, target, "--revision", "main"], "expected a model on the Hub, which has revisions"),
        ):
            assert message in predict_files(*flags, code=1)
            assert names_in(tmp_path) == ["broken.parquet", "in.jsonl"]
        (tmp_path / "broken.parquet").unlink()
        predict_files(saved_model, source, target)
        assert_complete(target)

    def test_weights_that_cannot_be_read(self, saved_model, source, tmp_path):
        model = shutil.copytree(saved_model, tmp_path.parent / f"{tmp_path.name}-model")
        weights = (model / "model.safetensors").read_bytes()
        (model / "model.safetensors").write_bytes(weights[: len(weights) // 2])
        error = predict_files(model, source, tmp_path / "out.jsonl", code=1)
        assert f"{model / 'model.safetensors'}: it cannot be read" in error
        assert names_in(tmp_path) == ["in.jsonl"]
        (model / "model.safetensors").write_bytes(weights)
        predict_files(model, source, tmp_path / "out.jsonl")
        assert_complete(tmp_path / "out.jsonl")

    def test_an_output_that_cannot_be_written(self, saved_model, source):
        error = predict_files(saved_model, source, "/proc/here/out.jsonl", code=1)
        assert "/proc/here/out.jsonl: expected an output that can be written, but /proc: " in error

    def test_a_model_that_the_hub_does_not_have(self, source, tmp_path, monkeypatch):
        import huggingface_hub

        asked = []

        def download(name, revision, allow_patterns):
            asked.append((name, revision))
            raise huggingface_hub.errors.LocalEntryNotFoundError("no network\nand more")

        monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
        error = predict_files("team/model", source, tmp_path / "out.jsonl", "--revision", "v2", code=1)
        assert "team/model: expected a trained model, but there is no folder of that name" in error
        assert "at revision 'v2': no network" in error
        assert asked == [("team/model", "v2")]
        assert names_in(tmp_path) == ["in.jsonl"]

    def test_the_input_as_output(self, saved_model, source, tmp_path):
        content = source.read_text()
        (tmp_path / "soft.jsonl").symlink_to(source)
        (tmp_path / "hard.jsonl").hardlink_to(source)
        (tmp_path / "folder").mkdir()
        errors = written(tmp_path / "out.jsonl.errors.jsonl", SENTENCES)
        around = tmp_path / "folder" / ".." / "in.jsonl"
        for one, other in (
            (source, source),
            (source, tmp_path / "soft.jsonl"),
            (source, tmp_path / "hard.jsonl"),
            (tmp_path / "soft.jsonl", source),
            (source, around),
            (errors, tmp_path / "out.jsonl"),
        ):
            error = predict_files(saved_model, one, other, code=1)
            assert "expected another file than the input" in error
        assert source.read_text() == content


class TestGoingOn:
    def test_finished_shards_are_not_made_again(self, saved_model, source, tmp_path, interrupted, monkeypatch):
        monkeypatch.setattr("spert.loading.load_model", None)  # which nobody needs
        predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, "--resume")
        assert_complete(tmp_path / "out.jsonl")

    @pytest.mark.parametrize("damage", ["empty", "cut", "a line short", "a bit", "gone", "note"])
    def test_a_damaged_shard_is_made_again(self, saved_model, source, tmp_path, interrupted, damage, monkeypatch):
        part = interrupted / "part-00002.jsonl"
        content = part.read_bytes()
        damaged = {
            "empty": b"",
            "cut": content[:-9],
            "a line short": content[: content[:-1].rindex(b"\n") + 1],
            "a bit": content[:50] + bytes([content[50] ^ 1]) + content[51:],
        }
        if damage in damaged:
            part.write_bytes(damaged[damage])
        else:
            (part if damage == "gone" else interrupted / "done-00002.json").write_text("")
        if damage == "gone":
            part.unlink()
        made = []
        finish = Shards.finish
        monkeypatch.setattr(Shards, "finish", lambda self, *note: made.append(note[0]) or finish(self, *note))
        printed = predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, "--resume")
        assert "part-00002.jsonl: is damaged, and made again." in printed
        assert_complete(tmp_path / "out.jsonl")
        assert made == [2]

    def test_a_shard_that_is_damaged_before_joining_is_named(self, saved_model, source, tmp_path, monkeypatch):
        join = bulk._join

        def damage(plan, shards, *others):
            shards.part(1).write_text("")
            return join(plan, shards, *others)

        with monkeypatch.context() as patch:
            patch.setattr(bulk, "_join", damage)
            error = predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, code=1)
        assert "part-00001.jsonl: expected a whole shard, got one that is missing or damaged" in error
        assert "go on with --resume" in error
        assert not (tmp_path / "out.jsonl").exists()
        predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, "--resume")
        assert_complete(tmp_path / "out.jsonl")

    def test_not_without_being_told_to(self, saved_model, source, tmp_path, interrupted):
        error = predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, code=1)
        assert "shards stand here. Go on with --resume" in error
        assert len(list(interrupted.glob("part-*"))) == 4

    def test_not_with_other_weights(self, saved_model, source, tmp_path, interrupted):
        model = shutil.copytree(saved_model, tmp_path.parent / f"{tmp_path.name}-model")
        predict_files(
            model, source, tmp_path / "out.jsonl", *FLAGS, "--batch-size", 3, "--resume"
        )  # the same elsewhere
        weights = load_file(model / "model.safetensors")
        weights = {name: tensor + torch.ones_like(tensor) for name, tensor in weights.items()}
        save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
        error = predict_files(model, source, tmp_path / "out.jsonl", *FLAGS, "--resume", code=1)
        assert "got others: the model's model.safetensors changed" in error

    @pytest.mark.parametrize(
        "flags", [["--relation-threshold", 0.9], ["--sentences", "one"], ["--given-entities"], ["--all-scores"]]
    )
    def test_not_with_other_settings(self, saved_model, source, tmp_path, interrupted, flags):
        error = predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, *flags, "--resume", code=1)
        name = "decoding" if "threshold" in flags[0] else flags[0].strip("-").replace("-", "_")
        assert f"expected the settings of the interrupted run, got others: {name} " in error
        assert "go on with --resume" not in error

    def test_after_the_end_there_is_nothing_to_do(self, saved_model, source, tmp_path, monkeypatch):
        target = tmp_path / "out.jsonl"
        predict_files(saved_model, source, target, *FLAGS)
        before = target.stat().st_mtime_ns
        with monkeypatch.context() as patch:
            patch.setattr("spert.loading.load_model", None)
            printed = predict_files(saved_model, source, target, *FLAGS, "--resume")
        assert "out.jsonl: was finished before, there is nothing to do." in printed
        assert target.stat().st_mtime_ns == before
        error = predict_files(saved_model, source, target, *FLAGS, "--sentences", "one", "--resume", code=1)
        assert "expected the settings of the run that made it, got others: sentences None there, 'one' here" in error
        target.write_text("cut")
        predict_files(saved_model, source, target, *FLAGS, "--resume")
        assert_complete(target)
        predict_files(saved_model, source, target, *FLAGS)
        assert_complete(target)

    def test_half_a_plan(self, saved_model, source, tmp_path, interrupted):
        plan = interrupted / "plan.json"
        plan.write_text(plan.read_text()[:40])
        target = tmp_path / "out.jsonl"
        assert "Go on with --resume, or remove" in predict_files(saved_model, source, target, *FLAGS, code=1)
        printed = predict_files(saved_model, source, target, *FLAGS, "--resume")
        assert "the plan of the interrupted run cannot be read. All shards are made again" in printed
        assert_complete(target)

    @pytest.mark.parametrize("resume", [True, False])
    def test_what_a_kill_leaves_around_the_work(self, saved_model, source, tmp_path, interrupted, resume):
        """Before the plan was written, or when the work was done and its traces were being removed."""
        (interrupted / "plan.json").unlink()
        (interrupted / ".plan.json.0f3a9c1e.spert-partial").write_text("{")
        (interrupted / "worker-1.lock").write_text("")
        target = tmp_path / "out.jsonl"
        predict_files(saved_model, source, target, *FLAGS, *["--resume"] * resume)
        assert_complete(target)

    def test_traces_that_a_finished_run_left(self, saved_model, source, tmp_path):
        target = tmp_path / "out.jsonl"
        predict_files(saved_model, source, target, *FLAGS)
        traces = Shards(tmp_path / "out.jsonl.shards", ".jsonl", 4)
        traces.folder.mkdir()
        traces.part(1).write_text("")
        assert "there is nothing to do" in predict_files(saved_model, source, target, *FLAGS, "--resume")
        assert_complete(target)

    def test_stale_refusals_go(self, saved_model, tmp_path):
        source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        source.write_text('"Oslo"\n{\n')
        predict_files(saved_model, source, target)
        assert (tmp_path / "out.jsonl.errors.jsonl").exists()
        source.write_text('"Oslo"\n"Quito"\n')
        predict_files(saved_model, source, target)
        assert names_in(tmp_path) == ["in.jsonl", "out.jsonl", "out.jsonl.run.json"]


def test_two_runs_at_once(saved_model, source, tmp_path):
    target = tmp_path / "out.jsonl"
    with FolderLock(tmp_path / "out.jsonl.shards", "--output"):
        for flags in ([], ["--resume"]):
            error = predict_files(saved_model, source, target, *flags, code=1)
            assert f"expected a folder that nobody writes to, but process {os.getpid()} on " in error
            assert "(since 20" in error
    predict_files(saved_model, source, target)
    assert_complete(target)


class TestFaults:
    def test_the_disk_is_full(self, saved_model, tmp_path):
        """A limit on the size of files fails a write as a full disk does."""
        records = SENTENCES[:10] + [record | {"more": "x" * 400_000} for record in SENTENCES[10:]]
        source, target = written(tmp_path / "in.jsonl", records), tmp_path / "out.jsonl"
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        try:
            error = predict_files(saved_model, source, target, *FLAGS, code=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "2 finished shards are kept: go on with --resume." in error
        assert sorted(path.name for path in (tmp_path / "out.jsonl.shards").glob("*part*")) == [
            "part-00000.jsonl",
            "part-00001.jsonl",
        ]
        predict_files(saved_model, source, target, *FLAGS, "--resume")
        assert_complete(target)

    def test_the_disk_is_full_when_files_are_flushed(self, saved_model, source, tmp_path, monkeypatch):
        calls = []

        def flush(descriptor):
            calls.append(descriptor)
            if len(calls) > 12:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", flush)
            error = predict_files(saved_model, source, tmp_path / "out.parquet", *FLAGS, code=1)
        assert "No space left on device" in error
        assert "go on with --resume" in error
        predict_files(saved_model, source, tmp_path / "out.parquet", *FLAGS, "--resume")
        assert names_in(tmp_path) == ["in.jsonl", "out.parquet", "out.parquet.run.json"]

    def test_nothing_is_left_of_a_run_that_finished_no_shard(self, saved_model, source, tmp_path, monkeypatch):
        def fail(*args, **kwargs):
            raise RuntimeError("no memory")

        monkeypatch.setattr(bulk, "predict_stream", fail)
        for name in ("out.jsonl", "out/"):
            assert predict_files(saved_model, source, f"{tmp_path}/{name}", code=1) == "no memory"
        assert names_in(tmp_path) == ["in.jsonl"]

    def test_the_folder_of_shards_disappears(self, saved_model, source, tmp_path, monkeypatch):
        target, shards = tmp_path / "out.jsonl", tmp_path / "out.jsonl.shards"
        finish = Shards.finish

        def finish_and_lose(self, shard, *others):
            finish(self, shard, *others)
            if shard == 1:
                shutil.rmtree(shards)

        with monkeypatch.context() as patch:
            patch.setattr(Shards, "finish", finish_and_lose)
            error = predict_files(saved_model, source, target, *FLAGS, code=1)
        assert "the folder of shards has been removed while the run was at work" in error
        assert names_in(tmp_path) == ["in.jsonl"]
        predict_files(saved_model, source, target, *FLAGS, "--resume")
        assert_complete(target)

    def test_the_input_shrinks(self, saved_model, source, tmp_path, monkeypatch):
        count = open_source(str(source)).length

        def fewer(name, split):
            opened = open_source(name, split)
            written(source, SENTENCES[: count - 3])
            return opened

        monkeypatch.setattr("spert.extraction.sources.open_source", fewer)
        error = predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, code=1)
        assert "expected 20 entries, but it ended early. Has it changed? 3 finished shards are kept" in error

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_signals(self, saved_model, source, tmp_path, monkeypatch, number, code):
        """The same end as with one process of its own, which the kills test."""
        finish = Shards.finish
        before = signal.getsignal(number)

        def finish_and_signal(self, shard, *others):
            finish(self, shard, *others)
            if shard == 1:
                os.kill(os.getpid(), number)

        with monkeypatch.context() as patch:
            patch.setattr(Shards, "finish", finish_and_signal)
            printed = predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, code=code)
        name = signal.Signals(number).name
        assert f"spert: stopped by {name}. 2 finished shards are kept: go on with --resume." in printed
        assert signal.getsignal(number) is before
        predict_files(saved_model, source, tmp_path / "out.jsonl", *FLAGS, "--resume")
        assert_complete(tmp_path / "out.jsonl")

    @pytest.mark.parametrize("is_lost", [False, True])
    def test_a_signal_before_the_first_shard(self, saved_model, source, tmp_path, monkeypatch, is_lost):
        """Whether or not other code takes the exception for a fault of its own, as lazy imports of transformers do."""

        def stop(*args, **kwargs):
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except BaseException as error:
                if is_lost:
                    raise ModuleNotFoundError("Could not import module 'PreTrainedModel'.") from error
                raise

        monkeypatch.setattr("spert.loading.load_model", stop)
        printed = predict_files(saved_model, source, tmp_path / "out.jsonl", code=143)
        assert "No shard was finished, and nothing is left behind: run the same command again." in printed
        assert names_in(tmp_path) == ["in.jsonl"]


def test_a_record_that_lacks_a_part_is_none(tmp_path):
    record = {"plan": {}, "sizes": {}, "refused": 0}
    assert read_record(written(tmp_path / "whole.json", [record])) == record
    for part in record:
        rest = {name: value for name, value in record.items() if name != part}
        assert read_record(written(tmp_path / f"{part}.json", [rest])) is None


def test_the_record_of_a_run(saved_model, source, tmp_path):
    predict_files(saved_model, source, tmp_path / "out.jsonl", "--relation-threshold", 0.7)
    record = json.loads((tmp_path / "out.jsonl.run.json").read_text())
    assert (record["records"], record["refused"]) == (20, 0)
    assert record["plan"]["decoding"] == {"relation_threshold": 0.7}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(record["plan"]["model_files"])
    assert not any(name.endswith((".py", ".md")) for name in record["plan"]["model_files"])
