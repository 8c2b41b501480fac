"""`spert search`: the best settings for a corpus, found with Optuna on its validation split."""

from pathlib import Path
from typing import Annotated

import typer


def search(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="A recipe: the settings that every trial has.")],
    space: Annotated[Path, typer.Argument(help="The settings that trials differ in, with their ranges (YAML).")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier commands included.")] = 50,
    num_processes: Annotated[int, typer.Option(min=1, help="Trials that train at the same time.")] = 1,
    pruning: Annotated[
        bool, typer.Option(help="Stop a trial whose score after an epoch is below the median of those before it.")
    ] = True,
    startup_trials: Annotated[
        int, typer.Option(min=0, help="Trials that are drawn at random, and not stopped, before the search learns.")
    ] = 10,
    sampler_seed: Annotated[int, typer.Option(min=0, help="Of the draws; trials train with the recipe's seed.")] = 0,
) -> None:
    """Search for the best settings on the validation split. Further flags are those of train_accelerate.py."""
    from ..processes import watch_starters
    from ..search.plan import Choices
    from ..search.running import search_settings

    choices = Choices(
        trials=trials,
        num_processes=num_processes,
        prunes=pruning,
        startup_trials=startup_trials,
        sampler_seed=sampler_seed,
    )
    with watch_starters():
        search_settings(recipe, space, context.args, choices)
