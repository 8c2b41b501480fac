"""The corpus and the processor that a run's settings name, read and checked before anything is trained."""

from collections import Counter, defaultdict
from typing import Any

import torch
from accelerate.logging import get_logger
from datasets import Dataset, DatasetDict, List, Value, concatenate_datasets

from ..corpora import load_corpus, load_files, words_and_texts
from ..corpora.duplicates import merged_entities, with_merged_entities
from ..corpora.folds import fold_of
from ..corpora.types import described, types_of
from ..neighbours_spert import CONTEXT_FIELDS, context_of, with_context
from ..processing_spert import SpertProcessor
from .arguments import TrainingArguments

logger = get_logger(__name__)

RelationArguments = dict[str, dict[tuple[str, str], int]]
"""For each relation type, how many relations join which types: (head type, tail type) to their number."""


def load_inputs(arguments: TrainingArguments) -> tuple[DatasetDict, SpertProcessor]:
    """The corpus of a run, and the processor of its encoder, which splits text into words as the training split does.

    Raises:
        ValueError: the corpus is refused, or one of its sentences is longer than the encoder takes.
        OSError: there is no such encoder.
    """
    corpus = load_training_corpus(arguments)
    processor = SpertProcessor.from_encoder(arguments.model_name_or_path, revision=arguments.model_revision)
    processor.context_words = arguments.context_words
    for split, count in count_long_sentences(corpus, processor).items():
        logger.warning(f"{split}: {count} sentences are longer than the encoder takes, and are scored in windows")
    processor.learn_words(*words_and_texts(corpus["train"]))
    return corpus, processor


def load_training_corpus(arguments: TrainingArguments) -> DatasetDict:
    """The splits to train and score on; at least `train`, which is not empty.

    Raises:
        ValueError: there is nothing to train on, or no validation split where the settings need one.
    """
    if arguments.dataset_name is not None:
        corpus = load_corpus(
            arguments.dataset_name,
            arguments.data_dir,
            types_file=arguments.types_file,
            fold=arguments.fold,
            num_folds=None if arguments.folds == "all" or arguments.fold is None else arguments.num_folds,
        )
    else:
        files = {
            "train": arguments.train_file,
            "validation": arguments.validation_file,
            "test": arguments.test_file,
        }
        corpus = load_files({split: file for split, file in files.items() if file}, arguments.types_file)
        if arguments.fold is not None:
            corpus = fold_of(corpus, arguments.fold, arguments.num_folds, str(arguments.train_file))
    if "train" not in corpus or len(corpus["train"]) == 0:
        raise ValueError(f"Expected sentences to train on, got the splits {dict(corpus.num_rows)}.")
    if "validation" not in corpus and (arguments.train_on_validation or arguments.keeps_best):
        flag = "--train_on_validation" if arguments.train_on_validation else "To choose the best epoch, training"
        raise ValueError(f"{flag} needs a validation split, got the splits {dict(corpus.num_rows)}.")
    if arguments.context_words:  # before sentences are drawn, whose neighbours may not be among them
        corpus = DatasetDict(
            {split: in_context(rows, arguments.context_words, split) for split, rows in corpus.items()}
        )
        if count_in_context(corpus["train"]) == 0:
            raise ValueError(
                f"--context_words {arguments.context_words}: expected records whose `id` is DOCUMENT/POSITION, such as "
                f"abstract-7/0, got none with a neighbour in train; the first `id` is {corpus['train'][0]['id']!r}. "
                f"Leave --context_words out, or give the records such an `id`."
            )
    if arguments.train_on_validation:
        types = types_of(corpus)
        both = concatenate_datasets([corpus["train"], corpus.pop("validation")])
        about = with_merged_entities("train and validation", merged_entities(both))
        both.info.description = described(about, types)
        corpus["train"] = both
    if arguments.train_fraction < 1:
        corpus["train"] = share_of(corpus["train"], arguments.train_fraction, arguments.seed)
    return corpus


def share_of(rows: Dataset, fraction: float, seed: int) -> Dataset:
    """A random share of a split, in the split's order; at least one sentence of a split that is not empty.

    Args:
        fraction: of the sentences, above 0 and at most 1. A smaller one gives a part of what a larger one gives.
        seed: decides the draw, together with the number of sentences.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    number = min(len(rows), max(1, round(fraction * len(rows))))
    types, about = types_of(rows), (rows.info.description or "").split("\n")[0]
    share = rows.select(sorted(order[:number]))
    about = with_merged_entities(f"{about}, {number} of {len(rows)} sentences (seed {seed})", merged_entities(rows))
    share.info.description = described(about, types)
    return share


def in_context(rows: Dataset, context_words: int, split: str) -> Dataset:
    """A split with the columns `CONTEXT_FIELDS`: the words of the same document before and after each sentence.

    Args:
        context_words: the most words on each side.
        split: named in errors.

    Raises:
        ValueError: two sentences of a document have one position.
    """
    try:
        records = with_context(rows.to_list(), context_words)
    except ValueError as error:
        raise ValueError(f"Split {split}: {error}") from error
    for field in CONTEXT_FIELDS:
        rows = rows.add_column(field, [record[field] for record in records], feature=List(Value("string")))
    return rows


def count_in_context(rows: Dataset) -> int:
    """How many sentences of a split have words of context."""
    return sum(any(fields) for fields in zip(*(rows[field] for field in CONTEXT_FIELDS)))


def count_relation_arguments(rows: Dataset) -> RelationArguments:
    """How often each relation type joins entities of which types.

    Returns:
        For each relation type, the number of relations by (head type, tail type), in the order of the names.
    """
    counts: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for record in rows:
        types = [entity["type"] for entity in record["entities"]]
        for relation in record["relations"]:
            counts[relation["type"]][types[relation["head"]], types[relation["tail"]]] += 1
    return {name: dict(sorted(counts[name].items())) for name in sorted(counts)}


def count_long_sentences(corpus: DatasetDict, processor: SpertProcessor) -> dict[str, int]:
    """Encode every sentence as training or scoring will encode it, so that none fails after hours of training.

    Returns:
        How many sentences of each split are longer than the encoder takes: they are scored in overlapping windows.

    Raises:
        ValueError: a sentence of `train` is longer than the encoder takes, or one of another split cannot be cut into
            windows; the message names split and record.
    """
    counts = {}
    for split, rows in corpus.items():
        records = [{"tokens": record["tokens"], **context_of(record)} for record in rows]
        try:
            counts[split] = _count_long(records, split, processor)
        except ValueError:
            for index, (record, identifier) in enumerate(zip(records, rows["id"])):
                try:
                    _count_long([record], split, processor)
                except ValueError as error:
                    raise ValueError(f"Split {split}, record {index} (id {identifier!r}): {error}") from error
            raise
    return {split: count for split, count in counts.items() if count}


def _count_long(records: list[dict[str, Any]], split: str, processor: SpertProcessor) -> int:
    if split == "train":
        processor.encode(records)
        return 0
    return sum(len(document.rows) > 1 for document in processor.encode_documents(records))
