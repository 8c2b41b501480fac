"""The model card: made from a run, never by hand."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..configuration_spert import PIPELINE_TASK, SpertConfig
from ..corpora import CARDS
from ..corpora.statistics import markdown_of
from ..corpora.types import types_of
from ..evaluation.report import TASK_TITLES, score_text
from ..evaluation.scores import FIGURES, TASKS
from ..files import read_json
from ..markdown import code, plain, python_string, table
from .arguments import TrainingArguments
from .settings import meanings_of

_TEMPLATE = Path(__file__).with_name("card_template.md")
_SHOWN_SETTINGS = [name for name, meaning in meanings_of(TrainingArguments).items() if meaning.on_card]


def write_card(
    path: str | os.PathLike[str],
    *,
    config: SpertConfig,
    run: Mapping[str, Any],
    corpus: DatasetDict,
    split: str | None,
    scores: Mapping[str, Any] | None,
    without_overlapping: Mapping[str, Any] | None,
    from_text: Mapping[str, Any] | None,
    predictions: Sequence[Mapping[str, Any]],
) -> None:
    """Write `README.md` for a trained model, with metadata that the Hub reads (`model-index`).

    Types, names and sentences are those of a corpus, which anybody may have made: all of them go through
    `spert/markdown.py`, and none can become a heading, a link, HTML or code.

    Args:
        config: the model's.
        run: what `run.json` says.
        corpus: what it was trained and scored on, as splits.
        split, scores, without_overlapping, from_text, predictions: what was scored, if anything was.
    """
    settings = run["settings"]
    corpus_id = settings["dataset_name"] if settings["dataset_name"] in CARDS else None
    corpus_name = _corpus_name(settings)
    encoder = settings["model_name_or_path"]
    is_local = os.path.isdir(encoder)
    base_model = _name_on_the_hub(Path(encoder)) if is_local else encoder
    model_name = settings["hub_model_id"] or settings["output_dir"]
    example = _example(predictions)
    data = ModelCardData(
        base_model=base_model,
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=["spert", PIPELINE_TASK, "named-entity-recognition", "relation-extraction"],
        model_name=f"SpERT on {corpus_name}",
        eval_results=_eval_results(scores, split, corpus_id, corpus_name),
    )
    types = types_of(corpus)
    wide, total = _too_wide(corpus, config.max_span_width)
    card = ModelCard.from_template(
        data,
        template_path=str(_TEMPLATE),
        corpus_name=plain(corpus_name),
        encoder=_encoder_text(config, base_model) if is_local else code(encoder),
        corpus_about=[plain(f"{split}: {about['about']}") for split, about in run["corpus"].items()],
        max_span_width=config.max_span_width,
        relation_threshold=plain(config.relation_threshold),
        model_name=python_string(model_name),
        example_text=python_string(" ".join(example["tokens"]) if example else "Ada Park joined Northwind Labs ."),
        example_found=_found(example) if example else None,
        entity_types=_names(config.entity_types),
        relation_types=_names(config.relation_types, config.symmetric_relations),
        corpus_table=markdown_of(corpus, types),
        corpus_note=CARDS[corpus_id].split("{tables}")[1].strip() if corpus_id else None,
        split=code(split),
        has_pictures=scores is not None,
        score_table=_score_table(scores, without_overlapping, from_text),
        type_table=_type_table(scores),
        training_note=_training_note(run),
        settings_table=table(
            ["setting", "value"],
            [[code(name), plain(settings[name])] for name in _SHOWN_SETTINGS if settings[name] is not None],
        ),
        wide_note=f": {wide} of this corpus's {total} gold entities" if wide else "",
        max_pieces_note=f" ({config.max_pieces} word pieces)" if config.max_pieces else "",
    )
    card.save(path)


def _encoder_text(config: SpertConfig, base_model: str | None) -> str:
    """An encoder that came from a folder, whose path tells others nothing."""
    encoder = config.encoder_config
    layers = getattr(encoder, "num_hidden_layers", None)
    size = f"{layers} layers, {encoder.hidden_size} wide" if layers else f"{encoder.hidden_size} wide"
    text = plain(f"a pre-trained {encoder.model_type} encoder ({size})")
    return f"{text} that was made from {code(base_model)}" if base_model else text


def _name_on_the_hub(folder: Path) -> str | None:
    """What an encoder's folder says it was made from, if that is a repository and no path of somebody's machine."""
    try:
        name = read_json(folder / "config.json").get("_name_or_path")
    except (OSError, ValueError, AttributeError):
        return None
    is_repository = isinstance(name, str) and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name, re.ASCII)
    return name if is_repository and not Path(name).exists() else None


def _corpus_name(settings: Mapping[str, Any]) -> str:
    if settings["dataset_name"] in CARDS:
        name = re.search(r"^## (.+)$", CARDS[settings["dataset_name"]], re.MULTILINE)
        assert name is not None
        return name[1]
    return Path(settings["dataset_name"] or settings["train_file"]).stem


def _eval_results(
    scores: Mapping[str, Any] | None, split: str | None, corpus_id: str | None, corpus_name: str
) -> list[EvalResult] | None:
    if scores is None:
        return None
    return [
        EvalResult(
            task_type="token-classification",
            task_name="joint entity and relation extraction",
            dataset_type=corpus_id or corpus_name,
            dataset_name=corpus_name,
            dataset_split=split,
            metric_type=figure,
            metric_name=f"{title}: micro {figure}",
            metric_value=round(scores[f"{task}_micro_{figure}"], 4),
        )
        for task, title in TASK_TITLES.items()
        for figure in FIGURES
    ]


def _score_table(
    scores: Mapping[str, Any] | None,
    without_overlapping: Mapping[str, Any] | None,
    from_text: Mapping[str, Any] | None,
) -> str:
    if scores is None or without_overlapping is None or from_text is None:
        return "Nothing was scored: the corpus has no test and no validation split."
    rows = []
    for task in TASKS:
        for about, values in (
            ("", scores),
            (", without overlapping", without_overlapping),
            (", from text", from_text),
        ):
            rows.append(
                [TASK_TITLES[task] + about, *(score_text(values[f"{task}_micro_{figure}"]) for figure in FIGURES)]
            )
    return table(["", "precision", "recall", "F1"], rows)


def _type_table(scores: Mapping[str, Any] | None) -> str:
    rows = [
        [TASK_TITLES[task], plain(kind), *(score_text(values[figure]) for figure in FIGURES), values["support"]]
        for task in TASKS
        for kind, values in (scores or {}).get(f"{task}_per_type", {}).items()
    ]
    return table(["", "type", "precision", "recall", "F1", "gold"], rows) if rows else "None."


def _training_note(run: Mapping[str, Any]) -> str:
    machine, versions, outcome = run["machine"], run["versions"], run["outcome"]
    precision = "float32" if machine["mixed_precision"] == "no" else f"mixed precision ({machine['mixed_precision']})"
    settings = run["settings"]
    num_teachers = len([folder for folder in (settings.get("teachers") or "").split(",") if folder.strip()])
    distilled = (
        f" Distilled from {num_teachers} teacher(s), whose mean probabilities have a weight of "
        f"{settings['distillation_weight']} in the loss."
        if num_teachers
        else ""
    )
    return (
        f"{outcome['steps']} optimizer steps in {outcome['epochs']} epoch(s), {machine['num_processes']} process(es), "
        f"{plain(machine['device'])}, {precision}, in {outcome['seconds'] / 60:.1f} minutes. The model is that of "
        f"epoch {outcome['epoch_of_the_model']}. AdamW with linear warm-up and decay; spert {versions['spert']}, torch "
        f"{versions['torch']}, transformers {versions['transformers']}.{distilled}"
    )


def _example(predictions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first short sentence in which the model found a relation, or else an entity, but not too many for a card."""
    short = [
        record
        for record in predictions
        if 3 <= len(record["tokens"]) <= 40 and len(record["entities"]) + len(record["relations"]) <= 12
    ]
    for field in ("relations", "entities"):
        for record in short:
            if record[field]:
                return record
    return None


def _found(record: Mapping[str, Any]) -> str:
    texts = [" ".join(record["tokens"][entity["start"] : entity["end"]]) for entity in record["entities"]]
    lines = [f"* {plain(entity['type'])}: {plain(text)}" for entity, text in zip(record["entities"], texts)]
    lines += [
        f"* {plain(relation['type'])}: from {plain(texts[relation['head']])} to {plain(texts[relation['tail']])}"
        for relation in record["relations"]
    ]
    return "\n".join(lines)


def _too_wide(corpus: DatasetDict, max_span_width: int) -> tuple[int, int]:
    widths = [
        entity["end"] - entity["start"]
        for rows in corpus.values()
        for entities in rows["entities"]
        for entity in entities
    ]
    return sum(width > max_span_width for width in widths), len(widths)


def _names(names: Sequence[str], symmetric: Sequence[str] = ()) -> str:
    return ", ".join(code(name) + (" (symmetric)" if name in symmetric else "") for name in names) or "none"
