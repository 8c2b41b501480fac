"""What `spert compare` compares: predictions by the names of files, runs, folders of runs, or patterns."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..corpora.spert_json import read_spert_json
from ..corpora.types import CorpusTypes
from .scores import Record, check_same_tokens
from .summary import runs_in

PREDICTIONS = "predictions.json"


def prediction_files(name: str) -> list[Path]:
    """The files of predictions of one system.

    Args:
        name: a file of SpERT JSON; the folder of a run, which holds `predictions.json`; a folder of such folders
            (seeds); or a pattern such as `outputs/conll04-*` that matches any of these.

    Raises:
        ValueError: nothing has that name, or a run holds no predictions.
    """
    matches = [Path(name)] if Path(name).exists() else sorted(map(Path, glob.glob(name)))
    if not matches:
        raise ValueError(
            f"{name}: expected a file of predictions, the folder of a run, or a pattern, got nothing there."
        )
    files = [path for path in matches if path.is_file()]
    folders = [path for path in matches if path.is_dir()]
    for run in runs_in(folders) if folders else []:
        if not (run / PREDICTIONS).is_file():
            raise ValueError(f"{run}: expected a run with {PREDICTIONS}, got none.")
        files.append(run / PREDICTIONS)
    return files


def read_predictions(
    files: Sequence[Path], references: Sequence[Record], references_name: str, types: CorpusTypes | None
) -> list[list[dict[str, Any]]]:
    """The predictions of each file, which are those of the sentences of the references.

    Raises:
        ValueError: a file is refused, or holds other sentences; the message names file and record.
    """
    read = []
    for file in files:
        records = read_spert_json(file, types)
        check_same_tokens(references, records, references_name, str(file))
        read.append(records)
    return read
