"""Tuned values in a model's folder: written so that a kill at any moment leaves a whole model, and undone again.

`tuning.json` remembers the values from before. It is written first, and knows every state in which a kill can leave
`config.json`: with the values from before, with those of an earlier tuning, and with the new ones.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter

from ..evaluation.report import score_text
from ..files import atomic_folder, atomic_writer, is_partial, read_json, remove, write_json
from ..hub import CARD
from ..locks import LOCK_FILES
from ..options_spert import DecodingOptions
from ..schemas import PARTIAL, read_checked
from .plots import CALIBRATION, PRECISION_RECALL, draw_calibration, draw_precision_recall
from .tuner import TUNED_FIELDS, Tuned, report_of

CONFIG = "config.json"
TUNING = "tuning.json"

_SECTION = "## Tuned thresholds"
_BEFORE_SECTION = "## Training"
_THRESHOLD_TEXT = re.compile(r"with a score of at least (\S+) are relations")
_TUNED_TEXT = "whose score reaches the threshold below are relations"


@dataclass
class _Record:
    """What is read of `tuning.json`.

    Args:
        before: the untuned values.
        after: those that tuning found.
        replaced: those that stood there when they were written.
    """

    __pydantic_config__: ClassVar[ConfigDict] = PARTIAL

    before: dict[str, Any]
    after: dict[str, Any]
    replaced: dict[str, Any]


_RECORD_SCHEMA = TypeAdapter(_Record)


def untuned_values(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], bool]:
    """The values of `TUNED_FIELDS` in a model's configuration before it was tuned, as far as the file holds them.

    Returns:
        The values, and whether `tuning.json` is about this configuration, or there is none. Where it is not, somebody
        has changed the values since: the present ones are then the untuned ones.

    Raises:
        FileNotFoundError: the folder has no `config.json`.
        ValueError: a file is damaged; the message names file and field.
    """
    config = _read_config(folder)
    present = _values(config)
    file = Path(folder) / TUNING
    if not file.is_file():
        return present, True
    record = read_checked(file, _RECORD_SCHEMA)
    if present not in (record.before, record.after, record.replaced):
        return present, False
    _refuse_odd_values(file, config, record.before)
    return record.before, True


def _refuse_odd_values(file: Path, config: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Refuse untuned values that no configuration could have had: a reset would write them into one."""
    foreign = sorted(before.keys() - set(TUNED_FIELDS))
    if foreign:
        raise ValueError(f"{file}, before: expected fields out of {', '.join(TUNED_FIELDS)}, got {foreign[0]!r:.60}.")
    types = {name: config.get(name, ()) for name in ("entity_types", "relation_types", "symmetric_relations")}
    try:
        DecodingOptions(**types, **before)
    except ValueError as error:
        raise ValueError(f"{file}, before: {error}") from error


def write_tuning(
    folder: str | os.PathLike[str], before: Mapping[str, Any], tuned: Tuned, about: Mapping[str, Any]
) -> None:
    """Write tuned values into a model's configuration; everything else in the folder stays as it is.

    Args:
        folder: the model's.
        before: its untuned values (`untuned_values`).
        tuned: what was found.
        about: what it was found on and how, for `tuning.json`.
    """
    place = Path(folder)
    config = _read_config(folder)
    record = {
        **about,
        "before": dict(before),
        "after": dict(tuned.fields),
        "replaced": _values(config),
        **report_of(tuned),
    }
    write_json(place / TUNING, record)
    _write_config(folder, {**config, **tuned.fields})
    draw_calibration(place / CALIBRATION, tuned)
    draw_precision_recall(place / PRECISION_RECALL, tuned, str(about["split"]))
    if (place / CARD).is_file():
        card = _with_section(_without_section(_read_text(place / CARD)), _section_of(record))
        _write_text(place / CARD, _THRESHOLD_TEXT.sub(_TUNED_TEXT, card))


def reset_tuning(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Put the untuned values back, and remove what tuning wrote. A reset that was killed can be repeated.

    Returns:
        The untuned values.

    Raises:
        ValueError: the model is not tuned, or its values were changed since.
    """
    place = Path(folder)
    config = _read_config(folder)
    if not (place / TUNING).is_file():
        raise ValueError(f"{folder}: expected a tuned model, got a folder without {TUNING}. There is nothing to undo.")
    before, is_known = untuned_values(folder)
    if not is_known:
        raise ValueError(
            f"{place / CONFIG}: expected the values that tuning wrote, got others: they were changed since. Nothing "
            f"was undone. 'before' in {TUNING} holds the untuned values; remove that file to keep the present ones."
        )
    _write_config(folder, {name: value for name, value in config.items() if name not in TUNED_FIELDS} | before)
    if (place / CARD).is_file():
        card = _without_section(_read_text(place / CARD))
        _write_text(place / CARD, card.replace(_TUNED_TEXT, _threshold_text(before)))
    for name in (CALIBRATION, PRECISION_RECALL, TUNING):
        remove(place / name)
    return before


def refuse_model(output: str | os.PathLike[str]) -> None:
    """*Raises* `FileExistsError` where a model stands in the folder of a copy."""
    if (Path(output) / CONFIG).exists():
        raise FileExistsError(f"{output}: a model stands here. Name another folder with --output.")


def copy_model(folder: str | os.PathLike[str], output: str | os.PathLike[str], tune: Any) -> None:
    """Copy the files of a model's folder, but not what is in folders inside of it, and tune the copy before it appears.

    Args:
        tune: is called with the folder of the copy.

    Raises:
        FileExistsError: a model stands in `output`.
    """
    refuse_model(output)
    with atomic_folder(output, last=CONFIG) as staging:
        for file in sorted(Path(folder).iterdir()):
            if file.is_file() and not is_partial(file) and file.name not in LOCK_FILES:
                shutil.copyfile(file, staging / file.name)
        tune(staging)


def _read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: expected a trained model's folder, got one without {CONFIG}.")
    config = read_json(path)
    if not isinstance(config, dict):
        raise ValueError(f"{path}: expected an object, got {type(config).__name__}.")
    return config


def _values(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in TUNED_FIELDS if name in config}


def _write_config(folder: str | os.PathLike[str], config: Mapping[str, Any]) -> None:
    """Write a configuration as transformers writes it, so that a reset gives back the same bytes."""
    _write_text(Path(folder) / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _write_text(path: Path, text: str) -> None:
    with atomic_writer(path) as file:
        file.write(text)


def _threshold_text(before: Mapping[str, Any]) -> str:
    return f"with a score of at least {before.get('relation_threshold', 0.4)} are relations"


def _with_section(card: str, section: str) -> str:
    """A card with the section, in front of the one on training or at the end."""
    place = card.find(f"\n{_BEFORE_SECTION}\n")
    place = len(card.rstrip()) + 1 if place < 0 else place + 1
    return card[:place] + section + "\n" + card[place:]


def _without_section(card: str) -> str:
    return re.sub(rf"^{_SECTION}\n.*?\n(?=## |\Z)", "", card, flags=re.MULTILINE | re.DOTALL)


def _section_of(record: Mapping[str, Any]) -> str:
    """The section of the model card."""
    held_out = record["relation_threshold"]["cross_validated_f1"]
    untuned = record["cross_validated_relation_f1_by_entity_thresholds"]["untuned"]["untuned"]
    choice = record["relation_threshold"]["choice"]
    on_split = record["relation_threshold"]["on_split"]
    about = {"untuned": "those from before", "common": "one for all types", "by-type": "one for each type"}
    lines = [
        _SECTION,
        "",
        f"`spert tune` found thresholds and temperatures on the {record['sentences']} sentences of the split "
        f"`{record['split']}` of {record['dataset']}. **The scores above are those of the untuned model**; "
        f"`spert evaluate` prints those of the tuned one.",
        "",
        f"* Strict relation F1 on that split: {score_text(on_split['before']['f1'])} untuned, "
        f"{score_text(on_split['after']['f1'])} "
        f"tuned; cross-validated inside of it {score_text(untuned['mean'])} untuned, "
        f"{score_text(held_out[choice]['mean'])} tuned.",
        f"* Thresholds of relations: {about[choice]}.",
    ]
    for name, calibrated in record["temperature"].items():
        error = calibrated["expected_calibration_error"]
        lines.append(
            f"* Temperature of {name}: {calibrated['after']:g}; expected calibration error {error['before']:.4f} "
            f"before, {error['after']:.4f} after."
        )
    lines += ["", "| type | gold | threshold |", "|---|---|---|"]
    for name in ("entity", "relation"):
        if record[f"{name}_threshold"]["choice"] != "untuned" or name == "relation":
            for kind, values in record[f"{name}_threshold"]["types"].items():
                lines.append(f"| {kind} | {values['gold']} | {values['after']:g} |")
    lines += ["", f"![Calibration]({CALIBRATION})", "", f"![Precision and recall]({PRECISION_RECALL})", ""]
    return "\n".join(lines)
