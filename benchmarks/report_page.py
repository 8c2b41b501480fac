"""How long a report of `spert inspect` takes in Chromium: until it can be used, and until a choice is shown.

    python -m benchmarks.report_page many/report.html

Needs Chromium with its driver, and selenium (extra `test`). Each number is the best of `--rounds`.
"""

import argparse
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.browser import start_browser

_READY = "return document.documentElement.dataset.ready === 'yes'"
_CHOOSE = """
const began = performance.now(), done = arguments[1];
clear(); Object.entries(arguments[0]).forEach(([name, value]) => { document.getElementById(name).value = value; });
update();
requestAnimationFrame(() => setTimeout(() => done((performance.now() - began) / 1000)));
"""
_CHOICES = {
    "all sentences": {"show": "all"},
    "a class": {"class": "relations/missed"},
    "a search": {"search": "president"},
    "most certain first": {"order": "certain"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    page = arguments.report.resolve().as_uri()
    browser = start_browser()
    try:
        loads, links = [], []
        choices: dict[str, list[float]] = {name: [] for name in _CHOICES}
        for _ in range(arguments.rounds):
            loads.append(_open(browser, page))
            for name, values in _CHOICES.items():
                choices[name].append(browser.execute_async_script(_CHOOSE, values))
            number = browser.execute_script("return sentences.length")
            links.append(_open(browser, f"{page}#s-{number - 1}"))
    finally:
        browser.quit()
    table = Table(title=f"{number} sentences, {arguments.report.stat().st_size / 1e6:.1f} MB", title_justify="left")
    table.add_column("What is waited for")
    table.add_column("Seconds", justify="right")
    table.add_row("the page", f"{min(loads):.2f}")
    table.add_row("the page, at its last sentence", f"{min(links):.2f}")
    for name, seconds in choices.items():
        table.add_row(name, f"{min(seconds):.2f}")
    Console(width=100).print(table)


def _open(browser, page: str) -> float:  # type: ignore[no-untyped-def]  # selenium may not be installed
    browser.get("about:blank")
    began = time.perf_counter()
    browser.get(page)
    while not browser.execute_script(_READY):
        time.sleep(0.01)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
