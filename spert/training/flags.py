"""The command line of `train_accelerate.py`: flags override a recipe, and a misspelt one is refused."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from transformers import HfArgumentParser

from .arguments import TrainingArguments
from .recipes import read_recipe

_USAGE = "accelerate launch train_accelerate.py"


def parse_arguments(argv: Sequence[str] | None = None) -> TrainingArguments:
    """Read `[recipe.yaml] [--flag value …]`.

    Raises:
        ValueError: the recipe names a setting that does not exist, or a value cannot work.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    recipe = argv.pop(0) if argv and not argv[0].startswith("-") else None
    if recipe is None:
        return TrainingArguments(**read_flags(argv, {}))
    settings = read_flags(argv, read_recipe(recipe, TrainingArguments))
    try:
        return TrainingArguments(**settings)
    except ValueError as error:
        raise ValueError(f"{recipe}{' and the flags' if argv else ''}: {error}") from error


def read_flags(flags: Sequence[str], recipe: Mapping[str, Any], usage: str = _USAGE) -> dict[str, Any]:
    """All settings: those of the flags, else those of the recipe, else the defaults.

    Args:
        flags: the words of the command line.
        recipe: what the recipe sets.
        usage: the command, for messages.

    Raises:
        SystemExit: a flag is unknown, or its value has another type. The message is on standard error.
    """
    parser = flags_of_training(usage)
    parser.set_defaults(**recipe)
    return vars(parser.parse_args(list(flags)))


class _Parser(HfArgumentParser):
    """Says which flag was meant by a misspelt one; of several processes, only the first one says anything."""

    def error(self, message: str) -> NoReturn:
        """End with a message and the status 2, as `argparse` does."""
        if os.environ.get("RANK", "0") != "0":
            sys.exit(2)
        if message.startswith("unrecognized arguments"):
            flags = [word.partition("=")[0] for word in message.split() if word.startswith("--")]
            closest = [close[0] for flag in flags if (close := get_close_matches(flag, self._option_string_actions, 1))]
            message += f". Did you mean {' and '.join(dict.fromkeys(closest))}?" if closest else ""
        super().error(message)


def flags_of_training(usage: str = _USAGE) -> argparse.ArgumentParser:
    """A flag for each setting. The library passes all of a field's metadata on to argparse: it gets what that knows."""
    flags: Any = dataclasses.make_dataclass(
        "Flags",
        [
            (field.name, field.type, dataclasses.field(default=field.default, metadata=field.metadata["flag"]))
            for field in dataclasses.fields(TrainingArguments)
        ],
    )
    return _Parser(
        flags,
        allow_abbrev=False,  # --learning_rat is misspelt, too
        description="Train a SpERT model with accelerate.",
        usage=f"{usage} [recipe.yaml] [--flag value ...]",
    )
