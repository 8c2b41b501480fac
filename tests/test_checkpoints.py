"""Interrupted runs end as uninterrupted ones do; what cannot be resumed is refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from spert.training import checkpoints as checkpoints_module
from spert.training.checkpoints import prepare_folder
from spert.training.progress import Best, Progress
from tests.checkpoint_parts import checkpoints_of, make_parts, train_step
from tests.runs import command, forget_processes, settings, train_here, variables


def long_run(corpus, encoder, **changes):
    """Dropout on, so that random states count; a checkpoint at every step."""
    defaults = {"num_train_epochs": 6, "head_dropout": 0.3, "learning_rate": 1e-3, "checkpointing_steps": 1}
    return settings(corpus, encoder, **(defaults | {"load_best_model_at_end": True} | changes))


def result(folder):
    dev = json.loads((folder / "dev_scores.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    return load_file(folder / "model.safetensors"), dev, metrics, (folder / "predictions.json").read_text()


def assert_equal(folder, uninterrupted):
    weights, *others = result(folder)
    expected, *wanted = uninterrupted
    assert others == wanted
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        assert torch.equal(value, expected[name]), name


@pytest.fixture(scope="module")
def uninterrupted(small_corpus, small_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    train_here(folder, *long_run(small_corpus, small_encoder))
    assert len(list((folder / "checkpoints").glob("step-*"))) == 2
    return result(folder)


def start(folder, *flags):
    return subprocess.Popen(
        command([sys.executable], folder, *flags),
        cwd=folder.parent,
        env=variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, process):
    """Wait until a condition holds or the process ends."""
    while process.poll() is None and not condition():
        time.sleep(0.005)


def newest(folder):
    return max((path.name for path in folder.glob("checkpoints/step-*")), default="")


@pytest.mark.slow
def test_killed_at_random_moments(small_corpus, small_encoder, uninterrupted, tmp_path):
    """The moments are other ones in every run of this test; a failure prints them."""
    chance = random.Random()
    moments = []
    folder = tmp_path / "killed"
    flags = [*long_run(small_corpus, small_encoder), "--resume_from_checkpoint", "latest"]
    for _ in range(2):
        before = newest(folder)
        process = start(folder, *flags)
        # From before the first step of this session to far into it, writing included.
        wait_for(lambda before=before: newest(folder) > before or any(folder.glob("checkpoints/.*")), process)
        moments.append(chance.uniform(0, 0.8))
        time.sleep(moments[-1])
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    print(f"killed after {moments}, at {newest(folder)}")
    train_here(folder, *flags)
    assert_equal(folder, uninterrupted)
    assert not list(folder.rglob("*partial*"))
    again = train_here(folder, *flags)
    assert "this run is finished; there is nothing to resume" in again.stdout


def test_resumed_within_an_epoch_and_at_its_end(small_corpus, small_encoder, tmp_path):
    """Also where a step has several micro-batches."""
    flags = long_run(small_corpus, small_encoder, num_train_epochs=2, save_total_limit=20)
    flags += ["--per_device_train_batch_size", 2, "--gradient_accumulation_steps", 2]
    train_here(tmp_path / "through", *flags)
    for step in (3, 4):
        checkpoint = tmp_path / "through" / "checkpoints" / f"step-{step:08d}"
        resumed = tmp_path / f"resumed-{step}"
        done = train_here(resumed, *flags, "--resume_from_checkpoint", checkpoint)
        assert f"Resuming at step {step} of 8." in done.stdout
        assert_equal(resumed, result(tmp_path / "through"))
        seconds = json.loads((resumed / "run.json").read_text())["outcome"]["seconds"]
        assert seconds > json.loads((checkpoint / "progress.json").read_text())["seconds"]


@pytest.mark.slow
def test_a_cluster_that_takes_the_machine_away(small_corpus, small_encoder, uninterrupted, tmp_path):
    """SIGTERM: a checkpoint although none were asked for, and exit code 143."""
    folder = tmp_path / "terminated"
    flags = long_run(small_corpus, small_encoder, checkpointing_steps=10**6)
    process = start(folder, *flags)
    wait_for((folder / "dev_scores.json").exists, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143, output
    assert "SIGTERM: wrote a checkpoint at step" in output
    assert not (folder / "config.json").exists()
    with pytest.raises(FileExistsError, match="Resume it with --resume_from_checkpoint latest"):
        train_here(folder, *flags)
    done = train_here(folder, *flags, "--resume_from_checkpoint", "latest")
    assert "Resuming at step" in done.stdout
    assert_equal(folder, uninterrupted)


def test_latest_without_a_checkpoint_starts_from_the_beginning(small_corpus, small_encoder, tmp_path):
    folder = tmp_path / "new"
    (folder / "checkpoints" / ".step-00000003.new.spert-partial").mkdir(parents=True)
    flags = settings(small_corpus, small_encoder, max_train_steps=1, resume_from_checkpoint="latest")
    done = train_here(folder, *flags)
    assert "No complete checkpoint" in done.stdout
    assert "training starts from the beginning" in done.stdout
    assert not list(folder.rglob("*partial*"))


class TestCheckpoints:
    """In this process, with a model of one layer."""

    @pytest.fixture
    def parts(self, tmp_path):
        yield make_parts(tmp_path)
        forget_processes()

    def test_what_is_saved_comes_back(self, parts):
        checkpoints = checkpoints_of(parts)
        for _ in range(3):
            train_step(parts)
        progress = Progress(epoch=1, step=7, losses=[0.1, 1 / 3], best=Best(1, 6, 0.25), seconds=1.5)
        place = checkpoints.save(progress)

        def go_on():
            train_step(parts)
            moments = parts.optimizer.state_dict()["state"][0]
            numbers = [torch.rand(3).tolist(), random.random(), random.gauss(), np.random.rand(), np.random.randn()]
            weights = [parts.model.weight.detach().clone(), moments["exp_avg"].clone(), moments["step"].clone()]
            return weights, numbers, parts.schedule.state_dict(), parts.optimizer.param_groups[0]["lr"]

        (weights, *others) = go_on()
        assert checkpoints_of(parts).load("latest") == progress
        (resumed, *same) = go_on()
        assert same == others
        assert all(torch.equal(value, weight) for value, weight in zip(resumed, weights))
        assert checkpoints_of(parts).load(str(place)) == progress

    def test_a_loss_scaler_comes_back(self, parts, monkeypatch):
        """That of fp16."""
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        monkeypatch.setattr(type(parts.accelerator), "scaler", property(lambda _: scaler), raising=False)
        saved = scaler.state_dict()
        place = checkpoints_of(parts).save(Progress(step=1))
        scaler.load_state_dict(saved | {"scale": 2.0, "_growth_tracker": 5})
        checkpoints_of(parts).load(str(place))
        assert scaler.state_dict() == saved
        monkeypatch.setattr(type(parts.accelerator), "scaler", None)
        with pytest.raises(ValueError, match=r"state\.json, scaler: expected none, as --mixed_precision no asks for"):
            checkpoints_of(parts).load(str(place))

    def test_older_ones_go(self, parts):
        checkpoints = checkpoints_of(parts, limit=2)
        for step in range(1, 5):
            checkpoints.save(Progress(step=step))
        assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["step-00000003", "step-00000004"]
        again = checkpoints_of(parts, limit=1)  # a run that went back to step 3 continues from there
        again.load(str(checkpoints.folder / "step-00000003"))
        again.save(Progress(step=3))
        assert checkpoints_of(parts).load("latest").step == 3

    def test_best_weights_are_kept_as_long_as_a_checkpoint_knows_them(self, parts):
        checkpoints = checkpoints_of(parts, limit=1)
        names = lambda: sorted(path.name for path in checkpoints.folder.glob("best-*"))  # noqa: E731
        first = Progress(step=1, best=Best(1, 1, 0.5))
        checkpoints.save_best(parts.model, first)
        kept = parts.model.weight.detach().clone()
        checkpoints.save(first)
        torch.nn.init.zeros_(parts.model.weight)
        second = Progress(step=2, best=Best(2, 2, 0.6))
        checkpoints.save_best(parts.model, second)
        assert names() == ["best-00000001", "best-00000002"], "killed now, the run goes back to step 1"
        checkpoints.save(second)
        assert names() == ["best-00000002"]
        checkpoints.load_best(parts.model, second)
        assert not parts.model.weight.any()
        assert kept.any()

    def test_a_checkpoint_of_another_run_is_refused_with_what_differs(self, parts):
        place = checkpoints_of(parts).save(Progress(step=1))
        other = {"model": {"entity_types": ["Person"], "hidden_size": 64}, "settings": {"seed": 1}}
        message = (
            r"another run. It differs in model.entity_types: \['Person', 'Place'\] in the checkpoint, \['Person'\] "
            r"here; model.hidden_size: 32 in the checkpoint, 64 here\."
        )
        with pytest.raises(ValueError, match=message):
            checkpoints_of(parts, **other).load(str(place))

    @pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "random_0.json", "progress.json"])
    def test_a_damaged_checkpoint_is_refused(self, parts, name):
        place = checkpoints_of(parts).save(Progress(step=1))
        content = (place / name).read_bytes()
        (place / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ValueError, match=rf"damaged: expected {name} to have the SHA-256 .* Name an older"):
            checkpoints_of(parts).load("latest")
        (place / name).unlink()
        with pytest.raises(ValueError, match=rf"damaged: {name} is missing"):
            checkpoints_of(parts).load("latest")

    def test_what_is_no_checkpoint_is_refused(self, parts):
        assert checkpoints_of(parts).load("latest") is None
        with pytest.raises(FileNotFoundError, match="expected `latest` or the folder of a complete checkpoint"):
            checkpoints_of(parts).load(str(parts.folder))

    def test_checkpoints_are_not_lost_unless_asked_for(self, parts):
        place = checkpoints_of(parts).save(Progress(step=1))
        with pytest.raises(FileExistsError, match="holds checkpoints of an unfinished run"):
            prepare_folder(parts.folder, resume=False, overwrite=False)
        prepare_folder(parts.folder, resume=True, overwrite=False)
        assert place.is_dir()
        prepare_folder(parts.folder, resume=False, overwrite=True)
        assert not place.exists()

    def test_only_what_this_project_wrote_is_removed(self, parts):
        checkpoints = checkpoints_of(parts, limit=1)
        theirs = [
            *(parts.folder / name for name in (".my_impartial_notes", ".partial-credit", "notes.partial")),
            *(checkpoints.folder / name for name in ("best-of-breed", "step-by-step", "notes", ".step-1.partial")),
            checkpoints.folder / ".notes.old",
        ]
        for path in theirs:
            path.mkdir(parents=True)
            (path / "manifest.json").write_text("{}")
        prepare_folder(parts.folder, resume=False, overwrite=False)  # there is no checkpoint
        for step in (1, 2):
            progress = Progress(step=step, best=Best(1, step, 0.5))
            checkpoints.save_best(parts.model, progress)
            checkpoints.save(progress)
        assert checkpoints.latest().name == "step-00000002"
        prepare_folder(parts.folder, resume=False, overwrite=True)
        assert sorted(checkpoints.folder.iterdir()) == sorted(path for path in theirs if path.parent != parts.folder)
        assert all((path / "manifest.json").is_file() for path in theirs)

    @pytest.mark.parametrize("moment", ["before it is in place", "before the old one is removed"])
    @pytest.mark.parametrize("kind", ["step", "best"])
    def test_killed_while_a_checkpoint_replaces_one_of_the_same_step(self, parts, monkeypatch, moment, kind):
        first = Progress(step=3, best=Best(1, 3, 0.5), seconds=1.0)
        checkpoints = checkpoints_of(parts)
        checkpoints.save_best(parts.model, first)
        checkpoints.save(first)
        weight = parts.model.weight.detach().clone()

        def killed(*_):
            raise KeyboardInterrupt

        second = checkpoints_of(parts)  # of a session that resumed at this step
        remove = checkpoints_module.remove
        changes = {
            "before it is in place": ("publish", killed),
            "before the old one is removed": (
                "remove",
                lambda path: killed() if path.exists() and ".old." in path.name else remove(path),
            ),
        }
        save = {"best": lambda: second.save_best(parts.model, first), "step": lambda: second.save(first)}[kind]
        with monkeypatch.context() as patches:
            patches.setattr(checkpoints_module, *changes[moment])
            with pytest.raises(KeyboardInterrupt):
                save()
        prepare_folder(parts.folder, resume=True, overwrite=False)
        again = checkpoints_of(parts)
        torch.nn.init.zeros_(parts.model.weight)
        assert again.load("latest").step == 3
        assert torch.equal(parts.model.weight, weight)
        torch.nn.init.zeros_(parts.model.weight)
        again.load_best(parts.model, first)
        assert torch.equal(parts.model.weight, weight)
        assert sorted(path.name for path in again.folder.iterdir()) == ["best-00000003", "step-00000003"]

    def test_the_best_weights_come_along_from_another_folder(self, parts):
        progress = Progress(step=4, best=Best(1, 2, 0.5))
        checkpoints = checkpoints_of(parts)
        checkpoints.save_best(parts.model, progress)
        place = checkpoints.save(progress)
        weight = parts.model.weight.detach().clone()
        elsewhere = checkpoints_of(parts, folder=parts.folder / "elsewhere")
        assert elsewhere.load(str(place)) == progress
        torch.nn.init.zeros_(parts.model.weight)
        elsewhere.load_best(parts.model, progress)
        assert torch.equal(parts.model.weight, weight)

    def test_two_reasons_to_save_write_one_checkpoint(self, parts):
        checkpoints = checkpoints_of(parts)
        place = checkpoints.save(Progress(step=1, seconds=1.0))
        written = (place / "manifest.json").stat().st_mtime_ns
        assert checkpoints.save(Progress(step=1, seconds=2.0)) == place
        assert (place / "manifest.json").stat().st_mtime_ns == written


class TestProgress:
    def test_the_best_epoch_is_the_first_of_equals(self):
        progress = Progress()
        outcomes = []
        for epoch, score in enumerate([0.1, 0.3, 0.3, 0.2, 0.4]):
            progress.step += 5
            outcomes.append(progress.end_epoch({"epoch": epoch + 1, "f1": score}, "f1"))
        assert outcomes == [True, True, False, False, True]
        assert progress.best == Best(epoch=5, step=25, score=0.4)
        assert progress.epochs_without_improvement == 0

    def test_a_new_epoch_starts_from_zero(self):
        progress = Progress(epoch=1, epoch_step=4, step=8, losses=[1.5, 2.5])
        progress.end_epoch({"epoch": 2, "f1": 0.1}, "f1")
        assert (progress.epoch, progress.epoch_step, progress.step, progress.losses) == (2, 0, 8, [0.0, 0.0])
        assert progress.dev_scores == [{"epoch": 2, "f1": 0.1}]

    def test_epochs_without_improvement_are_counted(self):
        progress = Progress()
        counts = []
        for score in (0.5, 0.4, 0.5, 0.6, 0.1):
            progress.end_epoch({"f1": score}, "f1")
            counts.append(progress.epochs_without_improvement)
        assert counts == [0, 1, 2, 0, 1]

    def test_without_dev_scores_nothing_is_best(self):
        progress = Progress()
        assert not progress.end_epoch({"epoch": 1}, "f1")
        assert (progress.best, progress.epochs_without_improvement) == (None, 0)

    def test_a_file_of_it_is_read(self, tmp_path):
        row = {"epoch": 1, "step": 4, "entity_loss": 0.5, "relation_loss": 1.0, "ner_micro_f1": 1 / 3}
        progress = Progress(2, 1, 9, [0.1, 0.2], [row], Best(1, 4, 0.5, "ab"), 1, 2.5)
        (tmp_path / "progress.json").write_text(json.dumps(progress.to_json()))
        assert Progress.read(tmp_path / "progress.json") == progress
