"""SpERT as a component of a spaCy pipeline: `nlp.add_pipe("spert", config={"model": "outputs/demo"})`.

spaCy finds it by an entry point: nothing need be imported. `docs/spacy.md` shows what it does.
"""

import multiprocessing
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .corpora.spacy_extra import import_spacy

import_spacy("The component 'spert'")

from spacy.language import Language  # noqa: E402  # the message above comes first
from spacy.pipeline import Pipe  # noqa: E402
from spacy.tokens import Doc, Span, SpanGroup  # noqa: E402
from spacy.util import minibatch  # noqa: E402

SPANS_KEY = "spert"
USER_DATA = "spert"
"""Where relations stand in `doc.user_data`, by the name of the span group, as plain JSON that `Doc.to_bytes` keeps."""

EXTENSION = "relations"
ENTS = ("best", "fill", "none")
"""What becomes of `doc.ents`: the best entities that do not overlap; those beside what is there already; nothing."""


class Relation(NamedTuple):
    """A relation of `doc._.relations`."""

    head: Span
    tail: Span
    type: str
    score: float


@Language.factory(
    "spert",
    assigns=["doc.spans", "doc.ents", "doc._.relations"],
    default_config={
        "revision": None,
        "spans_key": SPANS_KEY,
        "ents": "best",
        "batch_size": 16,
        "device": None,
        "dtype": "float32",
        "on_overflow": "windows",
        "sentences_per_window": None,
        "relation_threshold": None,
        "entity_threshold": None,
        "relation_arguments": None,
        "overlapping_entities": None,
        "temperature": None,
    },
)
def make_spert(
    nlp: Language,
    name: str,
    model: str,
    revision: str | None,
    spans_key: str,
    ents: str,
    batch_size: int,
    device: str | None,
    dtype: str,
    on_overflow: str,
    sentences_per_window: int | None,
    relation_threshold: float | dict[str, float] | None,
    entity_threshold: float | dict[str, float] | None,
    relation_arguments: dict[str, list[list[str]]] | None,
    overlapping_entities: str | None,
    temperature: float | dict[str, float] | None,
) -> "SpertComponent":
    """The component that a pipeline's configuration describes. Its model is loaded when it is first needed."""
    register_relations()
    decoding = {
        "relation_threshold": relation_threshold,
        "entity_threshold": entity_threshold,
        "relation_arguments": relation_arguments,
        "overlapping_entities": overlapping_entities,
        "temperature": temperature,
    }
    return SpertComponent(
        name,
        model,
        revision=revision,
        spans_key=spans_key,
        ents=ents,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
        on_overflow=on_overflow,
        sentences_per_window=sentences_per_window,
        decoding={option: value for option, value in decoding.items() if value is not None},
    )


def register_relations() -> None:
    """Make `doc._.relations` known to spaCy; a pipeline with the component does so by itself.

    Documents that were written by one process and are read by another one, without the pipeline, need it.
    """
    Doc.set_extension(EXTENSION, getter=relations_of, setter=_set_relations, force=True)


def relations_of(doc: Doc) -> list[Any]:
    """The relations of a document, of all groups in order.

    Documents that hold annotations in place of predictions (`spert corpus convert`) give these as they are.
    """
    of_groups = doc.user_data.get(USER_DATA)
    if of_groups is None:
        return list(doc.user_data.get(_ANNOTATED, []))
    return [
        Relation(_span(doc, row["head"]), _span(doc, row["tail"]), row["type"], row["score"])
        for group in of_groups.values()
        for row in group["relations"]
    ]


def _span(doc: Doc, row: list[Any]) -> Span:
    start, end, label = row
    return Span(doc, start, end, label=label)


_ANNOTATED = ("._.", EXTENSION, None, None)
"""Where spaCy keeps the value of an extension that has no getter."""


def _set_relations(doc: Doc, relations: list[Any]) -> None:
    doc.user_data[_ANNOTATED] = relations


class SpertComponent(Pipe):
    """Finds entities and relations in a pipeline's documents.

    Args:
        name: in the pipeline.
        model: a trained model: a folder, or a repository on the Hub. No code of it is run.
        revision: of a repository: a branch, tag or commit.
        spans_key: the group of `doc.spans` that gets all entities, with their scores in its `attrs["scores"]`.
        ents: one of `ENTS`.
        batch_size: sentences that pass the encoder together.
        device: such as `cpu` or `cuda:1`. Default: the accelerator, if there is one.
        dtype: `float32`, `bfloat16`, `float16`, or `int8` for a CPU.
        on_overflow, sentences_per_window: see `SpertProcessor.__call__`.
        decoding: what counts as found, in place of the model configuration's values; see `DecodingOptions`.

    Raises:
        ValueError: a setting has another value than it can have.
    """

    def __init__(
        self,
        name: str,
        model: str,
        *,
        revision: str | None = None,
        spans_key: str = SPANS_KEY,
        ents: str = "best",
        batch_size: int = 16,
        device: str | None = None,
        dtype: str = "float32",
        on_overflow: str = "windows",
        sentences_per_window: int | None = None,
        decoding: dict[str, Any] | None = None,
    ):
        for setting, value, known in (
            ("ents", ents, ENTS),
            ("dtype", dtype, ("float32", "bfloat16", "float16", "int8")),
            ("on_overflow", on_overflow, ("windows", "error")),
        ):
            if value not in known:
                raise ValueError(f"{name}: expected {setting!r} to be one of {', '.join(known)}, got {value!r}.")
        for setting, number in (("batch_size", batch_size), ("sentences_per_window", sentences_per_window)):
            if number is not None and number < 1:
                raise ValueError(f"{name}: expected {setting!r} to be at least 1, got {number}.")
        if not spans_key:
            raise ValueError(f"{name}: expected 'spans_key' to be the name of a span group, got an empty one.")
        self.name = name
        self.model_name, self.revision = model, revision
        self.spans_key, self.ents, self.batch_size = spans_key, ents, batch_size
        self.device, self.dtype = device, dtype
        self.on_overflow, self.sentences_per_window = on_overflow, sentences_per_window
        self.decoding = decoding or {}
        self._loaded: tuple[Any, Any] | None = None
        self._folder: Path | None = None

    def __call__(self, doc: Doc) -> Doc:
        """Find the entities and relations of a document."""
        from .prediction import Refused

        (result,) = self._results([doc])
        if isinstance(result, Refused):
            raise ValueError(f"{self.name}: {result.reason}")
        self._annotate(doc, result)
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Find the entities and relations of many documents.

        Args:
            batch_size: documents that are read together; their sentences are sorted by length. `nlp.pipe` sets it.
        """
        from .prediction import Refused

        handle_error = self.get_error_handler()
        for docs in minibatch(stream, size=batch_size):
            docs = list(docs)
            for doc, result in zip(docs, self._results(docs)):
                if isinstance(result, Refused):
                    handle_error(self.name, self, [doc], ValueError(f"{self.name}: {result.reason}"))
                    continue
                self._annotate(doc, result)
                yield doc

    def initialize(self, get_examples: Any, *, nlp: Language | None = None) -> None:
        """Load the model; there is nothing to train. `nlp.initialize()` calls it."""
        self.load()

    def load(self) -> tuple[Any, Any]:
        """The model and its processor, which are loaded when they are first asked for.

        Raises:
            FileNotFoundError: there is no such model.
            ValueError: it is damaged, or a setting does not fit it.
        """
        if self._loaded is None:
            from .extraction.models import find_model

            self._load_from(find_model(self.model_name, self.revision))
        assert self._loaded is not None
        return self._loaded

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the model into a folder, so that the pipeline's folder is all that it needs."""
        model, processor = self.load()
        assert self._folder is not None
        from .exported import is_exported

        if is_exported(str(self._folder)) or self.dtype == "int8":  # what was loaded is not what lies there
            _copy_model(self._folder, Path(path))
            return
        from .training.output import save_model

        save_model(path, model, processor)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "SpertComponent":
        """Load the model from a folder that `to_disk` wrote, wherever the model came from at first."""
        self._load_from(Path(path))
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The files that `to_disk` writes."""
        import srsly

        with tempfile.TemporaryDirectory() as folder:
            self.to_disk(folder)
            files = {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(Path(folder).rglob("*"))
                if path.is_file()
            }
        content: bytes = srsly.msgpack_dumps(files)
        return content

    def from_bytes(self, content: bytes, *, exclude: Iterable[str] = ()) -> "SpertComponent":
        """Load what `to_bytes` gave."""
        import srsly

        with tempfile.TemporaryDirectory() as folder:
            for name, file in srsly.msgpack_loads(content).items():
                place = (Path(folder) / name).resolve()
                if not place.is_relative_to(Path(folder).resolve()):
                    raise ValueError(f"{self.name}: expected the files of a model, got one of the name {name!r}.")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file)
            return self.from_disk(folder)

    def _load_from(self, folder: Path) -> None:
        from .loading import load_model
        from .options_spert import DecodingOptions

        model, processor = load_model(str(folder), self.dtype)
        if self.device is not None:
            model = model.to(self.device)
        try:
            DecodingOptions.of(model.config).override(**self.decoding)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error
        self._loaded, self._folder = (model, processor), folder

    def _results(self, docs: list[Doc]) -> Iterator[Any]:
        """The result of each document, or why there is none."""
        from .prediction import predict_stream

        model, processor = self.load()
        _use_one_thread_in_children()
        return predict_stream(
            model,
            processor,
            map(_record, docs),
            batch_size=self.batch_size,
            on_overflow=self.on_overflow,
            sentences_per_window=self.sentences_per_window,
            **self.decoding,
        )

    def _annotate(self, doc: Doc, result: dict[str, Any]) -> None:
        words = [token.i for token in doc if not token.is_space]
        entities = [
            (words[entity["word_start"]], words[entity["word_end"] - 1] + 1, entity["type"])
            for entity in result["entities"]
        ]
        scores = [entity["score"] for entity in result["entities"]]
        spans = [Span(doc, start, end, label=label) for start, end, label in entities]
        doc.spans[self.spans_key] = SpanGroup(doc, name=self.spans_key, attrs={"scores": scores}, spans=spans)
        relations = [
            {
                "type": relation["type"],
                "head": list(entities[relation["head"]]),
                "tail": list(entities[relation["tail"]]),
                "score": relation["score"],
            }
            for relation in result["relations"]
        ]
        starts = {token.idx: token.i for token in doc}
        sentences = [starts[start] for start, _ in result["sentences"]]
        doc.user_data[USER_DATA] = {
            **doc.user_data.get(USER_DATA, {}),
            self.spans_key: {"relations": relations, "sentence_starts": sentences},
        }
        if self.ents != "none":
            there = list(doc.ents) if self.ents == "fill" else []
            doc.set_ents(_without_overlaps(there, spans, scores))


def _record(doc: Doc) -> dict[str, Any]:
    """What is read of a document: spaCy's tokens but those of white space, and its sentences where it has some."""
    record: dict[str, Any] = {
        "text": doc.text,
        "words": [[token.idx, token.idx + len(token)] for token in doc if not token.is_space],
    }
    if doc.has_annotation("SENT_START"):
        sentences = [sentence for sentence in doc.sents if not all(token.is_space for token in sentence)]
        record["sentences"] = [[sentence.start_char, sentence.end_char] for sentence in sentences]
    return record


def _without_overlaps(there: list[Span], spans: list[Span], scores: list[float]) -> list[Span]:
    """The entities that are there, and then the best of the others that overlap none before; of equals the longest."""
    taken = {token for span in there for token in range(span.start, span.end)}
    chosen = list(there)
    order = sorted(range(len(spans)), key=lambda index: (-scores[index], -len(spans[index]), spans[index].start))
    for index in order:
        tokens = range(spans[index].start, spans[index].end)
        if taken.isdisjoint(tokens):
            taken.update(tokens)
            chosen.append(spans[index])
    return sorted(chosen, key=lambda span: span.start)


def _use_one_thread_in_children() -> None:
    """In processes of `nlp.pipe(n_process=…)`: threads of torch do not survive a fork, and would share the cores."""
    if multiprocessing.parent_process() is not None:
        import torch

        if torch.get_num_threads() > 1:
            torch.set_num_threads(1)


def _copy_model(folder: Path, target: Path) -> None:
    import shutil

    from .extraction.models import digests_of
    from .files import atomic_folder

    with atomic_folder(target) as staging:
        for name in [*digests_of(folder), *(path.name for path in folder.glob("*_spert.py"))]:
            shutil.copyfile(folder / name, staging / name)
