"""Models that are damaged, incomplete or hostile are refused when they are loaded; results that are not finite, too."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, pipeline

from spert import SpertModel, SpertProcessor
from spert.cli import main
from spert.decoding_spert import decode
from spert.loading import load_model
from spert.model_files import fields_that_fail
from spert.prediction import predict
from spert.weights_spert import refuse_weights_that_are_not_finite
from tests import tiny

WEIGHTS = "model.safetensors"
SPAN_HEAD = "span_classifier.linear.weight"


@pytest.fixture
def folder(saved_model, tmp_path):
    return Path(shutil.copytree(saved_model, tmp_path / "model"))


def edit_weights(folder, change):
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


def edit_json(folder, name, change):
    values = json.loads((folder / name).read_text())
    change(values)
    (folder / name).write_text(json.dumps(values))


class TestWeights:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda weights: weights.pop(SPAN_HEAD), rf"its files lack {SPAN_HEAD}\."),
            (
                lambda weights: [weights.pop(name) for name in list(weights) if "attention" in name],
                r"its files lack (encoder[\w.]+, ){4}encoder[\w.]+ and 15 more",
            ),
            (lambda weights: weights.update({SPAN_HEAD: torch.zeros(2, 3)}), rf"{SPAN_HEAD} \(4, 89\), got \(2, 3\)"),
            (
                lambda weights: weights.update(other=torch.zeros(1)),
                r"only weights that config\.json describes, got other",
            ),
            (
                lambda weights: weights[SPAN_HEAD][1].fill_(float("nan")),
                rf"NaN or infinity \(in float32\) in {SPAN_HEAD}",
            ),
            (
                lambda weights: weights[SPAN_HEAD][0].fill_(float("-inf")),
                rf"NaN or infinity \(in float32\) in {SPAN_HEAD}",
            ),
        ],
        ids=["missing", "many-missing", "shape", "unknown", "nan", "infinite"],
    )
    def test_are_refused_by_name(self, folder, change, message):
        edit_weights(folder, change)
        with pytest.raises(ValueError, match=message):
            SpertModel.from_pretrained(folder)
        with pytest.raises(ValueError, match=message):
            load_model(str(folder))

    def test_are_refused_by_the_code_that_comes_with_a_model(self, folder):
        edit_weights(folder, lambda weights: weights.pop(SPAN_HEAD))
        with pytest.raises(ValueError, match=f"its files lack {SPAN_HEAD}"):
            AutoModel.from_pretrained(folder, trust_remote_code=True)

    def test_of_another_shape_pass_where_that_is_asked_for(self, folder):
        edit_weights(folder, lambda weights: weights.update({SPAN_HEAD: torch.zeros(2, 3)}))
        loaded, info = SpertModel.from_pretrained(folder, ignore_mismatched_sizes=True, output_loading_info=True)
        assert loaded.span_classifier.linear.weight.shape == (4, 89)
        assert {name for name, *_ in info["mismatched_keys"]} == {SPAN_HEAD}

    def test_that_a_dtype_cannot_hold(self, folder):
        edit_weights(folder, lambda weights: weights[SPAN_HEAD].fill_(1e6))
        assert SpertModel.from_pretrained(folder)
        with pytest.raises(ValueError, match=r"NaN or infinity \(in float16\).* a wider dtype may hold them"):
            SpertModel.from_pretrained(folder, dtype=torch.float16)

    def test_whose_sum_overflows_are_finite_all_the_same(self):
        module = torch.nn.Linear(100, 100).half()
        module.weight.data.fill_(60000)
        refuse_weights_that_are_not_finite(module, "x")
        module.weight.data[3, 3] = float("inf")
        with pytest.raises(ValueError, match=r"x: expected finite weights.* in weight"):
            refuse_weights_that_are_not_finite(module, "x")

    def test_without_values_are_not_looked_at(self):
        with torch.device("meta"):
            refuse_weights_that_are_not_finite(torch.nn.Linear(2, 2), "x")

    def test_of_an_encoder(self, tiny_bert_folder, tmp_path):
        encoder = Path(shutil.copytree(tiny_bert_folder, tmp_path / "encoder"))
        name = "encoder.layer.1.output.dense.weight"
        edit_weights(encoder, lambda weights: [weights.pop(each) for each in list(weights) if "pooler" in each])
        assert SpertModel.from_encoder(str(encoder), entity_types=["A"])
        edit_weights(encoder, lambda weights: weights[name].fill_(float("nan")))
        with pytest.raises(ValueError, match=f"expected finite weights.*{name}"):
            SpertModel.from_encoder(str(encoder), entity_types=["A"])
        edit_weights(encoder, lambda weights: weights.pop(name))
        with pytest.raises(ValueError, match=f"its files lack {name}"):
            SpertModel.from_encoder(str(encoder), entity_types=["A"])


class TestLogitsThatAreNotFinite:
    @pytest.fixture
    def batch(self):
        return tiny.processor("bert")(tiny.SENTENCES, is_split_into_words=True)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_of_spans(self, batch, value):
        model = tiny.model("bert")
        model.span_classifier.linear.bias.data[1] = value
        given = torch.zeros((len(tiny.SENTENCES), 1, 2), dtype=torch.long)
        given[0, 0, 1] = 1
        with torch.inference_mode():
            with pytest.raises(
                RuntimeError, match=r"expected finite logits, got NaN or infinity for \d+ spans of a batch"
            ):
                model(**batch)
            with pytest.raises(RuntimeError, match="NaN or infinity for 1 spans"):
                model(**batch, given_entities=given)

    def test_of_padding_do_not_count(self, batch):
        """In half precision the logits of spans that reach into the padding may overflow; they mean nothing."""
        from spert.candidates_spert import batch_candidate_spans, select_entities

        spans = batch_candidate_spans(batch["word_pieces"], 3)
        logits = torch.zeros((*spans.shape[:2], 4))
        logits[spans[..., 1] == 0] = float("inf")
        assert select_entities(spans, logits).num_pairs == 0
        logits[1, 0, 2] = float("nan")
        with pytest.raises(RuntimeError, match="for 1 spans"):
            select_entities(spans, logits)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_of_pairs(self, batch, value):
        model = tiny.model("bert")
        model.pair_classifier.linear.bias.data[1] = value
        with torch.inference_mode():
            outputs = model(**batch)
        with pytest.raises(RuntimeError, match=r"NaN or infinity for \d+ pairs of entities"):
            decode(outputs)

    def test_of_a_command(self, folder, tmp_path, monkeypatch, capsys):
        """Each weight is finite, and their products are not: float16 ends at 65,504."""
        edit_weights(folder, lambda weights: weights["encoder.embeddings.LayerNorm.weight"].fill_(6e4))
        (tmp_path / "in.jsonl").write_text('{"tokens": ["Ada", "Park"]}\n')
        words = ["--model", folder, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl"]
        monkeypatch.setattr(sys, "argv", ["spert", "predict", *map(str, words), "--dtype", "float16"])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 1
        assert "expected finite logits" in capsys.readouterr().err
        assert not (tmp_path / "out.jsonl").exists()


def write(name, content):
    def damage(folder):
        (folder / name).write_bytes(content(folder / name) if callable(content) else content)

    return damage


def set_field(name, **fields):
    return lambda folder: edit_json(folder, name, lambda values: values.update(fields))


def set_encoder_field(**fields):
    return lambda folder: edit_json(folder, "config.json", lambda values: values["encoder_config"].update(fields))


class _Harm:
    """Runs when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def plant_pickle(file):
    torch.save({"x": _Harm(file.parent.parent / "ran")}, file)


HOSTILE_TOKENIZER = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": [None, "evil.Evil"]}}

DAMAGES = {
    "weights-cut": (
        write(WEIGHTS, lambda file: file.read_bytes()[:5000]),
        rf"{WEIGHTS}: it cannot be read: Safetensor",
    ),
    "weights-empty": (write(WEIGHTS, b""), rf"{WEIGHTS}: it cannot be read: SafetensorError: .*header too small"),
    "weights-gone": (lambda folder: (folder / WEIGHTS).unlink(), r"no file named model\.safetensors"),
    "configuration-cut": (
        write("config.json", b'{"a": 1,'),
        r"config\.json: expected JSON, but line 1, column 9 is not",
    ),
    "configuration-list": (write("config.json", b"[]"), r"config\.json: expected an object, got list"),
    "configuration-null": (write("config.json", b"null"), r"config\.json: expected an object, got NoneType"),
    "configuration-bytes": (write("config.json", b"\xff"), r"config\.json: expected UTF-8, but byte 0"),
    "configuration-deep": (write("config.json", b"[" * 10**5), r"config\.json: expected JSON, got values .* too deep"),
    "configuration-gone": (lambda folder: (folder / "config.json").unlink(), r"config\.json: expected this file"),
    "encoder-field": (
        set_encoder_field(hidden_size="x"),
        r"config\.json, field 'encoder_config\.hidden_size': expected a value like 768, got 'x'",
    ),
    "encoder-division": (
        set_encoder_field(num_attention_heads=0),
        r"config\.json, field 'encoder_config\.num_attention_heads': expected values .* got ZeroDivisionError",
    ),
    "encoder-function": (
        set_encoder_field(hidden_act="nope"),
        r"config\.json, field 'encoder_config\.hidden_act': expected values .* got KeyError: 'nope'",
    ),
    "encoder-heads": (
        set_encoder_field(hidden_size=33),
        r"fields 'encoder_config\.hidden_size', 'encoder_config\.num_attention_heads': expected values .* multiple of",
    ),
    "encoder-size": (
        set_encoder_field(vocab_size=101),
        r"weight \(101, 32\), got \(100, 32\)\..* In config\.json, see field 'encoder_config\.vocab_size'\.",
    ),
    "encoder-huge": (
        set_encoder_field(hidden_size=10**9),
        r"config\.json, field 'encoder_config\.hidden_size': expected a number that fits .* got 1000000000",
    ),
    "encoder-vast": (
        set_encoder_field(vocab_size=10**5 * 10, hidden_size=10**6),
        r"shapes that config\.json asks for.* see fields 'encoder_config\.hidden_size', 'encoder_config\.vocab_size'\.",
    ),
    "encoder-larger-than-any": (
        set_encoder_field(intermediate_size=2**63),
        r"config\.json: .*field 'encoder_config\.intermediate_size': expected a whole number of at most 2147483647",
    ),
    "encoder-layers": (
        set_encoder_field(num_hidden_layers=10**6),
        r"config\.json, field 'encoder_config\.num_hidden_layers': expected at most 1000 layers, .* got 1000000",
    ),
    "encoder-more-layers": (
        set_encoder_field(num_hidden_layers=3),
        r"its files lack encoder.* In config\.json, see field 'encoder_config\.num_hidden_layers'\.",
    ),
    "encoder-chunks": (
        set_encoder_field(chunk_size_feed_forward=3),
        r"config\.json: .*field 'encoder_config\.chunk_size_feed_forward': expected 0 or 1",
    ),
    "encoder-dropout": (
        set_encoder_field(attention_probs_dropout_prob=1.5),
        r"config\.json: .*field 'encoder_config\.attention_probs_dropout_prob': expected a number from 0 to 1, got 1",
    ),
    "encoder-epsilon": (
        set_encoder_field(layer_norm_eps=-1.0),
        r"config\.json: .*field 'encoder_config\.layer_norm_eps': expected a number from 0 to below 1, got -1\.0",
    ),
    "encoder-outputs": (
        set_encoder_field(return_dict=False),
        r"config\.json: .*field 'encoder_config\.return_dict': expected true, .* got False",
    ),
    "encoder-cross-attention": (
        set_encoder_field(add_cross_attention=True),
        r"config\.json, field 'encoder_config\.add_cross_attention': expected values",
    ),
    "encoder-kernels": (
        set_encoder_field(attn_implementation="org/kernels"),
        r"config\.json: .*field 'encoder_config\.attn_implementation': .* never the name of a repository with code",
    ),
    "encoder-labels": (
        set_encoder_field(id2label=3),
        r"config\.json: .*field 'encoder_config\.id2label': expected a value that BertConfig takes, got 3",
    ),
    "encoder-null": (
        set_field("config.json", encoder_config=None),
        r"config\.json, field 'encoder_config': expected an object, the encoder's configuration, got None",
    ),
    "encoder-negative": (
        set_encoder_field(num_attention_heads=-1),
        r"config\.json: .*field 'encoder_config\.num_attention_heads': expected a number of at least 0, got -1",
    ),
    "encoder-method": (
        set_encoder_field(to_dict="x"),
        r"config\.json: .*field 'encoder_config\.to_dict': expected no such field, because it is a part of",
    ),
    "method": (
        set_field("config.json", get_text_config=3),
        r"config\.json: .*field 'get_text_config': expected no such field, because it is a part of",
    ),
    "computed": (
        set_field("config.json", max_pieces=3),
        r"config\.json: .*field 'max_pieces': expected no such field, because it is a part of",
    ),
    "kernels": (
        set_field("config.json", attn_implementation={"encoder_config": "org/kernels"}),
        r"config\.json: .*field 'attn_implementation': .* never the name of a repository with code",
    ),
    "weights-elsewhere": (
        set_field("config.json", transformers_weights="../other.safetensors"),
        r"config\.json: .*field 'transformers_weights': expected no such field",
    ),
    "quantization": (
        set_field("config.json", quantization_config="x"),
        r"config\.json, field 'quantization_config': expected no such field, which SpERT models do not have, got 'x'",
    ),
    "not-a-number-type": (
        set_field("config.json", dtype="int64"),
        r"config\.json, field 'dtype': expected a type such as 'float32', got 'int64'",
    ),
    "many-types": (
        set_field("config.json", entity_types=[f"t{n}" for n in range(10**5)], id2label=None, label2id=None),
        r"span_classifier.* In config\.json, see field 'entity_types'\.",
    ),
    "adapter": (
        write("adapter_config.json", b'{"peft_type": "LORA", "base_model_name_or_path": "org/x"}'),
        r"adapter_config\.json: expected a whole model, got an adapter for another one",
    ),
    "index-elsewhere": (
        lambda folder: [
            (folder / WEIGHTS).rename(folder.parent / WEIGHTS),
            (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": {SPAN_HEAD: f"../{WEIGHTS}"}})),
        ],
        r"model\.safetensors\.index\.json, field 'weight_map': expected for each tensor the name of a file",
    ),
    "index-cut": (
        lambda folder: [(folder / WEIGHTS).unlink(), (folder / f"{WEIGHTS}.index.json").write_text('{"weight')],
        r"model\.safetensors\.index\.json: expected JSON, but line 1",
    ),
    "weights-pipe": (
        lambda folder: [(folder / WEIGHTS).unlink(), os.mkfifo(folder / WEIGHTS)],
        r"model\.safetensors: expected a file, got something else of that name",
    ),
    "weights-pickle": (
        lambda folder: [(folder / WEIGHTS).unlink(), plant_pickle(folder / "pytorch_model.bin")],
        r"expected tensors and nothing else, got a pickle, which may run code",
    ),
    "tokenizer-numbers": (
        lambda folder: edit_json(
            folder, "tokenizer.json", lambda values: values["model"]["vocab"].update({"[MASK]": 5000})
        ),
        r"tokenizer\.json: expected pieces with numbers below 100, as many as .* got 5000",
    ),
    "types-gone": (
        set_field("config.json", relation_types=[], symmetric_relations=[]),
        r"only weights that config\.json describes, got pair_classifier.* see field 'relation_types'\.",
    ),
    "type-more": (
        lambda folder: edit_json(
            folder,
            "config.json",
            lambda values: [values["entity_types"].append("Time"), values.pop("id2label"), values.pop("label2id")],
        ),
        r"span_classifier.* In config\.json, see field 'entity_types'\.",
    ),
    "dtype": (
        set_field("config.json", dtype="banana"),
        r"config\.json, field 'dtype': expected a type such as 'float32', got 'banana'",
    ),
    "field": (set_field("config.json", max_span_width="x"), r"config\.json: max_span_width: expected a whole number"),
    "processor-text": (
        set_field("processor_config.json", max_pieces="512"),
        r"processor_config\.json.* max_pieces .*'512'",
    ),
    "processor-negative": (set_field("processor_config.json", max_pieces=2), r"processor_config\.json.* more than 2"),
    "processor-too-long": (
        set_field("processor_config.json", max_pieces=512),
        r"max_pieces of at most 128, .* got 512",
    ),
    "processor-rules": (
        set_field("processor_config.json", word_rules=3),
        r"processor_config\.json.*word_rules .* got 3",
    ),
    "processor-misspelt": (
        set_field("processor_config.json", max_piece=9),
        r"'max_piece' .* did you mean 'max_pieces'",
    ),
    "processor-list": (write("processor_config.json", b"[]"), r"processor_config\.json: expected an object, got list"),
    "processor-gone": (
        lambda folder: (folder / "processor_config.json").unlink(),
        r"processor_config\.json: expected this",
    ),
    "tokenizer-cut": (write("tokenizer.json", b"{"), r"tokenizer\.json: expected JSON"),
    "tokenizer-empty": (write("tokenizer.json", b"{}"), r"tokenizer\.json: it cannot be read"),
    "tokenizer-gone": (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json: "),
    "tokenizer-settings": (write("tokenizer_config.json", b"[]"), r"tokenizer_config\.json: expected an object"),
    "tokenizer-code": (set_field("tokenizer_config.json", **HOSTILE_TOKENIZER), r"names code of its own .*never run"),
    "tokenizer-code-elsewhere": (
        set_field("tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": [None, "org/x--evil.E"]}),
        r"names code of its own .*never run",
    ),
    "encoder-code": (
        set_encoder_field(auto_map={"AutoConfig": "org/x--evil.C", "AutoModel": "org/x--evil.M"}),
        r"config\.json: .*code of its own",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_hostile_folder_is_one_message_with_the_file(folder, damage, monkeypatch, capsys, tmp_path):
    make, message = DAMAGES[damage]
    make(folder)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to run code"))
    with pytest.raises((ValueError, FileNotFoundError), match=message) as refused:
        load_model(str(folder))
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ran").exists()
    assert capsys.readouterr().err == "", "transformers' own report is not printed besides"


def test_code_that_a_model_names_is_not_run_by_commands(folder, tmp_path):
    """That of its own classes, which are this project's, is not even looked at."""
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    named = dict.fromkeys(("AutoConfig", "AutoModel", "AutoProcessor", "AutoTokenizer"), "evil.Evil")
    pipelines = {"entity-relation-extraction": {"impl": "evil.Evil", "pt": ["AutoModel"], "type": "text"}}
    edit_json(folder, "config.json", lambda values: values.update(auto_map=named, custom_pipelines=pipelines))
    edit_json(folder, "processor_config.json", lambda values: values.update(auto_map=named, processor_class="Evil"))
    model, processor = load_model(str(folder))
    assert (type(model), type(processor)) == (SpertModel, SpertProcessor)
    assert not (tmp_path / "ran").exists()


def test_an_encoder_that_fails_only_when_it_reads(folder, monkeypatch):
    def fail(*_, **__):
        raise IndexError("the field was odd")

    monkeypatch.setattr("transformers.BertModel.forward", fail)
    message = r"config\.json, field 'encoder_config': expected values .* works, got IndexError: the field was odd"
    with pytest.raises(ValueError, match=message):
        load_model(str(folder))


def test_fields_with_which_something_fails():
    def make(values):
        return 1 / (values.get("a", 1) * values.get("b", 1))

    assert fields_that_fail({"a": 0, "b": 1, "c": 0}, make) == ["a"]
    assert fields_that_fail({"a": 0, "b": 0}, make) == []


def test_outputs_are_read_by_name_whatever_a_configuration_says(folder):
    edit_json(folder, "config.json", lambda values: values.update(return_dict=False))
    model, processor = load_model(str(folder))
    assert isinstance(model(**processor(tiny.SENTENCES, is_split_into_words=True)), tuple)
    assert len(predict(model, processor, tiny.SENTENCES)) == len(tiny.SENTENCES)
    extract = pipeline("entity-relation-extraction", model=str(folder), trust_remote_code=True)
    assert len(extract(tiny.SENTENCES, is_split_into_words=True)) == len(tiny.SENTENCES)


def test_a_tokenizer_of_another_model(folder):
    edit_json(
        folder, "tokenizer.json", lambda values: values["model"]["vocab"].update({f"w{n}": 100 + n for n in range(9)})
    )
    with pytest.raises(
        ValueError, match=r"tokenizer of at most 100 pieces, as many as the model has .*, got one of 109"
    ):
        load_model(str(folder))


def test_trusting_a_models_code_does_not_mean_its_tokenizers(folder, tmp_path):
    """`trust_remote_code` is for the code beside the model; a tokenizer has none, and may name another repository's."""
    from transformers import AutoProcessor

    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    edit_json(folder, "tokenizer_config.json", lambda values: values.update(HOSTILE_TOKENIZER))
    with pytest.raises(ValueError, match="names code of its own"):
        SpertProcessor.from_pretrained(folder, trust_remote_code=True)
    edit_json(
        folder,
        "tokenizer_config.json",
        lambda values: values["auto_map"].update(AutoProcessor="processing_spert.SpertProcessor"),
    )
    with pytest.raises(ValueError, match="names code of its own"):
        AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    assert not (tmp_path / "ran").exists()


def test_a_real_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fault(*_):
        raise KeyError("ours")

    monkeypatch.setattr("spert.evaluation.summary.summarize", fault)
    monkeypatch.setattr(sys, "argv", ["spert", "summary", "x"])
    with pytest.raises(KeyError, match="ours"):
        main()
