import copy
import json
import random
import shutil
import warnings

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    AutoConfig,
    AutoModel,
    AutoProcessor,
    BertConfig,
    BertModel,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
)

from spert import SpertModel, SpertProcessor, heads_spert, modeling_spert
from spert.collating_spert import SpertDataCollator, SpertTrainingDataset
from spert.decoding_spert import decode
from spert.losses_spert import entity_loss, relation_loss
from spert.spans_spert import candidate_spans, ordered_pairs
from tests import tiny
from tests.tolerance import ROUNDING, assert_close

FAMILIES = list(tiny.ENCODERS)


def training_batch(model, model_type="bert", records=tiny.RECORDS):
    dataset = SpertTrainingDataset(records, tiny.processor(model_type), model.config, num_negative_spans=20)
    return SpertDataCollator(tiny.processor(model_type))([dataset[index] for index in range(len(dataset))])


def encoded(sentences=tiny.SENTENCES, model_type="bert"):
    return tiny.processor(model_type)(sentences, is_split_into_words=True)


def found(model, model_type, sentences):
    with torch.inference_mode():
        return decode(model(**encoded(sentences, model_type)))


@pytest.mark.parametrize("model_type", FAMILIES)
class TestEveryEncoder:
    def test_saves_and_loads_equal(self, model_type, tmp_path):
        model = tiny.model(model_type)
        model.save_pretrained(tmp_path)
        loaded = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
        assert not loaded.training
        batch = encoded(model_type=model_type)
        with torch.inference_mode():
            ours, theirs = model(**batch), loaded(**batch)
        assert_close(theirs.entity_logits, ours.entity_logits)
        assert_close(theirs.candidate_logits, ours.candidate_logits)
        assert len(ours.candidate_logits) > 0

    def test_every_parameter_gets_a_gradient(self, model_type):
        model = tiny.model(model_type).train()
        model(**training_batch(model, model_type)).loss.backward()
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []

    def test_alone_is_as_in_a_padded_batch(self, model_type):
        model = tiny.model(model_type)
        together = found(model, model_type, tiny.SENTENCES)
        alone = [found(model, model_type, [sentence])[0] for sentence in tiny.SENTENCES]
        assert any(one.relations for one in alone)
        assert_close(together, alone)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision(self, model_type, dtype):
        model = tiny.model(model_type)
        batch = encoded(model_type=model_type)
        with torch.inference_mode():
            full = model(**batch)
            half = copy.deepcopy(model).to(dtype)(**batch)
        assert half.entity_logits.dtype == torch.float32
        real = (full.spans[..., 1] > 0).unsqueeze(-1)
        assert ((half.entity_logits - full.entity_logits) * real).abs().max() < 0.3

    def test_gradient_checkpointing_changes_nothing(self, model_type):
        plain = tiny.model(model_type, head_dropout=0.0)
        checkpointed = copy.deepcopy(plain)
        checkpointed.gradient_checkpointing_enable()
        assert checkpointed.encoder.is_gradient_checkpointing
        gradients = []
        for model in (plain, checkpointed):
            model.train()
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
            torch.manual_seed(0)
            model(**training_batch(model, model_type)).loss.backward()
            gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        for name, gradient in gradients[0].items():
            assert_close(gradients[1][name], gradient, name)


def test_attention_choice_reaches_the_encoders_layers(tiny_bert_folder, tmp_path):
    assert tiny.model("bert").encoder.config._attn_implementation == "sdpa"
    model = SpertModel.from_encoder(str(tiny_bert_folder), entity_types=["A"])
    layer = model.encoder.encoder.layer[0].attention.self
    assert layer.config is model.encoder.config is model.config.encoder_config
    assert layer.config._attn_implementation == "sdpa"
    model.set_attn_implementation("eager")
    assert layer.config._attn_implementation == "eager"
    model.save_pretrained(tmp_path)
    loaded = SpertModel.from_pretrained(tmp_path, attn_implementation="eager")
    assert loaded.encoder.encoder.layer[0].attention.self.config._attn_implementation == "eager"
    assert SpertModel.from_pretrained(tmp_path).encoder.config._attn_implementation == "sdpa"


def test_from_encoder(tiny_bert_folder):
    config_fields = {"entity_types": ["A", "B"], "relation_types": ["r"], "max_span_width": 4}
    model = SpertModel.from_encoder(str(tiny_bert_folder), **config_fields)
    encoder = AutoModel.from_pretrained(tiny_bert_folder)
    assert model.training
    assert model.encoder.training
    assert model.dtype == torch.float32
    assert not any("pooler" in name for name, _ in model.named_parameters())
    ours, theirs = model.encoder.state_dict(), encoder.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert model.config.max_span_width == 4
    assert str(tiny_bert_folder) not in model.config.to_json_string()
    half = SpertModel.from_encoder(
        str(tiny_bert_folder), encoder_kwargs={"dtype": torch.bfloat16, "attn_implementation": "eager"}, **config_fields
    )
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    assert half.encoder.config._attn_implementation == "eager"
    with pytest.raises(ValueError, match="did you mean 'entity_types'"):
        SpertModel.from_encoder(str(tiny_bert_folder), entity_type=["A"])


def test_code_in_an_encoders_folder_is_never_run(tiny_bert_folder, tmp_path, monkeypatch):
    for own in (BertConfig, BertModel):  # the last line registers them, which would make later tests save their code
        monkeypatch.setattr(own, "_auto_class", None)
    folder, ran = tmp_path / "encoder", tmp_path / "ran"
    shutil.copytree(tiny_bert_folder, folder)
    (folder / "own.py").write_text(
        f"from transformers import BertConfig, BertModel\nopen({str(ran)!r}, 'w')\n"
        "class Config(BertConfig): pass\nclass Model(BertModel): config_class = Config\n"
    )
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModel": "own.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    SpertModel.from_encoder(str(folder), entity_types=["A"], encoder_kwargs={"trust_remote_code": True})
    SpertProcessor.from_encoder(str(folder), trust_remote_code=True)
    assert not ran.exists()
    AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert ran.exists()


def test_an_encoder_folder_is_refused_with_the_remedy(tiny_bert_folder):
    with pytest.raises(ValueError, match=r"use SpertModel\.from_encoder"):
        SpertModel.from_pretrained(tiny_bert_folder)


def test_resize_token_embeddings():
    model = tiny.model("bert")
    model.resize_token_embeddings(150)
    assert model.encoder.embeddings.word_embeddings.num_embeddings == 150
    assert model.config.encoder_config.vocab_size == 150


def plain_pooling(model, hidden, start, end):
    if start >= end:
        return torch.zeros(hidden.shape[-1])
    pieces = hidden[start:end]
    return {"max": pieces.amax(0), "mean": pieces.mean(0), "sum": pieces.sum(0)}[model.config.span_pooling]


def plain_entity_logits(model, hidden, word_pieces, spans):
    """The textbook formula for one sentence: pool, join, multiply."""
    rows = []
    for start, end in spans:
        pooled = plain_pooling(model, hidden, word_pieces[start, 0], word_pieces[end - 1, 1])
        rows.append(torch.cat((hidden[0], pooled, model.width_embeddings.weight[end - start])))
    return model.span_classifier.linear(torch.stack(rows))


def plain_relation_logits(model, hidden, word_pieces, pairs):
    """The textbook formula for pairs of word spans of one sentence."""
    rows = []
    for pair in pairs:
        head, tail = ((word_pieces[start, 0], word_pieces[end - 1, 1]) for start, end in pair)
        between = min(head[1], tail[1]), max(head[0], tail[0])
        context = {
            "localized": plain_pooling(model, hidden, *between),
            "full": plain_pooling(model, hidden, word_pieces[0, 0], word_pieces[-1, 1]),
            "cls": hidden[0],
        }[model.config.relation_context]
        entities = [plain_pooling(model, hidden, *pieces) for pieces in (head, tail)]
        widths = [model.width_embeddings.weight[end - start] for start, end in pair]
        rows.append(torch.cat((context, *entities, *widths)))
    return model.pair_classifier.linear(torch.stack(rows))


@pytest.mark.parametrize("pooling", ["max", "mean", "sum"])
@pytest.mark.parametrize("context", ["localized", "full", "cls"])
def test_equals_the_plain_formula(pooling, context):
    model = tiny.model("bert", span_pooling=pooling, relation_context=context, max_span_width=4)
    batch = encoded()
    with torch.inference_mode():
        outputs = model(**batch)
        hidden = model.encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        head, tail = ordered_pairs(outputs.candidate_counts, torch.arange(len(outputs.candidate_logits)))
        sentence, span = outputs.candidate_entities.unbind(-1)
        assert len(head) > 20
        for row, words in enumerate(tiny.SENTENCES):
            word_pieces = batch["word_pieces"][row, : len(words)]
            is_real = outputs.spans[row, :, 1] > 0
            spans = outputs.spans[row][is_real].tolist()
            assert spans == candidate_spans(len(words), 4).tolist()
            expected = plain_entity_logits(model, hidden[row], word_pieces, spans)
            assert_close(outputs.entity_logits[row][is_real], expected)
            mine = (sentence[head] == row).nonzero().squeeze(-1)[::7]  # the plain formula takes its time
            if len(mine):
                pairs = [[outputs.spans[row, span[end[i]]].tolist() for end in (head, tail)] for i in mine]
                expected = plain_relation_logits(model, hidden[row], word_pieces, pairs)
                assert_close(outputs.candidate_logits[mine], expected)


@pytest.mark.parametrize("context", ["localized", "full", "cls"])
def test_training_and_inference_score_alike(context):
    model = tiny.model("bert", relation_context=context)
    batch = encoded()
    with torch.inference_mode():
        inference = model(**batch)
        counts = inference.candidate_counts.tolist()
        starts = [sum(counts[:row]) for row in range(len(counts))]
        head, tail = ordered_pairs(inference.candidate_counts, torch.arange(len(inference.candidate_logits)))
        sentence, span = inference.candidate_entities.unbind(-1)
        of_row = [[i for i in range(len(head)) if sentence[head[i]] == row] for row in range(len(starts))]
        pairs = torch.zeros((len(starts), max(map(len, of_row)), 2), dtype=torch.long)
        for row, members in enumerate(of_row):
            for position, i in enumerate(members):
                pairs[row, position] = torch.stack((span[head[i]], span[tail[i]]))
        given = model(**batch, spans=inference.spans, pairs=pairs)
    assert given.candidate_logits is None
    for row, members in enumerate(of_row):
        real = inference.spans[row, :, 1] > 0
        assert_close(given.entity_logits[row][real], inference.entity_logits[row][real])
        assert_close(given.relation_logits[row, : len(members)], inference.candidate_logits[members])


def test_dropout_acts_on_each_joined_vector_separately():
    model = tiny.model("bert", head_dropout=0.5)
    batch = encoded([["Ada", "Park"]])
    batch["spans"] = torch.tensor([[[0, 1]] * 50])
    batch["pairs"] = torch.tensor([[[0, 1]] * 50])
    model.span_classifier.train()
    model.pair_classifier.train()
    with torch.no_grad():
        outputs = model(**batch)
    for logits in (outputs.entity_logits[0], outputs.relation_logits[0]):
        differences = torch.cdist(logits, logits, p=torch.inf) + torch.eye(50)  # a row and itself: nothing to compare
        assert differences.min() > ROUNDING
    with torch.no_grad():
        logits = model.eval()(**batch).entity_logits[0]
    assert_close(logits, logits[:1].expand_as(logits))


@pytest.mark.parametrize("boundaries", [False, True])
def test_joined_and_factored_span_logits_agree(boundaries):
    classifier = tiny.model("bert", head_dropout=0.1, span_boundaries=boundaries).span_classifier
    sentence, pooled, width = torch.randn(2, 32), torch.randn(2, 7, 32), torch.randn(2, 7, 25)
    hidden, pieces = torch.randn(2, 9, 32), torch.tensor([[[start, start + 2] for start in range(7)]] * 2)
    factored = classifier.eval()(sentence, pooled, width, hidden, pieces)
    joined = [sentence.unsqueeze(1).expand(-1, 7, -1), pooled, width]
    joined += [hidden[:, :7], hidden[:, 1:8]] if boundaries else []
    assert_close(factored, classifier.linear(torch.cat(joined, dim=-1)))


def test_losses_are_means_over_what_is_no_padding():
    entity_logits, span_labels = torch.randn(2, 5, 4), torch.tensor([[0, 3, 1, 2, 0], [1, -100, -100, -100, -100]])
    expected = F.cross_entropy(torch.cat((entity_logits[0], entity_logits[1, :1])), torch.tensor([0, 3, 1, 2, 0, 1]))
    assert_close(entity_loss(entity_logits, span_labels), expected)
    relation_logits, pair_labels = torch.randn(2, 2, 3), torch.full((2, 2, 3), -100.0)
    pair_labels[0, 0], pair_labels[1, 0] = torch.tensor([1.0, 0, 1]), torch.tensor([0.0, 0, 0])
    expected = F.binary_cross_entropy_with_logits(relation_logits[:, 0], pair_labels[:, 0])
    assert_close(relation_loss(relation_logits, pair_labels), expected)


def test_a_batch_without_relations_or_entities_trains():
    model = tiny.model("bert").train()
    outputs = model(**training_batch(model, records=[tiny.RECORDS[1]]))
    assert outputs.relation_loss == 0
    assert outputs.loss == outputs.entity_loss > 0
    outputs.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_padding_changes_no_loss():
    model = tiny.model("bert")
    batch = training_batch(model)
    loss = model(**batch).loss
    for name, size, value in (("spans", 3, 0), ("span_labels", 3, -100), ("pairs", 2, 0), ("pair_labels", 2, -100)):
        rest = batch[name].new_full((len(batch[name]), size, *batch[name].shape[2:]), value)
        batch[name] = torch.cat((batch[name], rest), dim=1)
    assert_close(model(**batch).loss, loss)


def test_without_relation_types():
    model = tiny.model("bert", relation_types=[], symmetric_relations=[])
    assert model.pair_classifier is None
    outputs = model(**encoded())
    assert outputs.candidate_logits.shape[1] == 0
    assert any(one.entities for one in decode(outputs))
    records = [record | {"relations": []} for record in tiny.RECORDS]
    loss = model.train()(**training_batch(model, records=records)).loss
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("context", ["localized", "cls"])
def test_results_do_not_depend_on_the_chunk_size(monkeypatch, context):
    model = tiny.model("bert", relation_context=context, max_span_width=2)
    batch = encoded()
    with torch.inference_mode():
        whole = model(**batch).candidate_logits
        assert 100 < len(whole) < 2000
        for rows in (1, 7, 50):
            monkeypatch.setattr(modeling_spert, "CANDIDATE_CHUNK_ELEMENTS", {"cpu": rows * 32})
            assert_close(model(**batch).candidate_logits, whole)


def test_thousands_of_entities():
    """An untrained model may call nearly every span of a long sentence an entity."""
    model = tiny.model("deberta-v2", max_span_width=3)
    with torch.no_grad():
        model.span_classifier.linear.bias[0] = -100.0
    words = [f"{number}" for number in range(400)]
    with torch.inference_mode():
        outputs = model(**encoded([words, ["Oslo"]], "deberta-v2"))
    assert outputs.candidate_counts.tolist() == [400 + 399 + 398, 1]
    assert outputs.candidate_logits.shape == (1197 * 1196, 3)


def test_texts_without_words():
    model = tiny.model("bert")
    for sentences in ([[]], [[], ["Oslo"]], [["Oslo"], []]):
        with torch.inference_mode():
            outputs = model(**encoded(sentences))
        for words, one in zip(sentences, decode(outputs)):
            assert words or one == ([], [], None)


def test_plain_tuple_and_misuse():
    model = tiny.model("bert")
    batch = encoded(tiny.SENTENCES[:1])
    assert_close(model(**batch, return_dict=False)[0], model(**batch).entity_logits)
    with pytest.raises(ValueError, match="expected `spans` beside `pairs`"):
        model(**batch, pairs=torch.zeros((1, 1, 2), dtype=torch.long))


@pytest.mark.parametrize("fields", [{}, tiny.ALL_CHOICES])
def test_one_encoder_pass_and_one_synchronisation(monkeypatch, fields):
    """`tolist` of the two counts is the only place where the host has to wait for the device."""
    model = tiny.model("bert", **fields)
    batch = encoded()
    calls = {"encoder": 0, "tolist": 0}
    tolist = torch.Tensor.tolist

    def count_tolist(tensor):
        calls["tolist"] += 1
        return tolist(tensor)

    def refuse(*args, **kwargs):
        raise AssertionError("a synchronisation with the host")

    with torch.inference_mode(), monkeypatch.context() as patched:
        hidden = model.encoder(batch["input_ids"], attention_mask=batch["attention_mask"])

        def count_encoder(**kwargs):  # the encoder itself may do as it likes
            calls["encoder"] += 1
            return hidden

        patched.setattr(model.encoder, "forward", count_encoder)
        patched.setattr(torch.Tensor, "tolist", count_tolist)
        for name in ("item", "nonzero", "cpu", "numpy", "__bool__", "__int__", "__float__"):
            patched.setattr(torch.Tensor, name, refuse)
        outputs = model(**batch)
    assert len(outputs.candidate_logits) > 0
    assert calls == {"encoder": 1, "tolist": 1}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("fields", [{}, tiny.ALL_CHOICES])
def test_one_synchronisation_on_a_gpu(fields):
    """Besides those of the encoder itself (transformers looks whether a batch is padded at all)."""
    model = tiny.model("bert", **fields).cuda()
    batch = encoded().to("cuda")

    def synchronisations(task):
        task()
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            task()
        torch.cuda.set_sync_debug_mode("default")
        return sum("called a synchronizing" in str(one.message) for one in caught)

    with torch.inference_mode():
        of_encoder = synchronisations(lambda: model.encoder(batch["input_ids"], batch["attention_mask"]))
        of_model = synchronisations(lambda: model(**batch))
    assert of_encoder <= 1
    assert of_model == of_encoder + 1


def test_device_map(tmp_path):
    model = tiny.model("bert")
    model.save_pretrained(tmp_path)
    loaded = SpertModel.from_pretrained(tmp_path, device_map="cpu")
    batch = encoded()
    with torch.inference_mode():
        assert_close(loaded(**batch).entity_logits, model(**batch).entity_logits)


def test_configuration_is_checked_before_weights_are_read(tiny_bert_folder, saved_model, monkeypatch):
    def read(*args, **kwargs):
        raise AssertionError("the weights were read")

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", read)
    for folder in (tiny_bert_folder, saved_model):
        with pytest.raises(ValueError, match="at least one entity type"):
            SpertModel.from_encoder(str(folder))


@pytest.mark.slow
def test_compiling_makes_few_graphs_whatever_the_shapes(monkeypatch):
    """Lengths in one power of two share their code; what depends on the data is not compiled."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    # Tracing takes all of the time, and each layer and each width is traced again in each graph.
    monkeypatch.setitem(tiny.ENCODERS, "bert", tiny.ENCODERS["bert"] | {"num_hidden_layers": 1})
    model = tiny.model("bert", max_span_width=3)
    compiled = torch.compile(model, backend="eager", dynamic=True)
    chance = random.Random(0)
    words = [word for sentence in tiny.SENTENCES for word in sentence]
    for _ in range(25):
        sentences = [chance.choices(words, k=chance.randint(2, 60)) for _ in range(chance.randint(2, 6))]
        batch = encoded(sentences)
        with torch.inference_mode():
            found, expected = compiled(**batch), model(**batch)
        assert_close(found.entity_logits, expected.entity_logits)
        assert_close(found.candidate_logits, expected.candidate_logits)
    assert counters["stats"]["unique_graphs"] <= 8
    torch._dynamo.reset()


@pytest.mark.parametrize("context", ["localized", "cls"])
def test_the_classifier_piece_may_stand_anywhere(context):
    model = tiny.model("bert", relation_context=context)
    batch = encoded(tiny.SENTENCES[:1])
    at_start = model(**batch)
    batch["cls_piece"] = torch.tensor([batch["input_ids"].shape[1] - 1])
    outputs = model(**batch)
    hidden = model.encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[0]
    hidden = torch.cat((hidden[-1:], hidden[1:]))  # the formula reads the classifier piece at 0
    spans = outputs.spans[0].tolist()
    assert_close(outputs.entity_logits[0], plain_entity_logits(model, hidden, batch["word_pieces"][0], spans))
    assert (outputs.entity_logits - at_start.entity_logits).abs().max() > 0.1
    head, tail = ordered_pairs(outputs.candidate_counts, torch.arange(len(outputs.candidate_logits)))
    found = [spans[index] for index in outputs.candidate_entities[:, 1].tolist()]
    pairs = [[found[i], found[j]] for i, j in zip(head.tolist(), tail.tolist())]
    assert pairs
    assert_close(outputs.candidate_logits, plain_relation_logits(model, hidden, batch["word_pieces"][0], pairs))


def test_an_encoder_in_half_precision_is_trained_in_full(tiny_bert_folder, tmp_path):
    AutoModel.from_pretrained(tiny_bert_folder, dtype=torch.bfloat16).save_pretrained(tmp_path)
    model = SpertModel.from_encoder(str(tmp_path), entity_types=["A"])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("num_widths", [1, 2, 3])
def test_results_do_not_depend_on_how_many_widths_are_joined(monkeypatch, num_widths):
    model = tiny.model("bert", max_span_width=8)
    batch = encoded([tiny.SENTENCES[2]])
    with torch.inference_mode():
        whole = model(**batch).entity_logits
        limit = num_widths * len(tiny.SENTENCES[2]) * 32
        monkeypatch.setattr(heads_spert, "JOINED_WIDTHS_ELEMENTS", {"cpu": limit})
        assert_close(model(**batch).entity_logits, whole)


def test_trainer_saves_what_loads(tmp_path):
    model, processor = tiny.model("bert"), tiny.processor("bert")
    dataset = SpertTrainingDataset(tiny.RECORDS, processor, model.config, num_negative_spans=5)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"), max_steps=2, per_device_train_batch_size=2, save_steps=2, report_to=[]
    )
    trainer = Trainer(
        model, arguments, train_dataset=dataset, data_collator=SpertDataCollator(processor), processing_class=processor
    )
    assert not trainer.model_accepts_loss_kwargs, "the loss is a mean already"
    trainer.train()
    loaded = AutoModel.from_pretrained(tmp_path / "out" / "checkpoint-2", trust_remote_code=True)
    batch = encoded()
    with torch.inference_mode():
        assert_close(loaded(**batch).entity_logits, model.eval()(**batch).entity_logits)
    assert AutoProcessor.from_pretrained(tmp_path / "out" / "checkpoint-2", trust_remote_code=True)


class TestGivenEntities:
    GIVEN = torch.tensor([[[3, 5], [0, 2], [0, 7]], [[0, 0], [0, 0], [0, 0]], [[7, 9], [0, 0], [0, 0]]])

    @pytest.fixture
    def batch(self):
        return encoded(tiny.SENTENCES[:3])

    @pytest.mark.parametrize("context", ["localized", "full", "cls"])
    def test_they_are_scored_as_found_ones(self, batch, context):
        model = tiny.model("bert", relation_context=context, max_span_width=4)  # [0, 7) is wider
        with torch.inference_mode():
            outputs = model(**batch, given_entities=self.GIVEN)
            hidden = model.encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        assert torch.equal(outputs.spans, self.GIVEN)
        assert outputs.candidate_entities.tolist() == [[0, 0], [0, 1], [0, 2], [2, 0]]
        assert outputs.candidate_counts.tolist() == [3, 0, 1]
        spans = self.GIVEN[0].tolist()
        word_pieces = batch["word_pieces"][0, : len(tiny.SENTENCES[0])]
        assert_close(outputs.entity_logits[0], plain_entity_logits(model, hidden[0], word_pieces, spans))
        pairs = [[spans[i], spans[j]] for i in range(3) for j in range(3) if i != j]
        assert_close(outputs.candidate_logits, plain_relation_logits(model, hidden[0], word_pieces, pairs))

    def test_the_steps_can_be_called_one_by_one(self, batch):
        model = tiny.model("bert")
        with torch.inference_mode():
            outputs = model(**batch)
            hidden = model.encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            states = model.sentence_states(hidden, batch["word_pieces"], batch["cls_piece"])
            found = model.find_entities(states)
            assert_close(found.entity_logits, outputs.entity_logits)
            assert_close(model.score_pairs(states, found), outputs.candidate_logits)

    def test_decoding_keeps_them_and_their_order(self, batch):
        model = tiny.model("bert", entity_threshold=1.0, overlapping_entities="none")
        outputs = model(**batch, given_entities=self.GIVEN)
        types = [["Place", None, "Person"], [], None]
        found = decode(outputs, given_types=types)
        assert [[one[:2] for one in sentence.entities] for sentence in found] == [
            [(3, 5), (0, 2), (0, 7)],
            [],
            [(7, 9)],
        ]
        probabilities = outputs.entity_logits.softmax(-1)
        likeliest = probabilities[0, 1, 1:].argmax().item()
        kinds = [one.type for one in found[0].entities]
        assert kinds == ["Place", tiny.ENTITY_TYPES[likeliest], "Person"]
        scores = [
            probabilities[0, 0, 3].item(),
            probabilities[0, 1, 1 + likeliest].item(),
            probabilities[0, 2, 1].item(),
        ]
        assert [one.score for one in found[0].entities] == pytest.approx(scores, abs=1e-5)
        every = decode(outputs, outputs.decoding.override(relation_threshold=0.0), given_types=types)
        assert {one[:2] for one in every[0].relations} == {(i, j) for i in range(3) for j in range(3) if i != j}

    def test_they_stay_where_the_model_sees_none(self, batch):
        model = tiny.model("bert")
        with torch.no_grad():
            model.span_classifier.linear.bias[0] = 100.0
        outputs = model(**batch, given_entities=self.GIVEN)
        assert outputs.candidate_counts.tolist() == [3, 0, 1]
        assert [len(one.entities) for one in decode(outputs, given_types=[None] * 3)] == [3, 0, 1]
        assert [one.entities for one in decode(outputs)] == [[], [], []]

    def test_none_at_all(self, batch):
        outputs = tiny.model("bert")(**batch, given_entities=torch.zeros((3, 0, 2), dtype=torch.long))
        assert decode(outputs, given_types=[[], [], []]) == [([], [], None)] * 3

    def test_misuse(self, batch):
        model = tiny.model("bert")
        with pytest.raises(ValueError, match="either `given_entities` or `spans`"):
            model(**batch, given_entities=self.GIVEN, spans=self.GIVEN)
        outputs = model(**batch, given_entities=self.GIVEN)
        with pytest.raises(ValueError, match="each of the 3 sentences, got 1"):
            decode(outputs, given_types=[[None]])
        with pytest.raises(ValueError, match="each of the 3 given entities of sentence 0, got 1"):
            decode(outputs, given_types=[[None], [], [None]])
        with pytest.raises(ValueError, match=r"out of \['Person', 'Organization', 'Place'\] or None, got 'City'"):
            decode(outputs, given_types=[[None, "City", None], [], [None]])


class TestFromASpertModel:
    @pytest.fixture
    def source(self, tmp_path):
        model = tiny.model("bert")
        model.save_pretrained(tmp_path)
        return model, str(tmp_path)

    def test_encoder_and_shared_types_are_taken_over(self, source):
        trained, folder = source
        model = SpertModel.from_encoder(
            folder, entity_types=["Place", "City", "Person"], relation_types=["married_to", "born_in"]
        )
        assert model.training
        assert model.transferred == (("Place", "Person"), ("married_to",), True)
        for name, value in trained.encoder.state_dict().items():
            assert torch.equal(value, model.encoder.state_dict()[name])
        assert torch.equal(model.width_embeddings.weight, trained.width_embeddings.weight)
        ours, theirs = model.span_classifier.linear, trained.span_classifier.linear
        for to, of in ((0, 0), (1, 3), (3, 1)):
            assert torch.equal(ours.weight[to], theirs.weight[of])
            assert ours.bias[to] == theirs.bias[of]
        assert not any(torch.equal(ours.weight[2], row) for row in theirs.weight)
        ours, theirs = model.pair_classifier.linear, trained.pair_classifier.linear
        assert torch.equal(ours.weight[0], theirs.weight[2])
        assert not any(torch.equal(ours.weight[1], row) for row in theirs.weight)
        assert folder not in model.config.to_json_string()

    @pytest.mark.parametrize(
        ("fields", "transferred"),
        [
            ({"span_pooling": "mean"}, ((), (), True)),
            ({"width_embedding_size": 5}, ((), (), False)),
            ({"relation_context": "cls"}, (("Person",), (), True)),
            ({"relation_types": []}, (("Person",), (), True)),
        ],
    )
    def test_rows_of_another_meaning_are_not(self, source, fields, transferred):
        fields = {"entity_types": ["Person"], "relation_types": ["works_for"]} | fields
        assert SpertModel.from_encoder(source[1], **fields).transferred == transferred

    def test_a_plain_encoder_has_no_heads(self, tiny_bert_folder):
        assert SpertModel.from_encoder(str(tiny_bert_folder), entity_types=["A"]).transferred is None
