"""Runs of studies and searches without the seconds that a process of each run's own needs to start."""

from pathlib import Path
from unittest import mock

import pytest

import train_accelerate
from spert.training import workers
from tests.runs import forget_processes


class Ended:
    """A process that has trained its run when it is started."""

    def __init__(self, recipe):
        try:
            with mock.patch.multiple(
                train_accelerate,
                draw_learning_curves=_touch,
                draw_scores_by_type=_touch,
                watch_starters=mock.MagicMock(),
            ):
                train_accelerate.main([str(recipe)])
            self.code = 0
        except (ValueError, OSError) as error:
            print(error)
            self.code = 1
        finally:
            forget_processes()

    def poll(self):
        return self.code

    def terminate(self):
        pass


def _touch(path, *_):
    path.touch()


@pytest.fixture
def recipes(monkeypatch):
    """The recipes of the runs that were started; each is trained in this process."""
    started = []

    def start(command, environment, log):
        started.append(Path(command[-1]))
        return Ended(command[-1])

    monkeypatch.setattr(workers, "_start_process", start)
    return started
