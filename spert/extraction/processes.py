"""Several processes for one run of `spert predict`: started here, ended with the command, whatever ends it."""

import os
import signal
import site
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import torch

_STARTER = "SPERT_STARTED_BY"
_SECONDS = 0.5
"""Between two looks at the other process."""

_TIME_TO_END = 20.0


def run_workers(num_processes: int, arguments: list[str]) -> None:
    """Run `spert.extraction.worker` with these arguments on several processes, each with its share of the cores or with
    an accelerator.

    Raises:
        RuntimeError: one of them failed; the others are ended.
    """
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for index in range(num_processes):
            command = [sys.executable, "-m", "spert.extraction.worker", *arguments]
            workers.append(
                subprocess.Popen(command, env=_environment(index, num_processes), start_new_session=os.name == "posix")
            )
        running = list(workers)
        while running:
            time.sleep(_SECONDS / 5)
            running = [worker for worker in workers if worker.poll() is None]
            for index, worker in enumerate(workers):
                if worker.poll():
                    raise RuntimeError(f"Process {index} of {num_processes} ended with {_ending(worker.returncode)}.")
    finally:
        _end(workers)


def end_with_the_starter() -> None:
    """End this process soon after the one that started it is gone, killed perhaps: whoever resumes its work should not
    find this one still at it.
    """
    pid, started = os.environ[_STARTER].split(":")

    def watch() -> None:
        while _is_alive(int(pid), float(started)):
            time.sleep(_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _environment(index: int, num_processes: int) -> dict[str, str]:
    this = psutil.Process()
    environment = {
        **os.environ,
        _STARTER: f"{this.pid}:{this.create_time()}",
        "RANK": str(index),
        "LOCAL_RANK": str(index),
        "WORLD_SIZE": str(num_processes),
    }
    has_accelerator = torch.accelerator.is_available() and torch.accelerator.device_count() >= num_processes
    if not has_accelerator:
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


def _is_alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False
