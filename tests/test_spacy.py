"""SpERT in spaCy pipelines."""

import json
import os
import subprocess
import sys
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.hand_made import hand_made
from spert.prediction import predict
from spert.training.output import save_model
from tests import tiny

spacy = pytest.importorskip("spacy")

from spacy import displacy  # noqa: E402
from spacy.tokens import Doc, DocBin, Span  # noqa: E402

from spert.spacy_arcs import displacy_arcs  # noqa: E402
from spert.spacy_component import SpertComponent, register_relations  # noqa: E402

TEXT = "Vera Lund, who is married to Nils Lund, joined the University of Tromso. \n\n Ada Park lives in Oslo."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hand-made") / "model"
    save_model(folder, *hand_made())
    return folder


@pytest.fixture
def pipeline(folder):
    def pipeline(*before, name="spert", **config):
        nlp = spacy.blank("en")
        for component in before:
            nlp.add_pipe(component)
        nlp.add_pipe("spert", name=name, config={"model": str(folder), **config})
        return nlp

    return pipeline


def facts(doc):
    return [(relation.head.text, relation.type, relation.tail.text) for relation in doc._.relations]


FACTS = [
    ("Vera Lund", "married_to", "Nils Lund"),
    ("Vera Lund", "works_for", "University of Tromso"),
    ("Nils Lund", "works_for", "University of Tromso"),
    ("Ada Park", "lives_in", "Oslo"),
]


class TestAnnotations:
    def test_all_of_them(self, pipeline):
        doc = pipeline()(TEXT)
        group = doc.spans["spert"]
        assert [(span.text, span.label_) for span in group] == [
            ("Vera Lund", "Person"),
            ("Nils Lund", "Person"),
            ("University of Tromso", "Organization"),
            ("Tromso", "Place"),
            ("Ada Park", "Person"),
            ("Oslo", "Place"),
        ]
        assert group.attrs["scores"] == pytest.approx([0.9526] * 6, abs=1e-3)
        assert [span.text for span in doc.ents] == [
            "Vera Lund",
            "Nils Lund",
            "University of Tromso",
            "Ada Park",
            "Oslo",
        ]
        assert facts(doc) == FACTS
        assert isinstance(doc._.relations[0].head, Span)
        assert doc._.relations[0].score == pytest.approx(0.8808, abs=1e-3)

    def test_documents_with_nothing_in_them(self, pipeline):
        for text in ("", " ", "\n\n", "Nobody came."):
            doc = pipeline()(text)
            assert (list(doc.spans["spert"]), doc.ents, doc._.relations) == ([], (), [])

    def test_sentences_are_those_of_the_pipeline(self, pipeline, folder):
        text = "Ada Park lives in Oslo"
        nlp = spacy.blank("en")

        @spacy.Language.component("cut_before_in")
        def cut(doc):
            for token in doc:
                token.is_sent_start = token.i == 0 or token.text == "in"
            return doc

        nlp.add_pipe("cut_before_in")
        nlp.add_pipe("spert", config={"model": str(folder)})
        doc = nlp(text)
        assert len(doc.spans["spert"]) == 2
        assert facts(doc) == []
        assert facts(pipeline()(text)) == [("Ada Park", "lives_in", "Oslo")]

    def test_words_are_tokens(self, pipeline):
        """spaCy keeps `Northwind-Labs` one token, or cuts it: entities are spans of tokens, whatever they are."""
        nlp = pipeline()
        doc = Doc(nlp.vocab, words=["Ada", "Park", "joined", "Northwind", "Labs."], spaces=[True] * 4 + [False])
        assert [span.text for span in nlp(doc).spans["spert"]] == ["Ada Park"]
        doc = Doc(nlp.vocab, words=["Ada", " ", "Park", "joined", "Northwind", "Labs", "."])
        assert [(span.start, span.end) for span in nlp(doc).spans["spert"]] == [(0, 3), (4, 6)]

    @settings(deadline=None, max_examples=25)
    @given(
        st.lists(
            st.sampled_from(
                ["Ada", "Park", "joined", "Labs", "in", "Oslo", ".", "Mr.", "(", "3", " ", "\n", "🙂", "e\u0301"]
            ),
            max_size=14,
        )
    )
    def test_the_same_is_found_as_in_words(self, words):
        """A random model, which finds a lot: tokens and sentences of spaCy are those that the model reads."""
        model, processor = self.loaded
        nlp = spacy.blank("xx")
        nlp.add_pipe("sentencizer")
        doc = nlp(" ".join(words))
        component = SpertComponent("spert", "nowhere")
        component._loaded = (model, processor)
        register_relations()
        doc = component(doc)
        num_relations, expected = 0, []
        for sentence in doc.sents:
            tokens = [token.i for token in sentence if not token.is_space]
            (found,) = predict(model, processor, [[doc[token].text for token in tokens]])
            expected += [
                (tokens[entity["word_start"]], tokens[entity["word_end"] - 1] + 1, entity["type"])
                for entity in found["entities"]
            ]
            num_relations += len(found["relations"])
        assert [(span.start, span.end, span.label_) for span in doc.spans["spert"]] == expected
        assert len(doc._.relations) == num_relations

    loaded = (tiny.choosy_model("bert"), tiny.processor("bert"))

    @pytest.mark.parametrize(
        ("ents", "expected"),
        [
            ("best", ["Vera Lund", "Nils Lund", "University of Tromso", "Ada Park", "Oslo"]),
            ("fill", ["Vera Lund", "Nils Lund", "Tromso", "Ada Park", "Oslo"]),
            ("none", ["Tromso"]),
        ],
    )
    def test_entities_that_are_there(self, ents, expected, pipeline):
        nlp = pipeline(ents=ents)
        doc = nlp.make_doc(TEXT)
        (tromso,) = (token for token in doc if token.text == "Tromso")
        doc.ents = [Span(doc, tromso.i, tromso.i + 1, label="GPE")]
        doc = nlp.get_pipe("spert")(doc)
        assert [span.text for span in doc.ents] == expected
        if ents != "best":
            assert doc.ents[expected.index("Tromso")].label_ == "GPE"

    def test_two_components(self, pipeline, folder):
        nlp = pipeline(relation_threshold={"works_for": 0.9}, spans_key="first", name="first")
        nlp.add_pipe("spert", name="second", config={"model": str(folder), "spans_key": "second"})
        doc = nlp("Ada Park joined Northwind Labs.")
        assert facts(doc) == [("Ada Park", "works_for", "Northwind Labs")]
        assert len(doc.spans["first"]) == len(doc.spans["second"]) == 2


class TestManyDocuments:
    def test_pipe(self, pipeline):
        texts = [TEXT, "", "Ada Park lives in Oslo.", "Nobody came."] * 5
        nlp = pipeline("sentencizer", batch_size=3)
        one_by_one = [facts(nlp(text)) for text in texts]
        assert [facts(doc) for doc in nlp.pipe(texts, batch_size=7)] == one_by_one
        assert one_by_one[0] == FACTS

    def test_documents_that_cannot_be_read(self, pipeline):
        nlp = pipeline()
        doc = Doc(nlp.vocab, words=["-" * 100])
        with pytest.raises(ValueError, match=r"spert: SpertProcessor: word 0 .* has 100 pieces by itself"):
            nlp(doc)
        failed = []
        nlp.set_error_handler(lambda name, component, docs, error: failed.append((name, len(docs), str(error))))
        docs = [nlp.make_doc("Ada Park lives in Oslo."), doc, nlp.make_doc("Nobody came.")]
        assert [facts(done) for done in nlp.pipe(docs)] == [[("Ada Park", "lives_in", "Oslo")], []]
        assert [(name, number) for name, number, _ in failed] == [("spert", 1)]


class TestKept:
    def test_documents_as_bytes(self, pipeline):
        doc = pipeline()(TEXT)
        vocab = spacy.blank("en").vocab
        again = [
            Doc(vocab).from_bytes(doc.to_bytes()),
            *DocBin().from_bytes(DocBin(store_user_data=True, docs=[doc]).to_bytes()).get_docs(vocab),
        ]
        for one in again:
            assert facts(one) == FACTS
            assert [relation.score for relation in one._.relations] == [relation.score for relation in doc._.relations]
            assert list(one.spans["spert"].attrs["scores"]) == doc.spans["spert"].attrs["scores"]
            assert [span.text for span in one.ents] == [span.text for span in doc.ents]

    def test_pipelines(self, pipeline, tmp_path, folder):
        nlp = pipeline(relation_threshold=0.5)
        nlp.to_disk(tmp_path / "saved")
        config = (tmp_path / "saved" / "config.cfg").read_text()
        (tmp_path / "saved" / "config.cfg").write_text(config.replace(str(folder), "/moved/away"))
        assert "/moved/away" in (tmp_path / "saved" / "config.cfg").read_text()
        loaded = spacy.load(tmp_path / "saved")
        assert facts(loaded(TEXT)) == FACTS
        assert loaded.get_pipe("spert").decoding == {"relation_threshold": 0.5}
        loaded.to_disk(tmp_path / "again")
        assert facts(spacy.load(tmp_path / "again")(TEXT)) == FACTS
        other = spacy.blank("en")
        other.add_pipe("spert", config={"model": "/moved/away"})
        assert facts(other.from_bytes(nlp.to_bytes())(TEXT)) == FACTS


class TestRefusals:
    @pytest.mark.parametrize(
        ("config", "message"),
        [
            ({"ents": "all"}, "spert: expected 'ents' to be one of best, fill, none, got 'all'"),
            ({"batch_size": 0}, "spert: expected 'batch_size' to be at least 1, got 0"),
            ({"on_overflow": "cut"}, "spert: expected 'on_overflow' to be one of windows, error"),
            ({"dtype": "float64"}, "spert: expected 'dtype' to be one of float32"),
            ({"spans_key": ""}, "spert: expected 'spans_key' to be the name of a span group"),
        ],
    )
    def test_settings(self, config, message, pipeline):
        with pytest.raises(ValueError, match=message):
            pipeline(**config)

    def test_when_the_model_is_loaded(self, pipeline):
        with pytest.raises(ValueError, match=r"spert: relation_threshold: .*'hates'"):
            pipeline(relation_threshold={"hates": 0.5}).initialize()
        nlp = spacy.blank("en")
        nlp.add_pipe("spert", config={"model": "./nowhere"})
        with pytest.raises(FileNotFoundError, match=r"\./nowhere: expected a trained model's folder"):
            nlp("Oslo")
        with pytest.raises(Exception, match="missing required argument: 'model'"):
            spacy.blank("en").add_pipe("spert")


class TestDisplacy:
    def test_arcs(self, pipeline):
        pictures = displacy_arcs(pipeline()(TEXT))
        assert len(pictures) == 2
        words = [[word["text"] for word in picture["words"]] for picture in pictures]
        assert words[0][-1] == "."
        arcs = [(arc["label"], arc["dir"]) for arc in pictures[0]["arcs"]]
        assert arcs == [("married_to", "right"), ("works_for", "right"), ("works_for", "right")]
        assert [words[1][arc[end]] for arc in pictures[1]["arcs"] for end in ("start", "end")] == ["Ada", "Oslo"]

    def test_sentences_that_a_relation_joins_are_one_picture(self, pipeline):
        doc = pipeline(sentences_per_window=2)("Ada Park joined Northwind Labs. She lives in Oslo. Nobody came.")
        (picture,) = displacy_arcs(doc)
        assert "".join(word["text"] for word in picture["words"]) == "AdaParkjoinedNorthwindLabs.ShelivesinOslo."

    @pytest.mark.parametrize(
        ("head", "tail"), [((0, 2), (0, 1)), ((0, 1), (0, 2)), ((0, 3), (2, 3)), ((1, 2), (0, 3)), ((0, 2), (1, 3))]
    )
    def test_nested_entities(self, head, tail, pipeline):
        nlp = pipeline()
        doc = Doc(nlp.vocab, words=["University", "of", "Oslo"])
        row = {"type": "in", "head": [*head, "X"], "tail": [*tail, "Y"], "score": 0.5}
        doc.user_data["spert"] = {"spert": {"relations": [row], "sentence_starts": [0]}}
        ((arc,),) = (picture["arcs"] for picture in displacy_arcs(doc))
        first, second = (head, tail) if arc["dir"] == "right" else (tail, head)
        assert arc["start"] < arc["end"]
        assert first[0] <= arc["start"] < first[1]
        assert second[0] <= arc["end"] < second[1]

    def test_what_is_drawn(self, pipeline):
        doc = pipeline()(TEXT)
        svg = displacy.render(displacy_arcs(doc), style="dep", manual=True, jupyter=False)
        assert svg.count("lives_in") == 1
        assert svg.count("works_for") == 2
        spans = displacy.render(doc, style="span", options={"spans_key": "spert"}, jupyter=False)
        assert spans.count("Organization") == 1
        assert "Vera Lund" in displacy.render(doc, style="ent", jupyter=False)


FRESH = """
import json, sys
import spacy
nlp = spacy.blank("en")
nlp.add_pipe("sentencizer")
nlp.add_pipe("spert", config={"model": sys.argv[1]})
texts = ["Ada Park lives in Oslo.", "Nobody came.", "Vera Lund joined Polar Kayaks."] * 4
def facts(doc):
    return [[relation.head.text, relation.type, relation.tail.text] for relation in doc._.relations]
before = [facts(doc) for doc in nlp.pipe(texts, n_process=2, batch_size=2)]  # each process loads the model
alone = [facts(doc) for doc in nlp.pipe(texts)]
after = [facts(doc) for doc in nlp.pipe(texts, n_process=2, batch_size=2)]  # a fork of a process that has computed
print(json.dumps([before, alone, after]))
"""


@pytest.mark.slow
def test_nothing_need_be_imported_and_several_processes(folder, root, tmp_path):
    """The entry point of pyproject.toml, as an installation writes it down."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "spert-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: spert\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in targets.items())
            for group, targets in project["entry-points"].items()
        )
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{root}", "TOKENIZERS_PARALLELISM": "false"}
    environment["OMP_NUM_THREADS"] = "2"
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(folder)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    before, alone, after = json.loads(done.stdout)
    assert before == alone == after
    assert alone[:3] == [[["Ada Park", "lives_in", "Oslo"]], [], [["Vera Lund", "works_for", "Polar Kayaks"]]]
