"""Training runs: in this process, or in processes of their own, as users start them."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from accelerate.state import AcceleratorState, GradientState, PartialState

ROOT = Path(__file__).parent.parent
ACCELERATE = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
ONE = [*ACCELERATE, "--num_processes", "1", "--mixed_precision", "no", "--num_machines", "1", "--dynamo_backend", "no"]


def several(number):
    """A launcher of several processes; it wants ACCELERATE_USE_CPU=true."""
    shape = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    return [*ACCELERATE, "--multi_gpu", "--num_processes", str(number), *shape]


def command(launcher, output, *flags):
    return [*launcher, str(ROOT / "train_accelerate.py"), *map(str, flags), "--output_dir", str(output)]


def variables(**changes):
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **changes}


def train(launcher, output, *flags, **environment):
    """A run in processes of its own."""
    return subprocess.run(
        command(launcher, output, *flags),
        cwd=output.parent,
        capture_output=True,
        text=True,
        env=variables(**environment),
        timeout=300,
    )


def train_here(output, *flags, draws=False):
    """A run in this process, without the seconds that a process of its own needs to start. Errors are raised.

    Args:
        draws: whether the run draws its pictures, which takes longer than all else; or else they are empty files.

    Returns:
        `stdout` and `stderr`, as of a process.
    """
    import train_accelerate

    words = [*map(str, flags), "--output_dir", str(output)]
    stdout, stderr, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = [str(ROOT / "train_accelerate.py"), *words]  # which the run's record holds
    try:
        with contextlib.ExitStack() as changes:
            if not draws:
                for name in ("draw_learning_curves", "draw_scores_by_type"):
                    changes.enter_context(mock.patch.object(train_accelerate, name, lambda path, *_: path.touch()))
            changes.enter_context(contextlib.redirect_stdout(stdout))
            changes.enter_context(contextlib.redirect_stderr(stderr))
            train_accelerate.main(words)
    finally:
        sys.argv = argv
        forget_processes()
    return SimpleNamespace(stdout=stdout.getvalue(), stderr=stderr.getvalue())


def forget_processes():
    """Make the next run of this process start as a first one."""
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def settings(corpus, encoder, **changes):
    """Flags of a short run; a change to `None` leaves a flag out."""
    defaults = {
        "dataset_name": corpus,
        "model_name_or_path": encoder,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "head_dropout": 0.0,
        "learning_rate": 1e-2,
        "seed": 7,
    }
    flags = {name: value for name, value in (defaults | changes).items() if value is not None}
    return [word for name, value in flags.items() for word in (f"--{name}", str(value))]
