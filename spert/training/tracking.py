"""Trackers (TensorBoard and others), through accelerate."""

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from .arguments import TrainingArguments


def trackers_of(arguments: TrainingArguments) -> list[str] | None:
    """The trackers to report to, or none.

    Raises:
        ValueError: one is unknown, or its package is not installed. Accelerate itself would skip it without a word.
    """
    if not arguments.with_tracking:
        return None
    available = [str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()]
    if arguments.report_to == "all":
        if not available:
            raise ValueError(
                "--with_tracking: expected a tracker's package, such as tensorboard, found none installed."
            )
        return available
    known = sorted(str(getattr(name, "value", name)) for name in LOGGER_TYPE_TO_CLASS)
    wanted = [name.strip() for name in arguments.report_to.split(",")]
    for name in wanted:
        if name not in known:
            raise ValueError(f"--report_to: expected trackers out of {', '.join(known)}, got {name!r}.")
        if name not in available:
            raise ValueError(
                f"--report_to: {name} is not installed. Install it (pip install {name}), or remove it from --report_to."
            )
    return wanted
