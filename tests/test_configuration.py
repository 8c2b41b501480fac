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
