"""`spert tune`: thresholds and temperatures, found on a split and written into the model."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..loading import load_model
from .shared import BatchSize, Model


class Relations(StrEnum):
    """How many relation thresholds are found."""

    chosen = "chosen"
    untuned = "untuned"
    common = "common"
    by_type = "by-type"


class Arguments(StrEnum):
    """Which types relations join."""

    untuned = "untuned"
    learned = "learned"


def tune(
    model: Model,
    dataset: Annotated[str | None, typer.Option(help="A corpus by name, or a folder or file of SpERT JSON.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="The folder that holds a named corpus's files.")] = None,
    split: Annotated[str, typer.Option(help="What to tune on; a single file has one split.")] = "validation",
    output: Annotated[Path | None, typer.Option(help="Tune a copy in this folder. Default: in place.")] = None,
    thresholds: Annotated[
        Relations, typer.Option(help="Relation thresholds; cross-validation chooses by default.")
    ] = Relations.chosen,
    relation_arguments: Annotated[
        Arguments, typer.Option(help="Learned: relations join only the types that they join in --train-split.")
    ] = Arguments.untuned,
    train_split: Annotated[str, typer.Option(help="Where relation arguments are learned.")] = "train",
    seed: Annotated[int, typer.Option(help="Of the folds of cross-validation.")] = 0,
    batch_size: BatchSize = 16,
    reset: Annotated[bool, typer.Option("--reset", help="Put the values from before tuning back.")] = False,
) -> None:
    """Find thresholds by type and temperatures on a split, and write them into the model's configuration."""
    from ..corpora import load_corpus
    from ..locks import FolderLock
    from ..tuning.record import refuse_model, reset_tuning

    if reset:
        if dataset is not None or output is not None:
            raise ValueError("--reset: works in place and needs no data, got --dataset or --output. Leave them out.")
        folder = _folder_of(model, output)
        with FolderLock(folder, "--output"):
            values = reset_tuning(folder)
        typer.echo(f"{model}: as before tuning: {', '.join(f'{name} {value}' for name, value in values.items())}")
        return
    if dataset is None:
        raise ValueError("--dataset: expected a corpus by name, or a folder or file of SpERT JSON, got none.")
    folder = _folder_of(model, output)
    with FolderLock(output or folder, "--output"):
        if output is not None:
            refuse_model(output)
        corpus = load_corpus(dataset, data_dir)
        if Path(dataset).is_file():
            split = next(iter(corpus))
        for flag, name in (("--split", split), ("--train-split", train_split)):
            if name not in corpus and (flag == "--split" or relation_arguments == Arguments.learned):
                raise ValueError(f"{flag}: expected one of {', '.join(corpus)}, got {name!r}.")
        learned = corpus[train_split] if relation_arguments == Arguments.learned else None
        about = {
            "dataset": Path(dataset).stem,
            "split": split,
            "relation_arguments": str(relation_arguments),
            "train_split": None if learned is None else train_split,
            "seed": seed,
            "chosen_by": "cross-validation" if thresholds == Relations.chosen else "hand",
        }
        tuned = _tune(folder, output, corpus[split], learned, thresholds, about, batch_size)
    _print(tuned, f"{model} tuned on {dataset}, {split}", output or model)


def _tune(  # type: ignore[no-untyped-def]  # its types would import torch for `spert --help`
    folder, output, records, learned, thresholds, about, batch_size
):
    """Tune the model of a folder on records, and write the values there, or into a copy."""
    from ..options_spert import DecodingOptions
    from ..training.corpus import count_relation_arguments
    from ..tuning.choosing import Choice
    from ..tuning.record import copy_model, untuned_values, write_tuning
    from ..tuning.tuner import tune_model

    before, is_known = untuned_values(folder)
    if not is_known:
        typer.echo("The values in config.json were changed since it was tuned: tuning starts from them.", err=True)
    loaded, processor = load_model(str(folder))
    defaults = {"relation_threshold": 0.4, "entity_threshold": 0.0, "temperature": 1.0, "relation_arguments": None}
    for name, value in (defaults | before).items():
        setattr(loaded.config, name, value)
    options = DecodingOptions.of(loaded.config)
    if learned is not None:
        seen = count_relation_arguments(learned)
        options = options.override(
            relation_arguments={relation: [list(pair) for pair in pairs] for relation, pairs in seen.items()}
        )
    tuned = tune_model(
        loaded,
        processor,
        records,
        options,
        choice=None if thresholds == Relations.chosen else Choice(thresholds),
        batch_size=batch_size,
        seed=about["seed"],
        progress=sys.stderr.isatty(),
    )

    def write(place: Path) -> None:
        write_tuning(place, before, tuned, about)

    if output is None:
        write(folder)
    else:
        copy_model(folder, output, write)
    return tuned


def _print(tuned, title, place) -> None:  # type: ignore[no-untyped-def]  # as above
    from ..tuning.report import print_tuning

    print_tuning(tuned, title=f"{title}, {tuned.sentences} sentences")
    typer.echo(f"Written: {place}. To undo: spert tune --model {place} --reset")


def _folder_of(model: str, output: Path | None) -> Path:
    """The model's folder; that of a model on the Hub is its download, which only a copy may be made of."""
    if Path(model).is_dir():
        return Path(model)
    if output is None:
        raise ValueError(
            f"--model: expected a folder, because tuning writes into it, got {model!r}. For a model on the Hub, name a "
            f"folder for a tuned copy with --output."
        )
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model))
