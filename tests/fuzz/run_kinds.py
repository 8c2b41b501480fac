"""What runs write and read again, of training, extraction and tuning; and recipes."""

import functools
import json
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.fuzz.good_files import dump_json, dump_lines, json_of
from tests.fuzz.judging import Kind, Outcome, outcome_of, spert
from tests.fuzz.model_kinds import model_folder, with_a_loaded_model
from tests.fuzz.strict_readers import checked

# Files of finished runs

_PER_TYPE = {"Person": {"precision": 0.5, "recall": 0.25, "f1": 0.3, "support": 4}}
_SCORES: dict[str, Any] = {
    f"{task}_{average}_{figure}": 0.5
    for task in ("ner", "rel_boundary", "rel_strict")
    for average in ("micro", "macro")
    for figure in ("precision", "recall", "f1")
}
METRICS = _SCORES | {f"{task}_per_type": _PER_TYPE for task in ("ner", "rel_boundary", "rel_strict")}
RUN = {
    "settings": {"dataset_name": "ade", "train_file": None, "fold": 0, "folds": "10"},
    "corpus": {"train": {"sentences": 9}, "test": {"sentences": 1}},
}


def _summary(folder: Path) -> Outcome:
    (folder / "summary.json").unlink(missing_ok=True)
    return spert("summary", folder / "a", folder / "b", "--output", folder / "summary.json")


def _mean(folder: Path, outcome: Outcome) -> Any:
    return json.loads((folder / "summary.json").read_text())["all spans"]["mean"]


def _mean_of_metrics(value: Any) -> Any:
    for name in _SCORES:
        assert type(value[name]) in (int, float)
        assert 0 <= value[name] <= 1
    for task in ("ner", "rel_boundary", "rel_strict"):
        for name, scores in value[f"{task}_per_type"].items():
            assert type(name) is str
            assert type(scores["support"]) is int
            if task != "rel_strict":  # it has the support of rel_boundary
                assert scores["support"] == 4  # both runs were scored on one corpus
                assert name == "Person"
        assert value[f"{task}_per_type"] or task == "rel_strict"
    return {name: statistics.mean([value[name], 0.5]) for name in _SCORES}


def _mean_of_one_corpus(value: Any) -> Any:
    """The mean over two folds, where both run files speak of folds of one corpus."""
    settings = value["settings"]
    assert settings["dataset_name"] == "ade"
    assert settings["fold"] is not None
    assert settings["folds"] == "10"
    assert sum(checked(split["sentences"], int) for split in value["corpus"].values()) == 10
    return _mean_of_metrics(METRICS)


# Recipes

RECIPE = {
    "dataset_name": "conll04",
    "num_train_epochs": 3,
    "learning_rate": 1.0e-4,
    "freeze_encoder": False,
    "span_pooling": "max",
    "max_train_steps": 10,
    "report_to": "all",
}


def _dump_yaml(value: Any) -> bytes:
    lines = [f"{name}: {json.dumps(of_name)}\n" for name, of_name in value.items()]
    assert not any(isinstance(of_name, str) and len(of_name) > 60_000 for of_name in value.values())
    return "".join(lines).encode()


def _parse_recipe(folder: Path) -> Outcome:
    from spert.training.errors import run_script
    from spert.training.flags import parse_arguments

    def main() -> None:
        settings = parse_arguments([str(folder / "recipe.yaml")]).to_dict()
        print(json.dumps(settings))

    return outcome_of(lambda: run_script(main))


def _settings(value: Any) -> Any:
    from spert.training.arguments import TrainingArguments

    known = TrainingArguments(dataset_name="conll04").to_dict()
    assert type(value["dataset_name"]) in (str, int)  # whether there is such a corpus is seen later
    assert set(value) <= set(known)
    for name, of_name in value.items():
        if of_name is None:
            assert known[name] is None
        elif isinstance(of_name, str):
            of_name.encode()
    numbers = {name: float(value[name]) for name in ("learning_rate",) if name in value}
    texts = {name: str(value[name]) for name in ("dataset_name", "report_to") if name in value}  # `folds: 10` is meant
    return known | value | numbers | texts


def _printed_settings(folder: Path, outcome: Outcome) -> Any:
    return json.loads(outcome.out)


# An interrupted run of `spert predict`

_TEXTS = [{"text": text} for text in ("Ada Park joined Northwind Labs .", "Oslo", "Nobody came .", "Zürich {")]
_EXTRACTION = ("--model", "--input", "--output")


@functools.cache
def _input() -> Path:
    """The input of all of these runs, which know it by its path and its time of change."""
    file = Path(tempfile.mkdtemp(prefix="spert-fuzz-input-")) / "in.jsonl"
    file.write_bytes(dump_lines(_TEXTS))
    return file


def _extraction(folder: Path, *flags: str) -> Outcome:
    where = (model_folder(), _input(), folder / "out.jsonl")
    words = [word for pair in zip(_EXTRACTION, where) for word in pair]
    return spert("predict", *words, "--shard-size", "2", *flags)


@functools.cache
def _interrupted() -> dict[str, str]:
    """The files of a folder of shards of which one is missing."""
    from unittest import mock

    folder = Path(tempfile.mkdtemp(prefix="spert-fuzz-shards-"))
    with with_a_loaded_model(), mock.patch("spert.extraction.bulk._join", side_effect=OSError("stopped.")):
        assert _extraction(folder).status == 1
    shards = folder / "out.jsonl.shards"
    (shards / "done-00001.json").unlink()
    return {file.name: file.read_text() for file in shards.iterdir()}


def _going_on(file: str) -> Callable[[Path], Outcome]:
    """Puts the interrupted run back, with a corrupted file in it, and resumes it."""

    def run(folder: Path) -> Outcome:
        for leftover in folder.glob("out*"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        (folder / "out.jsonl.shards").mkdir()
        for name, content in _interrupted().items():
            (folder / "out.jsonl.shards" / name).write_text(content)
        shutil.copyfile(folder / file, folder / "out.jsonl.shards" / file)
        return _extraction(folder, "--resume")

    return run


def _whole(folder: Path, outcome: Outcome) -> list[str]:
    return [json.loads(line)["text"] for line in (folder / "out.jsonl").read_text().splitlines()]


def _interruption_kinds() -> list[Kind]:
    return [
        Kind(
            f"`predict --resume`, {name}",
            file,
            json.loads(_interrupted()[file]),
            dump_json,
            lambda content: content,  # what cannot be read is made again
            _going_on(file),
            lambda content: [one["text"] for one in _TEXTS],
            _whole,
            size=lambda found: 0,
            fields=False,  # another plan is told by what differs, and damage is mended
            blamed=("out.jsonl.shards",),
            around=with_a_loaded_model,
        )
        for name, file in (("plan.json", "plan.json"), ("a shard's note", "done-00000.json"))
    ]


# A tuned model

_COMMON = {"entity_threshold": 0.0, "temperature": {"entities": 1.0, "relations": 1.0}, "relation_arguments": None}
_UNTUNED = _COMMON | {"relation_threshold": 0.4}
_TUNED = _COMMON | {"relation_threshold": {"works_for": 0.5}}
TUNING = {"dataset": "x", "before": _UNTUNED, "after": _TUNED, "replaced": _UNTUNED, "sentences": 4}


def _reset(folder: Path) -> Outcome:
    config = json.loads((model_folder() / "config.json").read_text())
    (folder / "model" / "config.json").write_text(json.dumps(config | _TUNED))
    return spert("tune", "--model", folder / "model", "--reset")


def _values_after(folder: Path, outcome: Outcome) -> Any:
    from spert import SpertConfig

    config = json.loads((folder / "model" / "config.json").read_text())
    SpertConfig.from_dict(config)
    return {name: config[name] for name in _UNTUNED if name in config}


def _values_before(value: Any) -> Any:
    for name in ("before", "after", "replaced"):
        checked(value[name], dict)
    assert _TUNED in [value[name] for name in ("before", "after", "replaced")]
    found = value["before"]
    assert found.keys() <= set(_UNTUNED)
    assert found.get("relation_arguments") in (None, {})
    for name, known in (("relation_threshold", ("works_for", "located_in", "married_to")), ("entity_threshold", ())):
        if name in found:
            by_type = found[name] if isinstance(found[name], dict) else {}
            assert set(by_type) <= set(known)
            for number in by_type.values() or ([] if by_type == found[name] else [found[name]]):
                assert type(number) in (int, float)
                assert 0 <= number <= 1
    if "temperature" in found:
        numbers = found["temperature"] if isinstance(found["temperature"], dict) else {"entities": found["temperature"]}
        assert set(numbers) <= {"entities", "relations"}
        for number in numbers.values():
            assert type(number) in (int, float)
            assert 0 < number < float("inf")
    return found


KINDS = [
    Kind(
        "metrics.json",
        "a/metrics.json",
        METRICS,
        dump_json,
        json_of,
        _summary,
        _mean_of_metrics,
        _mean,
        size=lambda found: 0,
        others={"b/metrics.json": dump_json(METRICS)},
        fields=False,  # runs that do not fit together are named with their counts, not with a field
        blamed=("/b", "/a"),
    ),
    Kind(
        "run.json",
        "a/run.json",
        RUN,
        dump_json,
        json_of,
        _summary,
        _mean_of_one_corpus,
        _mean,
        size=lambda found: 0,
        others={
            "a/metrics.json": dump_json(METRICS),
            "b/metrics.json": dump_json(METRICS),
            "b/run.json": dump_json(RUN),
        },
        fields=False,  # runs that do not fit together are named with their corpora, not with a field
        blamed=("/b", "/a"),
    ),
    Kind(
        "recipe",
        "recipe.yaml",
        RECIPE,
        _dump_yaml,
        lambda content: yaml.safe_load(content.decode("utf-8-sig")),
        _parse_recipe,
        _settings,
        _printed_settings,
        size=lambda found: 0,
        fields=False,
        longest_message=200_000,  # shows the value
    ),
    *_interruption_kinds(),
    Kind(
        "tuning.json",
        "model/tuning.json",
        TUNING,
        dump_json,
        json_of,
        _reset,
        _values_before,
        _values_after,
        size=lambda found: 0,
        fields=False,
        blamed=("config.json",),  # where it holds none of the values in tuning.json
    ),
]
