"""What goes wrong while a model is trained: one message, nothing lost, nothing saved that is no result."""

import json
import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest

import train_accelerate
from spert.locks import FolderLock
from spert.training import output_folder, repetitions
from spert.training.arguments import TrainingArguments
from spert.training.errors import run_script
from spert.training.state import TrainingState
from tests import forked, tiny
from tests.checkpoint_parts import full_disk
from tests.runs import ROOT, command, forget_processes, settings, several, train_here, variables


@pytest.fixture
def other_run():
    """Locks a folder as a run in another process would."""
    locks = []

    def lock(folder):
        locks.append(FolderLock(folder, "--output_dir"))
        locks[-1].acquire()

    yield lock
    for held in locks:
        held.release()


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestTwoRunsInOneFolder:
    @pytest.mark.parametrize("flags", [[], ["--overwrite_output_dir"], ["--resume_from_checkpoint", "latest"]])
    def test_the_second_one_is_refused_and_changes_nothing(
        self, flags, easy_corpus, small_encoder, tmp_path, other_run
    ):
        folder = tmp_path / "out"
        (folder / "checkpoints" / "step-00000001").mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / ".model.safetensors.0f3a9c1e.spert-partial").write_text("being written")
        other_run(folder)
        before = files_in(folder)
        with pytest.raises(BlockingIOError, match=rf"nobody writes to, but process {os.getpid()} on .* does"):
            train_here(folder, *settings(easy_corpus, small_encoder), *flags)
        assert files_in(folder) == before
        assert (folder / "checkpoints" / "step-00000001").is_dir()

    def test_series_of_runs(self, easy_corpus, small_encoder, tmp_path, other_run):
        other_run(tmp_path / "out")
        with pytest.raises(BlockingIOError, match="nobody writes to"):
            train_here(tmp_path / "out", *settings(easy_corpus, small_encoder, seeds="1,2"))
        assert not list((tmp_path / "out").glob("seed-*"))

    def test_the_folder_of_a_series_is_locked_while_its_runs_train(
        self, easy_corpus, small_encoder, tmp_path, monkeypatch
    ):
        flags = settings(easy_corpus, small_encoder, max_train_steps=1)
        refusals = []

        def run(words, environment, log):
            for folder, more in (("out", ["--seeds", "3"]), ("out", [])):
                with pytest.raises(BlockingIOError, match="nobody writes to") as caught:
                    train_accelerate.main([*map(str, flags), "--output_dir", str(tmp_path / folder), *more])
                refusals.append(caught)
            return 1

        monkeypatch.setattr(repetitions, "_run", run)
        with pytest.raises(ChildProcessError, match="did not finish"):
            train_here(tmp_path / "out", *flags, "--seeds", "1")
        assert len(refusals) == 2

    @pytest.mark.slow
    def test_of_two_fresh_commands_at_once_one_is_refused(self, easy_corpus, small_encoder, tmp_path):
        flags = settings(easy_corpus, small_encoder, num_train_epochs=10)
        pair = [forked.training(tmp_path / "out", *flags, log=tmp_path / f"{number}.log") for number in range(2)]
        assert sorted(process.wait() for process in pair) == [0, 1], [process.output for process in pair]
        winner, loser = sorted(pair, key=lambda process: process.returncode)
        assert f"nobody writes to, but process {winner.pid} on " in loser.output
        assert "Traceback" not in loser.output
        assert json.loads((tmp_path / "out" / "run.json").read_text())["finished"]


class TestMessages:
    """What a user did wrong is one line and the exit status 1."""

    def fails(self, capsys, *words):
        with pytest.raises(SystemExit) as stopped:
            run_script(lambda: train_accelerate.main(list(map(str, words))))
        assert stopped.value.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("train_accelerate.py: ")
        return line

    def test_inputs_and_settings(self, capsys, tmp_path):
        assert "--learning_rate: expected a number > 0" in self.fails(
            capsys, "--dataset_name", "a", "--learning_rate", 2
        )
        assert "nowhere.yaml" in self.fails(capsys, tmp_path / "nowhere.yaml")
        flags = ["--dataset_name", tmp_path / "mine", "--output_dir", tmp_path / "out"]
        assert "mine" in self.fails(capsys, *flags)
        forget_processes()
        assert not (tmp_path / "out").exists(), "nothing is left of a command that did nothing"

    def test_a_bug_keeps_its_traceback(self):
        with pytest.raises(ZeroDivisionError):
            run_script(lambda: 1 / 0)

    def test_the_traceback_of_an_error_on_request(self, monkeypatch):
        monkeypatch.setenv("SPERT_TRACEBACK", "1")
        with pytest.raises(ValueError, match="either --dataset_name or --train_file"):
            run_script(lambda: train_accelerate.main([]))

    def test_ctrl_c(self, capsys):
        def interrupt():
            raise KeyboardInterrupt

        with pytest.raises(SystemExit) as stopped:
            run_script(interrupt)
        assert stopped.value.code == 130
        assert capsys.readouterr().err == "train_accelerate.py: interrupted\n"

    def test_other_processes_do_not_repeat_what_the_first_one_says(self, capsys, monkeypatch):
        monkeypatch.setenv("RANK", "1")
        for error, text in ((ValueError("x"), ""), (OSError("disk"), "train_accelerate.py, process 1: disk\n")):

            def fail(error=error):
                raise error

            with pytest.raises(SystemExit):
                run_script(fail)
            assert capsys.readouterr().err == text

    def test_runs_of_seeds(self, easy_corpus, small_encoder, tmp_path, monkeypatch, capsys):
        """The command says which run failed, after the run itself has said why."""
        (tmp_path / "out" / "seed-2").mkdir(parents=True)
        (tmp_path / "out" / "seed-2" / "config.json").write_text("{}")

        def run(words, environment, log):
            with pytest.raises(SystemExit) as stopped:
                run_script(lambda: train_accelerate.main(words[2:]))
            return stopped.value.code

        monkeypatch.setattr(repetitions, "_run", run)
        flags = settings(easy_corpus, small_encoder, seeds="2", max_train_steps=1)
        with pytest.raises(SystemExit) as stopped:
            run_script(lambda: train_accelerate.main([*map(str, flags), "--output_dir", str(tmp_path / "out")]))
        forget_processes()
        assert stopped.value.code == 1
        first, last = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train_accelerate.py")]
        assert "seed-2: this folder holds a trained model" in first
        assert last.startswith("train_accelerate.py: These runs did not finish: ")


class TestDisk:
    def test_output_that_cannot_be_written_is_refused_before_anything_is_loaded(
        self, easy_corpus, small_encoder, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(train_accelerate, "load_model_and_corpus", None)
        (tmp_path / "file").touch()
        for folder in (tmp_path / "file" / "out", "/proc/spert"):
            with pytest.raises(OSError, match=rf"{folder}: expected a folder that can be written to"):
                train_here(folder, *settings(easy_corpus, small_encoder))

    def test_too_little_space_is_refused_before_the_first_step(self, easy_corpus, small_encoder, tmp_path, monkeypatch):
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(train_accelerate, "train_step", None)
        monkeypatch.setattr(output_folder.shutil, "disk_usage", lambda _: usage._replace(free=50_000))
        with pytest.raises(OSError, match=r"out: expected 0\.00 GB of free space for the model and its checkpoints"):
            train_here(tmp_path / "out", *settings(easy_corpus, small_encoder))

    def test_how_much_space_a_run_needs(self, tmp_path):
        model = tiny.model("bert")
        size = sum(parameter.nbytes for parameter in model.parameters())

        def needed(**flags):
            arguments = TrainingArguments(dataset_name="a", output_dir=str(tmp_path), **flags)
            return output_folder.bytes_to_write(arguments, model)

        assert needed() == size
        assert needed(load_best_model_at_end=True) == 2 * size
        assert needed(checkpointing_steps="epoch") == (1 + 3 * 3) * size
        for step in (1, 2):
            (tmp_path / "checkpoints" / f"step-0000000{step}").mkdir(parents=True)
            (tmp_path / "checkpoints" / f"step-0000000{step}" / "manifest.json").touch()
        assert needed(checkpointing_steps="epoch") == (1 + 3) * size
        model.encoder.requires_grad_(False)
        heads = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
        assert needed(checkpointing_steps="epoch") == 2 * size + 2 * heads

    def test_full_while_a_checkpoint_is_written(self, easy_corpus, small_encoder, tmp_path, monkeypatch):
        folder = tmp_path / "out"
        flags = settings(easy_corpus, small_encoder, checkpointing_steps=1, max_train_steps=3)
        save = TrainingState.save

        def save_to_a_full_disk(state, place):
            with full_disk(50_000 if "00000002" in place.name else 10**9):
                save(state, place)

        monkeypatch.setattr(TrainingState, "save", save_to_a_full_disk)
        message = (
            r"step-00000002: this checkpoint could not be written: .*The last complete checkpoint is .*step-00000001"
        )
        with pytest.raises(OSError, match=message):
            train_here(folder, *flags)
        assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000001"]
        assert not (folder / "config.json").exists()
        monkeypatch.setattr(TrainingState, "save", save)
        done = train_here(folder, *flags, "--resume_from_checkpoint", "latest")
        assert "Resuming at step 1 of 3." in done.stdout

    def test_full_while_the_model_is_written(self, easy_corpus, small_encoder, tmp_path, monkeypatch):
        folder = tmp_path / "out"
        flags = settings(easy_corpus, small_encoder, checkpointing_steps="epoch", max_train_steps=1)
        save = train_accelerate.save_model

        def save_to_a_full_disk(*arguments):
            with full_disk(50_000):
                save(*arguments)

        monkeypatch.setattr(train_accelerate, "save_model", save_to_a_full_disk)
        message = (
            r"out: the model could not be written: .*Resume from .*step-00000001 with --resume_from_checkpoint latest"
        )
        with pytest.raises(OSError, match=message):
            train_here(folder, *flags)
        assert not (folder / "config.json").exists()
        assert not list(folder.rglob("*partial*"))
        monkeypatch.setattr(train_accelerate, "save_model", save)
        done = train_here(folder, *flags, "--resume_from_checkpoint", "latest")
        assert "Resuming at step 1 of 1." in done.stdout
        assert json.loads((folder / "run.json").read_text())["finished"]

    @pytest.mark.parametrize("checkpointing_steps", [1, None])
    def test_a_folder_that_disappears(self, checkpointing_steps, easy_corpus, small_encoder, tmp_path, monkeypatch):
        step = train_accelerate.train_step
        steps = []

        def remove_the_folder(*arguments):
            steps.append(1)
            shutil.rmtree(tmp_path / "out")
            return step(*arguments)

        monkeypatch.setattr(train_accelerate, "train_step", remove_the_folder)
        flags = settings(easy_corpus, small_encoder, checkpointing_steps=checkpointing_steps, max_train_steps=1)
        with pytest.raises(FileNotFoundError, match="out: this folder was removed or replaced while a run was writing"):
            train_here(tmp_path / "out", *flags)
        assert len(steps) == 1
        assert not (tmp_path / "out").exists()


DIVERGE = """
import sys
sys.path.insert(0, {root!r})
import train_accelerate
from spert.training.errors import run_script
step = train_accelerate.train_step
calls = []

def diverge(accelerator, model, optimizer, batches, *rest):
    calls.append(1)
    if len(calls) == 3 and accelerator.process_index == 1:
        next(model.parameters()).data.view(-1)[0] = float("nan")
    return step(accelerator, model, optimizer, batches, *rest)

train_accelerate.train_step = diverge
run_script(train_accelerate.main)
"""


@pytest.mark.slow
def test_a_run_that_diverges_on_one_of_two_processes_ends_on_both(easy_corpus, small_encoder, tmp_path):
    (tmp_path / "script.py").write_text(DIVERGE.format(root=str(ROOT)))
    flags = settings(easy_corpus, small_encoder, checkpointing_steps=1, logging_steps=1)
    words = [*several(2), str(tmp_path / "script.py"), *flags, "--output_dir", str(tmp_path / "out")]
    environment = variables(ACCELERATE_USE_CPU="true")
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode != 0
    message = "train_accelerate.py: Step 3, epoch 2: expected finite losses and weights, got mean losses of nan"
    assert done.stderr.count(message) == 1, done.stderr
    assert "The last good checkpoint is" in done.stderr
    assert [path.name for path in sorted((tmp_path / "out" / "checkpoints").iterdir())] == [
        "step-00000001",
        "step-00000002",
    ]
    assert not (tmp_path / "out" / "config.json").exists()
    assert not (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["launcher", "series"])
def test_training_ends_when_what_started_it_is_killed(kind, easy_corpus, small_encoder, tmp_path):
    changes = {"num_train_epochs": 2000, "checkpointing_steps": 1, "seeds": "1" if kind == "series" else None}
    flags = settings(easy_corpus, small_encoder, **changes)
    log = tmp_path / "log"
    if kind == "launcher":
        words = command(several(2), tmp_path / "out", *flags)
        with open(log, "w") as file:
            started = subprocess.Popen(words, env=variables(ACCELERATE_USE_CPU="true"), stdout=file, stderr=file)
    else:
        started = forked.training(tmp_path / "out", *flags, log=log, ACCELERATE_USE_CPU="true")
    while not list(tmp_path.glob("out/**/step-*")) and started.poll() is None:
        time.sleep(0.05)
    children = psutil.Process(started.pid).children(recursive=True)
    assert len(children) >= (2 if kind == "launcher" else 1)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive, log.read_text()
    assert "The process that started this one is gone: ending." in log.read_text()
