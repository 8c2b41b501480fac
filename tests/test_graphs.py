"""Graphs of what was found, written and read back by the libraries that they are for."""

import csv
import json
import re
import shutil
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spert.found import Found, read_found
from spert.graphs import graph_of, normalized, store_of, write_graph
from tests.extracting import run, written

networkx = pytest.importorskip("networkx")
rdflib = pytest.importorskip("rdflib")

HOSTILE = "</script><script>alert(1)</script> & \"'<b>\r\n\t;,\x07\u2028é\u0301 שלום 🙂"


def result(text, entities, relations=(), **more):
    """A result whose entities are named by their texts, the first place of each."""
    spans = [(kind, text.index(name), name, *score) for kind, name, *score in entities]
    return {
        "text": text,
        "entities": [
            {"type": kind, "start": start, "end": start + len(name), **({"score": score[0]} if score else {})}
            for kind, start, name, *score in spans
        ],
        "relations": [dict(zip(("type", "head", "tail", "score"), relation)) for relation in relations],
        **more,
    }


RESULTS = [
    result(
        "Ada Park of Oslo. ADA  PARK",
        [("Person", "Ada Park", 0.9), ("Place", "Oslo", 0.8), ("Person", "ADA  PARK", 0.5)],
        [("lives_in", 0, 1, 0.7), ("knows", 2, 0, 0.6)],
        id="a",
        sentences=[[0, 17], [18, 27]],
    ),
    result("Oslo: Ada Park", [("Place", "Oslo"), ("Person", "Ada Park")], [("lives_in", 1, 0), ("near", 0, 1, 0.1)]),
    result("The ship Oslo", [("Ship", "Oslo", 0.25)]),
]


def found(results=RESULTS):
    return [Found("f.jsonl", number, f"line {number + 1}", one) for number, one in enumerate(results)]


@pytest.fixture
def store():
    with store_of(found()) as made:
        yield made


class TestMerging:
    def test_nodes_and_edges(self, store):
        nodes, edges = list(store.nodes()), list(store.edges())
        assert [(node.key, node.type, node.name, node.count, node.score, node.best_score) for node in nodes] == [
            ("n1", "Person", "Ada Park", 3, pytest.approx(0.7), 0.9),
            ("n2", "Place", "Oslo", 2, 0.8, 0.8),
            ("n3", "Ship", "Oslo", 1, 0.25, 0.25),
        ]
        assert nodes[0].texts == {"Ada Park": 2, "ADA  PARK": 1}
        assert nodes[0].first.about == {"file": "f.jsonl", "record": 0, "id": "a", "sentence": 0, "start": 0, "end": 8}
        assert [(edge.head, edge.relation, edge.tail, edge.count, edge.score) for edge in edges] == [
            ("n1", "lives_in", "n2", 2, 0.7),
            ("n1", "knows", "n1", 1, 0.6),
            ("n2", "near", "n1", 1, 0.1),
        ]
        assert [place.about for place in edges[0].places] == [
            {"file": "f.jsonl", "record": 0, "id": "a", "sentence": 0, "head": [0, 8], "tail": [12, 16], "score": 0.7},
            {"file": "f.jsonl", "record": 1, "head": [6, 14], "tail": [0, 4]},
        ]
        assert [place.text for place in edges[0].places] == ["Ada Park of Oslo.", "Oslo: Ada Park"]
        assert edges[1].places[0].text == "Ada Park of Oslo. ADA  PARK", "from one sentence into the next"

    def test_without_merging_every_entity_is_a_node(self):
        with store_of(found(), merge="none") as store:
            assert store.counts() == (6, 4)
            assert {node.count for node in store.nodes()} == {1}
            assert len({node.identity for node in store.nodes()}) == 6

    def test_symmetric_relations_have_one_direction(self):
        both = [result("A B", [("X", "A"), ("X", "B")], [("like", *pair)]) for pair in ((0, 1), (1, 0))]
        for symmetric, expected in (((), 2), (("like",), 1)):
            with store_of(found(both), symmetric=symmetric) as store:
                edges = list(store.edges())
            assert len(edges) == expected
            assert (edges[0].head, edges[0].tail, edges[0].count) == ("n1", "n2", 3 - expected)
            assert {(place.head_start, place.tail_start) for place in edges[0].places} == {(0, 2)}, "of those nodes"

    def test_the_most_frequent_nodes(self, store):
        store.keep_most_frequent(2)
        assert [node.name for node in store.nodes()] == ["Ada Park", "Oslo"]
        assert store.left_out == (
            "Left out: 1 entities that were found less often than these 2, and 0 relations of theirs."
        )
        store.keep_most_frequent(1)
        assert [edge.relation for edge in store.edges()] == ["knows"]

    def test_batches_do_not_matter(self, monkeypatch):
        def rows(batch):
            monkeypatch.setattr("spert.graphs.store._BATCH", batch)
            with store_of(found(RESULTS * 3)) as store:
                return list(store.nodes()), list(store.edges())

        assert rows(1) == rows(4) == rows(1000)

    @pytest.mark.parametrize("ending", ["graphml", "ttl", "csv", "json", "html"])
    def test_places_that_are_not_held_in_memory(self, ending, tmp_path, monkeypatch):
        def files(name):
            folder = tmp_path / name
            with store_of(found(RESULTS * 3)) as store:
                write_graph(store, folder / f"g.{ending}")
                store.keep_most_frequent(2)
                write_graph(store, folder / f"less.{ending}")
            return {path.name: path.read_bytes() for path in folder.iterdir()}

        held = files("held")
        monkeypatch.setattr("spert.graphs.store.AT_ONCE", 3)
        assert files("read") == held

    @given(st.text(max_size=20), st.text(alphabet=" \n\t\u00a0\u3000", min_size=1, max_size=3))
    def test_the_rule(self, text, spaces):
        form = normalized(text)
        assert normalized(form) == form
        assert normalized(f"{spaces}{text}{spaces}") == form
        assert normalized("a".join([spaces, *text.split()])) == normalized("a".join([" ", *text.split()]))


class TestFormats:
    def test_graphml_as_networkx_reads_it(self, store, tmp_path):
        lines = write_graph(store, tmp_path / "g.graphml")
        assert lines == [f"{tmp_path / 'g.graphml'}: 3 nodes, 3 edges."]
        graph, expected = networkx.read_graphml(tmp_path / "g.graphml", force_multigraph=True), graph_of(store)
        assert dict(graph.nodes(data=True)) == flat(expected.nodes(data=True))
        assert {(head, tail, key): about for head, tail, key, about in graph.edges(keys=True, data=True)} == {
            (head, tail, key): one_flat(about) for head, tail, key, about in expected.edges(keys=True, data=True)
        }

    def test_json_as_networkx_reads_it(self, store, tmp_path):
        write_graph(store, tmp_path / "g.json")
        graph = networkx.node_link_graph(json.loads((tmp_path / "g.json").read_text()), edges="edges")
        expected = graph_of(store)
        assert dict(graph.nodes(data=True)) == dict(expected.nodes(data=True))
        assert list(graph.edges(keys=True, data=True)) == list(expected.edges(keys=True, data=True))

    @pytest.mark.parametrize("merge", ["text", "none"])
    def test_turtle_as_rdflib_reads_it(self, merge, tmp_path):
        with store_of(found(), merge=merge) as store:
            (line,) = write_graph(store, tmp_path / "g.ttl", base_iri="urn:example:")
            nodes, edges = store.counts()
        graph = rdflib.Graph().parse(tmp_path / "g.ttl")
        assert line.endswith(f": {nodes} entities, {edges} facts, {len(graph)} triples.")
        spert = rdflib.Namespace("urn:example:vocabulary/")
        facts = set(graph.subjects(rdflib.RDF.type, rdflib.RDF.Statement))
        assert len(facts) == edges
        for fact in facts:
            triple = [graph.value(fact, rdflib.RDF[part]) for part in ("subject", "predicate", "object")]
            assert tuple(triple) in graph
            places = list(graph.objects(fact, spert.foundAt))
            assert len(places) == graph.value(fact, spert["count"]).toPython()
            assert all(graph.value(place, rdflib.PROV.wasDerivedFrom) for place in places)
        labels = sorted(map(str, graph.objects(None, rdflib.RDFS.label)))
        assert labels == sorted(node.name for node in store_nodes(merge))

    def test_graphs_of_several_runs_can_be_put_together(self, tmp_path):
        for name, results in (("a", RESULTS[:1]), ("b", RESULTS[1:]), ("both", RESULTS)):
            with store_of(found(results) if name != "b" else found()[1:]) as store:
                write_graph(store, tmp_path / f"{name}.ttl")
        together = rdflib.Graph().parse(tmp_path / "a.ttl").parse(tmp_path / "b.ttl")
        both = rdflib.Graph().parse(tmp_path / "both.ttl")
        assert set(both.subjects()) == set(together.subjects())
        assert {(s, p) for s, p, _ in both} == {(s, p) for s, p, _ in together}

    def test_csv_as_neo4j_takes_it(self, store, tmp_path):
        write_graph(store, tmp_path / "g.csv")
        nodes, relationships = (
            list(csv.DictReader((tmp_path / f"g_{kind}.csv").open(newline=""))) for kind in ("nodes", "relationships")
        )
        assert [(row[":ID"], row[":LABEL"], row["name"], row["count:long"]) for row in nodes] == [
            ("n1", "Person", "Ada Park", "3"),
            ("n2", "Place", "Oslo", "2"),
            ("n3", "Ship", "Oslo", "1"),
        ]
        assert [(row[":START_ID"], row[":TYPE"], row[":END_ID"]) for row in relationships] == [
            ("n1", "lives_in", "n2"),
            ("n1", "knows", "n1"),
            ("n2", "near", "n1"),
        ]
        assert len(json.loads(relationships[0]["found"])) == 2

    def test_a_label_that_neo4j_would_split_is_refused(self, tmp_path):
        with (
            store_of(found([result("A", [("X;Y", "A")])])) as store,
            pytest.raises(ValueError, match="entity type 'X;Y': it splits labels at semicolons"),
        ):
            write_graph(store, tmp_path / "g.csv")
        assert not list(tmp_path.iterdir())

    @settings(deadline=None, max_examples=20)
    @given(
        texts=st.lists(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=4
        )
    )
    def test_any_text_survives(self, texts, tmp_path_factory):
        folder = tmp_path_factory.mktemp("texts")
        results = [result(text, [(text, text, 0.5)], [(text, 0, 0, 0.5)], id=text) for text in [*texts, HOSTILE]]
        results = [one for one in results if ";" not in one["text"]] or [result("a", [("a", "a")])]
        with store_of(found(results)) as store:
            expected = graph_of(store)
            for ending in ("graphml", "ttl", "csv", "json", "html"):
                write_graph(store, folder / f"g.{ending}")
        names = sorted(name for _, name in expected.nodes(data="name"))
        read = networkx.node_link_graph(json.loads((folder / "g.json").read_text()), edges="edges")
        assert sorted(name for _, name in read.nodes(data="name")) == names
        rows = list(csv.DictReader((folder / "g_nodes.csv").open(newline="", encoding="utf-8")))
        assert sorted(row["name"] for row in rows) == names
        labels = rdflib.Graph().parse(folder / "g.ttl").objects(None, rdflib.RDFS.label)
        assert sorted(map(str, labels)) == names
        graphml = networkx.read_graphml(folder / "g.graphml")
        kept = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
        assert sorted(name for _, name in graphml.nodes(data="name")) == sorted(
            kept.sub("\ufffd", name) for name in names
        )
        assert sorted(node["name"] for node in page_of(folder / "g.html")[0]["nodes"]) == names

    def test_characters_that_xml_lacks_are_counted(self, tmp_path):
        with store_of(found([result("a\x07b\x00", [("X", "a\x07b\x00")])])) as store:
            lines = write_graph(store, tmp_path / "g.graphml")
        assert lines[1].endswith("characters that XML does not have were replaced by U+FFFD.")
        assert int(re.search(r": (\d+) characters", lines[1])[1]) >= 4


def flat(rows):
    return {key: one_flat(about) for key, about in rows}


def one_flat(about):
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
        for name, value in about.items()
    }


def store_nodes(merge):
    with store_of(found(), merge=merge) as store:
        return list(store.nodes())


def page_of(path):
    """The data of a page, and its elements with their attributes."""
    elements = []

    class Reader(HTMLParser):
        data = None
        is_data = False

        def handle_starttag(self, tag, attrs):
            elements.append((tag, dict(attrs)))
            self.is_data = dict(attrs).get("id") == "data"

        def handle_endtag(self, tag):
            self.is_data = False

        def handle_data(self, data):
            if self.is_data:
                self.data = json.loads(data)

    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.data, elements


class TestPage:
    def test_text_is_never_markup_and_nothing_is_loaded(self, tmp_path):
        pages = []
        for name in ("Oslo", HOSTILE):
            with store_of(found([result(name, [(name, name)], [(name, 0, 0)])])) as store:
                write_graph(store, tmp_path / "g.html")
            pages.append(page_of(tmp_path / "g.html"))
        assert pages[1][0]["nodes"][0]["name"] == HOSTILE
        assert pages[0][1] == pages[1][1], "the same elements, whatever the text"
        assert not [about for _, about in pages[0][1] if {"src", "href"} & about.keys()]
        (policy,) = [about["content"] for _, about in pages[0][1] if about.get("http-equiv")]
        assert policy.startswith("default-src 'none';")

    def test_places_are_bounded_and_counted(self, tmp_path):
        with store_of(found([result("A B", [("X", "A"), ("X", "B")], [("near", 0, 1)])] * 30)) as store:
            write_graph(store, tmp_path / "g.html")
        (edge,) = page_of(tmp_path / "g.html")[0]["edges"]
        assert (edge["count"], len(edge["places"])) == (30, 20)

    @pytest.mark.slow
    def test_in_a_browser(self, tmp_path):
        webdriver = pytest.importorskip("selenium.webdriver")
        programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
        if None in programs.values():
            pytest.skip(f"no {' or '.join(name for name, path in programs.items() if path is None)}")
        with store_of(found([*RESULTS, result(HOSTILE, [(HOSTILE, HOSTILE)])])) as store:
            write_graph(store, tmp_path / "g.html")
        options = webdriver.ChromeOptions()
        options.binary_location = programs["chromium"]
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu"):
            options.add_argument(flag)
        service = webdriver.ChromeService(programs["chromedriver"])
        browser = webdriver.Chrome(options=options, service=service)
        try:
            browser.get((tmp_path / "g.html").as_uri())

            def texts(selector):
                return [element.text for element in browser.find_elements("css selector", selector)]

            browser.find_element("id", "search").send_keys("aDa")
            assert texts("#matches button") == ["Ada Park"]
            browser.find_element("css selector", "#matches button").click()
            assert texts("#details h2") == ["Ada Park"]
            assert texts("#details blockquote")[:2] == ["Ada Park of Oslo.", "Oslo: Ada Park"]
            assert len(browser.find_elements("css selector", "#graph canvas")) == 1
            assert len(browser.find_elements("css selector", "script, b")) == 3, "corpus text is no markup"
            assert not browser.get_log("browser")
        finally:
            browser.quit()

    def test_what_is_missing_is_said(self, monkeypatch):
        from spert.graphs.page import find_library

        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'spert\[graph\]'"):
            find_library()


class TestCommand:
    @pytest.fixture
    def source(self, tmp_path):
        return written(tmp_path / "found.jsonl", RESULTS)

    def test_messages(self, source, tmp_path):
        printed = run("graph", source, "--output", tmp_path / "g.html", "--max-nodes", 1)
        assert printed.splitlines() == [
            "Read: 3 records, 6 entities, 4 relations.",
            f"{tmp_path / 'g.html'}: 1 nodes, 1 edges.",
            "Left out: 2 entities that were found less often than these 1, and 2 relations of theirs.",
        ]
        assert "Left out: 2 entities" in page_of(tmp_path / "g.html")[0]["about"]

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--output", "g.xml"], "expected a file that ends in one of .graphml"),
            (["--output", "-"], "expected --format graphml, ttl, html or json beside -"),
            (["--output", "found.jsonl", "--format", "json"], "expected another file than one of those that are read"),
            (["--output", "g.ttl", "--base-iri", "example"], "expected an absolute IRI in ASCII that ends in '/'"),
            (
                ["--output", "g.json", "--symmetric", "hates"],
                "expected relations out of knows, lives_in, near, got hates",
            ),
            (["more-*.jsonl", "--output", "g.json"], r"more-\*.jsonl: expected a pattern that matches files"),
        ],
    )
    def test_refusals(self, flags, message, source, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert re.search(message, run("graph", "found.jsonl", *flags, code=1))
        assert [path.name for path in tmp_path.iterdir()] == ["found.jsonl"]

    def test_standard_streams(self, source, tmp_path, capsysbinary, monkeypatch):
        from spert.cli import main

        run("graph", source, "--output", tmp_path / "g.ttl")
        monkeypatch.setattr(sys, "argv", ["spert", "graph", "-", "--output", "-", "--format", "ttl"])
        with source.open() as lines:
            monkeypatch.setattr(sys, "stdin", lines)
            with pytest.raises(SystemExit):
                main()
        graph = rdflib.Graph().parse(data=capsysbinary.readouterr().out, format="turtle")
        expected = rdflib.Graph().parse(tmp_path / "g.ttl")
        assert len(graph) == len(expected) > 50
        assert {str(name) for name in graph.objects(None, rdflib.URIRef("https://example.org/vocabulary/file"))} == {
            "standard input"
        }


class TestReading:
    def test_all_that_predict_writes(self, tmp_path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        written(tmp_path / "a.jsonl", RESULTS)
        (tmp_path / "shards").mkdir()
        for number, one in enumerate(RESULTS):
            written(tmp_path / "shards" / f"part-{number:05}.jsonl", [one])
        pq.write_table(pa.Table.from_pylist(RESULTS), tmp_path / "a.parquet")
        words = {"tokens": ["Ada", "Park", "of", "Oslo"], "orig_id": 7}
        words["entities"] = [{"type": "Person", "start": 0, "end": 2}, {"type": "Place", "start": 3, "end": 4}]
        words["relations"] = [{"type": "lives_in", "head": 0, "tail": 1}]
        (tmp_path / "a.json").write_text(json.dumps([words]))

        def graphs(name):
            with store_of(read_found([str(tmp_path / name)])) as store:
                return [(*node.identity, node.count) for node in store.nodes()], [
                    (edge.head, edge.relation, edge.tail, edge.score) for edge in store.edges()
                ]

        assert graphs("a.jsonl") == graphs("shards") == graphs("a.parquet") == graphs("shards/part-*.jsonl")
        assert graphs("a.json") == (
            [("Person", "ada park", 1), ("Place", "oslo", 1)],
            [("n1", "lives_in", "n2", None)],
        )
        (one,) = read_found([str(tmp_path / "a.json")])
        assert (one.id, one.result["text"]) == ("7", "Ada Park of Oslo")

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{", "line 2: expected JSON"),
            ('{"text": "a", "relations": []}', "line 2, entities: expected a value, but the field is missing"),
            (
                '{"text": "a", "entities": [{"type": "X", "start": 0, "end": 2}], "relations": []}',
                r"line 2, entity 0: expected a range of the 1 characters, got \[0, 2\)",
            ),
            (
                '{"text": "a", "entities": [], "relations": [{"type": "x", "head": 0, "tail": 0}]}',
                "line 2, relation 0: expected head and tail to be two of the 0 entities",
            ),
            (
                '{"text": "a", "entities": [{"type": "X", "start": 0, "end": 1, "score": 2}], "relations": []}',
                "line 2, entities.0.score: expected a number less than or equal to 1",
            ),
            (
                '{"text": "a", "sentences": [[0]], "entities": [], "relations": []}',
                r"sentence 0: expected \[start, end\]",
            ),
        ],
    )
    def test_refusals(self, line, message, tmp_path):
        (tmp_path / "f.jsonl").write_text(json.dumps(RESULTS[0]) + "\n" + line + "\n")
        with pytest.raises(ValueError, match=message):
            list(read_found([str(tmp_path / "f.jsonl")]))

    def test_names(self, tmp_path):
        for name, message in (
            ("nothing.jsonl", "expected a file or a folder, got nothing"),
            ("*.jsonl", "matches nothing"),
        ):
            with pytest.raises(FileNotFoundError, match=message):
                list(read_found([str(tmp_path / name)]))
        (tmp_path / "f.txt").touch()
        with pytest.raises(ValueError, match=r"expected results in a file that ends in \.jsonl"):
            list(read_found([str(tmp_path / "f.txt")]))
        with pytest.raises(FileNotFoundError, match="expected a folder of shards"):
            list(read_found([str(tmp_path)]))
