"""The page's parts, without a browser: reading, escaping, stacking, graph and picture; and the command."""

import html
import json
import re
import socket
import urllib.request
import xml.etree.ElementTree as ElementTree

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from examples.hand_made import hand_made
from spert.cli import app
from spert.demo.drawing import MAX_EDGES, draw, standalone
from spert.demo.graph import Edge, Graph, Node, graph_of, node_link_json
from spert.demo.markup import entity_table, escape, highlighted, lanes_of, message, relation_table
from spert.demo.reading import Choices, Reader, Reading, UnreadableError, lines_of, only, read, read_file
from spert.options_spert import DecodingOptions
from spert.prediction import predict

TYPES = ["Person", "Organization", "Place"]
HOSTILE = "<b onclick='x'>&amp;${x} {{y}} @children `z`\""


@pytest.fixture(scope="module")
def reader():
    model, processor = hand_made()

    def extract(item, **options):
        return predict(model, processor, [item], **options)[0]

    return Reader.of("hand-made", extract, processor, DecodingOptions.of(model.config), 1000)


def choices(reader, **changes):
    values = {"entity_types": reader.entity_types, "relation_types": reader.relation_types}
    return Choices(**({"entity_threshold": None, "relation_threshold": None} | values | changes))


def result_of(text, spans, relations=()):
    entities = [
        {"type": kind, "start": start, "end": end, "text": text[start:end], "score": 0.5, "sentence": 0}
        for start, end, kind in spans
    ]
    pairs = [{"type": kind, "head": head, "tail": tail, "score": 0.5} for head, tail, kind in relations]
    return {"text": text, "words": [], "sentences": [], "entities": entities, "relations": pairs}


class TestReading:
    def test_thresholds_and_types(self, reader):
        text = "Vera Lund, who is married to Nils Lund, joined the University of Tromso."
        everything = read(reader, text, choices(reader)).result
        assert [len(everything[name]) for name in ("entities", "relations")] == [4, 3]
        few = read(reader, text, choices(reader, relation_threshold=0.9, entity_types=["Person"])).result
        assert [len(few[name]) for name in ("entities", "relations")] == [2, 0]
        one = only(everything, ["Person", "Organization"], ["works_for"])
        assert [relation["tail"] for relation in one["relations"]] == [2, 2]
        assert one["entities"][2]["text"] == "University of Tromso"

    def test_sentences_and_windows(self, reader):
        text = "Ada Park lives.\r\n\r\n  in Oslo. Quito. "
        assert lines_of(text) == [[0, 15], [21, 36]]
        line = read(reader, text, choices(reader, sentences="line"))
        assert line.result["sentences"] == [[0, 15], [21, 36]]
        assert read(reader, text, choices(reader, sentences="one")).result["sentences"] == [[0, 36]]
        together = read(reader, "Ada Park came. She lives in Oslo.", choices(reader, sentences_per_window=2))
        assert together.windows == [(0, 9)]
        assert len(together.result["relations"]) == 1

    @pytest.mark.parametrize(
        ("text", "title", "advice"),
        [
            ("", "No text yet", "Type or paste one"),
            ("a" * 1001, "This text is too long", "It has 1,001 characters, and this page reads at most 1,000"),
            ("-" * 100, "One word is too long for this model", "'-{57}…' comes to 100 pieces, and .* takes at most 62"),
            ("\ud800", "This text cannot be read", "Expected text that can be written as UTF-8"),
        ],
    )
    def test_what_cannot_be_read(self, reader, text, title, advice):
        with pytest.raises(UnreadableError, match=advice) as refused:
            read(reader, text, choices(reader))
        assert refused.value.title == title

    def test_a_fault_of_ours_is_not_the_visitors(self, reader, caplog):
        def broken(item, **options):
            raise RuntimeError("secret")

        ours = Reader("x", broken, reader.processor, reader.entity_thresholds, reader.relation_thresholds)
        with pytest.raises(UnreadableError, match="not in your text") as refused:
            read(ours, "Oslo", choices(reader))
        assert "secret" not in str(refused.value)
        assert "secret" in caplog.text

    def test_files(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("Zürich\r\n", encoding="utf-8-sig", newline="")
        assert read_file(path, 100) == "Zürich\r\n"
        for content, advice in (
            ("Zürich".encode("latin-1"), "Byte 1 of a.txt cannot be read"),
            (b"a\0b", "Save a.txt as plain text"),
            (b"a" * 401, "a.txt has 401 bytes, and this page reads at most 100 characters"),
        ):
            path.write_bytes(content)
            with pytest.raises(UnreadableError, match=advice):
                read_file(path, 100)


class TestMarkup:
    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_the_letters_are_those_of_the_text(self, data):
        text = data.draw(st.text(alphabet="ab <>&\"'{}$@`\n\té漢🙂", min_size=1, max_size=30))
        spans = data.draw(
            st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, len(text)), st.sampled_from(TYPES)))
        )
        spans = [(min(start, end - 1), end, kind) for start, end, kind in spans]
        shown = highlighted(Reading(result_of(text, spans), []), TYPES)
        plain = re.sub(r'<span class="spert-chip".*?</span>', "", shown)
        assert html.unescape(re.sub(r"<[^>]*>", "", plain)) == text
        assert not set("{}$@`") & set(re.sub(r"<[^>]*>", "", shown))
        marks = re.findall(r'<mark [^>]*data-entities="([\d ]*)"[^>]*>(.*?)</mark>', shown, re.DOTALL)
        for number, (start, end, _) in enumerate(spans):
            letters = "".join(html.unescape(part) for numbers, part in marks if str(number) in numbers.split())
            assert letters == text[start:end]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8)), max_size=12))
    def test_overlapping_entities_are_in_different_lanes(self, drawn):
        spans = [(start, start + width) for start, width in drawn]
        lanes = lanes_of(spans)
        for first, (start, end) in enumerate(spans):
            for second in range(first):
                if spans[second][0] < end and start < spans[second][1]:
                    assert lanes[first] != lanes[second]

    def test_nothing_of_others_is_markup(self):
        reading = Reading(result_of(HOSTILE, [(0, 9, HOSTILE), (9, len(HOSTILE), "Place")], [(0, 1, HOSTILE)]), [])
        graph = graph_of(reading.result)
        error = UnreadableError(HOSTILE, HOSTILE)
        for shown in (
            highlighted(reading, TYPES),
            entity_table(reading, TYPES),
            relation_table(reading, TYPES),
            draw(graph, TYPES),
            message(error),
        ):
            assert "<b o" not in shown
            assert "${" not in shown
            assert "{{" not in shown
            assert escape("&amp;${x} {{y}} @children") in shown


class TestGraph:
    def test_mentions_are_merged_and_networkx_reads_it(self):
        text = "Ada Park, ADA  PARK, Oslo, Oslo"
        spans = [(0, 8, "Person"), (10, 19, "Person"), (21, 25, "Place"), (27, 31, "Organization")]
        graph = graph_of(result_of(text, spans, [(0, 2, "r"), (1, 2, "r"), (0, 3, "r"), (2, 0, "s")]))
        assert [(node.label, len(node.mentions)) for node in graph.nodes] == [("Ada Park", 2), ("Oslo", 1), ("Oslo", 1)]
        assert [(edge.head, edge.tail, edge.type, edge.count) for edge in graph.edges] == [
            (0, 1, "r", 2),
            (0, 2, "r", 1),
            (1, 0, "s", 1),
        ]
        read_again = networkx.node_link_graph(json.loads(node_link_json(graph)), edges="edges")
        assert sorted(read_again.edges(keys=True)) == [(0, 1, "r"), (0, 2, "r"), (1, 0, "s")]
        assert read_again.nodes[0]["mentions"] == [[0, 8], [10, 19]]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from("rst")), max_size=25, unique=True))
    def test_every_relation_is_drawn_and_no_node_covers_another(self, drawn):
        nodes = [Node(f"Name {number}" * (number % 3 + 1), TYPES[number % 3], 0.5, [(0, 1)]) for number in range(10)]
        picture = draw(Graph(nodes, [Edge(head, tail, kind, 0.5) for head, tail, kind in drawn]), TYPES, ["t"])
        if not drawn:
            assert "No relations." in picture
            return
        svg = ElementTree.fromstring(standalone(picture, "text { color: red }"))
        space = "{http://www.w3.org/2000/svg}"
        boxes = [[float(box.get(name)) for name in ("x", "y", "width", "height")] for box in svg.iter(f"{space}rect")]
        assert len(boxes) == len({node for head, tail, _ in drawn for node in (head, tail)})
        width, height = (float(svg.get(name)) for name in ("width", "height"))
        for first, (x, y, wide, high) in enumerate(boxes):
            assert x >= 0
            assert y >= 0
            assert x + wide <= width
            assert y + high <= height
            for other_x, other_y, other_wide, other_high in boxes[:first]:
                apart = x + wide <= other_x or other_x + other_wide <= x or y + high <= other_y
                assert apart or other_y + other_high <= y
        lines = [line for line in svg.iter(f"{space}path") if line.get("class") == "spert-edge"]
        pairs = {(head, tail) for head, tail, _ in drawn if head != tail}
        assert len(lines) == len(pairs)
        arrows = [line for line in lines if line.get("marker-start") or line.get("marker-end")]
        kinds = {pair: {kind for head, tail, kind in drawn if (head, tail) == pair} for pair in pairs}
        assert len(arrows) == sum(of_pair != {"t"} for of_pair in kinds.values())

    def test_too_many_relations_are_counted(self):
        nodes = [Node(str(number), "Place", 0.5, [(0, 1)]) for number in range(70)]
        edges = [Edge(number, number + 1, "r", number / 100) for number in range(69)]
        picture = draw(Graph(nodes, edges), TYPES)
        assert picture.count('class="spert-edge"') == MAX_EDGES
        assert "The picture shows the 60 relations with the best scores out of 69" in picture


class TestCommand:
    def test_it_serves_a_page_and_calls_nobody(self, saved_model, monkeypatch, tmp_path):
        gradio = pytest.importorskip("gradio")
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
        monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        connect, called, seen = socket.socket.connect, [], {}

        def here_only(self, address):
            if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "localhost", "::1"):
                called.append(address)
                raise OSError("the network was asked for")
            return connect(self, address)

        def visit(page):
            with urllib.request.urlopen(page.local_url) as response:
                seen.update(headers=response.headers, page=response.read().decode(), url=page.local_url)
            page.close()

        monkeypatch.setattr(socket.socket, "connect", here_only)
        monkeypatch.setattr(gradio.Blocks, "block_thread", visit)
        texts = tmp_path / "texts.txt"
        texts.write_text("Ada Park of Oslo.\n")
        done = CliRunner().invoke(app, ["demo", "--model", str(saved_model), "--examples", str(texts)])
        assert done.exit_code == 0, done.exception
        assert f"spert-tiny: {seen['url']} (Ctrl-C ends it)" in done.stdout
        assert "Ada Park of Oslo." in seen["page"]
        assert "default-src 'self'" in seen["headers"]["content-security-policy"]
        assert not called

    def test_without_gradio(self, saved_model, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        done = CliRunner().invoke(app, ["demo", "--model", str(saved_model)])
        assert isinstance(done.exception, ModuleNotFoundError)
        assert "pip install 'spert[demo]'" in str(done.exception)
