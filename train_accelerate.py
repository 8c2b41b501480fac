"""Train a SpERT model, on one process or many.

    accelerate launch train_accelerate.py configs/conll04.yaml --output_dir outputs/conll04
    accelerate launch train_accelerate.py --train_file train.json --validation_file dev.json --types_file types.json

A recipe (YAML) gives defaults, flags override it; `python train_accelerate.py --help` lists them. The defaults are the
paper's settings, except that the optimizer is torch's AdamW (the original's variant left out the bias correction) and
that every sentence is seen (the original dropped an incomplete last batch). The result is the model after the last
epoch, as in the original.
"""

from contextlib import nullcontext

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device, set_seed
from datasets import DatasetDict
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from spert.collating_spert import SpertDataCollator, SpertTrainingDataset
from spert.corpora import load_corpus, load_files, types_of
from spert.evaluation.evaluator import evaluate_model
from spert.evaluation.report import print_scores
from spert.evaluation.scores import PRIMARY_SCORE
from spert.files import write_json
from spert.modeling_spert import SpertModel
from spert.processing_spert import SpertProcessor
from spert.training.arguments import TrainingArguments, parse_arguments
from spert.training.batches import ShardedBatchSampler, TrainingCollator, count_targets
from spert.training.launch import check_number_of_processes
from spert.training.optimization import make_optimizer, make_schedule
from spert.training.output import DEV_SCORES, refuse_to_overwrite, save_model, save_scores


def main() -> None:
    arguments = parse_arguments()
    refuse_to_overwrite(arguments.output_dir, arguments.overwrite_output_dir)
    accelerator = Accelerator()
    check_number_of_processes(accelerator.num_processes)
    set_seed(arguments.seed)

    # Corpus, model and processor. The main process goes first, so that others find what it downloaded.
    with accelerator.main_process_first():
        corpus = load_corpus_of(arguments)
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
    accelerator.print(
        f"{len(corpus['train'])} sentences, {len(types.entities)} entity types, {len(types.relations)} relation types, "
        f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters, "
        f"{accelerator.num_processes} process(es) on {accelerator.device.type}"
    )

    # Batches: gold and sampled spans and pairs.
    train = SpertTrainingDataset(
        corpus["train"].to_list(),
        processor,
        model.config,
        num_negative_spans=arguments.num_negative_spans,
        num_negative_relations=arguments.num_negative_relations,
        weak_negative_relations=arguments.weak_negative_relations,
        seed=arguments.seed,
    )
    sampler = ShardedBatchSampler(
        len(train),
        arguments.per_device_train_batch_size,
        accumulation_steps=arguments.gradient_accumulation_steps,
        seed=arguments.seed,
        process_index=accelerator.process_index,
        num_processes=accelerator.num_processes,
    )
    loader = DataLoader(
        train,
        batch_sampler=sampler,
        collate_fn=TrainingCollator(SpertDataCollator(processor), len(types.relations)),
        num_workers=arguments.dataloader_num_workers,
    )

    num_steps = arguments.max_train_steps or arguments.num_train_epochs * sampler.steps_per_epoch
    num_epochs = -(-num_steps // sampler.steps_per_epoch)
    optimizer = make_optimizer(model, arguments)
    schedule = make_schedule(optimizer, arguments, num_steps)
    # Not the loader, which deals out whole sentences already, nor the schedule, which counts optimizer steps.
    model, optimizer = accelerator.prepare(model, optimizer)

    dev_scores = []
    step = 0
    bar = tqdm(total=num_steps, unit="step", disable=not accelerator.is_main_process)
    for epoch in range(num_epochs):
        train.set_epoch(epoch)
        sampler.set_epoch(epoch)
        model.train()
        sums = torch.zeros(2)  # entity and relation loss of the epoch
        batches = iter(loader)
        epoch_steps = min(sampler.steps_per_epoch, num_steps - step)
        for _ in range(epoch_steps):
            micro_batches = [next(batches) for _ in range(arguments.gradient_accumulation_steps)]
            sums += train_step(accelerator, model, optimizer, micro_batches, arguments.max_grad_norm)
            if not accelerator.optimizer_step_was_skipped:
                schedule.step()
            step += 1
            bar.update()
        entity_loss, relation_loss = (sums / epoch_steps).tolist()
        row = {"epoch": epoch + 1, "step": step, "entity_loss": entity_loss, "relation_loss": relation_loss}
        if "validation" in corpus:
            scores, _ = evaluate_model(
                accelerator.unwrap_model(model),
                processor,
                corpus["validation"],
                batch_size=arguments.per_device_eval_batch_size,
            )
            row |= {name: value for name, value in scores.items() if isinstance(value, float)}
        dev_scores.append(row)
        if accelerator.is_main_process:
            write_json(f"{arguments.output_dir}/{DEV_SCORES}", dev_scores)
            shown = {"epoch": f"{epoch + 1}", "loss": f"{entity_loss:.3f}+{relation_loss:.3f}"}
            if "validation" in corpus:
                shown |= {"dev ner": f"{row['ner_micro_f1']:.3f}", "dev rel": f"{row[PRIMARY_SCORE]:.3f}"}
            bar.set_postfix(shown)
    bar.close()

    # The last epoch's model is the result.
    model = accelerator.unwrap_model(model)
    split = next((name for name in ("test", "validation") if name in corpus), None)
    if accelerator.is_main_process:
        save_model(arguments.output_dir, model, processor)
    if split is not None:
        scores, predictions = evaluate_model(
            model, processor, corpus[split], batch_size=arguments.per_device_eval_batch_size
        )
        if accelerator.is_main_process:
            save_scores(arguments.output_dir, scores, predictions)
            print_scores(scores, title=f"{arguments.output_dir}, {split}, {len(predictions)} sentences")
    accelerator.wait_for_everyone()
    accelerator.end_training()


def load_corpus_of(arguments: TrainingArguments) -> DatasetDict:
    """The corpus that the arguments name, with at least the split `train`."""
    if arguments.dataset_name is not None:
        corpus = load_corpus(arguments.dataset_name, arguments.data_dir, types_file=arguments.types_file)
    else:
        files = {
            "train": arguments.train_file,
            "validation": arguments.validation_file,
            "test": arguments.test_file,
        }
        corpus = load_files({split: file for split, file in files.items() if file}, arguments.types_file)
    if "train" not in corpus or len(corpus["train"]) == 0:
        raise ValueError(f"Expected sentences to train on, got the splits {dict(corpus.num_rows)}.")
    return corpus


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
    micro_batches = send_to_device(micro_batches, accelerator.device)
    counts = torch.stack([count_targets(batch) for batch in micro_batches])  # (micro-batches, 2)
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
    return accelerator.reduce(losses, reduction="sum").cpu()


if __name__ == "__main__":
    main()
