"""What a search looks for, and Optuna's study of it, which its output folder holds."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..training.arguments import TrainingArguments
from ..training.checkpoints import LATEST
from ..training.flags import read_flags
from ..training.recipes import read_recipe
from ..training.settings import meanings_of
from .space import Range, Space, read_space

if TYPE_CHECKING:
    import optuna

STORAGE = "trials.db"
EXIT_CODE = "exit_code"
"""What a trial notes that failed by itself, in contrast to one whose command was killed."""
_STUDY = "spert"
_UNPRUNED_EPOCHS = 2
"""A trial is not stopped in its first epochs, in which hardly any model finds a relation."""


@dataclass(frozen=True)
class Choices:
    """How to search.

    Args:
        trials: how many there are in the end, those of earlier commands included.
        num_processes: how many train at the same time.
        prunes: whether trials are stopped whose score after an epoch is below the median of those before them.
        startup_trials: how many are drawn at random, and not stopped, before Optuna learns from them.
        sampler_seed: decides the draws.
    """

    trials: int = 50
    num_processes: int = 1
    prunes: bool = True
    startup_trials: int = 10
    sampler_seed: int = 0


@dataclass(frozen=True)
class Plan:
    """What is searched for.

    Args:
        space: the settings that trials differ in.
        settings: what the recipe and the flags set, and nothing else.
        arguments: the settings of the recipe, with the search's `output_dir`.
    """

    recipe: Path
    space: Space
    settings: Mapping[str, Any]
    arguments: TrainingArguments

    @property
    def output_dir(self) -> Path:
        """The folder of the trials, their storage, and the best recipe."""
        return Path(self.arguments.output_dir)

    @property
    def metric(self) -> str:
        """The validation score that is searched for."""
        return self.arguments.metric_for_best_model

    def run_of(self, values: Mapping[str, Any]) -> TrainingArguments:
        """The settings of the run that has these values. Its folder is named by them, so that none is trained twice.

        Raises:
            ValueError: they cannot work together.
        """
        digest = hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()[:12]
        steps = self.arguments.checkpointing_steps
        return dataclasses.replace(
            self.arguments,
            **values,
            output_dir=str(self.output_dir / f"trial-{digest}"),
            resume_from_checkpoint=LATEST,
            checkpointing_steps="epoch" if steps is None else steps,
        )


def read_plan(recipe: str | os.PathLike[str], space: str | os.PathLike[str], flags: Sequence[str] = ()) -> Plan:
    """Read what is searched for.

    Raises:
        ValueError: a file is refused, a flag sets what is searched for, or the recipe asks for several runs.
        OSError: a file cannot be read.
        SystemExit: a flag is unknown.
    """
    given = read_recipe(recipe, TrainingArguments)
    searched = read_space(space)
    twice = [name for name in searched if any(word.split("=")[0] == f"--{name}" for word in flags)]
    if twice:
        raise ValueError(f"spert search: expected flags that {space} does not set, got {', '.join(twice)}.")
    values = read_flags(flags, given, "spert search")
    try:
        arguments = TrainingArguments(**values)
    except ValueError as error:
        raise ValueError(f"{recipe}{' and the flags' if flags else ''}: {error}") from error
    for name in ("seeds", "folds", "resume_from_checkpoint", "train_on_validation", "push_to_hub"):
        if getattr(arguments, name):
            raise ValueError(f"spert search: expected a single run for each trial, got --{name}. Leave it out.")
    if arguments.overwrite_output_dir:
        raise ValueError("spert search: expected no --overwrite_output_dir. To start anew, name another --output_dir.")
    defaults = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    settings = {name: value for name, value in values.items() if name in given or value != defaults[name]}
    return Plan(Path(recipe), searched, settings, arguments)


def open_study(plan: Plan, choices: Choices) -> "optuna.Study":
    """Optuna's study in the output folder: a new one, or the one that is there.

    A new study begins with the recipe's own values, where the space holds them. Trials whose command was killed are
    drawn again, with the same values: their runs continue from their checkpoints.

    Raises:
        ValueError: the study that is there is one of another recipe or space.
    """
    optuna = import_optuna()
    study = optuna.create_study(
        storage=f"sqlite:///{(plan.output_dir / STORAGE).resolve()}",
        study_name=_STUDY,
        direction="maximize",
        load_if_exists=True,
    )
    plans = json.loads(json.dumps(_fingerprint(plan)))
    if study.trials and (there := study.user_attrs.get("plan")) != plans:
        differing = sorted(name for name in there.keys() | plans.keys() if there.get(name) != plans.get(name))
        raise ValueError(
            f"{plan.output_dir}: holds the trials of another search, which differs in {', '.join(differing)}. Name "
            f"another --output_dir."
        )
    study.set_user_attr("plan", plans)
    # The draws of a search that goes on are not those that it began with.
    study.sampler = optuna.samplers.TPESampler(
        seed=choices.sampler_seed + len(study.trials), n_startup_trials=choices.startup_trials
    )
    study.pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=choices.startup_trials, n_warmup_steps=_UNPRUNED_EPOCHS + 1)
        if choices.prunes
        else optuna.pruners.NopPruner()
    )
    if not study.trials:
        own = {name: getattr(plan.arguments, name) for name in plan.space}
        if all(_holds(plan.space, name, value) for name, value in own.items()):
            study.enqueue_trial(own)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params, user_attrs={"continues": trial.number})
    return study


def ended_trials(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """The trials that count: those that ended well, were stopped, or failed; not those whose command was killed."""
    states = import_optuna().trial.TrialState
    return [
        trial
        for trial in study.trials
        if trial.state in (states.COMPLETE, states.PRUNED)
        or (trial.state == states.FAIL and EXIT_CODE in trial.user_attrs)
    ]


def _holds(space: Space, name: str, value: Any) -> bool:
    """Whether a value could be drawn."""
    of_setting = space[name]
    if not isinstance(of_setting, Range):
        return value in of_setting.values
    if value is None or not of_setting.low <= value <= of_setting.high:
        return False
    steps = (value - of_setting.low) / of_setting.step if of_setting.step else 0
    return abs(steps - round(steps)) < 1e-9


def _fingerprint(plan: Plan) -> dict[str, Any]:
    """What the trials of one study have in common."""
    roles = {name: meaning.role for name, meaning in meanings_of(plan.arguments).items()}
    settings = {
        name: getattr(plan.arguments, name)
        for name, role in roles.items()
        if role != "handling" and name not in plan.space
    }
    return settings | {f"range of {name}": dataclasses.asdict(values) for name, values in plan.space.items()}


def import_optuna() -> Any:
    """Optuna, quiet.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "spert search needs Optuna. Install it with: pip install 'spert[search]'", name=error.name
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
