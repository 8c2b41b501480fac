"""`spert predict` in processes of its own: killed at random moments, without standard streams, in other locales.

`make kills` runs the random moments, which take minutes; SPERT_KILLS sets how many of each kind there are.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests import forked, tiny
from tests.extracting import lines, names_in, written

ROOT = Path(__file__).parent.parent
SEED = 20
RECORDS = 600
KILLS = int(os.environ.get("SPERT_KILLS", "20"))


def command(model, source, target, *flags):
    words = ["--model", model, "--input", source, "--output", target, *flags]
    return [sys.executable, "-m", "spert", "predict", *map(str, words)]


def variables(**changes):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    return {**inherited, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **changes}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    records = [{"id": number, "tokens": tiny.SENTENCES[number % 4]} for number in range(RECORDS)]
    return written(tmp_path_factory.mktemp("kills") / "in.jsonl", records)


def assert_complete(source, target):
    assert [one["id"] for one in lines(target)] == list(range(RECORDS))
    assert names_in(target.parent) == [target.name, f"{target.name}.run.json"]


@pytest.mark.slow
@pytest.mark.kills
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda kind: kind.name)
def test_twenty_random_moments(saved_model, source, tmp_path, kind, processes):
    """Each time another moment; whatever was left, the run goes on to a result in which nothing is lost or doubled."""
    chance = random.Random(f"{SEED} {kind} {processes}")
    start = time.monotonic()
    flags = ["--shard-size", 25, "--batch-size", 4, "--num-processes", processes]
    subprocess.run(command(saved_model, source, tmp_path / "whole.jsonl", *flags), env=variables(), check=True)
    whole = time.monotonic() - start
    (tmp_path / "whole.jsonl").unlink()
    (tmp_path / "whole.jsonl.run.json").unlink()
    target, shards = tmp_path / "out.jsonl", tmp_path / "out.jsonl.shards"
    for _ in range(KILLS):
        resume = ["--resume"] if shards.exists() else []
        process = subprocess.Popen(
            command(saved_model, source, target, *flags, *resume),
            env=variables(),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        time.sleep(chance.uniform(0.2, 1.1) * whole)
        workers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(kind)
        _, errors = process.communicate(timeout=120)
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive
        assert process.returncode in (0, -kind, 128 + kind), errors
        said = [line for line in errors.splitlines() if line.startswith("spert: ")]
        if process.returncode == 128 + kind and said:  # nothing is said before the command itself begins
            (line,) = said
            assert f"stopped by {kind.name}" in line
            assert "go on with --resume." in line or "run the same command again." in line
        is_done = target.exists() and not shards.exists()
        assert is_done or process.returncode
        if is_done:
            assert_complete(source, target)
            target.unlink()
            (tmp_path / "out.jsonl.run.json").unlink()
    done = subprocess.run(command(saved_model, source, target, *flags, "--resume"), env=variables())
    assert done.returncode == 0
    assert_complete(source, target)


@pytest.mark.slow
def test_no_standard_streams_no_utf8_and_a_name_of_every_kind(saved_model, tmp_path):
    folder = tmp_path / "a b" / "Größe 数据"
    folder.mkdir(parents=True)
    records = [{"id": "Zürich", "text": "Ada Park of Zürich, 数据"}] * 3
    source, target = written(folder / "in put.jsonl", records), folder / "öut.jsonl"
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    streams = " <&- >&- 2>&-"
    words = command(saved_model, source, target)
    done = subprocess.run(["sh", "-c", f'"$@"{streams}', "sh", *words], env=variables(**locale))
    assert done.returncode == 0
    assert [one["id"] for one in lines(target)] == ["Zürich"] * 3
    assert json.loads((folder / "öut.jsonl.run.json").read_text("utf-8"))["plan"]["input"] == str(source)
    again = forked.extraction([*words[3:], "--resume"], Path("/dev/full"))  # success, of which nobody can be told
    assert again.wait() == 0
