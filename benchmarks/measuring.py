"""What the benchmarks share: timing in turns, tables, and the machine's description."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import transformers
from rich.console import Console
from rich.table import Table


def machine(device: torch.device | str = "cpu") -> str:
    """One line: processor, threads or accelerator, versions."""
    processor = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    if torch.device(device).type == "cuda":
        processor = f"{torch.cuda.get_device_name(device)} beside {processor}"
    return (
        f"{processor}, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )


def synchronize(device: torch.device | str) -> None:
    """Wait until the device has done what it was given."""
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize()


def times_in_turns(
    tasks: dict[str, Callable[[], object]],
    rounds: int,
    device: torch.device | str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each task in each round; the tasks take turns, so that a slow moment of the machine hits all of them.

    One round more comes first and is left out.

    Args:
        clock: `time.process_time` for the processor's seconds, where other programs share the machine.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            synchronize(device)
            start = clock()
            task()
            synchronize(device)
            if number:
                seconds[name].append(clock() - start)
    return seconds


def ratio_to(seconds: dict[str, list[float]], name: str, baseline: str) -> float:
    """The median over rounds of a task's time in the baseline's."""
    return statistics.median(one / base for one, base in zip(seconds[name], seconds[baseline]))


def print_times(
    title: str,
    seconds: dict[str, list[float]],
    items: int,
    unit: str,
    baseline: str,
    device: torch.device | str = "cpu",
) -> None:
    """A table: median, spread, rate, and the median of each round's ratio to the baseline."""
    rows = [
        [
            name,
            *(f"{1000 * value:.1f} ms" for value in (statistics.median(values), min(values), max(values))),
            f"{items / statistics.median(values):.0f}",
            f"{ratio_to(seconds, name, baseline):.3f}",
        ]
        for name, values in seconds.items()
    ]
    print_table(title, ["Task", "Median", "Fastest", "Slowest", f"{unit} a second", f"÷ {baseline}"], rows)
    print(f"{machine(device)}; median of {len(seconds[baseline])} rounds", flush=True)


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table as Markdown, so that it can be put into a document as it is."""
    console = Console(width=200)
    table = Table(title=title, title_justify="left", box=None)
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table)
