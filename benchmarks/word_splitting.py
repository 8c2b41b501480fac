"""Does text come out in the words of its corpus, and can every entity be found in them?

    python -m benchmarks.word_splitting --data_dir data
    python -m benchmarks.word_splitting --data_dir data --show CoNLL04

Rules are learned from the training split and applied to the test split. ADE has no splits: rules are learned from nine
of ten folds and applied to the tenth, and the row is of all ten. CoNLL04 and SciERC hold words and no text: they are
measured with their words joined by one space, and as running text, with punctuation where print has it. The latter is
made by the very function that rules are learned with (`write_as_text`), since nothing better is at hand.

"Same words" is the share of the sentences whose words are exactly the corpus's. An entity that begins or ends inside of
a word cannot be found.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datasets import Dataset

from benchmarks.measuring import machine, print_table
from spert.corpora import load_corpus, words_and_texts
from spert.corpora.ade import NUM_FOLDS
from spert.word_rules_spert import WordRules, write_as_text
from spert.words_spert import join_words, learn_word_rules, split_words

Range = tuple[int, int]


@dataclass
class Sentence:
    """A text, the character ranges of its words, and those of its entities."""

    text: str
    words: list[Range]
    entities: list[Range]


@dataclass
class Counts:
    """What was counted in the sentences of a corpus, without rules (0) and with them (1)."""

    sentences: int = 0
    entities: int = 0
    same_words: list[int] = field(default_factory=lambda: [0, 0])
    off_borders: list[int] = field(default_factory=lambda: [0, 0])
    num_rules: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def row(self) -> list[str]:
        """The cells of a table."""
        same = [f"{100 * number / self.sentences:.2f} %" for number in self.same_words]
        off = [f"{number} ({100 * number / self.entities:.2f} %)" for number in self.off_borders]
        speed = f"{self.bytes / self.seconds / 1e6:.2f}"
        return [str(self.sentences), *same, str(self.entities), *off, str(self.num_rules), speed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data_dir", type=Path, required=True, help="the folder with the folders `conll04`, `scierc` and `ade`"
    )
    parser.add_argument("--show", help="print the words that differ in this row, corpus | splitter")
    arguments = parser.parse_args()
    rows = []
    for name, parts in corpora(arguments.data_dir):
        counts = Counts()
        for rules, sentences in parts:
            count(sentences, rules, counts, show=arguments.show == name)
        rows.append([name, *counts.row()])
    header = [
        "Corpus",
        "Sentences",
        "Same words, no rules",
        "with rules",
        "Entities",
        "Off word borders, no rules",
        "with rules",
        "Rules",
        "MB/s",
    ]
    print_table("Words of unseen text", header, rows)
    print(machine())


def corpora(data_dir: Path) -> Iterator[tuple[str, Iterator[tuple[WordRules, list[Sentence]]]]]:
    """Of each row its name and its parts: rules, and unseen sentences to apply them to."""
    for name in ("CoNLL04", "SciERC"):
        splits = load_corpus(name.lower(), str(data_dir / name.lower()))
        rules = learn_word_rules(*words_and_texts(splits["train"]))
        for kind, write in (("joined by spaces", join_words), ("as running text", write_as_text)):
            written = [write(words) for words in splits["test"]["tokens"]]
            yield f"{name}, {kind}", iter([(rules, sentences_of(splits["test"], written))])
    yield "ADE, its own text", ade_folds(data_dir)


def ade_folds(data_dir: Path) -> Iterator[tuple[WordRules, list[Sentence]]]:
    """The rules of nine folds, and the sentences of the tenth; ten times."""
    for fold in range(NUM_FOLDS):
        splits = load_corpus("ade", str(data_dir / "ade"), fold=fold)
        if "text" not in splits["test"].column_names:
            raise ValueError(f"{data_dir / 'ade'}: expected DRUG-AE.rel, whose sentences have their own text.")
        written = [
            (text, [(start, end) for start, end in words])
            for text, words in zip(splits["test"]["text"], splits["test"]["words"])
        ]
        yield learn_word_rules(*words_and_texts(splits["train"])), sentences_of(splits["test"], written)


def sentences_of(rows: Dataset, written: list[tuple[str, list[Range]]]) -> list[Sentence]:
    """The sentences of a split, given their texts and the character ranges of their words."""
    return [
        Sentence(text, words, [(words[entity["start"]][0], words[entity["end"] - 1][1]) for entity in entities])
        for (text, words), entities in zip(written, rows["entities"])
    ]


def count(sentences: list[Sentence], rules: WordRules, counts: Counts, show: bool = False) -> None:
    """Add sentences to the counts."""
    start = time.perf_counter()
    with_rules = [split_words(sentence.text, rules) for sentence in sentences]
    counts.seconds += time.perf_counter() - start
    counts.bytes += sum(len(sentence.text.encode()) for sentence in sentences)
    counts.sentences += len(sentences)
    counts.entities += sum(len(sentence.entities) for sentence in sentences)
    counts.num_rules = sum(len(contexts) for levels in rules.to_dict().values() for contexts in levels.values())
    for sentence, words in zip(sentences, with_rules):
        for index, found in enumerate((split_words(sentence.text), words)):
            starts, ends = {start for start, _ in found}, {end for _, end in found}
            counts.same_words[index] += found == sentence.words
            counts.off_borders[index] += sum(start not in starts or end not in ends for start, end in sentence.entities)
        if show and words != sentence.words:
            show_difference(sentence, words)


def show_difference(sentence: Sentence, words: list[Range]) -> None:
    """The words that only the corpus has, and those that only the splitter has."""
    parts = [sorted(set(one) - set(other)) for one, other in ((sentence.words, words), (words, sentence.words))]
    corpus, splitter = (" ".join(sentence.text[start:end] for start, end in part) for part in parts)
    first = min(start for part in parts for start, _ in part)
    print(f"{corpus} | {splitter} | … {sentence.text[max(first - 30, 0) : first + 40]} …")


if __name__ == "__main__":
    main()
