"""`spert predict`: from a source through a model into shards, on one process or many, and on after a kill.

A shard holds the results of a fixed range of entries and appears whole or not at all. Processes share nothing but the
folder of shards: process `p` of `n` makes every `n`-th shard that is not there yet.

```
X.jsonl                  the result, once all shards are there
X.jsonl.shards/          plan.json, part-00000.jsonl, part-00000.errors.jsonl, …
X.jsonl.errors.jsonl     entries that were refused, each with its reason, where there are any
```
"""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from tqdm.auto import tqdm

from ..files import read_json, read_json_lines, remove_partials, write_json
from ..modeling_spert import SpertModel
from ..prediction import Refused, predict_stream
from ..processing_spert import SpertProcessor
from .sinks import Sink, join_lines, remove_folder, write_lines
from .sources import Source, open_source, sentence_of

PLAN = "plan.json"
_ERRORS = ".errors.jsonl"
_STARTER = "SPERT_STARTED_BY"
_LOOK_UP = 64
"""Entries between two looks whether the process that started this one is still there."""


@dataclass(frozen=True)
class Plan:
    """What decides the shards: a run is only continued by one with the same plan.

    Args:
        model, input: as they were named.
        input_identity: changes when the input does.
        length: entries of the input.
        shard_size: entries of a shard.
        split, column, relation_threshold, dtype: see `spert predict --help`.
    """

    model: str
    input: str
    input_identity: str
    length: int
    shard_size: int
    split: str
    column: str | None
    relation_threshold: float | None
    dtype: str

    @property
    def num_shards(self) -> int:
        """Shards in all; an empty input has one, which is empty."""
        return max(1, -(-self.length // self.shard_size))


@dataclass(frozen=True)
class Outcome:
    """What became of a run: entries read, and those refused, with the first reason and the file of all."""

    entries: int
    refused: int
    first_reason: str | None
    errors: Path


def make_plan(plan: Plan, folder: Path, resume: bool) -> None:
    """Make the folder of shards ready.

    Raises:
        FileExistsError: shards of another run, or of an interrupted one, stand there, and nobody said to go on.
        ValueError: to be resumed is another plan; the message says what differs.
    """
    file = folder / PLAN
    if file.is_file():
        if not resume:
            raise FileExistsError(
                f"{folder}: shards stand here. Go on with --resume, or remove the folder to begin anew."
            )
        found, wanted = read_json(file), asdict(plan)
        different = [name for name in wanted if found.get(name) != wanted[name]]
        if different:
            shown = "; ".join(f"{name} {found.get(name)!r} there, {wanted[name]!r} here" for name in different)
            raise ValueError(f"{folder}: expected the settings of the interrupted run, got others: {shown}.")
        remove_partials(folder)
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: expected an empty folder for shards, got one that holds other files.")
    write_json(file, asdict(plan))


def make_shards(
    plan: Plan,
    source: Source,
    folder: Path,
    sink: Sink,
    model: SpertModel,
    processor: SpertProcessor,
    *,
    batch_size: int,
    process_index: int = 0,
    num_processes: int = 1,
    progress: bool = False,
) -> None:
    """Make this process's share of the shards that are not there yet.

    Raises:
        RuntimeError: the input ended early; or the process that started this one is gone, killed perhaps, and whoever
            resumes its work is not to find this one still at it.
    """
    missing = [
        shard
        for shard in range(process_index, plan.num_shards, num_processes)
        if not _part(folder, shard, sink).is_file()
    ]
    wanted = set(missing)
    entries = source.read(lambda number: number // plan.shard_size in wanted)
    read: deque[tuple[int, Any]] = deque()  # read ahead and not written yet: at most two windows

    def sentences() -> Iterator[Any]:
        for number, entry in entries:
            read.append((number, entry))
            yield sentence_of(entry, source.where(number), plan.column)

    found = predict_stream(
        model, processor, sentences(), batch_size=batch_size, relation_threshold=plan.relation_threshold
    )
    total = sum(min(plan.shard_size, plan.length - shard * plan.shard_size) for shard in missing)
    with tqdm(total=total, unit="sentence", disable=not progress, smoothing=0.1) as bar:
        for shard in missing:
            first, last = shard * plan.shard_size, min((shard + 1) * plan.shard_size, plan.length)
            refused: list[dict[str, Any]] = []
            results: list[tuple[Any, dict[str, Any]]] = []
            for expected, result in zip(range(first, last), found, strict=False):
                number, entry = read.popleft()
                assert number == expected
                if isinstance(result, Refused):
                    shown = None if isinstance(entry, Refused) else entry
                    refused.append({"record": number, "reason": result.reason, "entry": shown})
                else:
                    results.append((entry, result))
                bar.update()
                if number % _LOOK_UP == 0:
                    _end_with_the_starter()
            if len(results) + len(refused) < last - first:
                raise RuntimeError(f"{plan.input}: expected {plan.length} entries, but it ended early. Has it changed?")
            _write_refused(folder, shard, refused)  # before the shard appears
            sink.write(_part(folder, shard, sink), results)


def join_shards(plan: Plan, folder: Path, sink: Sink, output: Path) -> Outcome:
    """Make one file of all shards, or leave them where the output is their folder; join the refusals.

    Raises:
        RuntimeError: a shard is missing.
        ValueError: every single entry was refused.
    """
    shards = [_part(folder, shard, sink) for shard in range(plan.num_shards)]
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise RuntimeError(
            f"{folder}: {len(missing)} of {plan.num_shards} shards are missing, the first is {missing[0]}. Go on with "
            f"--resume."
        )
    keeps_shards = folder == output
    parts = sorted(folder.glob(f"part-*{_ERRORS}"))
    errors = output / "errors.jsonl" if keeps_shards else output.with_name(output.name + _ERRORS)
    refused, first_reason = 0, None
    for part in parts:
        for _, entry in read_json_lines(part):
            first_reason = first_reason or entry["reason"]
            refused += 1
    if refused and refused == plan.length:
        remove_folder(folder)
        raise ValueError(f"{plan.input}: no entry could be read. {first_reason}")
    if parts:
        join_lines(errors, parts)
    else:
        errors.unlink(missing_ok=True)
    if not keeps_shards:
        sink.join(output, shards)
        remove_folder(folder)
    return Outcome(plan.length, refused, first_reason, errors)


def launch_workers(num_processes: int, arguments: list[str]) -> int:
    """Run `spert predict` with these arguments on several processes, through accelerate; returns the exit code."""
    has_accelerator = torch.accelerator.is_available() and torch.accelerator.device_count() >= num_processes
    environment = {**os.environ, _STARTER: str(os.getpid())}
    if not has_accelerator:
        environment["ACCELERATE_USE_CPU"] = "true"
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    command = [
        *(sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu"),
        *("--num_processes", str(num_processes), "--num_machines", "1", "--mixed_precision", "no"),
        *("--dynamo_backend", "no", "--main_process_port", "0", "--module", "spert", "predict", *arguments),
    ]
    return subprocess.run(command, env=environment).returncode


def plan_of(
    model: str,
    input: str,
    *,
    split: str,
    column: str | None,
    relation_threshold: float | None,
    dtype: str,
    shard_size: int,
) -> tuple[Plan, Source]:
    """The plan for an input, and the input opened."""
    source = open_source(input, split)
    plan = Plan(model, input, source.identity, source.length, shard_size, split, column, relation_threshold, dtype)
    return plan, source


def shards_folder(output: str) -> Path:
    """Where the shards lie: in the output itself where it is a folder (by its name, or because there is one), where
    they stay; or beside it, until they are joined.
    """
    path = Path(output)
    is_folder = output.endswith("/") or path.is_dir() or not path.suffix
    return path if is_folder else path.with_name(path.name + ".shards")


def _end_with_the_starter() -> None:
    """Launchers put their processes into sessions of their own, where a kill of the command does not reach them."""
    starter = os.environ.get(_STARTER)
    if starter is not None and not psutil.pid_exists(int(starter)):
        raise RuntimeError("the process that started this one is gone.")


def _part(folder: Path, shard: int, sink: Sink) -> Path:
    return folder / f"part-{shard:05d}{sink.shard_ending}"


def _write_refused(folder: Path, shard: int, refused: list[dict[str, Any]]) -> None:
    file = folder / f"part-{shard:05d}{_ERRORS}"
    if refused:
        write_lines(file, refused)
    else:
        file.unlink(missing_ok=True)
