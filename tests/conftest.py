"""Where the real corpora and the golden numbers are, and models that many tests share."""

import gc
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests import odd_addresses

# Tests run side by side, and their tiny models gain nothing from several threads that wait for each other.
torch.set_num_threads(int(os.environ.setdefault("OMP_NUM_THREADS", "1")))

if os.environ.get("SPERT_TEST_ODD_ADDRESSES"):
    odd_addresses.install()

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that kill processes at many moments run only where `-m` names them: `make kills`."""
    # What was imported and collected stays: the garbage collector need not walk through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    # Files with the most slow tests begin, so that no worker is left with one at the end.
    num_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -num_slow[item.path])
    if "kills" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("kills")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real corpora, named by SPERT_DATA_DIR."""
    if not os.environ.get("SPERT_DATA_DIR"):
        pytest.skip("SPERT_DATA_DIR names no folder of real corpora")
    folder = Path(os.environ["SPERT_DATA_DIR"]).resolve()
    assert folder.is_dir(), f"SPERT_DATA_DIR: {folder} is no folder"
    return folder


@pytest.fixture(scope="session")
def golden_metrics(data_dir: Path) -> Path:
    """The original's scores of real predictions, beside the corpora."""
    folder = data_dir.parent / "golden" / "metrics"
    if not folder.is_dir():
        pytest.skip(f"no golden numbers of the metrics at {folder}")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """What the original implementation computed with a tiny random model."""
    return ROOT / "tests" / "golden" / "tiny"


@pytest.fixture(scope="session")
def tiny_bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-trained encoder as users have them: a folder with weights, configuration and tokenizer."""
    from transformers import AutoModel

    from tests import tiny

    folder = tmp_path_factory.mktemp("encoder") / "tiny-bert"
    config = tiny.config("bert").encoder_config
    config.max_position_embeddings = 512  # enough for every sentence of the shipped corpus
    AutoModel.from_config(config).save_pretrained(folder)
    tiny.tokenizer("bert").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as training saves it."""
    from spert.training.output import save_model
    from tests import tiny

    folder = tmp_path_factory.mktemp("model") / "spert-tiny"
    save_model(folder, tiny.model("bert"), tiny.processor("bert"))
    return folder


@pytest.fixture(scope="session")
def small_encoder(tmp_path_factory):
    """A pre-trained encoder without dropout, so that runs on different numbers of processes can be equal."""
    folder = tmp_path_factory.mktemp("encoder")
    from transformers import AutoModel

    from tests import tiny

    torch.manual_seed(0)
    config = tiny.config("bert").encoder_config
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    AutoModel.from_config(config).save_pretrained(folder)
    tiny.tokenizer("bert").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory):
    """Some sentences of the shipped corpus, 13 to train on: no multiple of the batch sizes."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, number in (("train", 13), ("validation", 5), ("test", 7)):
        records = json.loads((ROOT / "examples" / "gazette" / f"{split}.json").read_text())[:number]
        (folder / f"{split}.json").write_text(json.dumps(records))
    (folder / "types.json").write_text((ROOT / "examples" / "gazette" / "types.json").read_text())
    return folder


@pytest.fixture(scope="session")
def easy_corpus(tmp_path_factory):
    """A few sentences again and again: a tiny model learns all of them in seconds."""
    from tests import tiny

    folder = tmp_path_factory.mktemp("easy")
    for split, number in (("train", 13), ("validation", 4), ("test", 7)):
        records = [record | {"id": f"{split}-{index}"} for index, record in enumerate((tiny.RECORDS * 4)[:number])]
        (folder / f"{split}.json").write_text(json.dumps(records))
    types = {
        "entities": {name: {} for name in tiny.ENTITY_TYPES},
        "relations": {name: {"symmetric": name in tiny.SYMMETRIC} for name in tiny.RELATION_TYPES},
    }
    (folder / "types.json").write_text(json.dumps(types))
    return folder


@pytest.fixture(scope="session")
def finished_run(easy_corpus, small_encoder, tmp_path_factory):
    """The folder and the output of a run with early stopping, tracked by TensorBoard, that learns what it is shown."""
    from tests.runs import settings, train_here

    folder = tmp_path_factory.mktemp("finished") / "run"
    flags = settings(
        easy_corpus,
        small_encoder,
        num_train_epochs=40,
        early_stopping_patience=4,
        metric_for_best_model="ner_micro_f1",
        with_tracking=True,
        report_to="tensorboard",
        logging_steps=2,
        relation_arguments="learned",
        seed=1,
    )
    return folder, train_here(folder, *flags, draws=True)
