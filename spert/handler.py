"""A model as an endpoint: `handler.py` of a saved folder, which Hugging Face's Inference Endpoints load.

The toolkit imports this file from the repository's folder, calls `EndpointHandler(folder)` once, and the handler with
the body of each request. What the handler raises becomes the answer `{"error": message}` with status 400. The file is
copied as it stands, needs torch and transformers, and runs the model's own code, which lies beside it:

    {"inputs": "Ada Park joined Northwind Labs.", "parameters": {"relation_threshold": 0.5}}

Environment variables of the endpoint set the limits of a request (see `Limits`): `SPERT_MAX_TEXTS`,
`SPERT_MAX_CHARACTERS`, `SPERT_MAX_ENTITIES`; `SPERT_BATCH_SIZE` says how many sentences pass the encoder together.
"""

import difflib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

PARAMETERS = (
    "is_split_into_words",
    "sentences",
    "on_overflow",
    "sentences_per_window",
    "relation_threshold",
    "entity_threshold",
    "relation_arguments",
    "overlapping_entities",
    "temperature",
    "return_all_scores",
)
"""What `parameters` of a request may hold: the options of a call of the pipeline."""

_BOOLEANS = ("is_split_into_words", "return_all_scores")
_FIELDS = ("inputs", "parameters")


@dataclass(frozen=True)
class Limits:
    """What a request may ask for at most.

    Args:
        max_texts: texts in one request.
        max_characters: characters of all of its texts together.
        max_entities: entities that a caller gives for one text; every ordered pair of them is scored.

    Raises:
        ValueError: a limit is no whole number of at least 1.
    """

    max_texts: int = 64
    max_characters: int = 100_000
    max_entities: int = 200

    def __post_init__(self) -> None:
        for field in fields(self):
            _checked_count(field.name, getattr(self, field.name))

    @classmethod
    def of_environment(cls) -> "Limits":
        """The limits that environment variables set, such as `SPERT_MAX_TEXTS`; the defaults for all others."""
        return cls(**{field.name: _from_environment(field.name, field.default) for field in fields(cls)})


@dataclass(frozen=True)
class Request:
    """A request, checked.

    Args:
        items: what each result is made from: a text, words or a record.
        is_list: whether the caller sent a list, and gets one.
        parameters: options of the pipeline.
    """

    items: list[Any]
    is_list: bool
    parameters: dict[str, Any]


def read_request(data: Any, limits: Limits) -> Request:
    """Check the body of a request.

    Args:
        data: `{"inputs": ..., "parameters": {...}}`. `inputs` is what a call of the pipeline takes: a text, a record
            (`text` or `tokens`, with `sentences` or `entities` where they are known), or a list of them; with the
            parameter `is_split_into_words`, words or a list of lists of words.
        limits: what it may ask for.

    Raises:
        ValueError: the body has another form or is too large; the message says what was expected.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f'expected an object {{"inputs": ..., "parameters": {{...}}}}, got {_kind(data)}.')
    for name in data:
        if name not in _FIELDS:
            raise ValueError(f"expected the fields 'inputs' and 'parameters', got {name!r} as well.")
    if data.get("inputs") is None:
        raise ValueError("expected the field 'inputs': a text, a record or a list of them. Got none.")
    parameters = _checked_parameters(data.get("parameters"))
    items, is_list = _items(data["inputs"], bool(parameters.get("is_split_into_words")))
    if len(items) > limits.max_texts:
        raise ValueError(
            f"inputs: expected at most {limits.max_texts} texts in a request, got {len(items)}. Send them in several "
            f"requests."
        )
    characters = 0
    for index, item in enumerate(items):
        place = f"inputs[{index}]" if is_list else "inputs"
        characters += _count_characters(item, place)
        entities = item.get("entities") if isinstance(item, Mapping) else None
        if isinstance(entities, Sequence) and len(entities) > limits.max_entities:
            raise ValueError(f"{place}: expected at most {limits.max_entities} given entities, got {len(entities)}.")
    if characters > limits.max_characters:
        raise ValueError(
            f"inputs: expected at most {limits.max_characters} characters in a request, got {characters}. Send them in "
            f"several requests."
        )
    return Request(items, is_list, parameters)


class EndpointHandler:
    """Loads the model of a folder once, and answers requests.

    Requests take turns, because each of them uses the whole machine.

    Args:
        path: the repository's folder.

    Raises:
        ValueError: an environment variable is no whole number of at least 1.
    """

    def __init__(self, path: str = ""):
        import torch
        from transformers import pipeline

        self.limits = Limits.of_environment()
        self.batch_size = _from_environment("batch_size", 16)
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        # The folder's code is as trusted as this file, which is one of it.
        self.extract: Any = pipeline(
            "entity-relation-extraction",  # type: ignore[call-overload]  # a task of the model's own
            model=str(path),
            trust_remote_code=True,
            device=device or "cpu",
        )
        self._turn = threading.Lock()

    def __call__(self, data: Any) -> dict[str, Any] | list[dict[str, Any]]:
        """What was found: one dictionary for one text, a list for a list.

        Raises:
            ValueError: the request is refused, and why. Of several texts the message names the one at fault.
        """
        request = read_request(data, self.limits)
        if not request.items:
            return []
        with self._turn:
            try:
                inputs = request.items if request.is_list else request.items[0]
                found: Any = self.extract(inputs, batch_size=self.batch_size, **request.parameters)
            except ValueError as error:
                raise self._named(error, request) from error
        return found

    def _named(self, error: ValueError, request: Request) -> ValueError:
        """The same error with the place of the text that causes it, if a text does."""
        if request.is_list:
            options = self.extract._sanitize_parameters(**request.parameters)[0]
            for index, item in enumerate(request.items):
                try:
                    self.extract.preprocess(item, **options)
                except ValueError as reason:
                    return ValueError(f"inputs[{index}]: {reason}")
        return ValueError(str(error))


def _checked_parameters(parameters: Any) -> dict[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping):
        raise ValueError(f"parameters: expected an object, got {_kind(parameters)}.")
    for name, value in parameters.items():
        if name not in PARAMETERS:
            close = difflib.get_close_matches(str(name), PARAMETERS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(PARAMETERS)}."
            raise ValueError(f"parameters: unknown name {name!r}; {hint}")
        if name in _BOOLEANS and not isinstance(value, (bool, type(None))):
            raise ValueError(f"parameters, {name}: expected true or false, got {value!r}.")
        if name == "sentences" and not isinstance(value, (bool, list, type(None))):
            raise ValueError(f"parameters, sentences: expected true, false or a list of ranges, got {value!r}.")
    return {name: value for name, value in parameters.items() if value is not None}


def _items(inputs: Any, is_split_into_words: bool) -> tuple[list[Any], bool]:
    """What gives one result each, and whether the caller sent a list of them."""
    is_words = is_split_into_words and isinstance(inputs, list) and all(isinstance(word, str) for word in inputs)
    if is_words and inputs:
        return [inputs], False
    if isinstance(inputs, list):
        return list(inputs), True
    return [inputs], False


def _count_characters(item: Any, place: str) -> int:
    text = item
    if isinstance(item, Mapping):
        text = item.get("tokens") if item.get("tokens") is not None else item.get("text")
    if isinstance(text, str):
        return len(text)
    if isinstance(text, list) and all(isinstance(word, str) for word in text):
        return sum(len(word) + 1 for word in text)
    raise ValueError(
        f"{place}: expected a text, a list of words or a record with 'text' or 'tokens', got {_kind(item)}."
    )


def _kind(value: Any) -> str:
    shown = repr(value)
    return f"{shown if len(shown) <= 60 else shown[:57] + '…'} ({type(value).__name__})"


def _from_environment(name: str, default: Any) -> int:
    variable = f"SPERT_{name.upper()}"
    value = os.environ.get(variable)
    if not value:
        return int(default)
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"{variable}: expected a whole number of at least 1, got {value!r}.")
    return _checked_count(variable, int(value))


def _checked_count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}.")
    return value
