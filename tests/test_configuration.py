import json
import logging

import pytest
from transformers import AutoConfig, BertConfig, PreTrainedConfig

from spert import SpertConfig
from tests import tiny


def test_round_trip(tmp_path):
    config = tiny.config("roberta", span_pooling="mean", relation_context="cls", relation_threshold=0.25)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path, trust_remote_code=True)
    assert type(loaded).__name__ == "SpertConfig"
    written, read = config.to_dict(), loaded.to_dict()
    for volatile in ("_name_or_path", "transformers_version", "auto_map"):
        written.pop(volatile, None)
        read.pop(volatile, None)
    assert read == written
    assert loaded.encoder_config.model_type == "roberta"


def test_defaults_are_the_papers():
    config = SpertConfig(entity_types=["A"])
    assert (config.max_span_width, config.width_embedding_size, config.head_dropout) == (10, 25, 0.1)
    assert (config.span_pooling, config.relation_context, config.relation_threshold) == ("max", "localized", 0.4)
    assert config.encoder_config.model_type == "bert"
    assert config.relation_types == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"entity_types": []}, "at least one entity type"),
        ({"entity_types": "Person"}, "expected a list of type names, got 'Person'"),
        ({"entity_types": ["A", ""]}, "non-empty strings"),
        ({"entity_types": ["A", "B", "A"]}, r"\['A'\] more than once"),
        ({"relation_types": ["r"], "symmetric_relations": ["s"]}, r"out of relation_types \['r'\], got \['s'\]"),
        ({"max_span_width": 0}, "max_span_width: expected a whole number from 1 to 99, got 0"),
        ({"max_span_width": 100}, "from 1 to 99, got 100"),
        ({"max_span_width": 2.5}, "whole number"),
        ({"max_span_width": True}, "whole number"),
        ({"width_embedding_size": 0}, "at least 1, got 0"),
        ({"head_dropout": 1.0}, "below 1"),
        ({"head_dropout": -0.1}, "from 0 to 1"),
        ({"span_pooling": "median"}, "one of max, mean, sum, got 'median'"),
        ({"relation_context": "window"}, "one of localized, full, cls"),
        ({"relation_threshold": 1.5}, "relation_threshold: expected a number from 0 to 1, got 1.5"),
        ({"relation_threshold": float("nan")}, "from 0 to 1"),
        ({"entity_types": ["no_entity"]}, "other than 'no_entity'"),
        ({"relation_threshold": {"s": 0.3}, "relation_types": ["r"]}, r"names out of \['r'\], got 's'"),
        ({"relation_threshold": {"r": 2}, "relation_types": ["r"]}, r"\['r'\]: expected a number from 0 to 1, got 2"),
        ({"entity_threshold": {"B": 0.3}}, r"entity_threshold: expected names out of \['A'\], got 'B'"),
        ({"relation_arguments": [["A", "A"]]}, r"expected a mapping \{relation: "),
        ({"relation_arguments": {"s": []}, "relation_types": ["r"]}, r"names out of \['r'\], got 's'"),
        ({"relation_arguments": {"r": "A"}, "relation_types": ["r"]}, r"\['r'\]: expected a list of pairs"),
        ({"relation_arguments": {"r": [["A"]]}, "relation_types": ["r"]}, r"expected pairs \[head type, tail type\]"),
        ({"relation_arguments": {"r": [["A", "B"]]}, "relation_types": ["r"]}, r"names out of \['A'\], got 'B'"),
        ({"overlapping_entities": "some"}, "one of all, nested, none, got 'some'"),
        ({"temperature": 0}, r"temperature\['entities'\]: expected a finite number above 0, got 0"),
        ({"temperature": float("inf")}, "finite number"),
        ({"temperature": {"words": 1}}, r"names out of \['entities', 'relations'\], got 'words'"),
        ({"sentences_per_window": 0}, "sentences_per_window: expected a whole number of at least 1"),
        ({"id2label": {0: "O", 1: "B"}}, "id2label: expected .* which follows from entity_types"),
        ({"num_labels": 5}, "num_labels: expected 2"),
        ({"relation_treshold": 0.3}, "unknown name 'relation_treshold'; did you mean 'relation_threshold'"),
        ({"banana": 0.3}, "unknown name 'banana'; the names are encoder_config"),
        ({"encoder_config": "bert"}, "a configuration or a dictionary, got str"),
        ({"encoder_config": {"model_type": "no-such"}}, "model_type that transformers knows .* got 'no-such'"),
        ({"encoder_config": {"hidden_size": 3}}, "got None"),
        ({"model_type": "bert"}, "SpertModel.from_encoder"),
    ],
)
def test_refuses(fields, message):
    with pytest.raises(ValueError, match=message):
        SpertConfig(**({"entity_types": ["A"]} | fields))


OVERRIDES = [
    ({"span_pooling": "median"}, "span_pooling: expected one of max, mean, sum, got 'median'"),
    ({"max_span_width": 200}, "from 1 to 99, got 200"),
    ({"relation_threshold": 7}, "from 0 to 1, got 7"),
    ({"relation_types": []}, "out of relation_types"),
    ({"relation_treshold": 0.3}, "did you mean 'relation_threshold'"),
]


@pytest.mark.parametrize(("fields", "message"), OVERRIDES)
def test_overrides_are_checked(fields, message, tmp_path):
    tiny.config().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        AutoConfig.from_pretrained(tmp_path, trust_remote_code=True, **fields)
    with pytest.raises(ValueError, match=message):
        SpertConfig.from_pretrained(tmp_path, return_unused_kwargs=True, **fields)
    with pytest.raises(ValueError, match=message):
        SpertConfig.from_dict(tiny.config().to_dict(), **fields)
    config = tiny.config()
    with pytest.raises(ValueError, match=message):
        config.update(fields)
    for name, value in fields.items():
        with pytest.raises(ValueError, match=message):
            setattr(config, name, value)
    assert config.to_dict() == tiny.config().to_dict()


def test_overrides_that_work(tmp_path):
    tiny.config().save_pretrained(tmp_path)
    config, unused = SpertConfig.from_pretrained(
        tmp_path, return_unused_kwargs=True, relation_threshold={"works_for": 0.7}, unheard_of=1, revision="main"
    )
    assert config.relation_threshold == {"works_for": 0.7}
    assert unused == {"unheard_of": 1}
    with pytest.raises(ValueError, match="unknown name 'unheard_of'; the names are"):
        SpertConfig.from_pretrained(tmp_path, unheard_of=1)
    config = AutoConfig.from_pretrained(
        tmp_path,
        trust_remote_code=True,
        attn_implementation="eager",
        dtype="bfloat16",
        output_hidden_states=True,
        encoder_config={"num_hidden_layers": 1},
        entity_types=["X"],
    )
    assert config.encoder_config._attn_implementation == "eager"
    assert str(config.dtype).removeprefix("torch.") == "bfloat16"
    assert config.output_hidden_states
    assert config.encoder_config.num_hidden_layers == 1
    assert config.encoder_config.hidden_size == tiny.config().encoder_config.hidden_size
    assert config.id2label == {0: "no_entity", 1: "X"}


def test_attributes_are_checked_together():
    config = tiny.config()
    config.update({"relation_types": ["r"], "symmetric_relations": [], "relation_threshold": {"r": 0.2}})
    assert (config.relation_types, config.relation_threshold) == (["r"], {"r": 0.2})
    with pytest.raises(ValueError, match=r"names out of \['s'\], got 'r'"):
        config.relation_types = ["s"]
    config.entity_types = ["A", "B"]
    assert (config.id2label, config.num_labels) == ({0: "no_entity", 1: "A", 2: "B"}, 3)
    assert config.label2id == {"no_entity": 0, "A": 1, "B": 2}
    with pytest.raises(ValueError, match="which follows from entity_types"):
        config.id2label = {0: "A", 1: "B"}


def test_decoding_options_round_trip(tmp_path):
    fields = {
        "relation_threshold": {"works_for": 0.7},
        "entity_threshold": 0.2,
        "relation_arguments": {"works_for": [["Person", "Organization"]]},
        "overlapping_entities": "nested",
        "temperature": {"entities": 1.5, "relations": 0.5},
        "sentences_per_window": 3,
    }
    tiny.config(**fields).save_pretrained(tmp_path)
    loaded = SpertConfig.from_pretrained(tmp_path)
    assert {name: getattr(loaded, name) for name in fields} == fields
    assert loaded.id2label == {0: "no_entity", 1: "Person", 2: "Organization", 3: "Place"}
    assert tiny.config(temperature={"relations": 2}).temperature == {"entities": 1.0, "relations": 2.0}


def test_what_other_tools_write_loads_again(tmp_path, caplog):
    config = tiny.config()
    for name, value in {"use_cache": False, "pad_token_id": 3, "quant_tool": "x", "_private": 1}.items():
        setattr(config, name, value)
    config.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert SpertConfig.from_pretrained(tmp_path).quant_tool == "x"
    assert [record.args for record in caplog.records if "no name of this" in record.msg] == [("quant_tool",)]
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"max_span_widht": 5}))
    with pytest.raises(ValueError, match="did you mean 'max_span_width'"):
        SpertConfig.from_pretrained(tmp_path)


def test_encoder_never_brings_code():
    auto_map = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    with pytest.raises(ValueError, match="code of its own"):
        SpertConfig(entity_types=["A"], encoder_config={"model_type": "bert", "auto_map": auto_map})
    encoder_config = BertConfig()
    encoder_config.auto_map = auto_map
    with pytest.raises(ValueError, match="code of its own"):
        SpertConfig(entity_types=["A"], encoder_config=encoder_config)

    class Foreign(PreTrainedConfig):
        model_type = "foreign"

    with pytest.raises(ValueError, match="got 'foreign'"):
        SpertConfig(entity_types=["A"], encoder_config=Foreign())


def test_encoder_folder_is_no_spert_folder(tiny_bert_folder):
    with pytest.raises(ValueError, match=r"use SpertModel\.from_encoder"):
        SpertConfig.from_pretrained(tiny_bert_folder)


@pytest.mark.parametrize(
    ("model_type", "longest"),
    [("bert", 128), ("roberta", 126), ("xlm-roberta", 127), ("deberta-v2", None), ("distilbert", 128)],
)
def test_longest_input(model_type, longest):
    config = tiny.config(model_type)
    assert config.encoder_config.pad_token_id == (1 if model_type == "roberta" else 0)
    assert config.max_pieces == longest


def test_text_configuration_is_the_encoders():
    config = tiny.config()
    assert config.get_text_config() is config.encoder_config
