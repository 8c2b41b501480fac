"""Folders that one process at a time writes into, and processes that end with the one that started them."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from spert import locks
from spert.locks import FolderLock
from spert.processes import is_launch
from tests.runs import variables

HOLD = """
import sys, time
from spert.locks import FolderLock
lock = FolderLock(sys.argv[1], "--output_dir")
lock.acquire()
print("locked", flush=True)
time.sleep(60)
"""
WATCH = """
import time
from spert.processes import watch_starters
with watch_starters(seconds=0.05, grace_seconds={grace}):
    print("watching", flush=True)
    {body}
"""
HANG_AT_EXIT = """
import atexit, signal, sys, time
from spert.processes import watch_starters
from spert.training.errors import run_script
def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with watch_starters(seconds=0.05):
        print("watching", flush=True)
        time.sleep(60)
atexit.register(time.sleep, 60)
run_script(main)
"""
START = """
import os, subprocess, sys, time
from spert.processes import as_starter
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=as_starter(os.environ), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def python(code, *arguments):
    """A process that has printed its first line, and that line."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(words, env=variables(), stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


class TestFolderLock:
    def test_another_process_is_refused_with_the_name_of_the_holder(self, tmp_path):
        holder, line = python(HOLD, tmp_path / "out")
        assert line == "locked"
        lock = FolderLock(tmp_path / "out", "--output_dir")
        message = rf"nobody writes to, but process {holder.pid} on .+ \(since \d{{4}}-\d\d-\d\d .*\) does.*--output_dir"
        with pytest.raises(BlockingIOError, match=message):
            lock.acquire()
        holder.kill()  # leaves no lock behind
        holder.communicate()
        lock.acquire()
        lock.release()

    def test_another_lock_of_the_same_process_is_refused(self, tmp_path):
        first, second = (FolderLock(tmp_path / "out", "--output_dir") for _ in range(2))
        first.acquire()
        with pytest.raises(BlockingIOError, match=rf"process {os.getpid()} on "):
            second.acquire()
        first.release()
        second.acquire()
        second.release()

    def test_a_holder_that_has_not_written_its_name_yet(self, tmp_path):
        first, second = (FolderLock(tmp_path / "out", "--output_dir") for _ in range(2))
        first.acquire()
        (tmp_path / "out" / ".spert.holder").unlink()
        with pytest.raises(BlockingIOError, match="another process"):
            second.acquire()
        first.release()

    def test_a_folder_in_which_nothing_was_written_is_removed(self, tmp_path):
        lock = FolderLock(tmp_path / "out", "--output_dir")
        lock.acquire()
        lock.release()
        assert not (tmp_path / "out").exists()
        lock.acquire()
        (tmp_path / "out" / "result").touch()
        lock.release()
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"result"}

    def test_many_that_come_and_go(self, tmp_path):
        """Whoever has the lock is alone, also while others remove the lock file and the folder, and make them anew."""
        inside, counts = [], []

        def work(number):
            lock = FolderLock(tmp_path / "out", "--output_dir")
            for _ in range(50):
                try:
                    lock.acquire()
                except BlockingIOError:
                    continue
                inside.append(number)
                counts.append(len(inside))
                inside.remove(number)
                lock.release()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert set(counts) == {1}
        assert not (tmp_path / "out").exists()

    def test_a_folder_that_was_replaced(self, tmp_path):
        lock = FolderLock(tmp_path / "out", "--output_dir")
        lock.acquire()
        lock.check()
        (tmp_path / "out").rename(tmp_path / "moved")
        with pytest.raises(FileNotFoundError, match="this folder was removed or replaced while a run was writing"):
            lock.check()
        other = FolderLock(tmp_path / "out", "--output_dir")
        other.acquire()
        with pytest.raises(FileNotFoundError, match="this folder was removed or replaced"):
            lock.check()
        lock.release()
        other.check()
        other.release()

    def test_folders_that_cannot_be_written_to(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        for folder in (tmp_path / "file" / "out", tmp_path / "file", "/proc/spert"):
            with pytest.raises(OSError, match=rf"{folder}: expected a folder that can be written to, but: .*--output"):
                FolderLock(folder, "--output_dir").acquire()

        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(locks, "write_json", fail)
        lock = FolderLock(tmp_path / "full", "--output_dir")
        with pytest.raises(OSError, match="but: No space left on device"):
            lock.acquire()
        assert not (tmp_path / "full").exists()


class TestWatchStarters:
    @pytest.mark.parametrize(
        ("body", "grace"), [("time.sleep(60)", 60), ("import signal; signal.signal(15, id); time.sleep(60)", 0.1)]
    )
    def test_a_process_ends_when_its_starter_is_killed(self, body, grace):
        starter, line = python(START, WATCH.format(body=body, grace=grace))
        child = psutil.Process(int(line))
        assert child.is_running()
        starter.send_signal(signal.SIGKILL)
        starter.wait()
        psutil.wait_procs([child], timeout=20)
        assert not child.is_running()

    def test_a_process_that_would_hang_as_it_exits(self):
        starter, line = python(START, HANG_AT_EXIT)
        child = psutil.Process(int(line))
        starter.kill()
        starter.wait()
        psutil.wait_procs([child], timeout=10)
        is_left = child.is_running()
        if is_left:
            child.kill()
        assert not is_left

    def test_nobody_is_watched_without_a_launcher(self):
        process, line = python(WATCH.format(body="import threading; print(threading.active_count())", grace=1))
        assert line == "watching"
        assert process.communicate()[0].strip() == "1"

    def test_a_starter_that_is_gone_already(self):
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        environment = variables(SPERT_STARTED_BY=f"{process.pid} {time.time()}")
        words = [sys.executable, "-c", WATCH.format(body="time.sleep(60)", grace=60)]
        assert subprocess.run(words, env=environment, capture_output=True).returncode == -signal.SIGTERM

    def test_a_launcher_that_was_killed_before_anybody_looked(self):
        """Torch's launcher says so in the environment; the parent is then a process that launches nothing."""
        code = WATCH.format(body="time.sleep(60)", grace=60)
        words = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", code]
        done = subprocess.run(words, env=variables(TORCHELASTIC_RUN_ID="none"), capture_output=True)
        assert done.returncode == 128 + signal.SIGTERM

    def test_another_process_with_the_number_of_a_starter_that_is_gone(self):
        environment = variables(SPERT_STARTED_BY=f"{os.getpid()} {psutil.Process().create_time() - 60}")
        words = [sys.executable, "-c", WATCH.format(body="time.sleep(60)", grace=60)]
        assert subprocess.run(words, env=environment, capture_output=True).returncode == -signal.SIGTERM

    def test_what_is_a_launcher(self):
        assert is_launch(["/usr/bin/python", "/usr/bin/accelerate", "launch", "x.py"])
        assert is_launch(["python", "-m", "accelerate.commands.launch", "launch"])
        assert not is_launch(["bash", "launch"])
        assert not is_launch(["accelerate", "config"])
