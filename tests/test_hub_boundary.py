"""What ships to the Hub: which files, what they import, and that they suffice."""

import ast
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import tiny
from tests.tolerance import assert_close

SHIPPED = {
    "batches_spert.py",
    "candidates_spert.py",
    "collating_spert.py",
    "configuration_spert.py",
    "decoding_spert.py",
    "documents_spert.py",
    "encoders_spert.py",
    "encoding_spert.py",
    "heads_spert.py",
    "losses_spert.py",
    "modeling_spert.py",
    "neighbours_spert.py",
    "options_spert.py",
    "outputs_spert.py",
    "pair_contexts_spert.py",
    "pairs_spert.py",
    "pieces_spert.py",
    "pipeline_spert.py",
    "processing_spert.py",
    "results_spert.py",
    "sampling_spert.py",
    "sentences_spert.py",
    "spans_spert.py",
    "transfer_spert.py",
    "weights_spert.py",
    "windows_spert.py",
    "word_rules_spert.py",
    "words_spert.py",
}
SAVED = SHIPPED | {
    "config.json",
    "handler.py",
    "model.safetensors",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
IMPORTED = {"regex", "torch", "transformers"}

# Which shipped file may import which, at run time.
MAY_IMPORT = {
    "options_spert": set(),
    "encoders_spert": set(),
    "configuration_spert": {"encoders_spert", "options_spert"},
    "heads_spert": {"spans_spert"},
    "pair_contexts_spert": {"spans_spert"},
    "pairs_spert": set(),
    "transfer_spert": set(),
    "candidates_spert": {"options_spert", "spans_spert"},
    "spans_spert": set(),
    "word_rules_spert": set(),
    "words_spert": {"word_rules_spert"},
    "sampling_spert": {"spans_spert"},
    "decoding_spert": {"candidates_spert", "options_spert", "spans_spert"},
    "weights_spert": set(),
    "losses_spert": {"configuration_spert"},
    "outputs_spert": {"options_spert"},
    "modeling_spert": {
        "candidates_spert",
        "configuration_spert",
        "pair_contexts_spert",
        "heads_spert",
        "losses_spert",
        "options_spert",
        "outputs_spert",
        "pairs_spert",
        "spans_spert",
        "transfer_spert",
        "weights_spert",
    },
    "documents_spert": {"configuration_spert", "words_spert"},
    "encoding_spert": {"documents_spert", "pieces_spert", "windows_spert"},
    "pieces_spert": set(),
    "results_spert": {"decoding_spert", "documents_spert", "options_spert", "windows_spert"},
    "sentences_spert": set(),
    "windows_spert": set(),
    "batches_spert": {"encoding_spert", "options_spert"},
    "processing_spert": {
        "batches_spert",
        "candidates_spert",
        "configuration_spert",
        "decoding_spert",
        "documents_spert",
        "encoders_spert",
        "encoding_spert",
        "options_spert",
        "pieces_spert",
        "results_spert",
        "sentences_spert",
        "windows_spert",
        "word_rules_spert",
        "words_spert",
    },
    "collating_spert": {"configuration_spert", "neighbours_spert", "sampling_spert", "words_spert"},
    "neighbours_spert": set(),
    "pipeline_spert": {"options_spert"},
}


def run_time_imports(file: Path) -> list[ast.Import | ast.ImportFrom]:
    found = []

    def walk(node):
        for child in ast.iter_child_nodes(node):
            is_for_types = isinstance(child, ast.If) and getattr(child.test, "id", None) == "TYPE_CHECKING"
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                found.append(child)
            elif not is_for_types:
                walk(child)

    walk(ast.parse(file.read_text()))
    return found


def test_shipped_files(root):
    assert {file.name for file in root.glob("*_spert.py")} == SHIPPED


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_shipped_files_import_little(root, name):
    absolute, relative = set(), set()
    for node in run_time_imports(root / f"{name}.py"):
        if isinstance(node, ast.Import):
            absolute |= {alias.name.split(".")[0] for alias in node.names}
        elif node.level:
            assert node.level == 1
            relative.add(node.module)
        else:
            absolute.add(node.module.split(".")[0])
    assert absolute - set(sys.stdlib_module_names) <= IMPORTED
    assert relative <= MAY_IMPORT[name]


def test_the_handler_stands_alone(root):
    """It is copied beside a model, and is no module of a package there."""
    nodes = run_time_imports(root / "spert" / "handler.py")
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {"." * node.level + (node.module or "") for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) == {"torch", "transformers"}


def test_the_workbench_is_layered(root):
    """corpora and evaluation know nothing of training; scripts use the workbench, nothing uses scripts."""
    for folder, forbidden in (
        ("corpora", {"evaluation", "training", "prediction", "modeling_spert"}),
        ("evaluation", {"training"}),
        ("extraction", {"evaluation", "training"}),
        ("inspection", {"extraction", "search", "studies", "training"}),
        ("exported", {"corpora", "evaluation", "extraction", "training"}),
    ):
        for file in (root / "spert" / folder).glob("*.py"):
            for node in run_time_imports(file):
                names = {node.module or ""} if isinstance(node, ast.ImportFrom) else {one.name for one in node.names}
                assert not any(part in forbidden for name in names for part in name.split(".")), file


def test_saved_files(saved_model):
    assert {file.name for file in saved_model.iterdir()} == SAVED
    assert (saved_model / "model.safetensors").stat().st_mode & 0o044, "others may read it, too"


def test_a_plain_save_of_the_model_carries_all_code(tmp_path):
    tiny.model("bert").save_pretrained(tmp_path)
    assert {file.name for file in tmp_path.glob("*.py")} == SHIPPED


def test_saved_configuration_leaks_no_path(saved_model):
    text = (saved_model / "config.json").read_text() + (saved_model / "processor_config.json").read_text()
    assert "/" not in text
    config = json.loads((saved_model / "config.json").read_text())
    assert config["auto_map"] == {
        "AutoConfig": "configuration_spert.SpertConfig",
        "AutoModel": "modeling_spert.SpertModel",
    }


LOADS_ALONE = """
import json, socket, sys

sys.path.append(sys.argv[3])

def no_network(*args, **kwargs):
    raise OSError("the network was asked for")
socket.socket.connect = no_network
socket.getaddrinfo = no_network

import torch
from transformers import AutoConfig, AutoModel, AutoProcessor, pipeline
folder, sentences = sys.argv[1], json.loads(sys.argv[2])
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
extract = pipeline("entity-relation-extraction", model=folder, trust_remote_code=True)
batch = processor(sentences, is_split_into_words=True, return_tensors="pt")
with torch.inference_mode():
    outputs = model(**batch)
results = processor.post_process_entity_relation_extraction(outputs, batch)
assert type(config).__name__ == "SpertConfig" and type(model).__name__ == "SpertModel"
assert type(processor).__name__ == "SpertProcessor" and type(extract).__name__ == "SpertPipeline"
piped = extract(sentences, is_split_into_words=True, batch_size=len(sentences))

# As the toolkit of Inference Endpoints does.
import importlib.util
spec = importlib.util.spec_from_file_location("handler.EndpointHandler", folder + "/handler.py")
sys.path.insert(0, folder)
module = importlib.util.module_from_spec(spec)
sys.modules["handler.EndpointHandler"] = module
spec.loader.exec_module(module)
handler = module.EndpointHandler(folder)
served = handler({"inputs": sentences, "parameters": {"is_split_into_words": True}})
assert not {"spert", "datasets", "evaluate", "accelerate"} & {name.split(".")[0] for name in sys.modules}
print(json.dumps([results, piped, served]))
"""


def link_distributions(names: set[str], folder: Path) -> None:
    """A folder that holds these distributions and what they require, and nothing else."""
    folder.mkdir()
    waiting, seen = set(names), set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or [] if file.parts[0] != ".."}:
            if not (folder / top).exists() and top != "__pycache__":
                (folder / top).symlink_to(Path(distribution.locate_file(top)))
        for requirement in map(Requirement, distribution.requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.add(requirement.name)


def test_loads_in_a_process_with_only_torch_and_transformers(saved_model, tmp_path):
    model, processor = tiny.model("bert"), tiny.processor("bert")
    batch = processor(tiny.SENTENCES, is_split_into_words=True)
    with torch.inference_mode():
        expected = processor.post_process_entity_relation_extraction(model(**batch), batch)
    packages = tmp_path / "packages"
    link_distributions({"torch", "transformers"}, packages)
    assert not (packages / "accelerate").exists()
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        # Without site-packages: the linked distributions are all there is.
        [
            sys.executable,
            "-I",
            "-S",
            "-B",
            "-c",
            LOADS_ALONE,
            str(saved_model),
            json.dumps(tiny.SENTENCES),
            str(packages),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for results in json.loads(done.stdout.splitlines()[-1]):
        assert_close(results, expected)
    assert any(result["relations"] for result in expected)


def test_code_of_two_folders_does_not_mix(saved_model, tmp_path):
    """Loading one model must not decide which code the next one runs."""
    from transformers import AutoModel

    tiny.model("bert").save_pretrained(tmp_path)
    source = (tmp_path / "modeling_spert.py").read_text()
    (tmp_path / "modeling_spert.py").write_text(source + "\nSpertModel.edited = True\n")
    first = AutoModel.from_pretrained(saved_model, trust_remote_code=True)
    second = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
    assert not hasattr(first, "edited")
    assert second.edited
