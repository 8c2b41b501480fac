"""Several processes for one run of `spert predict`: started and ended by the command, and what each of them does.

The command starts them as `python -m spert.extraction.workers FOLDER …`, where FOLDER holds the plan.
"""

import argparse
import os
import signal
import site
import subprocess
import sys
import time
from pathlib import Path

from ..locks import worker_lock
from ..processes import as_starter, leave_if_starter_is_gone, watch_starters
from .stopping import Stopped, occupy_standard_streams, say, stoppable

_SECONDS = 0.1
"""Between two looks at the processes."""

_TIME_TO_END = 20.0


def run_workers(num_processes: int, arguments: list[str]) -> None:
    """Run this module with these arguments on several processes, each with its share of the cores.

    Accelerators are shared out among them: with more processes than accelerators, several compute on one.

    Raises:
        RuntimeError: one of them failed; the others are ended.
    """
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for index in range(num_processes):
            command = [sys.executable, "-m", "spert.extraction.workers", *arguments]
            workers.append(
                subprocess.Popen(command, env=_environment(index, num_processes), start_new_session=os.name == "posix")
            )
        running = list(workers)
        while running:
            time.sleep(_SECONDS)
            running = [worker for worker in workers if worker.poll() is None]
            for index, worker in enumerate(workers):
                if worker.poll():
                    raise RuntimeError(f"Process {index} of {num_processes} ended with {_ending(worker.returncode)}.")
    finally:
        _end(workers)


def main() -> None:
    """Make this process's share of the shards that are missing in a folder that holds a plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--format", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--cuda-graphs", action="store_true")
    arguments = parser.parse_args()
    occupy_standard_streams()
    index, number = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        with (
            stoppable() as check,
            worker_lock(arguments.folder, index),
            watch_starters(seconds=0.5, grace_seconds=_TIME_TO_END),
        ):
            from .bulk import maker_of
            from .plan import Plan, read_plan
            from .shards import Shards
            from .sinks import sink_of
            from .sources import open_source

            values = read_plan(arguments.folder)
            if values is None:
                raise RuntimeError(f"{arguments.folder}: expected the plan of a run, got none that can be read.")
            plan = Plan(**values)
            source = open_source(arguments.input, plan.split)
            sink = sink_of(arguments.format, column=plan.column, schema=source.schema, all_scores=plan.all_scores)
            shards = Shards(arguments.folder, sink.shard_ending, plan.num_shards)
            make = maker_of(
                plan,
                source,
                sink,
                arguments.model,
                batch_size=arguments.batch_size,
                cuda_graphs=arguments.cuda_graphs,
                check=check,
                device_index=int(os.environ["LOCAL_RANK"]),
                is_first=index == 0,
            )
            make(shards, [shard for shard in shards.missing() if shard % number == index])
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as error:
        say(f"spert: {error}", to_errors=True)
        sys.exit(1)
    except Stopped as stopped:
        leave_if_starter_is_gone()
        sys.exit(stopped.exit_code)


def _environment(index: int, num_processes: int) -> dict[str, str]:
    import torch

    num_accelerators = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    environment = {
        **as_starter(os.environ),
        "RANK": str(index),
        "LOCAL_RANK": str(index % max(1, num_accelerators)),
        "WORLD_SIZE": str(num_processes),
    }
    if not num_accelerators:
        environment["ACCELERATE_USE_CPU"] = "true"
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    root = str(Path(__file__).resolve().parents[2])
    if root not in map(os.path.realpath, site.getsitepackages()):  # a checkout
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return environment


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()
    limit = time.monotonic() + _TIME_TO_END
    for worker in workers:
        try:
            worker.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _ending(code: int) -> str:
    return f"{signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


if __name__ == "__main__":
    main()
