"""What `docs/command_line.md`, `docs/graphs.md` and `docs/spacy.md` show is what their commands and code print."""

import doctest
import re
import shlex
import sys
from pathlib import Path

import pytest

from examples.hand_made import hand_made
from spert.cli import main
from spert.training.output import save_model
from tests.test_documents import blocks

LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hand-made") / "demo"
    save_model(folder, *hand_made())
    return folder


@pytest.fixture
def workplace(demo, tmp_path, monkeypatch):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "demo").symlink_to(demo)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(command, monkeypatch, capsys):
    """What a command prints, standard output before standard error."""
    words = shlex.split(command)
    if words[:2] == ["head", "-n"]:
        return "".join(Path(words[3]).read_text().splitlines(keepends=True)[: int(words[2])])
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr()
    return printed.out + printed.err


def shown(document):
    """The commands of a document's console blocks, each with the output that is shown."""
    for block in blocks(document, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def check(document, names):
    """Run the Python examples of a document."""
    for code in blocks(document, "python"):
        examples = doctest.DocTestParser().get_doctest(code, names, document, document, 0)
        failed = doctest.DocTestRunner(optionflags=LIKE).run(examples, clear_globs=False).failed
        assert not failed, f"{document} shows other results than its code gives"
        names = examples.globs


def check_console(document, monkeypatch, capsys):
    commands = list(shown(document))
    assert commands
    for command, expected in commands:
        output = run(command, monkeypatch, capsys)
        assert doctest.OutputChecker().check_output(expected, output, LIKE), f"$ {command}\n{output}"


def test_command_line(workplace, monkeypatch, capsys):
    texts = ["Vera Lund, who is married to Nils Lund, joined the University of Tromso.", "Ada Park lives in Oslo."]
    Path("notes.txt").write_text("\n".join(texts) + "\n")
    check_console("docs/command_line.md", monkeypatch, capsys)


def test_graphs(workplace, monkeypatch, capsys):
    pytest.importorskip("rdflib")
    (notes,) = (block for block in blocks("docs/graphs.md", "json") if "note-1" in block)
    Path("notes.jsonl").write_text(notes)
    check_console("docs/graphs.md", monkeypatch, capsys)
    check("docs/graphs.md", {})


def test_spacy(workplace):
    pytest.importorskip("spacy")
    import spert.spacy_component  # the entry point is that of an installed package; see test_spacy.py

    assert spert.spacy_component.make_spert
    check("docs/spacy.md", {})
