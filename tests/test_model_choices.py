"""The choices of the heads that are not the paper's: each against its formula written out, and wherever models go."""

import json

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModel

from spert import SpertConfig, SpertModel, modeling_spert, pair_contexts_spert
from spert.collating_spert import SpertDataCollator, SpertTrainingDataset
from spert.decoding_spert import decode
from spert.model_files import check_weights
from spert.options_spert import type_key
from spert.pairs_spert import NUM_DISTANCES, distance_rows
from spert.spans_spert import ordered_pairs
from tests import tiny
from tests.tolerance import assert_close

CHOICES = {
    "mlp": {"relation_head": "mlp", "relation_hidden_size": 24},
    "types": {"entity_type_features": True},
    "distance": {"distance_embedding_size": 6},
    "boundaries": {"span_boundaries": True},
    "attention": {"relation_context": "attention"},
    "window": {"context_window": 2, "span_pooling": "mean"},
    "attention and window": {"relation_context": "attention", "context_window": 2},
    "all": tiny.ALL_CHOICES,
}
BOTH_HEADS = [CHOICES["attention and window"] | {"head_dropout": 0.0}, tiny.ALL_CHOICES | {"head_dropout": 0.0}]

each_choice = pytest.mark.parametrize("fields", CHOICES.values(), ids=CHOICES)


def encoded(sentences=tiny.SENTENCES):
    return tiny.processor()(sentences, is_split_into_words=True)


def training_batch(model, records=tiny.RECORDS):
    dataset = SpertTrainingDataset(records, tiny.processor(), model.config, num_negative_spans=20)
    return SpertDataCollator(tiny.processor())([dataset[index] for index in range(len(dataset))])


class Formula:
    """The formulae of docs/model.md for one sentence, a span and a pair at a time."""

    def __init__(self, model, hidden, word_pieces):
        self.model, self.hidden, self.word_pieces = model, hidden, word_pieces.tolist()

    def pieces(self, start, end):
        return (self.word_pieces[start][0], self.word_pieces[end - 1][1]) if start < end else (0, 0)

    def pool(self, start, end):
        if start >= end:
            return torch.zeros(self.hidden.shape[-1])
        states = self.hidden[start:end]
        return states.amax(0) if self.model.config.span_pooling == "max" else states.mean(0)

    def boundaries(self, span):
        start, end = self.pieces(*span)
        return [self.hidden[start], self.hidden[end - 1]] if self.model.config.span_boundaries else []

    def width(self, span):
        return self.model.width_embeddings.weight[span[1] - span[0]]

    def entity_logits(self, span):
        joined = [self.hidden[0], self.pool(*self.pieces(*span)), self.width(span), *self.boundaries(span)]
        return self.model.span_classifier.linear(torch.cat(joined))

    def context(self, pieces, head, tail):
        attention = self.model.context_attention
        if attention is None or pieces[0] >= pieces[1]:
            return self.pool(*pieces)
        queries = attention.query(torch.stack([self.pool(*self.pieces(*span)) for span in (head, tail)]))
        states = self.hidden[pieces[0] : pieces[1]]
        scores = (
            attention.key(states)
            @ (queries[0].chunk(2)[0] + queries[1].chunk(2)[1])
            / pair_contexts_spert.ATTENTION_SIZE**0.5
        )
        return scores.softmax(0) @ states

    def relation_logits(self, head, tail, types=None):
        config, pieces = self.model.config, [self.pieces(*span) for span in (head, tail)]
        between = (min(end for _, end in pieces), max(start for start, _ in pieces))
        joined = [self.context(between, head, tail)]
        joined += [self.pool(*of) for of in pieces] + [self.width(head), self.width(tail)]
        joined += [state for both in zip(self.boundaries(head), self.boundaries(tail)) for state in both]
        if config.entity_type_features:
            for index, span in enumerate((head, tail)):
                known = None if types is None else types[index]
                certain = [float(known == name) for name in (None, *config.entity_types)]
                joined.append(self.entity_logits(span).softmax(0) if known is None else torch.tensor(certain))
        if config.distance_embedding_size:
            joined.append(self.model.distance_embeddings.weight[row_of(head, tail)])
        if config.context_window:
            first, last = min(head[0], tail[0]), max(head[1], tail[1])
            before = (max(first - config.context_window, 0), first)
            after = (last, min(last + config.context_window, len(self.word_pieces)))
            joined += [self.context(self.pieces(*words), head, tail) for words in (before, after)]
        classifier = self.model.pair_classifier
        if config.relation_head == "linear":
            return classifier.linear(torch.cat(joined))
        return classifier.linear(F.gelu(classifier.hidden(torch.cat(joined))))


def row_of(head, tail):
    """A row of the distance table, from the table in words."""
    between = max(head[0], tail[0]) - min(head[1], tail[1])
    bucket = sum(between >= least for least in (0, 1, 2, 3, 4, 5, 8, 16, 32, 64))
    return bucket + (11 if (*tail,) < (*head,) else 0)


def eager_model(**fields):
    """A random model that calls every span of up to two words an entity."""
    model = tiny.model(max_span_width=2, **fields)
    with torch.no_grad():
        model.span_classifier.linear.bias[0] -= 10.0
    return model


def hidden_of(model, batch):
    return model.encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state


def candidates(outputs):
    """Sentence, head and tail of each candidate pair."""
    head, tail = ordered_pairs(outputs.candidate_counts, torch.arange(len(outputs.candidate_logits)))
    sentence, span = outputs.candidate_entities.unbind(-1)
    spans = outputs.spans[sentence, span].tolist()
    return [(sentence[i].item(), spans[i], spans[j]) for i, j in zip(head.tolist(), tail.tolist())]


@each_choice
def test_equals_the_formula(fields):
    model, batch = eager_model(**fields), encoded()
    with torch.inference_mode():
        outputs, hidden = model(**batch), hidden_of(model, batch)
        formulae = [Formula(model, *row) for row in zip(hidden, batch["word_pieces"])]
        for row, words in enumerate(tiny.SENTENCES):
            formulae[row].word_pieces = formulae[row].word_pieces[: len(words)]
            spans = outputs.spans[row][outputs.spans[row, :, 1] > 0]
            expected = torch.stack([formulae[row].entity_logits(span) for span in spans.tolist()])
            assert_close(outputs.entity_logits[row, outputs.spans[row, :, 1] > 0], expected)
        pairs = candidates(outputs)
        chosen = range(0, len(pairs), 13)
        assert len({pairs[i][0] for i in chosen}) == 3, "one sentence is a single word"
        expected = [formulae[pairs[i][0]].relation_logits(*pairs[i][1:]) for i in chosen]
        assert_close(outputs.candidate_logits[list(chosen)], torch.stack(expected))


@each_choice
def test_training_scores_what_inference_does(fields):
    model, batch = eager_model(**fields), encoded()
    with torch.inference_mode():
        found = model(**batch)
        number = 40
        pairs, mine = torch.zeros((len(tiny.SENTENCES), number, 2), dtype=torch.long), {}
        head, tail = ordered_pairs(found.candidate_counts, torch.arange(len(found.candidate_logits)))
        sentence, span = found.candidate_entities.unbind(-1)
        for row in range(len(pairs)):
            mine[row] = (sentence[head] == row).nonzero().squeeze(-1)[-number:]
            pairs[row, : len(mine[row])] = torch.stack((span[head[mine[row]]], span[tail[mine[row]]]), dim=-1)
        given = model(**batch, spans=found.spans, pairs=pairs)
    for row, of_row in mine.items():
        assert_close(given.relation_logits[row, : len(of_row)], found.candidate_logits[of_row])
        real = found.spans[row, :, 1] > 0
        assert_close(given.entity_logits[row, real], found.entity_logits[row, real])


@each_choice
def test_every_parameter_learns(fields):
    model = tiny.model(**fields).train()
    model(**training_batch(model)).loss.backward()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert still == [name for name in still if name.startswith("encoder.")]
    model.zero_grad()
    model(**training_batch(model, records=[tiny.RECORDS[1]])).loss.backward()  # no pair at all
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_loss_of_relations_leaves_the_scores_of_entities_alone():
    model = tiny.model(entity_type_features=True).train()
    model(**training_batch(model)).relation_loss.backward()
    assert model.span_classifier.linear.weight.grad is None


@pytest.mark.parametrize("fields", BOTH_HEADS)
def test_alone_is_as_in_a_padded_batch(fields):
    model = tiny.model(**fields)
    with torch.inference_mode():
        together = decode(model(**encoded()))
        alone = [decode(model(**encoded([sentence])))[0] for sentence in tiny.SENTENCES]
    assert any(one.relations for one in alone)
    assert_close(together, alone)


@pytest.mark.parametrize("fields", BOTH_HEADS)
def test_padding_changes_no_loss(fields):
    model = tiny.model(**fields).train()
    model.encoder.eval()
    records = tiny.RECORDS[:1]
    alone = model(**training_batch(model, records))
    batch = training_batch(model, [*records, tiny.RECORDS[2]])
    padded = model(**batch)
    number = alone.relation_logits.shape[1]
    assert_close(padded.relation_logits[0, :number], alone.relation_logits[0])


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_neither_chunks_nor_blocks_change_results(monkeypatch, rows):
    model, batch = eager_model(**tiny.ALL_CHOICES), encoded(tiny.SENTENCES[:2])
    with torch.inference_mode():
        whole = model(**batch).candidate_logits
        assert len(whole) > 200
        monkeypatch.setattr(pair_contexts_spert, "_BLOCK_ROWS", rows)
        monkeypatch.setattr(modeling_spert, "CANDIDATE_CHUNK_ELEMENTS", {"cpu": 500 * rows})
        assert_close(model(**batch).candidate_logits, whole)


def test_no_tensor_has_a_number_for_each_pair_piece_and_state():
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for one in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(one, torch.Tensor):
                    self.numbers = max(self.numbers, one.numel())
            return result

    model = eager_model(**tiny.ALL_CHOICES)
    with torch.no_grad():
        batch = encoded([tiny.SENTENCES[2] * 2, ["Oslo"]])
        states = model.sentence_states(hidden_of(model, batch), batch["word_pieces"], batch["cls_piece"])
        found = model.find_entities(states)
        with Largest() as largest:
            model.score_pairs(states, found)
    _, pieces, hidden = states.hidden.shape
    assert found.num_pairs > 3000
    assert largest.numbers <= 4 * found.num_pairs * max(hidden, pieces) < found.num_pairs * pieces * hidden / 5


def test_given_types_are_certain():
    model = tiny.model(**tiny.ALL_CHOICES)
    records = [
        {"tokens": tiny.SENTENCES[2], "entities": [{"word_start": 0, "word_end": 1}, {"word_start": 4, "word_end": 6}]},
        {"tokens": tiny.SENTENCES[0], "entities": [{"word_start": 0, "word_end": 2}]},
    ]
    with torch.inference_mode():
        batch = tiny.processor()(records, is_split_into_words=True)
        assert "given_types" not in batch
        likeliest = model(**batch).candidate_logits
        records[0]["entities"][1]["type"] = "Place"
        batch = tiny.processor()(records, is_split_into_words=True)
        assert batch["given_types"].tolist() == [[0, type_key("Place")], [0, 0]]
        outputs, hidden = model(**batch), hidden_of(model, batch)
        formula = Formula(model, hidden[0], batch["word_pieces"][0])
        spans, types = ([0, 1], [4, 6]), (None, "Place")
        expected = [formula.relation_logits(spans[i], spans[1 - i], (types[i], types[1 - i])) for i in (0, 1)]
        assert_close(outputs.candidate_logits, torch.stack(expected))
        assert (outputs.candidate_logits - likeliest).abs().max() > 0.01
        assert_close(tiny.model()(**batch).candidate_logits.shape, (2, 3))  # others do not look at them
    with pytest.raises(ValueError, match="expected `given_entities` beside `given_types`"):
        model(**encoded(), given_types=batch["given_types"])
    states = model.sentence_states(hidden, batch["word_pieces"])
    with pytest.raises(ValueError, match="expected `type_probabilities`"):
        model.read_entities(states, torch.tensor([0]), torch.tensor([[0, 1]]))


def test_rows_of_the_distance_table():
    table = {  # head, tail: row
        ((0, 2), (1, 3)): 0,
        ((0, 2), (2, 3)): 1,
        ((0, 2), (3, 4)): 2,
        ((0, 1), (6, 7)): 6,
        ((0, 1), (8, 9)): 6,
        ((0, 1), (9, 10)): 7,
        ((0, 1), (65, 66)): 10,
        ((0, 1), (900, 901)): 10,
        ((5, 6), (2, 3)): 14,
        ((0, 3), (0, 1)): 11,
        ((0, 1), (0, 3)): 0,
    }
    head, tail = (torch.tensor([pair[role] for pair in table]) for role in (0, 1))
    assert distance_rows(head, tail).tolist() == list(table.values())
    assert NUM_DISTANCES == 22
    assert [row_of(*pair) for pair in table] == list(table.values())


class TestFolders:
    def test_saves_and_loads_equal(self, tmp_path):
        model, batch = tiny.model(**tiny.ALL_CHOICES), encoded()
        model.save_pretrained(tmp_path)
        loaded = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
        with torch.inference_mode():
            ours, theirs = model(**batch), loaded(**batch)
        assert_close(theirs.entity_logits, ours.entity_logits)
        assert_close(theirs.candidate_logits, ours.candidate_logits)
        assert tiny.ALL_CHOICES.items() <= json.loads((tmp_path / "config.json").read_text()).items()

    def test_a_model_of_the_paper_is_what_it_was(self, tmp_path):
        config = tiny.config()
        config.save_pretrained(tmp_path)
        written = json.loads((tmp_path / "config.json").read_text())
        assert not {*tiny.ALL_CHOICES, "relation_hidden_size"} - {"relation_context"} & written.keys()
        loaded = SpertConfig.from_pretrained(tmp_path)
        defaults = {name: getattr(loaded, name) for name in tiny.ALL_CHOICES}
        assert list(defaults.values()) == ["linear", 256, False, 0, False, "localized", 0]
        heads = [name for name in tiny.model().state_dict() if not name.startswith("encoder.")]
        of_linear = [f"{name}_classifier.linear.{kind}" for name in ("span", "pair") for kind in ("weight", "bias")]
        assert heads == ["width_embeddings.weight", *of_linear]

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"relation_head": "deep"}, "relation_head: expected one of linear, mlp, got 'deep'"),
            ({"relation_hidden_size": 0}, "relation_hidden_size: expected a whole number of at least 1, got 0"),
            ({"entity_type_features": 1}, "entity_type_features: expected true or false, got 1"),
            ({"distance_embedding_size": -1}, "distance_embedding_size: expected a whole number of at least 0, got -1"),
            (
                {"context_window": 2, "relation_context": "cls"},
                "context_window: expected 0 with relation_context 'cls'",
            ),
            ({"span_boundary": True}, "did you mean 'span_boundaries'"),
        ],
    )
    def test_what_cannot_be_is_refused(self, fields, message):
        with pytest.raises(ValueError, match=message):
            tiny.config(**fields)

    @pytest.mark.parametrize("name", CHOICES)
    def test_weights_of_other_choices_are_refused(self, name, saved_model):
        fields = {field: value for field, value in CHOICES[name].items() if field != "span_pooling"}
        with pytest.raises(ValueError, match=r"expected (all weights|weights of the shapes)"):
            SpertModel.from_pretrained(saved_model, **fields)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (
                {"relation_head": "mlp"},
                "lack pair_classifier.hidden.bias, .* see fields 'relation_head', 'relation_hidden_size'",
            ),
            ({"span_boundaries": True}, "span_classifier.linear.weight .* see fields .*'span_boundaries'"),
            ({"entity_type_features": True}, "pair_classifier.linear.weight .* see fields .*'entity_type_features'"),
            ({"distance_embedding_size": 6}, "lack distance_embeddings.weight.* see field 'distance_embedding_size'"),
            ({"relation_context": "attention"}, "lack context_attention.key.weight, .* see field 'relation_context'"),
            ({"context_window": 2}, "pair_classifier.linear.weight .* see fields .*'context_window'"),
        ],
    )
    def test_the_field_to_blame_is_named(self, fields, message, saved_model):
        with pytest.raises(ValueError, match=message):
            check_weights(str(saved_model), tiny.config(**fields))


class TestTransfer:
    def test_all_layers_are_taken_over(self, tmp_path):
        trained = tiny.model(**tiny.ALL_CHOICES)
        trained.save_pretrained(tmp_path)
        types = {"entity_types": ["Place", "City", "Person"], "relation_types": ["married_to", "born_in"]}
        model = SpertModel.from_encoder(str(tmp_path), **types, **tiny.ALL_CHOICES)
        assert model.transferred == (("Place", "Person"), ("married_to",), True)
        ours, theirs = model.pair_classifier.weights(), trained.pair_classifier.weights()
        for name in ours.keys() - {"head_types", "tail_types"}:
            assert torch.equal(ours[name], theirs[name])
        for to, of in ((0, 0), (1, 3), (3, 1)):
            assert torch.equal(ours["tail_types"][:, to], theirs["tail_types"][:, of])
        assert not torch.equal(ours["head_types"][:, 2], theirs["head_types"][:, 2])
        assert torch.equal(model.pair_classifier.linear.weight[0], trained.pair_classifier.linear.weight[2])
        assert torch.equal(model.context_attention.key.weight, trained.context_attention.key.weight)
        assert torch.equal(model.distance_embeddings.weight, trained.distance_embeddings.weight)

    @pytest.mark.parametrize("name", CHOICES)
    def test_nothing_of_another_meaning_is(self, name, saved_model):
        types = {"entity_types": ["Person"], "relation_types": ["works_for"]}
        transferred = SpertModel.from_encoder(str(saved_model), **types, **CHOICES[name]).transferred
        assert transferred.relation_types == ()
