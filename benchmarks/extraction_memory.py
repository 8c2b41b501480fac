"""How much memory does a forward pass take at its peak, compared with the encoder's own?

    python -m benchmarks.extraction_memory

One sentence with a fixed number of predicted entities, MiniLM with untrained heads; the peak of the resident memory
over its level before the forward, each measurement in a process of its own, after a short sentence has warmed it up.
Linux only: the peak is reset through /proc/self/clear_refs.
"""

import argparse
import ctypes
import gc
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import machine, minilm
from spert.modeling_spert import SpertModel
from spert.processing_spert import SpertProcessor

WORDS = ("the", "harbour", "of", "Oslo", "was", "quiet", "when", "Ada", "Park", "came", "home", "that", "night", ",")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, nargs="+", default=[50, 100, 200, 400], help="lengths of the sentence")
    parser.add_argument("--entities", type=int, default=20, help="entities that the model is made to find in it")
    parser.add_argument("--rounds", type=int, default=5, help="processes a measurement")
    parser.add_argument("--measure", choices=["encoder", "model"], help="one measurement, in this process")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.words[0], arguments.entities)))
        return
    table = Table(title=f"Peak memory of a forward, {arguments.entities} entities", title_justify="left")
    for name in ("Words", "Encoder alone", "Model", "Model ÷ encoder"):
        table.add_column(name, justify="right")
    for words in arguments.words:
        peaks = {}
        for part in ("encoder", "model"):
            flags = ["--measure", part, "--words", str(words), "--entities", str(arguments.entities)]
            command = [sys.executable, "-m", "benchmarks.extraction_memory", *flags]
            runs = [
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
                for _ in range(arguments.rounds)
            ]
            peaks[part] = statistics.median(runs)
        shown = [f"{peaks[part] / 2**20:.1f} MiB" for part in ("encoder", "model")]
        table.add_row(str(words), *shown, f"{peaks['model'] / peaks['encoder']:.2f}")
    console = Console(width=120)
    console.print(table)
    console.print(f"{machine()}; median of {arguments.rounds} processes each")


@torch.inference_mode()
def measure(part: str, num_words: int, num_entities: int) -> int:
    """Bytes by which the resident memory rises at its peak during one forward of the encoder or the whole model."""
    torch.manual_seed(0)
    model = SpertModel.from_encoder(minilm(), entity_types=["A", "B"], relation_types=["r", "s", "t"]).eval()
    processor = SpertProcessor.from_encoder(minilm())
    words = [WORDS[index % len(WORDS)] for index in range(num_words)]
    batch = processor(words, is_split_into_words=True)
    find_entities(model, batch, num_entities)
    warm_up = processor(words[:8], is_split_into_words=True)

    def forward(inputs: dict[str, torch.Tensor]) -> object:
        if part == "model":
            return model(**inputs)
        return model.encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])

    forward(warm_up)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # or the forward would fill what loading the weights left free
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    outputs = forward(batch)
    peak = resident("VmHWM")
    if part == "model":
        assert len(outputs.candidate_entities) == num_entities  # type: ignore[attr-defined]
    return peak - before


def find_entities(model: SpertModel, batch: dict[str, torch.Tensor], number: int) -> None:
    """Shift the threshold between "none" and the types so that the model finds this many entities in the batch."""
    logits = model(**batch).entity_logits[0]
    margins = (logits[:, 0] - logits[:, 1:].amax(dim=-1)).sort().values
    model.span_classifier.linear.bias[0] -= (margins[number - 1] + margins[number]) / 2


def resident(field: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}.")


if __name__ == "__main__":
    main()
