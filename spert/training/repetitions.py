"""Several runs in one command: folds, seeds, or both. Each run has a process and a folder of its own.

If several processes were launched, each trains its share of the runs, one after the other and each run on one process:
the result is the same as that of a single process. When the command is given again, finished runs are kept, and
interrupted ones continue from their last checkpoints.
"""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO

import torch
import yaml
from accelerate import PartialState
from accelerate.utils import gather_object

from ..evaluation.summary import SUMMARY, print_summary, summarize
from ..files import atomic_writer, write_json
from .arguments import TrainingArguments
from .checkpoints import LATEST
from .corpus import load_inputs
from .interruption import EXIT_CODE, Interruption
from .run_record import is_finished
from .tracking import trackers_of

RECIPE = "recipe.yaml"
LOG = "train.log"

# A launcher sets these for its processes. A run that is trained on one process must not inherit them.
_LAUNCHER_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LAUNCHER_PREFIXES = ("TORCHELASTIC_", "ROLE_", "GROUP_", "PET_")


def runs_of(arguments: TrainingArguments) -> list[TrainingArguments]:
    """The settings of each run. Its folder is in the `output_dir` of the command."""
    runs = []
    for fold in arguments.chosen_folds:
        for seed in arguments.chosen_seeds:
            names = ([] if fold is None else [f"fold-{fold}"]) + ([] if arguments.seeds is None else [f"seed-{seed}"])
            runs.append(
                dataclasses.replace(
                    arguments,
                    fold=fold,
                    seed=seed,
                    seeds=None,
                    only_folds=None,
                    output_dir=str(Path(arguments.output_dir) / "-".join(names)),
                    resume_from_checkpoint=None if arguments.overwrite_output_dir else LATEST,
                )
            )
    return runs


def train_runs(arguments: TrainingArguments, script: str, state: PartialState) -> None:
    """Train all runs, and write and print their scores.

    Args:
        script: `train_accelerate.py`, which trains each.
        state: which of the processes this is.

    Raises:
        RuntimeError: a run failed; the message names it and its log. The others are kept.
        ValueError, OSError: the corpus, the encoder or a tracker is refused, before the first run starts.
    """
    runs = runs_of(arguments)
    with state.main_process_first():  # the others find what it downloaded
        check_once(runs[0])
    own = runs[state.process_index :: state.num_processes]
    failed = []
    for run in own:
        name = Path(run.output_dir).name
        if is_finished(run):
            print(f"{name}: already finished", flush=True)
            continue
        code = _train(run, script, state)
        print(f"{name}: {'finished' if code == 0 else f'exit code {code}'}", flush=True)
        if code:
            failed.append(f"{run.output_dir} (exit code {code})")
    failed = gather_object(failed)
    if failed:
        raise RuntimeError(
            f"These runs did not finish: {', '.join(failed)}. The others are kept: give the command again to train "
            f"those that are missing."
        )
    if state.is_main_process:
        folders = _all_finished(arguments)
        summary = summarize(folders)
        write_json(Path(arguments.output_dir) / SUMMARY, summary)
        print_summary(summary, arguments.output_dir)
    state.wait_for_everyone()


def check_once(run: TrainingArguments) -> None:
    """Refuse what would make all runs fail alike: the corpus, the encoder's name, the trackers."""
    trackers_of(run)
    load_inputs(run)


def coordinator() -> PartialState:
    """Which process this is. It waits for the others for as long as their runs take, and uses no accelerator."""
    waits = {"timeout": timedelta(days=365)} if "WORLD_SIZE" in os.environ else {}
    return PartialState(cpu=True, **waits)


def _all_finished(arguments: TrainingArguments) -> list[str]:
    """The folders of this command's runs, and with `--only_folds` of all folds that are done."""
    every = dataclasses.replace(arguments, only_folds=None, overwrite_output_dir=False)
    return [run.output_dir for run in runs_of(every) if is_finished(run)]


def _train(run: TrainingArguments, script: str, state: PartialState) -> int:
    """Train one run in a process of its own; returns its exit code. With several processes its output goes to a log."""
    folder = Path(run.output_dir)
    with atomic_writer(folder / RECIPE) as file:
        yaml.safe_dump(run.to_dict(), file, sort_keys=False, allow_unicode=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in _LAUNCHER_VARIABLES and not name.startswith(_LAUNCHER_PREFIXES)
    }
    if state.num_processes > 1 and torch.cuda.is_available():
        every = ",".join(map(str, range(torch.cuda.device_count())))
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", every).split(",")
        environment["CUDA_VISIBLE_DEVICES"] = visible[state.local_process_index % len(visible)]
    command = [sys.executable, script, str(folder / RECIPE)]
    if state.num_processes == 1:
        return _run(command, environment, None)
    print(f"{folder.name}: process {state.process_index}, log in {folder / LOG}", flush=True)
    with open(folder / LOG, "ab") as log:
        return _run(command, environment, log)


def _run(command: Sequence[str], environment: dict[str, str], log: IO[bytes] | None) -> int:
    """Run a command, and wait for it. SIGTERM is passed on to it, so that it can write its checkpoint."""
    child = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT if log else None)
    with Interruption(then=child.terminate) as interruption:
        code = child.wait()
    if interruption.requested:
        sys.exit(EXIT_CODE)
    return code
