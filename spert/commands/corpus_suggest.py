"""`spert corpus suggest`: the sentences that a person should annotate next, with what a model thinks of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..loading import load_model
from .shared import BatchSize, Model

if TYPE_CHECKING:
    from ..extraction.sources import Entry, Source


def suggest(
    model: Model,
    input: Annotated[str, typer.Option(help="Texts: .jsonl, .json (SpERT JSON), .txt, .parquet, or a dataset.")],
    output: Annotated[Path, typer.Option(help="The file or folder of pre-annotations to write.")],
    number: Annotated[int, typer.Option(min=1, help="How many sentences to choose.")] = 100,
    to_format: Annotated[
        str | None, typer.Option(help="The tool's format, such as label-studio. Default: by the ending of --output.")
    ] = None,
    annotated: Annotated[
        list[Path] | None, typer.Option(help="Annotated text in any format, whose sentences are not chosen again.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of a dataset.")] = "train",
    batch_size: BatchSize = 16,
) -> None:
    """Choose the sentences that a person should annotate next: those a model is least certain of, and that differ."""
    import sys

    from ..corpora.formats import format_of, read_records, write_records
    from ..corpora.reading import Reading, Writing
    from ..exported import is_exported
    from ..extraction.sources import open_source
    from ..selection import choose_sentences, score_sentences

    format_of(output, to_format)
    if is_exported(model):
        raise ValueError(f"{model}: expected a trained model, got an exported one, which hides its encoder.")
    known = {
        _letters(" ".join(record["tokens"])) for file in annotated or () for record in read_records(file, Reading())
    }
    source = open_source(input, split)
    sentences: dict[str, Any] = {}
    names: list[str] = []
    total = 0
    for entry in source.read(lambda number: True):
        for name, sentence in _sentences_of(source, entry):
            total += 1
            letters = _letters(sentence if isinstance(sentence, str) else " ".join(sentence))
            if letters and letters not in known and letters not in sentences:
                sentences[letters] = sentence
                names.append(name)
    if not sentences:
        raise ValueError(f"{input}: expected sentences that are not annotated yet, got none among {total}.")
    loaded, processor = load_model(model)
    scored = score_sentences(
        loaded, processor, list(sentences.values()), batch_size=batch_size, progress=sys.stderr.isatty()
    )
    chosen = choose_sentences(scored, number)
    writing = Writing()
    write_records(output, [_record(names[index], scored.results[index]) for index in chosen], to_format, writing)
    for what, count in sorted(writing.lost.items()):
        if count:
            typer.echo(f"{count} {what}")
    mean, of_chosen = (values.mean().item() for values in (scored.uncertainties, scored.uncertainties[chosen]))
    typer.echo(
        f"{output}: {len(chosen)} of {len(sentences)} different sentences ({total} in all). The model expects "
        f"{of_chosen:.2f} mistakes in each of them, {mean:.2f} in one of all."
    )


def _letters(text: str) -> str:
    """A text without white space: the same for a sentence and for its words."""
    return "".join(text.split())


def _sentences_of(source: "Source", entry: "Entry") -> Iterator[tuple[str, Any]]:
    """The sentences of an entry, each with an id: the texts of a text's sentences, or words.

    Raises:
        ValueError: the entry cannot be read; the message names file and place.
    """
    from ..prediction import Refused
    from ..sentences_spert import split_sentences

    value, where = entry.value, source.where(entry)
    name = str(entry.place)
    if isinstance(value, Refused):
        raise ValueError(f"{where}: {value.reason}")
    if isinstance(value, Mapping):
        name = str(next((value[key] for key in ("id", "orig_id") if value.get(key) is not None), name))
        value = value.get("text") if value.get("text") is not None else value.get("tokens")
    if isinstance(value, str):
        for position, (start, end) in enumerate(split_sentences(value)):
            yield f"{name}/{position}", value[start:end]
    elif isinstance(value, list) and all(isinstance(word, str) for word in value):
        yield name, value
    else:
        raise ValueError(f"{where}: expected a text, words, or a record with 'text' or 'tokens', got {value!r:.80}.")


def _record(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as a record with scores, whose spans count words."""
    text, words = result["text"], result["words"]
    return {
        "id": name,
        "tokens": [text[start:end] for start, end in words],
        "entities": [
            {"type": one["type"], "start": one["word_start"], "end": one["word_end"], "score": one["score"]}
            for one in result["entities"]
        ],
        "relations": [dict(one) for one in result["relations"]],
        "text": text,
        "words": [list(word) for word in words],
    }
