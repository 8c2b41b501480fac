"""How much does a training step cost on top of the encoder's own?

    python -m benchmarks.training_speed --data_dir data/conll04
    python -m benchmarks.training_speed --model bert-base --batch_size 2 --device cuda --dtype bfloat16

A step is forward, backward, clipping and fused AdamW. The encoder alone does the same on the same pieces, with the mean
of its hidden states as its loss.
"""

import argparse

import torch

from benchmarks.measuring import print_times, times_in_turns
from benchmarks.models import add_model_flags, load_model
from spert.collating_spert import SpertDataCollator, SpertTrainingDataset
from spert.configuration_spert import SpertConfig
from spert.corpora import load_corpus, types_of
from spert.modeling_spert import SpertModel


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_flags(parser)
    parser.add_argument("--dataset", default="conll04", help="a corpus by name, or a folder or file of SpERT JSON")
    parser.add_argument("--data_dir", help="the folder that holds a named corpus's files")
    parser.add_argument("--batch_size", type=int, nargs="+", default=[2, 16, 64])
    parser.add_argument("--sentences", type=int, default=64, help="sentences that pass in a round")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args(words)
    corpus = load_corpus(arguments.dataset, arguments.data_dir)
    records = corpus["train"].select(range(min(arguments.sentences, len(corpus["train"])))).to_list()
    model, processor = load_model(arguments, [record["tokens"] for record in records])
    config = SpertConfig(encoder_config=model.encoder.config, **types_of(corpus).config_fields())
    model = SpertModel(config, encoder=model.encoder).to(arguments.device)
    rows = SpertTrainingDataset(records, processor, model.config)
    collate = SpertDataCollator(processor)
    for size in arguments.batch_size:
        chunks = [range(first, min(first + size, len(rows))) for first in range(0, len(rows), size)]
        items = [[rows[index] for index in chunk] for chunk in chunks]
        batches = [{name: value.to(arguments.device) for name, value in collate(one).items()} for one in items]
        measure(arguments, model, batches, size, len(rows))


def measure(
    arguments: argparse.Namespace, model: SpertModel, batches: list[dict[str, torch.Tensor]], size: int, number: int
) -> None:
    model.train()
    dtype, device = getattr(torch, arguments.dtype), torch.device(arguments.device)

    def steps(parameters: list[torch.nn.Parameter], loss_of: object) -> object:
        optimizer = torch.optim.AdamW(parameters, lr=1e-6, fused=True)

        def run() -> None:
            for batch in batches:
                with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                    loss = loss_of(batch)  # type: ignore[operator]
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                optimizer.zero_grad()

        return run

    def encoder_loss(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        outputs = model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        return outputs.last_hidden_state.float().mean()

    tasks = {
        "encoder alone": steps(list(model.encoder.parameters()), encoder_loss),
        "training step": steps(list(model.parameters()), lambda batch: model(**batch).loss),
    }
    seconds = times_in_turns(tasks, arguments.rounds, device)  # type: ignore[arg-type]
    title = f"{arguments.model}, {arguments.dtype}, batches of {size}: {len(batches)} training steps"
    print_times(title, seconds, number, "sentences", "encoder alone", device)


if __name__ == "__main__":
    main()
