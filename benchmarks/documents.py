"""What documents cost: one text against its sentences, two sentences a window, and a long sentence in windows.

python -m benchmarks.documents --model outputs/conll04-42 --data_dir data/conll04
"""

import argparse
import itertools

from benchmarks.measuring import print_times, times_in_turns
from benchmarks.models import add_model_flags, add_sentence_flags, load_model, sentences_of
from spert.prediction import predict
from spert.windows_spert import SHARED_PIECES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_flags(parser)
    add_sentence_flags(parser)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    name, sentences = sentences_of(arguments)
    model, processor = load_model(arguments, sentences)

    texts = [" ".join(words) for words in sentences]
    document = " ".join(texts)
    ranges, start = [], 0
    for text in texts:
        ranges.append([start, start + len(text)])
        start += len(text) + 1

    def extract(inputs: list, **kwargs: object) -> list:
        return predict(model, processor, inputs, batch_size=arguments.batch_size, **kwargs)

    one_text = [{"text": document, "sentences": ranges}]
    tasks = {
        "texts, each one sentence": lambda: extract(texts, sentences=False),
        "their words": lambda: extract(sentences),
        "one text, with its sentences": lambda: extract(one_text),
        "one text, sentences found": lambda: extract([document]),
        "one text, two sentences a window": lambda: extract(one_text, sentences_per_window=2),
    }
    seconds = times_in_turns(tasks, arguments.rounds, model.device)
    title = f"{name}, {len(sentences)} sentences in batches of {arguments.batch_size}"
    print_times(title, seconds, len(sentences), "sentences", "texts, each one sentence", model.device)

    words = [word for sentence in sentences for word in sentence]
    (result,) = extract([words])
    if "windows" not in result:
        print(f"All {len(words)} words fit into the encoder: nothing to read in windows.")
        return
    (encoded,) = processor.encode_documents([words])
    windows = encoded.windows
    borders = [0, *(window.end for window in windows)]
    parts = [words[first:last] for first, last in itertools.pairwise(borders)]
    tasks = {
        "the same words cut apart": lambda: extract(parts),
        "one sentence in windows": lambda: extract([words]),
    }
    seconds = times_in_turns(tasks, arguments.rounds, model.device)
    title = (
        f"{len(words)} words as one sentence: {len(windows)} windows of up to {processor.max_pieces} pieces, which "
        f"share up to one part in {SHARED_PIECES}"
    )
    print_times(title, seconds, len(words), "words", "the same words cut apart", model.device)


if __name__ == "__main__":
    main()
