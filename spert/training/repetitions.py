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
from ..processes import as_starter
from .arguments import TrainingArguments
from .checkpoints import LATEST
from .corpus import load_inputs
from .interruption import EXIT_CODE, Interruption
from .output_folder import locked
from .run_record import is_finished
from .together import main_first, on_each, on_main
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
        ChildProcessError: a run failed; the message names it and its log. The others are kept.
        ValueError, OSError: the corpus, the encoder, a tracker or an output folder is refused, before the first run
            starts.
    """
    runs = runs_of(arguments)
    main_first(state, lambda: check_once(runs))
    with locked(state, arguments.output_dir):
        failed: list[str] = []
        on_each(
            state, lambda: failed.extend(_train_own(runs[state.process_index :: state.num_processes], script, state))
        )
        failed = gather_object(failed)
        if failed:
            raise ChildProcessError(
                f"These runs did not finish: {', '.join(failed)}. The others are kept: give the command again to train "
                f"those that are missing."
            )
        on_main(state, lambda: _summarize(arguments))


def check_once(runs: Sequence[TrainingArguments]) -> None:
    """Refuse what would make runs fail: the corpus, the encoder, the trackers, a folder with another result.

    Args:
        runs: of one corpus and encoder.
    """
    trackers_of(runs[0])
    load_inputs(runs[0])
    for run in runs:
        is_finished(run)


def coordinator() -> PartialState:
    """The state of this process. It waits for the others for as long as their runs take, and uses no accelerator."""
    waits = {"timeout": timedelta(days=365)} if "WORLD_SIZE" in os.environ else {}
    return PartialState(cpu=True, **waits)


def _train_own(runs: Sequence[TrainingArguments], script: str, state: PartialState) -> list[str]:
    """Train the runs of this process; returns the folders of those that failed, with their exit codes."""
    failed = []
    for run in runs:
        name = Path(run.output_dir).name
        if is_finished(run):
            print(f"{name}: already finished", flush=True)
            continue
        code = _train(run, script, state)
        print(f"{name}: {'finished' if code == 0 else f'exit code {code}'}", flush=True)
        if code:
            failed.append(f"{run.output_dir} (exit code {code})")
    return failed


def _summarize(arguments: TrainingArguments) -> None:
    summary = summarize(_all_finished(arguments))
    write_json(Path(arguments.output_dir) / SUMMARY, summary)
    print_summary(summary, arguments.output_dir)


def _all_finished(arguments: TrainingArguments) -> list[str]:
    """The folders of this command's runs, and with `--only_folds` of all folds that are done."""
    every = dataclasses.replace(arguments, only_folds=None, overwrite_output_dir=False)
    return [run.output_dir for run in runs_of(every) if is_finished(run)]


def prepare_run(run: TrainingArguments, place: int | None) -> tuple[Path, dict[str, str]]:
    """Write a run's recipe into its folder.

    Args:
        place: the number of the process, of those that train at the same time on this machine; each gets one of the
            machine's GPUs. `None` if there is one process, which sees all of them.

    Returns:
        The recipe, and the environment of the process that trains it: that process ends when this one does.
    """
    recipe = Path(run.output_dir) / RECIPE
    with atomic_writer(recipe) as file:
        yaml.safe_dump(run.to_dict(), file, sort_keys=False, allow_unicode=True)
    environment = as_starter(
        {
            name: value
            for name, value in os.environ.items()
            if name not in _LAUNCHER_VARIABLES and not name.startswith(_LAUNCHER_PREFIXES)
        }
    )
    if place is not None and torch.cuda.is_available():
        every = ",".join(map(str, range(torch.cuda.device_count())))
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", every).split(",")
        environment["CUDA_VISIBLE_DEVICES"] = visible[place % len(visible)]
    return recipe, environment


def _train(run: TrainingArguments, script: str, state: PartialState) -> int:
    """Train one run in a process of its own; returns its exit code. With several processes its output goes to a log."""
    folder = Path(run.output_dir)
    recipe, environment = prepare_run(run, state.local_process_index if state.num_processes > 1 else None)
    command = [sys.executable, script, str(recipe)]
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
