"""`spert convert`: a checkpoint of the original implementation in this project's layout."""

from pathlib import Path
from typing import Annotated

import typer


def convert(
    checkpoint: Annotated[Path, typer.Option(help="A folder that the original implementation saved.")],
    types: Annotated[Path, typer.Option(help="The type file that the model was trained with.")],
    output: Annotated[Path, typer.Option(help="The folder for the model in this project's layout.")],
    lowercase: Annotated[bool, typer.Option("--lowercase", help="The model was trained on lower-cased text.")] = False,
    corpus: Annotated[
        str | None,
        typer.Option(help="The corpus that the model was trained on, by name or file: text is then split as there."),
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="The folder that holds a named corpus's files.")] = None,
) -> None:
    """Convert a checkpoint of the original SpERT."""
    from ..conversion import convert_checkpoint
    from ..corpora import load_corpus, read_types, words_and_texts
    from ..training.output import save_model

    model, processor = convert_checkpoint(checkpoint, read_types(types), lowercase=lowercase)
    if corpus is not None:
        splits = load_corpus(corpus, data_dir)
        if "train" not in splits:
            raise ValueError(f"--corpus: expected a corpus with a split 'train', got {', '.join(splits)}.")
        processor.learn_words(*words_and_texts(splits["train"]))
    save_model(output, model, processor)
    typer.echo(
        f"{output}: {len(model.config.entity_types)} entity and {len(model.config.relation_types)} relation types."
    )
