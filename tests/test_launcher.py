"""`spert train`: what the launchers of accelerate and torch say about a failure is left out."""

import os

import pytest

from spert.training import launcher

SAYS_WHY = """
import os, sys
if os.environ.get("RANK", "0") == "0":
    print("train_accelerate.py: no such file", *sys.argv[1:], file=sys.stderr)
sys.exit(3)
"""
KILLED = "import os; os.kill(os.getpid(), 9)"
FINE = """
import os, sys
print('process', os.environ.get('RANK', '0'), *sys.argv[1:], os.environ['OMP_NUM_THREADS'], flush=True)
"""


@pytest.fixture
def launch(tmp_path, monkeypatch, capfd):
    """The exit status and the output of a script that stands in for the training script."""

    def launch(script, number):
        for name in ("ACCELERATE_USE_CPU", "SPERT_STARTED_BY", "OMP_NUM_THREADS", "RANK"):
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        (tmp_path / "script.py").write_text(script)
        monkeypatch.setattr(launcher, "SCRIPT", tmp_path / "script.py")
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(4))
        status = launcher.launch(["recipe.yaml", "--seed", "1"], num_processes=number)
        printed = capfd.readouterr()
        return status, printed.out, printed.err

    return launch


@pytest.mark.parametrize("number", [1, 2])
class TestProcesses:
    def test_a_failure_is_the_message_of_the_script_alone(self, number, launch):
        message = "train_accelerate.py: no such file recipe.yaml --seed 1\n"
        assert launch(SAYS_WHY, number) == (3, "", message)

    def test_a_process_that_could_not_say_why_is_named(self, number, launch):
        status, out, err = launch(KILLED, number)
        assert (status, out) == (137, "")
        assert err.startswith("spert: process ")
        assert err.endswith("of the training was ended by SIGKILL: the system may have run out of memory.\n")

    def test_success(self, number, launch):
        status, out, err = launch(FINE, number)
        assert (status, err) == (0, "")
        expected = [f"process {rank} recipe.yaml --seed 1 {4 // number}" for rank in range(number)]
        assert sorted(out.splitlines()) == expected


def test_the_script_is_that_of_the_checkout(root, monkeypatch, tmp_path):
    assert root / "train_accelerate.py" == launcher.SCRIPT
    monkeypatch.setattr(launcher, "SCRIPT", tmp_path / "train_accelerate.py")
    with pytest.raises(
        FileNotFoundError, match="expected the training script, which a checkout of the repository holds"
    ):
        launcher.launch([])
