"""What only a GPU can show; skipped where there is none."""

import json
import subprocess

import pytest
import torch

from spert.prediction import predict
from tests import tiny
from tests.runs import ACCELERATE, command, settings, variables

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_it_finds_what_a_cpu_finds():
    model, processor = tiny.model("bert"), tiny.processor("bert")
    expected = predict(model, processor, tiny.SENTENCES)
    found = predict(model.cuda(), processor, tiny.SENTENCES)
    for one, other in zip(found, expected, strict=True):
        for name in ("entities", "relations"):
            assert [{**each, "score": 0} for each in one[name]] == [{**each, "score": 0} for each in other[name]]
            scores = [each["score"] for each in one[name]]
            assert scores == pytest.approx([each["score"] for each in other[name]], abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    model, processor = tiny.model("bert").cuda(), tiny.processor("bert")
    batch = processor(tiny.SENTENCES, is_split_into_words=True).to("cuda")
    with torch.inference_mode():
        expected, found = model(**batch), model.to(dtype)(**batch)
    inside = expected.spans[..., 1] > 0
    torch.testing.assert_close(found.entity_logits[inside], expected.entity_logits[inside], atol=0.3, rtol=0.1)


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_training_learns(precision, small_corpus, small_encoder, tmp_path):
    launcher = [*ACCELERATE, "--num_processes", "1", "--mixed_precision", precision, "--num_machines", "1"]
    flags = settings(small_corpus, small_encoder, num_train_epochs=6, checkpointing_steps="epoch")
    done = subprocess.run(
        command(launcher, tmp_path / "out", *flags), cwd=tmp_path, env=variables(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "1 process(es) on cuda" in done.stdout
    rows = json.loads((tmp_path / "out" / "dev_scores.json").read_text())
    assert rows[-1]["entity_loss"] < rows[0]["entity_loss"] / 2
    again = [*flags, "--resume_from_checkpoint", tmp_path / "out" / "checkpoints" / "step-00000020"]
    done = subprocess.run(
        command(launcher, tmp_path / "again", *again), cwd=tmp_path, env=variables(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Resuming at step 20 of 24" in done.stdout
    assert json.loads((tmp_path / "again" / "dev_scores.json").read_text())[:5] == rows[:5]
