"""What a run leaves behind: model, processor, code, scores, predictions, pictures and card, in one folder."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..corpora import write_spert_json
from ..evaluation.compared import PREDICTIONS
from ..evaluation.summary import METRICS, METRICS_FROM_TEXT, METRICS_WITHOUT_OVERLAPPING
from ..files import atomic_folder, write_json
from ..hub import HANDLER, RESULTS, TUNING_RESULTS
from ..modeling_spert import SpertModel
from ..processing_spert import SpertProcessor

DEV_SCORES = "dev_scores.json"

AFTER_THE_MODEL = (*(name for name in RESULTS if name != DEV_SCORES), PREDICTIONS)
"""What a run writes about its model once the model is saved."""


def is_trained(output_dir: str | os.PathLike[str]) -> bool:
    """Whether a run has ended in this folder: `config.json` is the last file that it gets."""
    return (Path(output_dir) / "config.json").exists()


def save_model(
    folder: str | os.PathLike[str],
    model: SpertModel,
    processor: SpertProcessor,
    outdated: Sequence[str] = TUNING_RESULTS,
) -> None:
    """Save what `AutoModel`, `AutoProcessor`, `pipeline` and endpoints load; files appear whole, `config.json` last.

    Args:
        outdated: names of files about the model that stood in this folder before; they are removed with it.

    Raises:
        OSError: a file cannot be written. What the folder held before is still there.
    """
    with atomic_folder(folder, outdated=outdated) as staging:
        try:
            model.save_pretrained(staging)
            processor.save_pretrained(staging)
            shutil.copyfile(HANDLER, staging / HANDLER.name)
        except OSError:
            raise
        except Exception as error:  # safetensors and tokenizers report a full disk by errors of their own
            if "(os error " in str(error):
                raise OSError(str(error)) from error
            raise


def save_scores(
    folder: str | os.PathLike[str],
    scores: Mapping[str, Any],
    predictions: Sequence[Mapping[str, Any]],
    without_overlapping: Mapping[str, Any] | None = None,
    from_text: Mapping[str, Any] | None = None,
) -> None:
    """Save the scores of the test split (or of validation) and the predictions that they were counted on.

    Args:
        without_overlapping: the same scores without overlapping entities, for a file of their own.
        from_text: the scores when the model is given text in place of words, for a file of their own.
    """
    write_json(Path(folder) / METRICS, scores)
    if without_overlapping is not None:
        write_json(Path(folder) / METRICS_WITHOUT_OVERLAPPING, without_overlapping)
    if from_text is not None:
        write_json(Path(folder) / METRICS_FROM_TEXT, from_text)
    write_spert_json(Path(folder) / PREDICTIONS, predictions)
