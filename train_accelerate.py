"""Train a SpERT model, on one process or many.

    accelerate launch train_accelerate.py configs/conll04.yaml --output_dir outputs/conll04
    accelerate launch train_accelerate.py --train_file train.json --validation_file dev.json --types_file types.json
    accelerate launch train_accelerate.py configs/ade.yaml --folds all --output_dir outputs/ade

A recipe (YAML) gives defaults, flags override it; `python train_accelerate.py --help` lists them. The defaults are the
paper's settings, except that the optimizer is torch's AdamW (the original's variant left out the bias correction:
`--adam_bias_correction false`) and that every sentence is seen (the original dropped an incomplete last batch). The
result is the model after the last epoch, as in the original, unless the settings ask for the best one.

A run goes through `prepare`, then `run_epoch` and `end_epoch` for each epoch, then `finish`; `train_step` is one
optimizer step.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device, set_seed
from datasets import DatasetDict
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from spert.collating_spert import SpertDataCollator, SpertTrainingDataset
from spert.corpora import types_of
from spert.corpora.duplicates import merged_entities
from spert.evaluation.evaluator import evaluate_model
from spert.evaluation.predictions import Predictions
from spert.evaluation.report import print_scores, score_text
from spert.evaluation.scores import PRIMARY_SCORE, compute_scores
from spert.files import atomic_folder, write_json
from spert.hub import CARD, check_token, push_folder
from spert.locks import FolderLock
from spert.modeling_spert import SpertModel
from spert.processes import watch_starters
from spert.processing_spert import SpertProcessor
from spert.training.arguments import TrainingArguments
from spert.training.averaging import WeightAverage
from spert.training.batches import ShardedBatchSampler, TrainingCollator, count_targets
from spert.training.card import write_card
from spert.training.checkpoints import Checkpoints
from spert.training.corpus import RelationArguments, count_in_context, count_relation_arguments, load_inputs
from spert.training.errors import run_script
from spert.training.flags import parse_arguments
from spert.training.initialization import reset_encoder
from spert.training.interruption import EXIT_CODE, Interruption, agreed
from spert.training.launch import check_number_of_processes, refuse_sharded_models
from spert.training.objective import Objective
from spert.training.optimization import freeze_encoder, make_optimizer, make_schedule, set_training_mode
from spert.training.output import AFTER_THE_MODEL, DEV_SCORES, save_model, save_scores
from spert.training.output_folder import locked, prepare_output, refuse_full_disk
from spert.training.plots import LEARNING_CURVES, SCORES_BY_TYPE, draw_learning_curves, draw_scores_by_type
from spert.training.repetitions import coordinator, train_runs
from spert.training.run import Run
from spert.training.run_record import RUN, describe_transfer, identity_of, is_finished, run_record
from spert.training.state import TrainingState
from spert.training.teachers import Teachers, digests_of, load_teachers
from spert.training.together import end_training, main_first, on_each, on_main
from spert.training.tracking import trackers_of


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    with watch_starters():  # training ends when the launcher is killed
        if arguments.is_several_runs:  # folds or seeds: each is trained by this script, in a process of its own
            state = coordinator()
            check_number_of_processes(state.num_processes)
            train_runs(arguments, __file__, state)
        else:
            accelerator = Accelerator(log_with=trackers_of(arguments), project_dir=arguments.output_dir)
            check_number_of_processes(accelerator.num_processes)
            refuse_sharded_models(accelerator)
            with locked(accelerator, arguments.output_dir) as lock:  # no other run reads or writes the folder
                train_and_push(accelerator, arguments, lock)


def train_and_push(accelerator: Accelerator, arguments: TrainingArguments, lock: FolderLock) -> None:
    """One run, and what the settings ask for after it."""
    if arguments.push_to_hub:
        on_main(accelerator, lambda: check_token(arguments.hub_token))  # before hours of training, not after
    if arguments.resume_from_checkpoint and is_finished(arguments):
        accelerator.print(f"{arguments.output_dir}: this run is finished; there is nothing to resume.")
    else:
        train(accelerator, arguments, lock)
    if arguments.push_to_hub and accelerator.is_main_process:
        pushed = push_folder(
            arguments.output_dir,
            arguments.hub_model_id or arguments.output_dir.rstrip("/").rsplit("/", 1)[-1],
            token=arguments.hub_token,
            private=arguments.hub_private_repo or None,
        )
        print(f"Uploaded: {pushed.url}")
    accelerator.wait_for_everyone()
    end_training(accelerator)


def train(accelerator: Accelerator, arguments: TrainingArguments, lock: FolderLock) -> None:
    """One run, from the corpus to the result in `output_dir`."""
    with Interruption() as interruption:
        run = prepare(accelerator, arguments, lock, interruption)
        resume(run)
        while not run.is_over:
            run_epoch(run)
            end_epoch(run)
        finish(run)
        if agreed(accelerator, interruption.requested):
            sys.exit(EXIT_CODE)


def prepare(
    accelerator: Accelerator, arguments: TrainingArguments, lock: FolderLock, interruption: Interruption
) -> Run:
    """Read and check everything that a run needs. Whatever can be refused is refused here, before the first step."""
    on_main(accelerator, lambda: prepare_output(arguments))
    set_seed(arguments.seed)

    # Corpus, processor and model. The main process goes first, so that the others find what it downloaded.
    corpus, processor, seen_arguments, model = main_first(accelerator, lambda: load_model_and_corpus(arguments))
    types = types_of(corpus)
    if arguments.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    if arguments.freeze_encoder:
        freeze_encoder(model)
    on_main(accelerator, lambda: refuse_full_disk(arguments, model))
    accelerator.print(
        f"{len(corpus['train'])} sentences, {len(types.entities)} entity types, {len(types.relations)} relation types, "
        f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters, "
        f"{accelerator.num_processes} process(es) on {accelerator.device.type}"
    )
    if arguments.context_words:
        in_context = {split: count_in_context(rows) for split, rows in corpus.items()}
        counts = ", ".join(f"{number} of {len(corpus[split])} in {split}" for split, number in in_context.items())
        accelerator.print(f"Sentences that are read with words of their neighbours: {counts}")
    if merged := merged_entities(corpus):
        accelerator.print(f"{merged} entities have the span and type of another entity and were merged into it")
    if model.transferred is not None:
        accelerator.print(describe_transfer(arguments.model_name_or_path, model.transferred))
    teachers: list[Teachers] = []
    if arguments.teacher_folders:
        load = partial(load_teachers, arguments.teacher_folders, model, processor, corpus["train"])
        on_each(accelerator, lambda: teachers.append(load().to(accelerator.device)))

    # Batches: gold and sampled spans and pairs.
    train_rows = SpertTrainingDataset(
        corpus["train"].to_list(),
        processor,
        model.config,
        num_negative_spans=arguments.num_negative_spans,
        hard_negative_ratio=arguments.hard_negative_ratio,
        num_negative_relations=arguments.num_negative_relations,
        weak_negative_relations=arguments.weak_negative_relations,
        finer_words_ratio=arguments.finer_words_ratio,
        seed=arguments.seed,
    )
    sampler = ShardedBatchSampler(
        len(train_rows),
        arguments.per_device_train_batch_size,
        accumulation_steps=arguments.gradient_accumulation_steps,
        seed=arguments.seed,
        process_index=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    loader = DataLoader(
        train_rows,
        batch_sampler=sampler,
        collate_fn=TrainingCollator(SpertDataCollator(processor), len(types.relations)),
        num_workers=arguments.dataloader_num_workers,
        generator=torch.Generator(),  # or each epoch would draw from the generator that dropout draws from
    )

    # Optimizer and schedule.
    num_steps = arguments.max_train_steps or arguments.num_train_epochs * sampler.steps_per_epoch
    identity = identity_of(arguments, model, corpus, accelerator)
    if teachers:
        identity["teachers"] = digests_of(arguments.teacher_folders)
    average = None if arguments.ema_decay is None else WeightAverage(model, arguments.ema_decay).to(accelerator.device)
    optimizer = make_optimizer(model, arguments)
    schedule = make_schedule(optimizer, arguments, num_steps)
    # Not the loader, which deals out whole sentences already, nor the schedule, which counts optimizer steps.
    wrapped_model, optimizer = accelerator.prepare(model, optimizer)
    model = accelerator.unwrap_model(wrapped_model)
    state = TrainingState(accelerator, model, optimizer, schedule, average)

    record = run_record(arguments, identity, corpus, accelerator)
    if arguments.relation_arguments is not None:
        record["relation_arguments"] = {
            relation: [[*pair, count] for pair, count in pairs.items()] for relation, pairs in seen_arguments.items()
        }
    accelerator.init_trackers("spert", config={name: str(value) for name, value in record["settings"].items()})
    return Run(
        arguments=arguments,
        accelerator=accelerator,
        interruption=interruption,
        corpus=corpus,
        processor=processor,
        model=model,
        wrapped_model=wrapped_model,
        average=average,
        teachers=teachers[0] if teachers else None,
        train_rows=train_rows,
        sampler=sampler,
        loader=loader,
        optimizer=optimizer,
        schedule=schedule,
        num_steps=num_steps,
        checkpoints=Checkpoints(accelerator, state, arguments.output_dir, identity, arguments.save_total_limit),
        record=record,
        lock=lock,
        bar=tqdm(total=num_steps, unit="step", disable=not accelerator.is_main_process),
    )


def load_model_and_corpus(
    arguments: TrainingArguments,
) -> tuple[DatasetDict, SpertProcessor, RelationArguments, SpertModel]:
    """The corpus, the processor, the entity types that each relation joins in the training split, and the model."""
    corpus, processor = load_inputs(arguments)
    seen_arguments = count_relation_arguments(corpus["train"])
    model = SpertModel.from_encoder(
        arguments.model_name_or_path,
        encoder_kwargs={"revision": arguments.model_revision},
        **types_of(corpus).config_fields(),
        **arguments.config_fields(),
        relation_arguments=(
            {relation: [list(pair) for pair in pairs] for relation, pairs in seen_arguments.items()}
            if arguments.relation_arguments == "learned"
            else None
        ),
    )
    reset_encoder(model, arguments.encoder_weights)
    return corpus, processor, seen_arguments, model


def resume(run: Run) -> None:
    """Continue where an earlier session stopped, if the settings ask for it and there is a checkpoint."""
    if run.arguments.resume_from_checkpoint is None:
        return
    found = run.checkpoints.load(run.arguments.resume_from_checkpoint)
    if found is None:
        run.accelerator.print(
            f"No complete checkpoint in {run.arguments.output_dir}: training starts from the beginning."
        )
        return
    run.progress = found
    run.seconds_before = found.seconds
    run.bar.update(found.step)
    run.accelerator.print(f"Resuming at step {found.step} of {run.num_steps}.")


def run_epoch(run: Run) -> None:
    """Train on the sentences of the current epoch, or on the rest of them after an interruption."""
    accelerator, arguments, progress = run.accelerator, run.arguments, run.progress
    run.train_rows.set_epoch(progress.epoch)
    run.sampler.set_epoch(progress.epoch, skip_steps=progress.epoch_step)
    set_training_mode(run.model)
    sums = torch.tensor(progress.losses, device=accelerator.device)  # entity and relation loss of the epoch: (2,)
    batches = iter(run.loader)
    steps_left = min(run.sampler.steps_per_epoch - progress.epoch_step, run.num_steps - progress.step)
    for _ in range(steps_left):
        micro_batches = [next(batches) for _ in range(arguments.gradient_accumulation_steps)]
        losses = train_step(
            accelerator, run.wrapped_model, run.optimizer, micro_batches, arguments.max_grad_norm, run.objective
        )
        if not accelerator.optimizer_step_was_skipped:  # fp16: the scaler found an overflow
            run.schedule.step()
            if run.average is not None:
                run.average.update_parameters(run.model)
        sums += losses
        progress.step += 1
        progress.epoch_step += 1
        run.bar.update()

        # The losses stay on the device, and no process waits for another, until one of these needs them.
        saves_every = arguments.steps_between_checkpoints
        saves = saves_every is not None and progress.step % saves_every == 0
        logs = progress.step % arguments.logging_steps == 0
        is_requested = run.interruption.requested
        if saves or logs or is_requested:
            progress.losses = sums.tolist()
        if saves:
            run.save_checkpoint()
        if logs:
            run.refuse_divergence()
            log_step(run, losses)
        if logs or accelerator.num_processes == 1:
            run.exit_if_interrupted(is_requested)
    progress.losses = sums.tolist()
    run.refuse_divergence()


def train_step(
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    micro_batches: list[dict[str, torch.Tensor]],
    max_grad_norm: float,
    objective: Objective,
) -> torch.Tensor:
    """One optimizer step over this process's part of the global batch.

    Each loss is a mean over the spans (the relation decisions, the sentences) of the whole global batch, so that
    neither the number of processes nor of micro-batches changes it. Gradients are averaged over processes: hence the
    factor.

    Returns:
        The entity and the relation loss of the global batch: `(2,)`. The latter has that of pairs with wrong spans in
        it.
    """
    counts = torch.stack([count_targets(batch) for batch in micro_batches])  # (micro-batches, 3)
    micro_batches, counts = send_to_device((micro_batches, counts), accelerator.device)
    totals = accelerator.reduce(counts.sum(dim=0), reduction="sum").clamp(min=1)  # (3,)
    losses = torch.zeros(2, device=accelerator.device)
    for number, (batch, count) in enumerate(zip(micro_batches, counts)):
        is_last = number == len(micro_batches) - 1
        with nullcontext() if is_last else accelerator.no_sync(model):
            parts = torch.stack(objective(model, batch))
            weighted = parts * (count / totals)[: len(parts)]
            accelerator.backward(weighted.sum() * accelerator.num_processes)
        weighted = weighted.detach()
        losses[: len(parts[:2])] += weighted[:2]
        losses[1] += weighted[2:].sum()
    accelerator.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return accelerator.reduce(losses, reduction="sum")


def log_step(run: Run, losses: torch.Tensor) -> None:
    """Show the losses of a step beside the progress bar, and report them to the trackers."""
    entity_loss, relation_loss = losses.tolist()
    run.bar.set_postfix_str(f"epoch {run.progress.epoch + 1}, loss {entity_loss:.3f} + {relation_loss:.3f}")
    values = {"entity_loss": entity_loss, "relation_loss": relation_loss}
    run.accelerator.log(values | {"learning_rate": run.schedule.get_last_lr()[0]}, step=run.progress.step)


def end_epoch(run: Run) -> None:
    """Score the epoch that has just been trained on the validation split, and keep what the settings ask for."""
    accelerator, arguments, progress = run.accelerator, run.arguments, run.progress
    entity_loss, relation_loss = (loss / progress.epoch_step for loss in progress.losses)
    row = {
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "entity_loss": entity_loss,
        "relation_loss": relation_loss,
    }
    line = f"epoch {row['epoch']}: loss {entity_loss:.3f} + {relation_loss:.3f}"
    if "validation" in run.corpus:
        scores, _ = score(run, run.scored_model, "validation")
        numbers = {name: value for name, value in scores.items() if isinstance(value, float)}
        accelerator.log({f"validation_{name}": value for name, value in numbers.items()}, step=progress.step)
        line += f", validation: entities {score_text(scores['ner_micro_f1'])}, "
        line += f"relations {score_text(scores[PRIMARY_SCORE])}"
        row |= numbers
    run.print(line)
    is_best = progress.end_epoch(row, arguments.metric_for_best_model)
    on_main(accelerator, run.lock.check)
    if is_best and arguments.keeps_best:
        run.checkpoints.save_best(run.scored_model, progress)
    on_main(accelerator, lambda: write_json(f"{arguments.output_dir}/{DEV_SCORES}", progress.dev_scores))
    is_last = progress.epoch == run.num_epochs
    if arguments.checkpointing_steps == "epoch" or (arguments.checkpointing_steps is not None and is_last):
        run.save_checkpoint()
    run.exit_if_interrupted(run.interruption.requested)


def finish(run: Run) -> None:
    """Save the model of the last epoch, or of the best one; then score it, and write what is made from the scores.

    The model is on disk before anything is scored. `run.json` says `finished` when all of it is there.
    """
    accelerator, arguments, progress, record = run.accelerator, run.arguments, run.progress, run.record
    run.bar.close()
    model_epoch = progress.epoch
    if arguments.keeps_best and progress.best is not None:
        on_each(accelerator, lambda: run.checkpoints.load_best(run.scored_model, progress))
        model_epoch = progress.best.epoch
    record["outcome"] = {
        "steps": progress.step,
        "epochs": progress.epoch,
        "epoch_of_the_model": model_epoch,
        "seconds": round(run.seconds, 1),
    }
    # In full precision, as whoever loads the model will run it.
    unwrapped = accelerator.unwrap_model(run.wrapped_model, keep_fp32_wrapper=False)
    model = unwrapped if run.average is None else run.scored_model
    on_main(accelerator, lambda: save_result(run, model))
    accelerator.print(f"The model is in {arguments.output_dir}.")

    split = next((name for name in ("test", "validation") if name in run.corpus), None)
    if split is None:
        on_main(accelerator, lambda: save_report(run, model))
        accelerator.print("The corpus has neither a test nor a validation split: there are no scores.")
        return
    scores, predictions = score(run, model, split)
    from_text, _ = score(run, model, split, from_text=True)
    accelerator.log({f"{split}_{name}": value for name, value in scores.items() if isinstance(value, float)})
    on_main(accelerator, lambda: save_report(run, model, split, scores, predictions, from_text))


def save_result(run: Run, model: SpertModel) -> None:
    """Save the trained model, and the record of a run that is not finished yet.

    Raises:
        OSError: the model cannot be written; checkpoints are kept.
    """
    folder = run.arguments.output_dir
    run.lock.check()
    try:
        write_json(f"{folder}/{RUN}", run.record)
        save_model(folder, model, run.processor, AFTER_THE_MODEL)
    except OSError as error:
        latest = run.checkpoints.latest()
        kept = f"Resume from {latest} with --resume_from_checkpoint latest." if latest else "There is no checkpoint."
        raise OSError(f"{folder}: the model could not be written: {error}. {kept}") from error


def save_report(
    run: Run,
    model: SpertModel,
    split: str | None = None,
    scores: Mapping[str, Any] | None = None,
    predictions: Sequence[Mapping[str, Any]] = (),
    from_text: Mapping[str, Any] | None = None,
) -> None:
    """Save and print the scores, save predictions, pictures and card, and mark the run as finished."""
    folder = run.arguments.output_dir
    without_overlapping = None
    if split is not None:
        without_overlapping = compute_scores(
            run.corpus[split].to_list(),
            predictions,
            symmetric_relations=model.config.symmetric_relations,
            without_overlapping=True,
        )
    with atomic_folder(folder) as staging:
        if split is not None and scores is not None:
            save_scores(staging, scores, predictions, without_overlapping, from_text)
            draw_scores_by_type(staging / SCORES_BY_TYPE, scores, split)
        draw_learning_curves(staging / LEARNING_CURVES, run.progress.dev_scores)
        write_card(
            staging / CARD,
            config=model.config,
            run=run.record,
            corpus=run.corpus,
            split=split,
            scores=scores,
            without_overlapping=without_overlapping,
            from_text=from_text,
            predictions=predictions,
        )
    write_json(f"{folder}/{RUN}", run.record | {"finished": True})
    if scores is not None and from_text is not None:
        print_scores(scores, title=f"{folder}, {split}, {len(predictions)} sentences")
        print(
            f"Given the text alone, micro F1: entities {score_text(from_text['ner_micro_f1'])}, relations "
            f"{score_text(from_text[PRIMARY_SCORE])} (strict)."
        )


def score(run: Run, model: SpertModel, split: str, from_text: bool = False) -> tuple[dict[str, Any], Predictions]:
    """The scores of a model on a split, and its predictions.

    Args:
        from_text: give the model each sentence's text in place of its words.
    """
    return evaluate_model(
        model,
        run.processor,
        run.corpus[split],
        batch_size=run.arguments.per_device_eval_batch_size,
        from_text=from_text,
    )


if __name__ == "__main__":
    run_script(main)
