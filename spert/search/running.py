"""The trials of a search: each is a run of its own; Optuna draws their settings, and tells which of them to stop."""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import read_json
from ..locks import FolderLock
from ..training.arguments import TrainingArguments
from ..training.checkpoints import remove_checkpoints
from ..training.corpus import load_training_corpus
from ..training.output import DEV_SCORES
from ..training.repetitions import LOG, check_once
from ..training.run_record import is_finished
from ..training.workers import Workers
from .plan import EXIT_CODE, Choices, Plan, ended_trials, import_optuna, open_study, read_plan
from .results import print_search, write_pictures, write_results

if TYPE_CHECKING:
    import optuna

_MOST_FAILURES = 3
"""If so many trials fail and none has ended well, something else than their settings is wrong."""


@dataclass
class _Training:
    """A run, and the trials that have its values: more than one where a small space is drawn from twice.

    Args:
        reported: the epochs that Optuna knows of, by the number of the trial.
        is_pruned: whether it was asked to stop.
    """

    run: TrainingArguments
    trials: "list[optuna.Trial]"
    reported: "Counter[int]" = field(default_factory=Counter)
    is_pruned: bool = False


def search_settings(
    recipe: str | os.PathLike[str], space: str | os.PathLike[str], flags: Sequence[str], choices: Choices
) -> "optuna.Study":
    """Search, or go on with a search that was interrupted, and write what was found into the recipe's `output_dir`.

    A trial's value is the validation score of the model that its run ends with.

    Args:
        recipe: the settings of all trials.
        space: those in which they differ, as `read_space` reads them.
        flags: override the recipe, as those of `train_accelerate.py` do.

    Returns:
        Optuna's study, with all trials.

    Raises:
        ModuleNotFoundError: Optuna is not installed.
        ValueError, OSError: the recipe, the space, the corpus or the encoder is refused; or the folder holds the trials
            of another recipe or space.
        ChildProcessError: the first trials failed.
        SystemExit: SIGTERM came, with the code 143, or a flag is unknown.
    """
    import_optuna()
    plan = read_plan(recipe, space, flags)
    if "validation" not in load_training_corpus(plan.arguments):
        raise ValueError("spert search: expected a corpus with a validation split, on which trials are compared.")
    check_once([dataclasses.replace(plan.arguments, output_dir=str(plan.output_dir / "check"))])
    lock = FolderLock(plan.output_dir, "--output_dir")
    lock.acquire()
    try:
        study = open_study(plan, choices)
        _Search(plan, choices, study).run()
        write_results(plan, study)
        write_pictures(plan, study)
        print_search(plan, study)
    finally:
        lock.release()
    return study


class _Search:
    """The loop that draws trials, starts their runs, and tells Optuna what becomes of them."""

    def __init__(self, plan: Plan, choices: Choices, study: "optuna.Study") -> None:
        self.plan = plan
        self.choices = choices
        self.study = study
        self.states = import_optuna().trial.TrialState
        self.trainings: dict[str, _Training] = {}
        self.num_ended = len(ended_trials(study))

    def run(self) -> None:
        with Workers(self.choices.num_processes) as workers:
            while not workers.is_interrupted:
                while workers.has_room and self._num_begun < self.choices.trials:
                    self._begin(workers)
                if not self.trainings:
                    break
                ended = workers.ended()
                for training in list(self.trainings.values()):
                    self._report(training, workers)
                if workers.is_interrupted:  # these trials are drawn again by the next command
                    break
                for run, code in ended:
                    self._end(self.trainings.pop(run.output_dir), code)

    @property
    def _num_begun(self) -> int:
        return self.num_ended + sum(len(training.trials) for training in self.trainings.values())

    def _begin(self, workers: Workers) -> None:
        trial = self.study.ask()
        values = {name: values.draw(trial, name) for name, values in self.plan.space.items()}
        try:
            run = self.plan.run_of(values)
        except ValueError as error:  # values that exclude each other
            print(f"trial {trial.number}: {error}", flush=True)
            self._tell_failure([trial], str(error))
            return
        if run.output_dir in self.trainings:
            self.trainings[run.output_dir].trials.append(trial)
            return
        training = _Training(run, [trial])
        if is_finished(run):
            self._report(training, None)
            self._end(training, 0)
            return
        workers.start(run)
        self.trainings[run.output_dir] = training
        shown = ", ".join(f"{name}={value}" for name, value in values.items())
        print(f"trial {trial.number}: {shown}, log in {Path(run.output_dir) / LOG}", flush=True)

    def _report(self, training: _Training, workers: Workers | None) -> None:
        """Tell Optuna the validation scores of the epochs since the last report, and stop what it would stop."""
        scores = dev_scores(training.run, self.plan.metric)
        is_new = False
        for trial in training.trials:
            for epoch in range(training.reported[trial.number], len(scores)):
                trial.report(scores[epoch], epoch + 1)
                is_new = True
            training.reported[trial.number] = len(scores)
        if is_new and workers is not None and not training.is_pruned and training.trials[0].should_prune():
            training.is_pruned = True
            workers.stop(training.run)

    def _end(self, training: _Training, code: int) -> None:
        """Tell Optuna how a run ended."""
        numbers = ", ".join(str(trial.number) for trial in training.trials)
        scores = dev_scores(training.run, self.plan.metric)
        if code == 0 and scores:
            value = max(scores) if training.run.keeps_best else scores[-1]
            for trial in training.trials:
                self.study.tell(trial, value)
            self.num_ended += len(training.trials)
            print(f"trial {numbers}: {self.plan.metric} {value:.4f}", flush=True)
        elif training.is_pruned:
            for trial in training.trials:
                self.study.tell(trial, state=self.states.PRUNED)
            self.num_ended += len(training.trials)
            print(f"trial {numbers}: stopped after epoch {len(scores)}", flush=True)
        else:
            print(f"trial {numbers}: exit code {code}, log in {Path(training.run.output_dir) / LOG}", flush=True)
            self._tell_failure(training.trials, code)
        remove_checkpoints(training.run.output_dir)
        write_results(self.plan, self.study)

    def _tell_failure(self, trials: "Sequence[optuna.Trial]", reason: int | str) -> None:
        for trial in trials:
            trial.set_user_attr(EXIT_CODE, reason)
            self.study.tell(trial, state=self.states.FAIL)
        self.num_ended += len(trials)
        ended = ended_trials(self.study)
        if len(ended) >= _MOST_FAILURES and all(trial.state == self.states.FAIL for trial in ended):
            raise ChildProcessError(
                f"spert search: the first {len(ended)} trials failed, the last one with {reason}. Their logs are "
                f"{self.plan.output_dir}/trial-*/{LOG}."
            )


def dev_scores(run: TrainingArguments, metric: str) -> list[float]:
    """The validation score of each epoch that a run has ended so far."""
    file = Path(run.output_dir) / DEV_SCORES
    return [float(row[metric]) for row in read_json(file)] if file.is_file() else []
