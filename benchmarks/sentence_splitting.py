"""How well are sentences found in running text, beside spaCy's `sentencizer` and pySBD?

    python -m benchmarks.sentence_splitting --data_dir data
    python -m benchmarks.sentence_splitting --data_dir data --part tuning

The corpora come as sentences, which are joined with one space: SciERC's abstracts, DRUG-AE.rel's sentences ten at a
time, CoNLL04's sentences ten at a time. A boundary is the gap between two sentences; the ends of a text, which are
right in any case, do not count. SciERC and CoNLL04 have words and no text: they are measured with all words apart and
with their punctuation put back where print has it.

The rules were written with the training splits and the first half of DRUG-AE.rel in view (`--part tuning`). The table
is of the rest. What a closing quote and a remark in parentheses do was seen in CoNLL04 test sentences, too.
"""

import argparse
import itertools
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import machine, print_table
from spert.corpora import load_corpus
from spert.sentences_spert import split_sentences

Splitter = Callable[[str], list[tuple[int, int]]]

SENTENCES_A_TEXT = 10


class Document(NamedTuple):
    """Sentences joined to a text, and the positions at which they end but for the last one."""

    text: str
    boundaries: set[int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data_dir", type=Path, required=True, help="the folder with the folders `scierc`, `ade` and `conll04`"
    )
    parser.add_argument("--part", choices=["held-out", "tuning"], default="held-out")
    parser.add_argument("--rounds", type=int, default=3, help="of which the fastest one is reported")
    parser.add_argument("--show", help="print the boundaries that our splitter gets wrong in this corpus")
    arguments = parser.parse_args()
    splitters: dict[str, Splitter] = {"ours": split_sentences, "sentencizer": sentencizer(), "pySBD": pysbd()}
    rows = []
    for name, documents in read_corpora(arguments.data_dir, arguments.part == "tuning").items():
        sentences = sum(len(document.boundaries) + 1 for document in documents)
        size = sum(len(document.text.encode()) for document in documents)
        for splitter_name, split in splitters.items():
            seconds = []
            for _ in range(arguments.rounds):
                start = time.perf_counter()
                found = [split(document.text) for document in documents]
                seconds.append(time.perf_counter() - start)
            scores = (f"{score:.4f}" for score in boundary_scores(documents, found))
            rate = (f"{sentences / min(seconds):.0f}", f"{size / min(seconds) / 1e6:.2f}")
            rows.append([name, len(documents), sentences, splitter_name, *scores, *rate])
        if name == arguments.show:
            show_errors(documents, split_sentences)
    header = ["Corpus", "Texts", "Sentences", "Splitter", "Precision", "Recall", "F1", "Sentences a second", "MB/s"]
    print_table(f"Boundaries of sentences, {arguments.part} part", header, rows)
    print(machine())


def read_corpora(data_dir: Path, tuning: bool) -> dict[str, list[Document]]:
    """The texts of the parts that the rules were tuned on, or of the others."""
    splits = ["train"] if tuning else ["validation", "test"]
    scierc = load_corpus("scierc", str(data_dir / "scierc"))
    abstracts = []
    for split in splits:
        records = zip(scierc[split]["id"], scierc[split]["tokens"])
        for _, sentences in itertools.groupby(records, key=lambda record: record[0].rsplit("/", 1)[0]):
            abstracts.append([words for _, words in sentences])
    conll04 = load_corpus("conll04", str(data_dir / "conll04"))
    news = in_tens([words for split in splits for words in conll04[split]["tokens"]])
    reports = ade_sentences(data_dir / "ade" / "DRUG-AE.rel")
    half = len(reports) // 2
    return {
        "SciERC, words apart": [joined([" ".join(words) for words in text]) for text in abstracts],
        "SciERC": [joined([as_printed(words) for words in text]) for text in abstracts],
        "DRUG-AE.rel": [joined(text) for text in in_tens(reports[:half] if tuning else reports[half:])],
        "CoNLL04, words apart": [joined([" ".join(words) for words in text]) for text in news],
        "CoNLL04": [joined([as_printed(words) for words in text]) for text in news],
    }


def ade_sentences(file: Path) -> list[str]:
    """The distinct sentences in the order of the file, with their own punctuation and spacing."""
    with open(file, encoding="utf-8") as lines:
        return list(dict.fromkeys(line.split("|")[1].strip() for line in lines))


def in_tens(sentences: Sequence) -> list[Sequence]:
    return [sentences[first : first + SENTENCES_A_TEXT] for first in range(0, len(sentences), SENTENCES_A_TEXT)]


def joined(sentences: Sequence[str]) -> Document:
    text = " ".join(sentences)
    ends = itertools.accumulate(sentences, lambda end, sentence: end + 1 + len(sentence), initial=-1)
    return Document(text, set(list(ends)[1:-1]))


def as_printed(words: Sequence[str]) -> str:
    """The words of a sentence with the spaces that print has: none before a comma or after an opening bracket."""
    text = re.sub(r"(?:` ?`|' ?'|'')", '"', " ".join(words))
    parts = text.split('"')  # an odd number of parts: the quotation marks are in pairs
    if len(parts) % 2:
        text = "".join((f'"{part.strip()}"' if number % 2 else part) for number, part in enumerate(parts))
    text = re.sub(r"(?<=\d) , (?=\d{3}\b)", ",", text)
    text = re.sub(r" (?=(?:[.,;:?!%)\]}]|'(?:s|re|ve|ll|d|m|t)?\b|n't\b)(?:[\s\"'.,;:)]|$))", "", text)
    return re.sub(r"([(\[{$#]) ", r"\1", text)


def boundary_scores(
    documents: Sequence[Document], found: Sequence[list[tuple[int, int]]]
) -> tuple[float, float, float]:
    """Precision, recall and F1 of the boundaries of all texts.

    >>> boundary_scores([Document("A. B. C.", {2, 5})], [[(0, 2), (3, 8)]])
    (1.0, 0.5, 0.6666666666666666)
    """
    right = predicted = gold = 0
    for document, sentences in zip(documents, found):
        ends = {end for _, end in sentences[:-1]}
        right += len(ends & document.boundaries)
        predicted += len(ends)
        gold += len(document.boundaries)
    precision, recall = right / max(predicted, 1), right / max(gold, 1)
    return precision, recall, 2 * right / max(predicted + gold, 1)


def show_errors(documents: Sequence[Document], split: Splitter) -> None:
    for document in documents:
        ends = {end for _, end in split(document.text)[:-1]}
        for end in sorted(ends ^ document.boundaries):
            kind = "missed" if end in document.boundaries else "wrong"
            print(f"{kind:7}{document.text[max(end - 50, 0) : end]} ¦{document.text[end : end + 50]}")


def sentencizer() -> Splitter:
    """The rule of spaCy: a sentence ends with a sign of a list."""
    import spacy

    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    return lambda text: [(sentence.start_char, sentence.end_char) for sentence in pipeline(text).sents]


def pysbd() -> Splitter:
    """PySBD's rules for English; its spans keep the white space after a sentence, which is left out here."""
    import pysbd

    segmenter = pysbd.Segmenter(language="en", clean=False, char_span=True)

    def split(text: str) -> list[tuple[int, int]]:
        spans = [(span.start, span.end) for span in segmenter.segment(text)]
        return [(start, start + len(text[start:end].rstrip())) for start, end in spans]

    return split


if __name__ == "__main__":
    main()
