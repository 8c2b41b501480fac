"""The corpus that a run's settings name."""

from datasets import DatasetDict, concatenate_datasets

from ..corpora import load_corpus, load_files
from ..corpora.duplicates import merged_entities, with_merged_entities
from ..corpora.folds import fold_of
from ..corpora.types import described, types_of
from .arguments import TrainingArguments


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
    if arguments.train_on_validation:
        types = types_of(corpus)
        both = concatenate_datasets([corpus["train"], corpus.pop("validation")])
        about = with_merged_entities("train and validation", merged_entities(both))
        both.info.description = described(about, types)
        corpus["train"] = both
    return corpus
