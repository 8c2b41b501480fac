"""Several runs in one command: folds, seeds, or both. Each is a process of its own and a folder of its own.

Where several processes were launched, each takes its share of the runs and trains them one after the other, alone: a
run then is the same as on a single process. What is finished stays finished when the command is given again, and what
was interrupted goes on from its last checkpoint.
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
from ..files import atomic_writer, read_json, write_json
from .arguments import TrainingArguments
from .checkpoints import LATEST
from .interruption import EXIT_CODE, Interruption
from .output import is_trained
from .run_record import NO_MATTER, RUN, settings_of

RECIPE = "recipe.yaml"
LOG = "train.log"

# What a launcher tells its processes, and a run that is alone must not hear.
_LAUNCHER_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_LAUNCHER_PREFIXES = ("TORCHELASTIC_", "ROLE_", "GROUP_", "PET_")


def runs_of(arguments: TrainingArguments) -> list[TrainingArguments]:
    """The settings of each run; its folder lies in the command's own `output_dir`."""
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
    """
    runs = runs_of(arguments)
    own = runs[state.process_index :: state.num_processes]
    failed = []
    for run in own:
        name = Path(run.output_dir).name
        if is_finished(run):
            print(f"{name}: finished already", flush=True)
            continue
        code = _train(run, script, state)
        print(f"{name}: {'finished' if code == 0 else f'exit code {code}'}", flush=True)
        if code:
            failed.append(f"{run.output_dir} (exit code {code})")
    failed = gather_object(failed)
    if failed:
        raise RuntimeError(
            f"These runs did not finish: {', '.join(failed)}. The others are kept: give the command again to go on."
        )
    if state.is_main_process:
        folders = _all_finished(arguments)
        summary = summarize(folders)
        write_json(Path(arguments.output_dir) / SUMMARY, summary)
        print_summary(summary, arguments.output_dir)
    state.wait_for_everyone()


def coordinator() -> PartialState:
    """Which process this is. It waits for the others for as long as their runs take, and keeps no accelerator busy."""
    waits = {"timeout": timedelta(days=365)} if "WORLD_SIZE" in os.environ else {}
    return PartialState(cpu=True, **waits)


def is_finished(run: TrainingArguments) -> bool:
    """Whether a run's folder holds its result.

    Raises:
        FileExistsError: it holds the result of other settings.
    """
    record = Path(run.output_dir) / RUN
    if run.overwrite_output_dir or not is_trained(run.output_dir) or not record.is_file():
        return False
    found, wanted = read_json(record)["settings"], settings_of(run)
    different = [name for name in wanted if found.get(name) != wanted[name] and name not in NO_MATTER]
    if different:
        raise FileExistsError(
            f"{run.output_dir}: a run with other settings stands here: "
            f"{', '.join(f'{name} {found.get(name)!r} there, {wanted[name]!r} here' for name in different)}. Name "
            f"another --output_dir, or replace it with --overwrite_output_dir."
        )
    return True


def _all_finished(arguments: TrainingArguments) -> list[str]:
    """The folders of this command's runs, and with `--only_folds` of all folds that are done."""
    every = dataclasses.replace(arguments, only_folds=None, overwrite_output_dir=False)
    return [run.output_dir for run in runs_of(every) if is_finished(run)]


def _train(run: TrainingArguments, script: str, state: PartialState) -> int:
    """Train one run in a process of its own; returns its exit code. With several processes its words go to a log."""
    folder = Path(run.output_dir)
    settings = {name: value for name, value in settings_of(run).items() if value is not None}
    with atomic_writer(folder / RECIPE) as file:
        yaml.safe_dump(settings, file, sort_keys=False, allow_unicode=True)
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
    """Run a command; SIGTERM reaches it, too, and is waited for, so that it can write its checkpoint."""
    child = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT if log else None)
    interruption = Interruption(then=child.terminate)
    try:
        code = child.wait()
    finally:
        interruption.forget()
    if interruption.requested:
        sys.exit(EXIT_CODE)
    return code
