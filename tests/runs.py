"""Runs of `train_accelerate.py` in processes of their own, as users start them."""

import os
import subprocess
import sys
from pathlib import Path

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
    return subprocess.run(
        command(launcher, output, *flags),
        cwd=output.parent,
        capture_output=True,
        text=True,
        env=variables(**environment),
        timeout=300,
    )


def settings(corpus, encoder, **changes):
    """Flags of a short run; a change to `True` is a flag without a value."""
    defaults = {
        "dataset_name": corpus,
        "model_name_or_path": encoder,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "head_dropout": 0.0,
        "learning_rate": 1e-2,
        "seed": 7,
    }
    return [word for name, value in (defaults | changes).items() for word in (f"--{name}", str(value))]
