"""Extract from many documents: batches of like length, results in input order, all at once or as a stream."""

import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from tqdm.auto import tqdm

from .batches_spert import SpertBatch
from .decoding_spert import DecodedSentence
from .documents_spert import Sentences
from .encoding_spert import EncodedDocument
from .inference.eager import EagerForward, Forward, Scored, run_ahead, runs_ahead
from .modeling_spert import SpertModel
from .options_spert import DecodingOptions
from .processing_spert import SpertProcessor

Sentence = str | Sequence[str] | Mapping[str, Any]
"""What gives one result: a text, words of one sentence, or a record with `text` or `tokens`."""

LOOK_AHEAD = 64
"""Batches that a stream reads ahead, to put sentences of like length together."""

CHARACTERS_PER_SENTENCE = 128
WORDS_PER_SENTENCE = 24
"""What a stream takes for a sentence when it reads ahead: a long document counts as many."""

RUNS_AHEAD_ON = ("cuda",)
"""Devices on which the next batch is launched before the host waits for one. A CPU has nothing to do meanwhile."""

DECODED_AT_A_TIME = 2
"""Batches that wait for the thread that decodes, at most."""


@dataclass(frozen=True)
class Refused:
    """A document that cannot be extracted from, and why."""

    reason: str


def predict(
    model: SpertModel,
    processor: SpertProcessor,
    texts: Iterable[Sentence],
    *,
    batch_size: int = 16,
    sentences: Sentences | Sequence[Sentences] = None,
    on_overflow: str = "windows",
    sentences_per_window: int | None = None,
    return_all_scores: bool = False,
    progress: bool = False,
    cuda_graphs: bool = False,
    **decoding: Any,
) -> list[dict[str, Any]]:
    """Entities and relations of each document.

    ```python
    predict(model, processor, ["Ada Park joined Northwind Labs. She lives in Oslo.", ["Oslo", "is", "quiet", "."]])
    ```

    Args:
        texts: a string is a text, whose sentences are found; a list is words of one sentence; a record has `text` or
            `tokens`, and `sentences` or `entities` where they are known. Of a corpus's records, which have `tokens` and
            `relations`, only the words are read.
        batch_size: sentences that pass the encoder together; those of like length do, so that little is padding.
        sentences, on_overflow, sentences_per_window: see `SpertProcessor.__call__`.
        return_all_scores: see `SpertProcessor.post_process_entity_relation_extraction`.
        progress: show a progress bar.
        cuda_graphs: pad batches to few shapes, and launch each of those that come often as one captured graph. For
            many sentences on a GPU; scores differ by rounding.
        decoding: what counts as found, in place of the model configuration's values: `relation_threshold`,
            `entity_threshold`, `relation_arguments`, `overlapping_entities`, `temperature`; see `DecodingOptions`.

    Returns:
        The dictionaries of `SpertProcessor.post_process_entity_relation_extraction`, in the order of `texts`.
        Each module's mode (training or evaluation) is as it was before.

    Raises:
        ValueError: a text cannot be read, and the message says which and why; or there are to be graphs of a model
            that is on no GPU, or that something else runs already (a compiled one, one with hooks).
    """
    forward = _forward_of(model, batch_size, cuda_graphs)
    options = _checked_options("predict", model, texts, batch_size, decoding)
    encoded = processor.encode_documents(
        list(texts),
        sentences=sentences,
        on_overflow=on_overflow,
        sentences_per_window=sentences_per_window,
        entity_types=model.config.entity_types,
    )
    total = sum(len(document.rows) for document in encoded)
    with tqdm(total=total, unit="sentence", disable=not progress) as bar:
        return _extract(model, processor, encoded, options, batch_size, return_all_scores, forward, bar.update)


def predict_stream(
    model: SpertModel,
    processor: SpertProcessor,
    texts: Iterable[Sentence | Refused],
    *,
    batch_size: int = 16,
    look_ahead: int = LOOK_AHEAD,
    sentences: Sentences = None,
    on_overflow: str = "windows",
    sentences_per_window: int | None = None,
    return_all_scores: bool = False,
    cuda_graphs: bool = False,
    **decoding: Any,
) -> Iterator[dict[str, Any] | Refused]:
    """Entities and relations of any number of documents, in constant memory and in input order.

    While the model works on about `batch_size * look_ahead` sentences, the next ones are read and tokenized.

    Args:
        texts: as for `predict`; what is refused already passes through.
        look_ahead: batches that are read together; sentences of like length among them go together.
        sentences: one choice for all texts; a record may have its own.
        batch_size, on_overflow, sentences_per_window, return_all_scores, cuda_graphs, decoding: as for `predict`.

    Returns:
        For each text the dictionary that `predict` gives, or why there is none. The reason does not say which text it
        is: the place in the stream does.
    """
    forward = _forward_of(model, batch_size, cuda_graphs)
    options = _checked_options("predict_stream", model, texts, batch_size, decoding)
    if look_ahead < 1:
        raise ValueError(f"predict_stream: expected a look_ahead of at least 1, got {look_ahead}.")
    source = iter(texts)
    remembered: dict[str, list[int]] = {}

    def encode(together: Sequence[Sentence]) -> list[EncodedDocument]:
        return processor.encode_documents(
            together,
            sentences=sentences,
            on_overflow=on_overflow,
            sentences_per_window=sentences_per_window,
            entity_types=model.config.entity_types,
            remembered=remembered,
        )

    def read_ahead() -> list[EncodedDocument | Refused]:
        return _encode_or_refuse(encode, list(_take(source, batch_size * look_ahead)))

    def stream() -> Iterator[dict[str, Any] | Refused]:
        with ThreadPoolExecutor(max_workers=1) as reader:
            waiting: Future[list[EncodedDocument | Refused]] = reader.submit(read_ahead)
            while documents := waiting.result():
                waiting = reader.submit(read_ahead)
                encoded = [document for document in documents if not isinstance(document, Refused)]
                results = iter(_extract(model, processor, encoded, options, batch_size, return_all_scores, forward))
                for document in documents:
                    yield document if isinstance(document, Refused) else next(results)

    return stream()


def as_spert_json(results: Iterable[Mapping[str, Any]], ids: Iterable[Any] | None = None) -> list[dict[str, Any]]:
    """Results as records of SpERT JSON, whose spans count words.

    Args:
        results: as `predict` returns them.
        ids: an `id` for each, which SpERT JSON writes as `orig_id`.
    """
    records: list[dict[str, Any]] = []
    for result in results:
        records.append(
            {
                "tokens": [result["text"][start:end] for start, end in result["words"]],
                "entities": [
                    {"type": entity["type"], "start": entity["word_start"], "end": entity["word_end"]}
                    for entity in result["entities"]
                ],
                "relations": [
                    {"type": relation["type"], "head": relation["head"], "tail": relation["tail"]}
                    for relation in result["relations"]
                ],
            }
        )
    if ids is not None:
        for record, identifier in zip(records, ids, strict=True):
            record["id"] = identifier
    return records


@contextlib.contextmanager
def evaluation_mode(model: SpertModel) -> Iterator[None]:
    """Put every module of a model into evaluation mode, and each back into its own mode afterwards.

    Several threads may do so at a time: the last one to leave restores the modes.
    """
    if not isinstance(model, torch.nn.Module):  # an exported model has no other mode
        yield
        return
    with _MODES_LOCK:
        modes = _MODES.setdefault(model, _Modes([module for module in model.modules() if module.training]))
        modes.users += 1
        model.eval()
    try:
        yield
    finally:
        with _MODES_LOCK:
            modes.users -= 1
            if modes.users == 0:
                del _MODES[model]
                for module in modes.training:
                    module.training = True


@dataclass
class _Modes:
    """The modules of a model that were in training mode, and the threads that want them in evaluation mode."""

    training: list[torch.nn.Module]
    users: int = 0


_MODES: "weakref.WeakKeyDictionary[torch.nn.Module, _Modes]" = weakref.WeakKeyDictionary()
_MODES_LOCK = threading.Lock()


def _forward_of(model: SpertModel, batch_size: int, cuda_graphs: bool) -> Forward | None:
    """How batches pass a model; `None` for one after the other, as the model runs by itself."""
    if not runs_ahead(model):
        if cuda_graphs:
            raise ValueError(
                f"cuda_graphs: expected a plain SpertModel, got {type(model).__name__} that is compiled, exported, "
                f"hooked onto or spread over devices. Leave cuda_graphs out, or load the model anew."
            )
        return None
    if cuda_graphs:
        from .inference.captured import captured_forward

        return captured_forward(model, batch_size)
    return EagerForward(model) if model.device.type in RUNS_AHEAD_ON else None


def _extract(
    model: SpertModel,
    processor: SpertProcessor,
    documents: Sequence[EncodedDocument],
    options: DecodingOptions,
    batch_size: int,
    return_all_scores: bool,
    forward: Forward | None,
    advance: Callable[[int], object] = lambda number: None,
) -> list[dict[str, Any]]:
    found: list[list[Any]] = [[None] * len(document.rows) for document in documents]
    plan = processor.plan_batches(documents, batch_size)

    def padded(pin_memory: bool = False) -> Iterator[SpertBatch]:
        for rows in plan:
            yield processor.pad([documents[number].rows[index] for number, index in rows], pin_memory=pin_memory)

    def keep(rows: Sequence[tuple[int, int]], decoded: Sequence[DecodedSentence]) -> None:
        for (number, index), sentence in zip(rows, decoded):
            found[number][index] = sentence
        advance(len(rows))

    @torch.inference_mode()
    def decode(scored: Scored, rows: Sequence[tuple[int, int]]) -> None:
        of_rows = [documents[number].rows[index] for number, index in rows]
        keep(rows, processor.decode_candidates(scored.wait(), of_rows, options, return_all_scores))

    with evaluation_mode(model), torch.inference_mode():
        if forward is None:
            for rows, batch in zip(plan, padded()):
                outputs = model(**batch.to(model.device), return_dict=True)
                keep(rows, processor.decode(outputs, batch, options, return_all_scores))
        else:
            # While the device works on a batch, this thread launches the next, and another decodes the one before.
            with ThreadPoolExecutor(max_workers=1) as decoder:
                decoding: deque[Future[None]] = deque()
                pinned = model.device.type == "cuda"
                for rows, scored in zip(plan, run_ahead(forward, padded(pinned))):
                    if len(decoding) == DECODED_AT_A_TIME:
                        decoding.popleft().result()
                    decoding.append(decoder.submit(decode, scored, rows))
                for waiting in decoding:
                    waiting.result()
    return [processor.merge(document, rows, options) for document, rows in zip(documents, found)]


def _checked_options(
    caller: str, model: SpertModel, texts: Any, batch_size: int, decoding: Mapping[str, Any]
) -> DecodingOptions:
    if isinstance(texts, (str, bytes, Mapping)) or not isinstance(texts, Iterable):
        shown = repr(texts) if len(repr(texts)) <= 60 else repr(texts)[:57] + "…"
        raise ValueError(
            f"{caller}: expected a list of texts, lists of words or records, got {shown} ({type(texts).__name__}). Put "
            f"a single text into a list: [text]."
        )
    if batch_size < 1:
        raise ValueError(f"{caller}: expected a batch_size of at least 1, got {batch_size}.")
    return DecodingOptions.of(model.config).override(**decoding)


def _take(source: Iterator[Sentence | Refused], num_sentences: int) -> Iterator[Sentence | Refused]:
    """The next texts, of about this many sentences in all."""
    while num_sentences > 0:
        try:
            text = next(source)
        except StopIteration:
            return
        yield text
        num_sentences -= _count_roughly(text)


def _count_roughly(text: Any) -> int:
    """About how many sentences a text holds; at least 1."""
    if isinstance(text, Mapping):
        text = text.get("tokens") or text.get("text")
    if isinstance(text, str):
        return 1 + len(text) // CHARACTERS_PER_SENTENCE
    return 1 + len(text) // WORDS_PER_SENTENCE if isinstance(text, Sequence) else 1


def _encode_or_refuse(
    encode: Callable[[Sequence[Sentence]], list[EncodedDocument]], texts: Sequence[Sentence | Refused]
) -> list[EncodedDocument | Refused]:
    """Encode together what can be encoded; where something cannot, find out what."""

    def encode_or_refuse(text: Sentence) -> EncodedDocument | Refused:
        try:
            return encode([text])[0]
        except ValueError as error:
            return Refused(str(error))

    good = [text for text in texts if not isinstance(text, Refused)]
    try:
        encoded: Iterator[EncodedDocument | Refused] = iter(encode(good))
    except ValueError:
        encoded = map(encode_or_refuse, good)
    return [text if isinstance(text, Refused) else next(encoded) for text in texts]
