"""`spert demo`: a web page to try a model on."""

from pathlib import Path
from typing import Annotated

import typer

from ..loading import load_model
from .predict import Dtype
from .shared import Model


def demo(
    model: Model,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: the first free one from 7860 on.")
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(help="Texts to choose from: .txt, .json, .jsonl. Default: sentences of the corpus that it knows."),
    ] = None,
    max_characters: Annotated[int, typer.Option(min=1, help="The longest text that the page reads.")] = 20_000,
    dtype: Annotated[Dtype, typer.Option(help="The model's numbers; int8 is for CPUs.")] = Dtype.float32,
) -> None:
    """Serve a web page that shows what a model finds in a text. Nothing leaves this machine."""
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise ModuleNotFoundError("spert demo: expected gradio, which is not installed: pip install 'spert[demo]'.")
    from ..demo.reading import Reader
    from ..demo.serving import launch
    from ..options_spert import DecodingOptions
    from ..prediction import predict
    from ..samples import samples_of_file, samples_of_model

    samples = samples_of_file(examples) if examples is not None else samples_of_model(model)
    loaded, processor = load_model(model, dtype.value)
    reader = Reader.of(
        Path(model).name if Path(model).is_dir() else model,
        lambda item, **options: predict(loaded, processor, [item], **options)[0],
        processor,
        DecodingOptions.of(loaded.config),
        max_characters,
    )
    page = launch(reader, samples, host=host, port=port, is_blocking=False)
    typer.echo(f"{reader.name}: {page.local_url} (Ctrl-C ends it)")
    page.block_thread()
