"""What a search found: the best recipe, all trials as JSON and as a table, and Optuna's pictures."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..evaluation.report import score_text
from ..files import atomic_file, atomic_writer, write_json
from .plan import Plan, ended_trials

if TYPE_CHECKING:
    import optuna

BEST = "best.yaml"
TRIALS = "search.json"
_SHOWN = 10


def write_results(plan: Plan, study: "optuna.Study") -> None:
    """Write all trials (`search.json`), and the best one's recipe (`best.yaml`) if any has ended well."""
    ended = ended_trials(study)
    write_json(
        plan.output_dir / TRIALS,
        {
            "metric": plan.metric,
            "trials": [
                {
                    "number": trial.number,
                    "state": trial.state.name.lower(),
                    "value": trial.value,
                    "settings": trial.params,
                    "epochs": {str(epoch): score for epoch, score in sorted(trial.intermediate_values.items())},
                }
                for trial in ended
            ],
        },
    )
    completed = _completed(study)
    if not completed:
        return
    best = completed[0]
    settings = {**plan.settings, **best.params, "output_dir": str(plan.output_dir / "best")}
    with atomic_writer(plan.output_dir / BEST) as file:
        file.write(
            f"# The best of {len(ended)} trials of {' '.join(plan.recipe.name.split())}: trial {best.number}, "
            f"{plan.metric} {score_text(best.value)} on validation.\n"
        )
        yaml.safe_dump(settings, file, sort_keys=False, allow_unicode=True)


def print_search(plan: Plan, study: "optuna.Study", console: Console | None = None) -> None:
    """Print the best trials, and where the best recipe is."""
    console = console or Console(width=140)
    ended, completed = ended_trials(study), _completed(study)
    states = [trial.state.name for trial in ended]
    title = (
        f"{len(ended)} trials: {states.count('COMPLETE')} ended, {states.count('PRUNED')} stopped early, "
        f"{states.count('FAIL')} failed. The best by {plan.metric} on validation:"
    )
    table = Table(title=escape(title), title_justify="left")
    for name in ("Trial", "Score", *plan.space):
        table.add_column(escape(name), justify="right")
    for trial in completed[:_SHOWN]:
        values = [_shown(trial.params[name]) for name in plan.space]
        table.add_row(str(trial.number), score_text(trial.value), *map(escape, values))
    console.print(table)
    if completed:
        console.print(escape(f"The best settings are a recipe: {plan.output_dir / BEST}"))


def write_pictures(plan: Plan, study: "optuna.Study") -> None:
    """Draw Optuna's own pictures of a study with two trials or more that ended well."""
    if len(_completed(study)) < 2:
        return
    import matplotlib
    from matplotlib import pyplot
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization import matplotlib as pictures

    drawings: dict[str, Callable[[], Any]] = {
        "history.png": lambda: pictures.plot_optimization_history(study, target_name=plan.metric),
        "epochs.png": lambda: pictures.plot_intermediate_values(study),
        "settings.png": lambda: pictures.plot_slice(study, target_name=plan.metric),
        "together.png": lambda: pictures.plot_parallel_coordinate(study, target_name=plan.metric),
        "importance.png": lambda: pictures.plot_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(), target_name=plan.metric
        ),
    }
    pyplot.switch_backend("agg")  # files, and no windows
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these pictures are experimental, says Optuna
        for name, draw in drawings.items():
            drawn = draw()
            panels = drawn.ravel() if hasattr(drawn, "ravel") else [drawn]
            figure = panels[0].figure
            with atomic_file(plan.output_dir / name) as staging:
                figure.savefig(staging, dpi=120, format="png", bbox_inches="tight", metadata={"Software": None})
            pyplot.close(figure)


def _completed(study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
    """The trials that ended well, the best first, of equals the earlier one."""
    ended = [trial for trial in ended_trials(study) if trial.state.name == "COMPLETE"]
    return sorted(ended, key=lambda trial: (-trial.value, trial.number))


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
