"""Training that is killed again and again, at moments that a seed decides, ends as if nothing had happened.

    make kills                                          # SPERT_KILLS_SEED=1 make kills: at other moments

Twenty moments, from the start of the process to the writing of the result, with SIGINT, SIGTERM and SIGKILL, on one
process and on two. A failure shows the moments.
"""

import json
import os
import random
import signal
import subprocess
import time

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.runs import ONE, command, settings, several, variables
from tests.tolerance import assert_close

SEED = int(os.environ.get("SPERT_KILLS_SEED", "0"))
STEPS = 24

pytestmark = pytest.mark.kills


@pytest.fixture(scope="module")
def flags(small_corpus, small_encoder):
    """Six epochs of four steps, with dropout, so that random states count; a checkpoint at every second step."""
    return settings(
        small_corpus,
        small_encoder,
        num_train_epochs=6,
        head_dropout=0.3,
        learning_rate=1e-3,
        checkpointing_steps=2,
        logging_steps=1,
        load_best_model_at_end=True,
        resume_from_checkpoint="latest",
    )


@pytest.fixture(scope="module", params=[1, 2])
def launch(request, flags, tmp_path_factory):
    """Starts a run on one process, or on two; and the result of one that nothing interrupted."""
    launcher = ONE if request.param == 1 else several(2)

    def start(folder):
        return subprocess.Popen(
            command(launcher, folder, *flags),
            env=variables(ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1"),
            stdout=subprocess.DEVNULL,
            stderr=open(folder.with_suffix(".log"), "a"),  # the child has it
            start_new_session=True,
        )

    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert start(folder).wait() == 0, folder.with_suffix(".log").read_text()
    return request.param, start, folder


def newest(folder):
    return max((path.name for path in folder.glob("checkpoints/step-*")), default="")


def is_past(folder, moment):
    """Whether a run has come as far as a moment: a step, or the writing of its result."""
    return (folder / "run.json").exists() if moment >= STEPS else newest(folder) >= f"step-{int(moment):08d}"


def end_of(process, number, folder):
    """Send a signal as a terminal, a cluster and the system do; wait until no process of the run is left."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    if number == signal.SIGINT:
        for member in family:
            member.send_signal(number)
    else:
        process.send_signal(number)  # the launcher passes SIGTERM on; SIGKILL leaves its processes to themselves
    process.wait(timeout=120)
    _, alive = psutil.wait_procs(family, timeout=120)
    assert not alive, f"{alive} did not end: {folder.with_suffix('.log').read_text()}"


@pytest.mark.parametrize(
    ("number", "kills_on"),
    [(signal.SIGINT, (3, 3)), (signal.SIGTERM, (4, 3)), (signal.SIGKILL, (4, 3))],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_a_killed_run_ends_as_an_uninterrupted_one(number, kills_on, launch, tmp_path):
    processes, start, uninterrupted = launch
    chance = random.Random(f"{SEED} {processes} {number}")
    # One of them while the processes start, and one while the result is written; the delay reaches into the next step.
    moments = [-1.0, *sorted(chance.uniform(0, STEPS) for _ in range(kills_on[processes - 1] - 2)), STEPS]
    delays = [chance.uniform(0, 6), *(chance.uniform(0, 0.4) for _ in moments[1:])]
    print(f"seed {SEED}, {processes} process(es), signal {number}: at {moments}, after {delays} seconds")
    folder = tmp_path / "run"
    for moment, delay in zip(moments, delays):
        process = start(folder)
        while moment >= 0 and process.poll() is None and not is_past(folder, moment):
            time.sleep(0.01)
        time.sleep(delay)
        before = newest(folder)
        if process.poll() is None:
            end_of(process, number, folder)
        assert newest(folder) >= before, "a checkpoint was lost"
    last = start(folder)
    log = folder.with_suffix(".log")
    assert last.wait(timeout=300) == 0, log.read_text()

    assert not list(folder.rglob("*partial*"))
    assert json.loads((folder / "run.json").read_text())["finished"]
    for name in ("dev_scores.json", "metrics.json", "metrics_from_text.json", "predictions.json"):
        found, expected = (json.loads((place / name).read_text()) for place in (folder, uninterrupted))
        if processes == 1:
            assert found == expected, name
        else:
            assert_close(found, expected, name)
    found, expected = (load_file(place / "model.safetensors") for place in (folder, uninterrupted))
    if processes == 1:
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    else:
        assert_close(found, expected, "weights")
