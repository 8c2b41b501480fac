"""The card shows names of a corpus, a model or a user letter by letter: none becomes markup, HTML or code."""

import ast
import html
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from spert.corpora import load_files
from spert.corpora.spert_json import write_spert_json
from spert.evaluation import compute_scores
from spert.hub import _content
from spert.markdown import code, plain, python_string
from spert.training.arguments import TrainingArguments
from spert.training.card import _encoder_text, _name_on_the_hub, write_card
from tests import tiny

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

HOSTILE = [
    "a\n```\n# Heading\n<script>alert(1)</script>\n```python\n",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1)) ![y](http://evil.example/z.png)",
    "*a* _b_ __c__ ~~d~~ `e` ``f`` | g | \\h &lt; &amp;",
    "# a",
    "- a",
    "1. a",
    "```",
    "a\r\n\r\nb\u2028c\u0085d",
    "{{ 7 * 7 }} {% raw %}",
    "</code></pre>",
    "---",
]


def words_of(markdown):
    """What a reader sees, with one space between words."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", MARKDOWN.render(markdown))).split())


def body_of(card):
    """A card without its metadata."""
    return re.split(r"^---$", card, maxsplit=2, flags=re.MULTILINE)[2]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_letter_by_letter(text):
    shown = " ".join(text.split())
    assert MARKDOWN.render(f"x {plain(text)} y").count("<") == 2, "a paragraph and its end"
    assert words_of(f"x {plain(text)} y") == f"x {shown} y"
    assert words_of(plain(text)) == shown
    assert words_of(f"x {code(text)} y") == f"x {shown} y"
    assert MARKDOWN.render(f"x {code(text)} y").count("<") in (2, 4), "and code with its end, or none"
    row = MARKDOWN.render(f"| a | b |\n|---|---|\n| {plain(text)} | z |")
    assert re.findall(r"<td>(.*?)</td>", row)[1:] == ["z"]
    assert " ".join(html.unescape(re.findall(r"<td>(.*?)</td>", row)[0]).split()) == shown


@given(st.text(st.characters(codec="utf-8"), max_size=30))
@settings(deadline=None, max_examples=200)
def test_any_text(text):
    shown = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())
    assert words_of(f"x {plain(text)} y") == f"x {shown} y".replace("  ", " ")
    assert ast.literal_eval(python_string(text)) == text
    assert "\n" not in python_string(text)
    assert "```" not in python_string(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_changes_what_the_card_is_made_of(name, tmp_path):
    """The card of hostile names has the headings, blocks of code, tables and pictures of the card of harmless ones."""
    harmless, hostile = (write(tmp_path, given) for given in ("Harmless", name))
    assert outline(hostile) == outline(harmless)
    body = MARKDOWN.render(body_of(hostile))
    assert "<script" not in body
    assert "<img src=x" not in body
    assert 'href="javascript' not in body
    assert "evil.example" not in "".join(re.findall(r'(?:href|src)="[^"]*"', body))
    pushed = _content_of(tmp_path, hostile)
    (program,) = re.findall(r"^```python\n(.*?)^```$", pushed, flags=re.DOTALL | re.MULTILINE)
    calls = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Call)]
    assert [ast.unparse(call.func) for call in calls] == ["pipeline", "extract"]
    assert {keyword.arg: ast.literal_eval(keyword.value) for keyword in calls[0].keywords}["model"] == "org/x"


def write(folder, name):
    """The card of a run whose types, words, corpus, encoder, folder and description are all called `name`."""
    rename = {"Person": name, "works_for": f"{name} r", "married_to": f"{name} s"}
    records = []
    for record in tiny.RECORDS:
        tokens = [name, *record["tokens"][1:]] if record["id"] == "a" else record["tokens"]
        entities = [one | {"type": rename.get(one["type"], one["type"])} for one in record["entities"]]
        relations = [one | {"type": rename.get(one["type"], one["type"])} for one in record["relations"]]
        records.append({"tokens": tokens, "entities": entities, "relations": relations})
    write_spert_json(folder / "corpus.json", records)
    corpus = load_files({"test": str(folder / "corpus.json")})
    config = tiny.config(
        entity_types=[rename.get(kind, kind) for kind in tiny.ENTITY_TYPES],
        relation_types=[rename.get(kind, kind) for kind in tiny.RELATION_TYPES],
        symmetric_relations=[rename["married_to"]],
        relation_threshold={rename["works_for"]: 0.5},
    )
    arguments = TrainingArguments(output_dir=name, train_file=f"{name}.json", model_name_or_path=name)
    scores = compute_scores(records, records)
    run = {
        "settings": arguments.to_dict(),
        "corpus": {"test": {"about": name.replace("\n", " ")}},
        "machine": {"mixed_precision": "no", "num_processes": 1, "device": name},
        "versions": {"spert": "1", "torch": "2", "transformers": "5"},
        "outcome": {"steps": 1, "epochs": 1, "seconds": 60, "epoch_of_the_model": 1},
    }
    everything = {"scores": scores, "without_overlapping": scores, "from_text": scores, "predictions": records}
    write_card(folder / "README.md", config=config, run=run, corpus=corpus, split="test", **everything)
    return (folder / "README.md").read_text(encoding="utf-8")


def outline(card):
    tokens = MARKDOWN.parse(body_of(card))
    kinds = [token.type for token in tokens if token.type.endswith("_open") or token.type in ("fence", "html_block")]
    harmless = ("text", "softbreak", "code_inline")  # a name that would leave its code is shown as text
    inline = [child.type for token in tokens for child in token.children or [] if child.type not in harmless]
    return kinds, inline


def _content_of(folder, card):
    content = _content(folder / "README.md", "org/x")
    assert isinstance(content, bytes)
    assert len(content.decode().splitlines()) >= len(card.splitlines()) - 1
    return content.decode()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nreimers/MiniLM-L6-H384-uncased", "nreimers/MiniLM-L6-H384-uncased"),
        ("/home/somebody/encoder", None),
        ("../encoder", None),
        ("org/name/more", None),
        ("", None),
        (7, None),
    ],
)
def test_what_a_local_encoder_was_made_from(tmp_path, name, expected):
    (tmp_path / "config.json").write_text(json.dumps({"_name_or_path": name}))
    assert _name_on_the_hub(tmp_path) == expected
    text = _encoder_text(tiny.config(), expected)
    assert text.startswith("a pre-trained bert encoder (2 layers, 32 wide)")
    assert ("was made from" in text) == (expected is not None)


def test_a_local_encoder_that_does_not_say(tmp_path):
    assert _name_on_the_hub(tmp_path) is None
    (tmp_path / "config.json").write_text("[]")
    assert _name_on_the_hub(tmp_path) is None
