"""The settings of `train_accelerate.py`: a YAML recipe gives defaults, flags override it."""

from dataclasses import dataclass
from typing import Any

from ..configuration_spert import (
    RELATION_CONTEXTS,
    RELATION_HEADS,
    SPAN_POOLINGS,
    WIDTH_EMBEDDING_ROWS,
    refuse_useless_window,
)
from ..corpora.ade import NUM_FOLDS as ADE_FOLDS
from ..evaluation.scores import AVERAGES, FIGURES, PRIMARY_SCORE, TASKS
from ..sampling_spert import ALL_SPANS
from .initialization import ENCODER_WEIGHTS
from .settings import meanings_of, setting


@dataclass
class TrainingArguments:
    """The paper's settings are the defaults (sections 3.4 and 4.1)."""

    # Corpus
    dataset_name: str | None = setting(
        None, "A corpus by name (conll04), org/name on the Hub, a folder, or a file.", "source"
    )
    data_dir: str | None = setting(
        None, "The folder that holds the files of a named corpus. Default: they are downloaded.", "handling"
    )
    train_file: str | None = setting(None, "Annotations to train on: .json, .jsonl, .csv, .parquet, …", "source")
    validation_file: str | None = setting(None, "Annotations to score after each epoch.", "source")
    test_file: str | None = setting(None, "Annotations to score at the end.", "source")
    types_file: str | None = setting(
        None, "The types of your own files. Default: those that the files use, sorted by name.", "source"
    )
    train_on_validation: bool = setting(
        False, "Train on the validation split as well, as the paper does for its final scores.", on_card=True
    )
    train_fraction: float = setting(
        1.0,
        "The share of the training sentences to train on, drawn by the seed; a smaller one is part of a larger one.",
        above=0,
        at_most=1,
        on_card=True,
    )
    folds: str | None = setting(
        None, "Cross-validation: `all` folds that ade comes in (ten), or the number of folds to cut a corpus into."
    )
    only_folds: str | None = setting(
        None, "Train these folds now, such as 0,1,2; the table holds all that are done.", "handling"
    )
    fold: int | None = setting(None, "Train this fold as a single run.")
    context_words: int = setting(
        0,
        "Up to so many words of the same document before a sentence, and after it, are read with it and never scored.",
        at_least=0,
        on_card=True,
    )
    # Model
    model_name_or_path: str = setting(
        "google-bert/bert-base-cased", "A pre-trained encoder or a SpERT model, on the Hub or in a folder.", "source"
    )
    model_revision: str = setting("main", "The encoder's branch, tag or commit on the Hub.")
    encoder_weights: str = setting(
        "pretrained",
        "`random`: the encoder's weights are drawn anew; `embeddings`: all but those of its embeddings are.",
        choices=ENCODER_WEIGHTS,
        on_card=True,
    )
    max_span_width: int = setting(
        10,
        "The widest candidate span, in words.",
        at_least=1,
        at_most=WIDTH_EMBEDDING_ROWS - 1,
        in_config=True,
        on_card=True,
    )
    width_embedding_size: int = setting(25, "Length of a width embedding.", at_least=1, at_most=10_000, in_config=True)
    head_dropout: float = setting(
        0.1, "Dropout on each joined span or pair vector.", at_least=0, below=1, in_config=True, on_card=True
    )
    span_pooling: str = setting(
        "max", "How the pieces of a span become one vector.", choices=SPAN_POOLINGS, in_config=True, on_card=True
    )
    relation_context: str = setting(
        "localized", "The context of a pair.", choices=RELATION_CONTEXTS, in_config=True, on_card=True
    )
    relation_head: str = setting(
        "linear",
        "How a pair becomes scores: one linear layer, or a hidden layer (mlp).",
        choices=RELATION_HEADS,
        in_config=True,
        on_card=True,
    )
    relation_hidden_size: int = setting(
        256, "Width of the hidden layer of --relation_head mlp.", at_least=1, at_most=100_000, in_config=True
    )
    entity_type_features: bool = setting(
        False, "The relation head reads the type probabilities of head and tail.", in_config=True, on_card=True
    )
    distance_embedding_size: int = setting(
        0,
        "Length of an embedding of the distance between head and tail; 0 for none.",
        at_least=0,
        at_most=10_000,
        in_config=True,
        on_card=True,
    )
    span_boundaries: bool = setting(
        False, "Both heads read the first and the last piece of a span.", in_config=True, on_card=True
    )
    context_window: int = setting(
        0,
        "The relation head reads so many words before and after a pair.",
        at_least=0,
        at_most=10_000,
        in_config=True,
        on_card=True,
    )
    relation_threshold: float = setting(
        0.4, "Pairs with at least this score are relations.", at_least=0, at_most=1, in_config=True
    )
    relation_arguments: str | None = setting(
        None,
        "`learned`: predict a relation only between the entity types that it connects in the training split.",
        choices=("learned",),
        on_card=True,
    )
    # Training
    num_negative_spans: int = setting(
        100, "Random non-entity spans per sentence; -1 for all of them.", at_least=ALL_SPANS, on_card=True
    )
    hard_negative_ratio: float = setting(
        0.0,
        "Above 0: the share of the non-entity spans that overlap an entity; the others overlap none.",
        at_least=0,
        at_most=1,
        on_card=True,
    )
    num_negative_relations: int = setting(
        100, "Unrelated pairs of gold entities per sentence.", at_least=0, on_card=True
    )
    weak_negative_relations: bool = setting(
        False, "Pairs of random spans in place of unrelated gold entities (an ablation of the paper)."
    )
    false_entity_pairs_from: float | None = setting(
        None,
        "From this share of the steps on, such as 0.5, pairs with spans that the model wrongly calls entities are "
        "negatives, too: up to num_negative_relations per sentence.",
        at_least=0,
        below=1,
        on_card=True,
    )
    finer_words_ratio: float = setting(
        0.0,
        "How often a sentence is read in finer words: those of the corpus, split again by the general splitter.",
        at_least=0,
        at_most=1,
        on_card=True,
    )
    num_train_epochs: int = setting(20, "Passes through the training sentences.", at_least=1, on_card=True)
    max_train_steps: int | None = setting(
        None, "Total number of optimizer steps; overrides num_train_epochs.", at_least=1, on_card=True
    )
    per_device_train_batch_size: int = setting(2, "Sentences per process and forward pass.", at_least=1, on_card=True)
    per_device_eval_batch_size: int = setting(16, "Sentences per process when scoring.", "handling", at_least=1)
    gradient_accumulation_steps: int = setting(1, "Forward passes per optimizer step.", at_least=1, on_card=True)
    learning_rate: float = setting(5e-5, "AdamW's peak learning rate.", above=0, at_most=1, on_card=True)
    head_learning_rate: float | None = setting(
        None,
        "Peak learning rate of all that is not the encoder. Default: learning_rate.",
        above=0,
        at_most=1,
        on_card=True,
    )
    layerwise_lr_decay: float | None = setting(
        None,
        "Each encoder layer's learning rate is this times that of the layer above, such as 0.9.",
        above=0,
        at_most=1,
        on_card=True,
    )
    freeze_encoder: bool = setting(False, "Train the heads only; the encoder stays as it is.", on_card=True)
    warmup_ratio: float = setting(
        0.1, "Share of the steps in which the rate rises linearly.", at_least=0, at_most=1, on_card=True
    )
    adam_bias_correction: bool = setting(
        True,
        "AdamW's correction of its running means in the first steps; the original trained without it.",
        on_card=True,
    )
    weight_decay: float = setting(0.01, "Not applied to biases and layer norms.", at_least=0, at_most=1, on_card=True)
    ema_decay: float | None = setting(
        None,
        "The result is an exponential moving average of the weights, of which this share stays in a step, such as "
        "0.999.",
        above=0,
        below=1,
        on_card=True,
    )
    r_drop_weight: float = setting(
        0.0,
        "Above 0: each sentence is read twice, and the divergence of the two readings counts so much (R-Drop).",
        at_least=0,
        on_card=True,
    )
    teachers: str | None = setting(
        None, "Folders of trained models, such as a,b,c, whose mean probabilities are learned (distillation).", "source"
    )
    distillation_weight: float = setting(
        0.5, "With teachers, their share of the loss; the annotation has the rest.", above=0, at_most=1
    )
    max_grad_norm: float = setting(1.0, "Gradients with a larger norm are scaled down to it.", above=0, on_card=True)
    seed: int = setting(
        42, "Decides initial weights, order, negatives and dropout.", at_least=0, at_most=2**32 - 1, on_card=True
    )
    seeds: str | None = setting(
        None, "Several runs, such as 1,2,3, and a table with mean and standard deviation.", "handling"
    )
    dataloader_num_workers: int = setting(0, "Processes that prepare batches.", "handling", at_least=0, at_most=1000)
    gradient_checkpointing: bool = setting(False, "Less memory for more computation.")
    # Checkpoints
    checkpointing_steps: str | None = setting(
        None, "Write a checkpoint every so many optimizer steps, or every `epoch`.", "handling"
    )
    save_total_limit: int = setting(2, "How many checkpoints are kept; older ones are removed.", "handling", at_least=1)
    resume_from_checkpoint: str | None = setting(
        None, "A checkpoint's folder, or `latest`: the newest one in output_dir, if there is one.", "handling"
    )
    # Model selection
    metric_for_best_model: str = setting(PRIMARY_SCORE, "The validation score that decides which epoch is best.")
    load_best_model_at_end: bool = setting(
        False, "The result is the model of the best epoch instead of the last one.", on_card=True
    )
    early_stopping_patience: int | None = setting(
        None,
        "Stop after so many epochs without a better validation score. The result is the model of the best epoch.",
        at_least=1,
        on_card=True,
    )
    # Logging
    logging_steps: int = setting(10, "Optimizer steps between two reports of the loss.", "handling", at_least=1)
    with_tracking: bool = setting(False, "Report losses and scores to trackers.", "handling")
    report_to: str = setting(
        "all", "Trackers by name, such as tensorboard,wandb; or `all` that are installed.", "handling"
    )
    # Output
    output_dir: str = setting("outputs/spert", "The folder for the model and its scores.", "handling")
    overwrite_output_dir: bool = setting(False, "Replace the model, or the checkpoints, in output_dir.", "handling")
    push_to_hub: bool = setting(False, "Upload the result to the Hub, in one commit.", "handling")
    hub_model_id: str | None = setting(
        None, "The repository, such as org/spert-conll04. Default: output_dir's name.", "handling"
    )
    hub_token: str | None = setting(None, "Default: the one that `hf auth login` saved.", "handling", secret=True)
    hub_private_repo: bool = setting(False, "Make the repository private.", "handling")

    def __post_init__(self) -> None:
        """Refuse what cannot work, before anything is loaded."""
        if (self.dataset_name is None) == (self.train_file is None):
            raise ValueError(
                f"Expected either --dataset_name or --train_file, got dataset_name={self.dataset_name!r} and "
                f"train_file={self.train_file!r}."
            )
        if self.dataset_name is not None and (self.validation_file or self.test_file):
            raise ValueError("--validation_file and --test_file go with --train_file, not with --dataset_name.")
        for name, meaning in meanings_of(self).items():
            meaning.check(f"--{name}", getattr(self, name))
        self._check_choices()
        self._check_repetitions()

    def _check_choices(self) -> None:
        steps = self.checkpointing_steps
        if steps is not None and steps != "epoch" and not (_is_whole_number(steps) and int(steps) > 0):
            raise ValueError(f"--checkpointing_steps: expected a number of steps above 0, or epoch, got {steps!r}.")
        scores = [f"{task}_{average}_{name}" for task in TASKS for average in AVERAGES for name in FIGURES]
        if self.metric_for_best_model not in scores:
            raise ValueError(
                f"--metric_for_best_model: expected one of {', '.join(scores)}, got {self.metric_for_best_model!r}."
            )
        if self.keeps_best and self.train_on_validation:
            raise ValueError(
                "--train_on_validation leaves no sentences to choose an epoch by: remove --load_best_model_at_end and "
                "--early_stopping_patience."
            )
        if self.num_negative_spans == ALL_SPANS and self.hard_negative_ratio > 0:
            raise ValueError("--num_negative_spans -1 draws nothing: remove --hard_negative_ratio.")
        if self.false_entity_pairs_from is not None and self.num_negative_relations == 0:
            raise ValueError(
                "--false_entity_pairs_from adds up to --num_negative_relations pairs per sentence, which is 0."
            )
        if self.teachers is not None and not self.teacher_folders:
            raise ValueError(f"--teachers: expected folders such as a,b,c, got {self.teachers!r}.")
        refuse_useless_window(self.relation_context, self.context_window)
        if self.freeze_encoder and self.layerwise_lr_decay is not None:
            raise ValueError("--freeze_encoder leaves no layers to train: remove --layerwise_lr_decay.")

    def _check_repetitions(self) -> None:
        for name in ("seeds", "only_folds"):
            value = getattr(self, name)
            if value is not None and not all(_is_whole_number(part.strip()) for part in value.split(",")):
                raise ValueError(f"--{name}: expected whole numbers such as 1,2,3, got {value!r}.")
        if (
            self.folds is not None
            and self.folds != "all"
            and not (_is_whole_number(self.folds) and int(self.folds) > 1)
        ):
            raise ValueError(
                f"--folds: expected all, or a number of folds above 1, got {self.folds!r}. To train some of them only, "
                f"add --only_folds 0,1,2."
            )
        if self.folds == "all" and self.dataset_name != "ade":
            raise ValueError("--folds all: only ade comes in folds. Say how many to cut the corpus into: --folds 10.")
        if self.folds is None and (self.fold is not None or self.only_folds is not None):
            raise ValueError("--fold and --only_folds go with --folds.")
        if self.folds is not None:
            chosen = [self.fold] if self.fold is not None else self.chosen_folds
            for fold in chosen:
                if fold is not None and not 0 <= fold < self.num_folds:
                    flag = "--only_folds" if self.fold is None else "--fold"
                    raise ValueError(f"{flag}: expected folds from 0 to {self.num_folds - 1}, got {fold}.")
        if self.is_several_runs and self.push_to_hub:
            raise ValueError("--push_to_hub uploads one model: several runs give several. Push one with `spert push`.")

    @property
    def keeps_best(self) -> bool:
        """Whether the model of the best epoch is the result."""
        return self.load_best_model_at_end or self.early_stopping_patience is not None

    @property
    def steps_between_checkpoints(self) -> int | None:
        """Optimizer steps from one checkpoint to the next; `None` if they are written at ends of epochs, or never."""
        steps = self.checkpointing_steps
        return None if steps is None or steps == "epoch" else int(steps)

    @property
    def num_folds(self) -> int:
        """How many folds the corpus is cut into."""
        return ADE_FOLDS if self.folds == "all" else int(self.folds or 0)

    @property
    def chosen_folds(self) -> list[int | None]:
        """The folds to train one after the other; `[None]` without folds."""
        if self.folds is None:
            return [None]
        chosen = range(self.num_folds) if self.only_folds is None else map(int, self.only_folds.split(","))
        return list(dict.fromkeys(chosen))

    @property
    def chosen_seeds(self) -> list[int]:
        """The seeds to train with one after the other."""
        return [self.seed] if self.seeds is None else list(dict.fromkeys(map(int, self.seeds.split(","))))

    @property
    def teacher_folders(self) -> list[str]:
        """The folders of the models to learn from; none without distillation."""
        return [folder.strip() for folder in (self.teachers or "").split(",") if folder.strip()]

    @property
    def is_several_runs(self) -> bool:
        """Whether folds or seeds make this command a series of runs."""
        return self.seeds is not None or (self.folds is not None and self.fold is None)

    def config_fields(self) -> dict[str, Any]:
        """The fields of `SpertConfig` that are settings of a run; the corpus decides the others."""
        return {name: getattr(self, name) for name, meaning in meanings_of(self).items() if meaning.in_config}

    def to_dict(self) -> dict[str, Any]:
        """All settings but secrets. They are a recipe: `recipes.read_recipe` reads them back."""
        return {name: getattr(self, name) for name, meaning in meanings_of(self).items() if not meaning.secret}


def _is_whole_number(text: str) -> bool:
    """Whether `int` reads a text as a number that is not negative and of a reasonable size."""
    return text.isdecimal() and len(text) <= 12
