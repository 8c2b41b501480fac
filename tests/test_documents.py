"""What the documents say is so: links, trees, code, commands."""

import doctest
import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from spert.cli import app
from spert.training.flags import flags_of_training, parse_arguments
from tests import tiny

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "outputs" for part in path.relative_to(ROOT).parts)
)


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL)


def commands(document: str) -> list[list[str]]:
    """The words of each shell command in a document."""
    lines = "\n".join(blocks(document, "bash")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        is_of_a_model = document.name == "card_template.md"  # its pictures stand beside a trained model
        if not target.startswith("http") and not is_of_a_model:
            assert (document.parent / target).exists(), target


def test_the_tree_in_the_architecture_is_the_tree():
    (tree,) = [block for block in blocks("docs/architecture.md", "") if "ships" in block]
    shown = {line.split()[0] for line in tree.splitlines() if not line.startswith(" ")}
    assert {name for name in shown if name.endswith(".py") and "/" not in name} == {
        path.name for path in ROOT.glob("*.py") if path.name != "hatch_build.py"
    }
    inside = {line.split()[0] for line in tree.splitlines() if line.startswith("  ") and line.strip()}
    for name in inside:
        assert (ROOT / "spert" / name).exists(), name
    actual = {path.name for path in (ROOT / "spert").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert actual == {name for name in inside if name.endswith(".py")}
    ships = {line.split()[0] for line in tree.splitlines() if line.endswith("ships")}
    assert ships == {path.name for path in ROOT.glob("*_spert.py")}


@pytest.mark.parametrize(
    "document", ["README.md", "docs/training.md", "docs/extraction.md", "docs/inspection.md", "docs/serving.md"]
)
def test_python_examples_run(document, saved_model, tiny_bert_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names = {"encoder": str(tiny_bert_folder)}
    for code in blocks(document, "python"):
        if ">>>" in code:  # with the results that the document shows
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            examples = doctest.DocTestParser().get_doctest(code, names, document, document, 0)
            failed = doctest.DocTestRunner(optionflags=flags).run(examples, clear_globs=False).failed
            assert not failed, f"{document} shows other results than its code gives"
            names = examples.globs
        else:
            exec(code.replace("outputs/demo", str(saved_model)), names)
    if document == "README.md":
        (shown,) = (json.loads(block) for block in blocks(document, "json") if '"words"' in block)
        result = names["result"]
        assert {name: result[name] for name in ("text", "words")} == {name: shown[name] for name in ("text", "words")}
        assert list(shown) == list(result)
        for entity in shown["entities"]:
            assert shown["text"][entity["start"] : entity["end"]] == entity["text"]
            first, last = shown["words"][entity["word_start"]], shown["words"][entity["word_end"] - 1]
            assert [first[0], last[1]] == [entity["start"], entity["end"]]


def test_the_annotation_example_is_read(tmp_path):
    from spert.corpora import load_corpus

    (shown,) = (block for block in blocks("README.md", "json") if '"tokens"' in block)
    (tmp_path / "train.json").write_text(shown)
    assert load_corpus(tmp_path / "train.json").num_rows == {"train": 1}


@pytest.mark.parametrize("document", ["README.md", "docs/training.md", "CONTRIBUTING.md"])
def test_make_targets_exist(document):
    for words in commands(document):
        if words[0] == "make":
            done = subprocess.run(["make", "-n", words[1]], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


COMMAND_DOCUMENTS = ["command_line", "extraction", "graphs", "inspection", "results", "serving", "training"]


@pytest.mark.parametrize("document", ["README", *map("docs/".__add__, COMMAND_DOCUMENTS)])
def test_spert_commands_take_the_flags_that_are_shown(document):
    shown = [words for words in commands(f"{document}.md") if words[0] == "spert" and words[1] != "corpus"]
    assert shown
    for words in shown:
        help_text = CliRunner().invoke(app, [words[1], "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
        if words[1] == "train":  # which passes all other flags on
            help_text += flags_of_training().format_help()
        flags = {flag.strip("[]") for flag in words if flag.strip("[]").startswith("--")}
        for flag in flags:
            assert re.search(rf"{flag}\b", help_text), (words[1], flag)


def test_training_commands_run(tiny_bert_folder, tmp_path, request):
    """The README's commands, on a few sentences for one step."""
    shown = [words[3:] for words in commands("README.md") if words[:2] == ["accelerate", "launch"]]
    assert len(shown) == 2
    for _split, name in (("train", "train"), ("validation", "dev"), ("test", "test")):
        (tmp_path / f"{name}.json").write_text(json.dumps(tiny.RECORDS))
    types = {
        "entities": {name: {} for name in tiny.ENTITY_TYPES},
        "relations": {name: {} for name in tiny.RELATION_TYPES},
    }
    (tmp_path / "types.json").write_text(json.dumps(types))
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for number, words in enumerate(shown):
        flags = [*words, "--model_name_or_path", str(tiny_bert_folder), "--max_train_steps", "1"]
        flags += ["--output_dir", str(tmp_path / f"out{number}")]
        if "--data_dir" in flags:  # the real CoNLL04: the shown settings are only read
            arguments = parse_arguments([str(tmp_path / flags[0]), *flags[1:]])
            assert arguments.dataset_name == "conll04"
            continue
        command = [sys.executable, str(ROOT / "train_accelerate.py"), *flags]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"out{number}" / "metrics.json").exists()


def test_the_demo_extracts(saved_model):
    command = [sys.executable, str(ROOT / "examples" / "extract.py"), str(saved_model), "Ada Park of Oslo"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ada Park of Oslo\n")
    assert "-->" in done.stdout


def test_the_demos_encoder_is_there():
    done = subprocess.run([sys.executable, str(ROOT / "examples" / "minilm.py")], capture_output=True, text=True)
    assert (Path(done.stdout.strip()) / "model.safetensors").is_file()


@pytest.fixture
def benchmark(monkeypatch, capsys):
    """Runs a benchmark as `python -m` does, in this process; what it printed."""

    def run(name, *flags):
        monkeypatch.setattr(sys, "argv", [name, *map(str, flags)])
        capsys.readouterr()
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.slow
def test_benchmarks_run(benchmark, saved_model, tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.json").write_text(json.dumps(tiny.RECORDS))
    flags = ["--model", saved_model, "--dataset", tmp_path, "--batch_size", 2, "--rounds", 1]
    assert "÷ encoder alone" in benchmark("extraction_speed", *flags, "--dense")
    assert "training step" in benchmark("training_speed", *flags)
    flags = ["--words", 20, "--entities", 5, "--batch_size", 1, "--measure", "heads"]
    assert len(json.loads(benchmark("growth", *flags).splitlines()[-1])) == 3


@pytest.mark.slow
def test_the_benchmarks_of_hosts_and_gpus_run_on_a_cpu(benchmark, saved_model, tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.json").write_text(json.dumps(tiny.RECORDS))
    flags = ["--dataset", tmp_path, "--batch_size", 2, "--rounds", 1]
    assert "all, words remembered − tokenizer alone" in benchmark("host_stages", "--model", saved_model, *flags)
    flags += ["--device", "cpu", "--dtype", "float32", "--sentences", 4, "--single", 1, "--predicted", 8]
    shown = benchmark("gpu", "--models", saved_model, *flags, "--training_batch_size", 2, "--parts", *GPU_PARTS)
    for expected in (
        "model, fixed shapes, 2",
        "extraction, 2",
        "encoder alone, ready mask ",
        "training step",
        "multiples of 8",
    ):
        assert expected in shown


GPU_PARTS = ("padding", "forward", "extraction", "launches", "training")
"""All but `predict`, which starts three processes."""


@pytest.mark.slow
def test_the_benchmark_of_graphs_runs(benchmark):
    pytest.importorskip("rdflib")
    shown = benchmark("graphs", "--records", "50", "--names", "20", "--formats", "csv,ttl")
    assert "50 records" in shown
    assert "triples." in shown


def test_the_benchmark_of_bulk_extraction_runs(benchmark, data_dir):
    """It is killed once and resumed, on one process; the default is twice and on two."""
    flags = ["--sentences", 600, "--shard_size", 20, "--batch_size", 4, "--kills", 1, "--num_processes", 1]
    shown = benchmark("bulk_extraction", "--data_dir", data_dir / "conll04", *flags)
    assert re.search(r"^ *600 .* 1 +\d+ MiB *$", shown, flags=re.MULTILINE), shown


def test_the_dense_baseline_computes_the_same():
    from benchmarks.dense_baseline import dense_forward

    model, processor = tiny.model("bert"), tiny.processor("bert")
    for words in tiny.SENTENCES:
        batch = processor([words], is_split_into_words=True)
        with torch.inference_mode():
            expected = model(**batch)
        entity_logits, pair_logits = dense_forward(model, batch)
        torch.testing.assert_close(entity_logits, expected.entity_logits[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(pair_logits, expected.candidate_logits, atol=1e-4, rtol=1e-4)


def test_nothing_names_a_machine_or_is_too_large():
    """No path of a machine, and no file above a megabyte."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    for path in map(ROOT.joinpath, listed):
        if path.is_file():
            assert path.stat().st_size < 1_000_000, path
            text = path.read_text(errors="ignore")
            assert "/" + "work/" not in text, path
            assert "/" + "root/" not in text, path
