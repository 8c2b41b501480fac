"""Train a SpERT model, on one process or many.

    accelerate launch train_accelerate.py configs/conll04.yaml --output_dir outputs/conll04
    accelerate launch train_accelerate.py --train_file train.json --validation_file dev.json --types_file types.json
    accelerate launch train_accelerate.py configs/ade.yaml --folds all --output_dir outputs/ade

A recipe (YAML) gives defaults, flags override it; `python train_accelerate.py --help` lists them. The defaults are the
paper's settings, except that the optimizer is torch's AdamW (the original's variant left out the bias correction) and
that every sentence is seen (the original dropped an incomplete last batch). The result is the model after the last
epoch, as in the original, unless the settings ask for the best one.
"""

import sys
import time
from contextlib import nullcontext

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
from spert.evaluation.report import print_scores
from spert.evaluation.scores import PRIMARY_SCORE, compute_scores
from spert.files import atomic_folder, write_json
from spert.hub import CARD, check_token, push_folder
from spert.modeling_spert import SpertModel
from spert.processing_spert import SpertProcessor
from spert.training.arguments import TrainingArguments, parse_arguments
from spert.training.batches import ShardedBatchSampler, TrainingCollator, count_targets
from spert.training.card import write_card
from spert.training.checkpoints import Checkpoints, refuse_to_lose
from spert.training.corpus import load_training_corpus
from spert.training.interruption import EXIT_CODE, Interruption
from spert.training.launch import check_number_of_processes
from spert.training.optimization import freeze_encoder, make_optimizer, make_schedule, set_training_mode
from spert.training.output import DEV_SCORES, refuse_to_overwrite, save_model, save_scores
from spert.training.plots import LEARNING_CURVES, SCORES_BY_TYPE, draw_learning_curves, draw_scores_by_type
from spert.training.progress import Progress
from spert.training.repetitions import coordinator, is_finished, train_runs
from spert.training.run_record import RUN, identity_of, run_record
from spert.training.tracking import trackers_of


def main() -> None:
    arguments = parse_arguments()
    if arguments.is_several_runs:  # folds or seeds: each is trained by this script, in a process of its own
        state = coordinator()
        check_number_of_processes(state.num_processes)
        train_runs(arguments, __file__, state)
        return
    accelerator = Accelerator(log_with=trackers_of(arguments), project_dir=arguments.output_dir)
    check_number_of_processes(accelerator.num_processes)
    if arguments.push_to_hub:
        check_token(arguments.hub_token)  # before hours of training, not after
    if arguments.resume_from_checkpoint and is_finished(arguments):
        accelerator.print(f"{arguments.output_dir}: this run has ended already; there is nothing to resume.")
    else:
        train(accelerator, arguments)
    if arguments.push_to_hub and accelerator.is_main_process:
        address = push_folder(
            arguments.output_dir,
            arguments.hub_model_id or arguments.output_dir.rstrip("/").rsplit("/", 1)[-1],
            token=arguments.hub_token,
            private=arguments.hub_private_repo or None,
        )
        print(f"Uploaded: {address}")
    accelerator.wait_for_everyone()
    accelerator.end_training()


def train(accelerator: Accelerator, arguments: TrainingArguments) -> None:
    """One run, from the corpus to the result in `output_dir`."""
    interruption = Interruption()
    started = time.monotonic()
    if accelerator.is_main_process:
        refuse_to_overwrite(arguments.output_dir, arguments.overwrite_output_dir)
        refuse_to_lose(
            arguments.output_dir, arguments.resume_from_checkpoint is not None, arguments.overwrite_output_dir
        )
    set_seed(arguments.seed)

    # Corpus, model and processor. The main process goes first, so that others find what it downloaded.
    with accelerator.main_process_first():
        corpus = load_training_corpus(arguments)
        types = types_of(corpus)
        processor = SpertProcessor.from_encoder(arguments.model_name_or_path, revision=arguments.model_revision)
        model = SpertModel.from_encoder(
            arguments.model_name_or_path,
            encoder_kwargs={"revision": arguments.model_revision},
            **types.config_fields(),
            **arguments.config_fields(),
        )
    if arguments.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    if arguments.freeze_encoder:
        freeze_encoder(model)
    accelerator.print(
        f"{len(corpus['train'])} sentences, {len(types.entities)} entity types, {len(types.relations)} relation types, "
        f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters, "
        f"{accelerator.num_processes} process(es) on {accelerator.device.type}"
    )
    if merged := merged_entities(corpus):
        accelerator.print(f"{merged} entities have the span and type of another entity and were merged into it")

    # Batches: gold and sampled spans and pairs.
    train_rows = SpertTrainingDataset(
        corpus["train"].to_list(),
        processor,
        model.config,
        num_negative_spans=arguments.num_negative_spans,
        num_negative_relations=arguments.num_negative_relations,
        weak_negative_relations=arguments.weak_negative_relations,
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
    num_steps = arguments.max_train_steps or arguments.num_train_epochs * sampler.steps_per_epoch
    num_epochs = -(-num_steps // sampler.steps_per_epoch)

    identity = identity_of(arguments, model, corpus, accelerator)
    record = run_record(arguments, identity, corpus, accelerator)
    optimizer = make_optimizer(model, arguments)
    schedule = make_schedule(optimizer, arguments, num_steps)
    # Not the loader, which deals out whole sentences already, nor the schedule, which counts optimizer steps.
    model, optimizer = accelerator.prepare(model, optimizer)
    accelerator.register_for_checkpointing(schedule)
    plain_model = accelerator.unwrap_model(model)
    accelerator.init_trackers("spert", config={name: str(value) for name, value in record["settings"].items()})

    # Where an earlier session stopped.
    checkpoints = Checkpoints(accelerator, arguments.output_dir, identity, arguments.save_total_limit)
    progress = Progress()
    if arguments.resume_from_checkpoint is not None:
        found = checkpoints.load(arguments.resume_from_checkpoint)
        progress = found or progress
        accelerator.print(
            f"Resuming at step {progress.step} of {num_steps}."
            if found
            else f"No whole checkpoint in {arguments.output_dir}: training starts from the beginning."
        )
    seconds_before = progress.seconds

    def save_checkpoint() -> None:
        progress.seconds = seconds_before + time.monotonic() - started
        checkpoints.save(progress)

    def exit_if_interrupted(requested: bool) -> None:
        if requested:
            save_checkpoint()
            accelerator.print(f"SIGTERM: wrote a checkpoint at step {progress.step}.")
            accelerator.end_training()
            sys.exit(EXIT_CODE)

    patience = arguments.early_stopping_patience
    saves_every = arguments.steps_between_checkpoints
    bar = tqdm(total=num_steps, initial=progress.step, unit="step", disable=not accelerator.is_main_process)
    while progress.epoch < num_epochs and not (patience and progress.epochs_without_improvement >= patience):
        epoch = progress.epoch
        train_rows.set_epoch(epoch)
        sampler.set_epoch(epoch, skip_steps=progress.epoch_step)
        set_training_mode(plain_model)
        sums = torch.tensor(progress.losses, device=accelerator.device)  # entity and relation loss of the epoch
        batches = iter(loader)
        epoch_steps = min(sampler.steps_per_epoch, num_steps - progress.step + progress.epoch_step)
        for _ in range(progress.epoch_step, epoch_steps):
            micro_batches = [next(batches) for _ in range(arguments.gradient_accumulation_steps)]
            losses = train_step(accelerator, model, optimizer, micro_batches, arguments.max_grad_norm)
            sums += losses
            if not accelerator.optimizer_step_was_skipped:
                schedule.step()
            progress.step += 1
            progress.epoch_step += 1
            bar.update()
            saves = saves_every is not None and progress.step % saves_every == 0
            logs = progress.step % arguments.logging_steps == 0
            stops = interruption.requested
            # Losses stay on the device and processes go on alone until somebody has to know.
            if saves or logs or stops:
                progress.losses = sums.tolist()
            if saves:
                save_checkpoint()
            if logs:
                entity_loss, relation_loss = losses.tolist()
                bar.set_postfix_str(f"epoch {epoch + 1}, loss {entity_loss:.3f} + {relation_loss:.3f}")
                values = {"entity_loss": entity_loss, "relation_loss": relation_loss}
                accelerator.log(values | {"learning_rate": schedule.get_last_lr()[0]}, step=progress.step)
            if accelerator.num_processes == 1 or logs:
                exit_if_interrupted(agreed(accelerator, stops))
        entity_loss, relation_loss = (sums / epoch_steps).tolist()
        progress.losses = sums.tolist()
        row = {"epoch": epoch + 1, "step": progress.step, "entity_loss": entity_loss, "relation_loss": relation_loss}
        if "validation" in corpus:
            dev, _ = evaluate_model(
                plain_model, processor, corpus["validation"], batch_size=arguments.per_device_eval_batch_size
            )
            row |= {name: value for name, value in dev.items() if isinstance(value, float)}
            accelerator.log({f"validation_{name}": row[name] for name in dev if name in row}, step=progress.step)
            shown = f"dev NER {dev['ner_micro_f1']:.3f}, relations {dev[PRIMARY_SCORE]:.3f}"
            bar.write(f"epoch {epoch + 1}: loss {entity_loss:.3f} + {relation_loss:.3f}, {shown}", file=sys.stderr)
        if progress.end_epoch(row, arguments.metric_for_best_model) and arguments.keeps_best:
            checkpoints.save_best(plain_model, progress)
        if accelerator.is_main_process:
            write_json(f"{arguments.output_dir}/{DEV_SCORES}", progress.dev_scores)
        if arguments.checkpointing_steps is not None and (saves_every is None or progress.epoch == num_epochs):
            save_checkpoint()
        exit_if_interrupted(agreed(accelerator, interruption.requested))
    bar.close()

    # The last epoch's model is the result, or the best one's.
    model_epoch = progress.epoch
    if arguments.keeps_best and progress.best is not None:
        checkpoints.load_best(plain_model, progress)
        model_epoch = progress.best.epoch
    record["outcome"] = {
        "steps": progress.step,
        "epochs": progress.epoch,
        "epoch_of_the_model": model_epoch,
        "seconds": round(seconds_before + time.monotonic() - started, 1),
    }
    save_result(accelerator, arguments, plain_model, processor, corpus, progress, record)
    if agreed(accelerator, interruption.requested):
        sys.exit(EXIT_CODE)
    interruption.forget()


def train_step(
    accelerator: Accelerator,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    micro_batches: list[dict[str, torch.Tensor]],
    max_grad_norm: float,
) -> torch.Tensor:
    """One optimizer step over this process's part of the global batch; returns the global entity and relation loss.

    Each loss is a mean over the spans (the relation decisions) of the whole global batch, so that neither the number
    of processes nor of micro-batches changes it. Gradients are averaged over processes: hence the factor.
    """
    counts = torch.stack([count_targets(batch) for batch in micro_batches])  # (micro-batches, 2)
    micro_batches, counts = send_to_device((micro_batches, counts), accelerator.device)
    totals = accelerator.reduce(counts.sum(dim=0), reduction="sum").clamp(min=1)
    losses = torch.zeros(2, device=accelerator.device)
    for number, (batch, count) in enumerate(zip(micro_batches, counts)):
        is_last = number == len(micro_batches) - 1
        with nullcontext() if is_last else accelerator.no_sync(model):
            outputs = model(**batch)
            parts = [outputs.entity_loss]
            if outputs.relation_loss is not None:
                parts.append(outputs.relation_loss)
            share = (count / totals)[: len(parts)]
            weighted = torch.stack(parts) * share
            accelerator.backward(weighted.sum() * accelerator.num_processes)
        losses[: len(parts)] += weighted.detach()
    accelerator.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return accelerator.reduce(losses, reduction="sum")


def agreed(accelerator: Accelerator, requested: bool) -> bool:
    """Whether any process was asked to stop; all of them get the same answer."""
    if accelerator.num_processes == 1:
        return requested
    flag = torch.tensor(int(requested), device=accelerator.device)
    return bool(accelerator.reduce(flag, reduction="sum").item())


def save_result(
    accelerator: Accelerator,
    arguments: TrainingArguments,
    model: SpertModel,
    processor: SpertProcessor,
    corpus: DatasetDict,
    progress: Progress,
    record: dict,
) -> None:
    """Score the model on test (or validation) and write everything into `output_dir`; `config.json` comes last."""
    # In full precision, as whoever loads the model will run it.
    model = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    split = next((name for name in ("test", "validation") if name in corpus), None)
    scores = without_overlapping = None
    predictions: list[dict] = []
    if split is not None:
        scores, predictions = evaluate_model(
            model, processor, corpus[split], batch_size=arguments.per_device_eval_batch_size
        )
        without_overlapping = compute_scores(
            corpus[split].to_list(),
            predictions,
            symmetric_relations=model.config.symmetric_relations,
            without_overlapping=True,
        )
    if accelerator.is_main_process:
        with atomic_folder(arguments.output_dir) as folder:
            save_model(folder, model, processor)
            if split is not None and scores is not None:
                save_scores(folder, scores, predictions, without_overlapping)
                draw_scores_by_type(folder / SCORES_BY_TYPE, scores, split)
            draw_learning_curves(folder / LEARNING_CURVES, progress.dev_scores)
            write_json(folder / RUN, record)
            write_card(
                folder / CARD,
                config=model.config,
                run=record,
                corpus=corpus,
                split=split,
                scores=scores,
                without_overlapping=without_overlapping,
                predictions=predictions,
            )
        if scores is not None:
            accelerator.log({f"{split}_{name}": value for name, value in scores.items() if isinstance(value, float)})
            print_scores(scores, title=f"{arguments.output_dir}, {split}, {len(predictions)} sentences")
    accelerator.wait_for_everyone()


if __name__ == "__main__":
    main()
