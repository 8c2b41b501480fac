import re
import shutil

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel

from spert.conversion import convert_checkpoint
from spert.corpora import read_types


@pytest.fixture
def checkpoint(golden, tmp_path):
    return shutil.copytree(golden / "original_checkpoint", tmp_path / "original")


@pytest.fixture
def types(golden):
    return read_types(golden / "types.json")


def edit(checkpoint, change):
    weights = torch.load(checkpoint / "pytorch_model.bin", weights_only=True)
    change(weights)
    torch.save(weights, checkpoint / "pytorch_model.bin")


def test_safetensors_and_pickle_give_the_same(checkpoint, types):
    model, _ = convert_checkpoint(checkpoint, types, lowercase=True)
    weights = torch.load(checkpoint / "pytorch_model.bin", weights_only=True)
    save_file({name: value.contiguous() for name, value in weights.items()}, checkpoint / "model.safetensors")
    (checkpoint / "pytorch_model.bin").unlink()
    again, _ = convert_checkpoint(checkpoint, types, lowercase=True)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_only_what_nothing_uses_is_passed_over(checkpoint, types):
    weights = torch.load(checkpoint / "pytorch_model.bin", weights_only=True)
    assert "bert.pooler.dense.weight" in weights
    edit(checkpoint, lambda weights: weights.update({"bert.embeddings.position_ids": torch.arange(128)}))
    convert_checkpoint(checkpoint, types)
    edit(checkpoint, lambda weights: weights.update({"bert.embeddings.extra": torch.zeros(1), "other": torch.zeros(1)}))
    with pytest.raises(ValueError, match=r"unknown: \['bert.embeddings.extra', 'other'\], missing: none"):
        convert_checkpoint(checkpoint, types)


def test_a_missing_weight_is_named(checkpoint, types):
    edit(checkpoint, lambda weights: weights.pop("rel_classifier.bias"))
    with pytest.raises(ValueError, match=r"unknown: none, missing: \['rel_classifier.bias'\]"):
        convert_checkpoint(checkpoint, types)
    edit(checkpoint, lambda weights: weights.pop("size_embeddings.weight"))
    with pytest.raises(ValueError, match=r"a width table size_embeddings\.weight of 100 rows, got None"):
        convert_checkpoint(checkpoint, types)


def test_types_of_another_number_are_refused(checkpoint, types, tmp_path):
    (tmp_path / "types.json").write_text('{"entities": {"A": {}}, "relations": {"r": {}}}')
    with pytest.raises(ValueError, match=r"shapes .*entity_classifier.weight \(2, 89\), got \(4, 89\).*type file"):
        convert_checkpoint(checkpoint, read_types(tmp_path / "types.json"))


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "pytorch_model.bin"])
def test_a_missing_file_is_named(checkpoint, types, name):
    (checkpoint / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"expected {name}"):
        convert_checkpoint(checkpoint, types)


def test_a_pickle_cannot_run_code(checkpoint, types, tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"bert.x": Evil()}, checkpoint / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"(?i)weights.?only"):
        convert_checkpoint(checkpoint, types)
    assert not (tmp_path / "ran").exists()


def test_case_is_the_callers_choice(checkpoint, types):
    _, cased = convert_checkpoint(checkpoint, types)
    _, lowered = convert_checkpoint(checkpoint, types, lowercase=True)
    assert lowered.tokenizer.tokenize("Oslo") == lowered.tokenizer.tokenize("oslo")
    assert cased.tokenizer.tokenize("Oslo") != cased.tokenizer.tokenize("oslo")


def test_saves_into_this_projects_layout(checkpoint, types, tmp_path):
    from spert.training.output import save_model

    model, processor = convert_checkpoint(checkpoint, types, lowercase=True)
    save_model(tmp_path / "converted", model, processor)
    loaded = AutoModel.from_pretrained(tmp_path / "converted", trust_remote_code=True)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())
    assert loaded.config.symmetric_relations == ["married_to"]


def test_a_vocabulary_that_does_not_fit_is_refused(checkpoint, types):
    file = checkpoint / "vocab.txt"
    pieces = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(pieces[:-1]) + "\n", encoding="utf-8")
    message = rf"vocab.txt: expected {len(pieces)} pieces, as many as .* got {len(pieces) - 1}"
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(checkpoint, types)
    file.write_text("\n".join([*pieces[:-1], pieces[5]]) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"expected each piece once, got '{re.escape(pieces[5])}' in line 6"):
        convert_checkpoint(checkpoint, types)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", r"config\.json: expected JSON, but line 1"),
        ("config.json", b"[]", r"config\.json: expected an object, got list"),
        ("config.json", b'{"hidden_size": "x"}', r"config\.json: cannot be used: .*hidden_size"),
        ("config.json", b'{"num_attention_heads": 0}', r"config\.json: cannot be used: ZeroDivisionError"),
        ("config.json", b'{"auto_map": {"AutoConfig": "x.C"}}', r"config\.json: cannot be used: .*code of its own"),
        ("vocab.txt", b"a\n\xff", r"vocab\.txt: expected UTF-8, but byte 2"),
        ("pytorch_model.bin", b"PK\x03\x04", r"pytorch_model\.bin: cannot be read"),
        ("pytorch_model.bin", b"", r"pytorch_model\.bin: cannot be read: EOFError"),
        ("model.safetensors", b"\x00", r"model\.safetensors: cannot be read: SafetensorError"),
    ],
)
def test_a_damaged_file_is_named(checkpoint, types, name, content, message):
    (checkpoint / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(checkpoint, types)


def test_weights_that_are_no_tensors_or_not_finite(checkpoint, types):
    edit(checkpoint, lambda weights: weights["rel_classifier.bias"].fill_(float("nan")))
    with pytest.raises(ValueError, match=r"pytorch_model\.bin: expected finite weights.*pair_classifier\.linear\.bias"):
        convert_checkpoint(checkpoint, types)
    torch.save([1, 2], checkpoint / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin: expected a dictionary of tensors, got list"):
        convert_checkpoint(checkpoint, types)


def test_a_vocabulary_in_another_order(checkpoint, types):
    """A permutation in general cannot be seen; one that moves the padding piece can, and so can a missing piece."""
    file = checkpoint / "vocab.txt"
    pieces = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(sorted(pieces)) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"vocab\.txt: expected \[PAD\] in line 1, .* in another order"):
        convert_checkpoint(checkpoint, types)
    file.write_text("\n".join(piece.replace("[SEP]", "[END]") for piece in pieces) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"vocab\.txt: .* got none of \[SEP\]"):
        convert_checkpoint(checkpoint, types)
