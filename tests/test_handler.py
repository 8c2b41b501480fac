"""The endpoint: a saved folder, loaded as the toolkit of Inference Endpoints loads it."""

import importlib.util
import json
import shutil
import sys

import pytest

from spert import SpertModel, SpertPipeline, SpertProcessor
from spert.handler import PARAMETERS, Limits, read_request
from spert.hub import HANDLER, files_to_push
from tests import tiny
from tests.tolerance import assert_close

TEXT = "Ada Park joined Northwind Labs in Oslo. Nobody came."
RECORD = {"tokens": tiny.SENTENCES[0], "entities": [{"word_start": 0, "word_end": 2}, {"word_start": 3, "word_end": 5}]}


def as_the_toolkit_does(folder):
    spec = importlib.util.spec_from_file_location("handler.EndpointHandler", folder / "handler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EndpointHandler(str(folder))


@pytest.fixture(scope="module")
def handler(saved_model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # the folder is that of other tests, too
        yield as_the_toolkit_does(saved_model)


@pytest.fixture(scope="module")
def extract(saved_model):
    model, processor = SpertModel.from_pretrained(saved_model).eval(), SpertProcessor.from_pretrained(saved_model)
    return SpertPipeline(model=model, processor=processor)


@pytest.mark.parametrize(
    ("inputs", "parameters"),
    [
        (TEXT, {}),
        (TEXT, {"sentences": False, "relation_threshold": {"works_for": 0.9}, "overlapping_entities": "none"}),
        (TEXT, {"sentences": [[0, 39]], "return_all_scores": True}),
        ([TEXT, "", "Oslo"], {"entity_threshold": 0.5}),
        (RECORD, {}),
        ([RECORD, RECORD], {}),
        (tiny.SENTENCES[0], {"is_split_into_words": True}),
        (tiny.SENTENCES, {"is_split_into_words": True}),
        ([], {}),
    ],
)
def test_answers_are_those_of_the_pipeline(handler, extract, inputs, parameters):
    answer = handler({"inputs": inputs, "parameters": parameters})
    assert_close(json.loads(json.dumps(answer)), json.loads(json.dumps(extract(inputs, **parameters))))
    assert isinstance(answer, dict) == isinstance(extract(inputs, **parameters), dict)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a text", r"expected an object .*, got 'a text' \(str\)"),
        ({}, "expected the field 'inputs'"),
        ({"inputs": None}, "expected the field 'inputs'"),
        ({"inputs": "a", "options": {}}, "expected the fields 'inputs' and 'parameters', got 'options' as well"),
        ({"inputs": 3}, r"inputs: expected a text, a list of words or a record .* got 3 \(int\)"),
        ({"inputs": ["a", 3]}, r"inputs\[1\]: expected a text"),
        ({"inputs": [{"words": []}]}, r"inputs\[0\]: expected a text.* got {'words': \[\]}"),
        ({"inputs": ["a"] * 65}, "expected at most 64 texts in a request, got 65. Send them in several"),
        ({"inputs": ["a" * 60_000] * 2}, "expected at most 100000 characters in a request, got 120000"),
        ({"inputs": {"tokens": ["word"] * 25_000}}, "expected at most 100000 characters in a request, got 125000"),
        ({"inputs": {"text": "a", "entities": [{}] * 201}}, "inputs: expected at most 200 given entities, got 201"),
        ({"inputs": "a", "parameters": [1]}, r"parameters: expected an object, got \[1\] \(list\)"),
        ({"inputs": "a", "parameters": {"relation_treshold": 1}}, "did you mean 'relation_threshold'"),
        ({"inputs": "a", "parameters": {"x": 1}}, "parameters: unknown name 'x'; there are is_split_into_words, "),
        ({"inputs": "a", "parameters": {"return_all_scores": 1}}, "return_all_scores: expected true or false, got 1"),
        ({"inputs": "a", "parameters": {"relation_threshold": 2}}, "relation_threshold: expected a number from 0 to 1"),
        (
            {"inputs": "a", "parameters": {"sentences": "no"}},
            "sentences: expected true, false or a list of",
        ),
        ({"inputs": "-" * 900}, "pieces by itself"),
        ({"inputs": ["a", "-" * 900]}, r"inputs\[1\]: .*pieces by itself"),
        ({"inputs": ["a", {"text": "Oslo", "entities": [{"start": 0, "end": 2}]}]}, r"inputs\[1\]: .*begins and ends"),
        ({"inputs": "\ud800"}, "a lone surrogate"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(handler, body, message):
    with pytest.raises(ValueError, match=message):
        handler(body)
    assert handler({"inputs": "Oslo"})["text"] == "Oslo", "and the next one is answered"


def test_limits_are_those_of_the_environment(monkeypatch):
    monkeypatch.setenv("SPERT_MAX_TEXTS", "2")
    limits = Limits.of_environment()
    assert limits == Limits(max_texts=2)
    assert len(read_request({"inputs": ["a", "b"]}, limits).items) == 2
    with pytest.raises(ValueError, match="at most 2 texts in a request, got 3"):
        read_request({"inputs": ["a", "b", "c"]}, limits)
    for wrong in ("0", "-1", "many", "1.5"):
        monkeypatch.setenv("SPERT_MAX_TEXTS", wrong)
        with pytest.raises(ValueError, match=f"SPERT_MAX_TEXTS: expected a whole number of at least 1, got .?{wrong}"):
            Limits.of_environment()


def test_parameters_are_the_options_of_the_pipeline(extract):
    for name in PARAMETERS:
        extract._sanitize_parameters(**{name: None})


def test_a_folder_without_a_handler_is_pushed_with_one(saved_model, tmp_path):
    folder = shutil.copytree(saved_model, tmp_path / "model")
    own = {file.name: file for file in files_to_push(folder)}["handler.py"]
    assert own == folder / "handler.py"
    assert own.read_bytes() == HANDLER.read_bytes()
    own.unlink()
    assert HANDLER in files_to_push(folder)
    assert {file.name for file in files_to_push(folder)} == {file.name for file in saved_model.iterdir()}
