"""`spert study`: a grid of settings, trained over seeds and folds, as a table and a picture."""

from pathlib import Path
from typing import Annotated

import typer


def study(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="A recipe with a `grid:`, such as configs/studies/*.yaml.")],
    num_processes: Annotated[int, typer.Option(min=1, help="Runs that train at the same time.")] = 1,
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Make the table of the runs that are finished, and train none.")
    ] = False,
    resamples: Annotated[int, typer.Option(min=1, help="Resamples of the bootstrap.")] = 10_000,
) -> None:
    """Train the runs of a study, and make its table and picture. Further flags are those of train_accelerate.py."""
    from ..processes import watch_starters
    from ..studies.grid import read_study
    from ..studies.report import print_report, study_numbers, write_report
    from ..studies.running import locked_study, train_study

    planned = read_study(recipe, context.args)
    with watch_starters(), locked_study(planned):
        failed = [] if no_train else train_study(planned, num_processes)
        if not failed or any((Path(run.output_dir) / "metrics.json").is_file() for run in planned.runs):
            numbers = study_numbers(planned, resamples)
            write_report(planned, numbers)
            print_report(planned, numbers)
    if failed:
        raise ChildProcessError(
            f"These runs did not finish: {', '.join(failed)}. The others are kept: give the command again to train "
            f"those that are missing."
        )
