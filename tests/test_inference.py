"""Forwards in halves and in fixed shapes, on a CPU: the same code that a GPU runs, without its streams and graphs."""

import doctest

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spert import prediction
from spert.extraction import workers
from spert.inference import eager, fixed
from spert.inference.captured import captured_forward
from spert.inference.masks import TYPES_WITH_READY_MASKS, encoder_mask, ready_mask, takes_ready_mask
from spert.prediction import predict, predict_stream
from tests import tiny
from tests.extracting import predict_files, run
from tests.tolerance import assert_close

WORDS = [word for sentence in tiny.SENTENCES for word in sentence]


@torch.inference_mode()
def scored_by(forward, batches):
    return [scored.wait() for scored in eager.run_ahead(forward, batches)]


@torch.inference_mode()
def plain(model, batch):
    outputs = model(**batch)
    sentence, span = outputs.candidate_entities.unbind(-1)
    rows = (outputs.spans[sentence, span], outputs.entity_logits[sentence, span])
    return [sentence, *rows, outputs.candidate_counts, outputs.candidate_logits]


def test_examples():
    assert doctest.testmod(fixed).attempted == 1
    assert doctest.testmod(fixed).failed == 0


@pytest.mark.parametrize("model_type", tiny.ENCODERS)
def test_halves_and_fixed_shapes_give_what_the_model_gives(model_type):
    model, processor = tiny.model(model_type, max_span_width=3), tiny.processor(model_type)
    sentences = [[["Oslo"], ["Ada", "Park"]], tiny.SENTENCES, tiny.SENTENCES[:1], tiny.SENTENCES[::-1]]
    batches = [processor(words, is_split_into_words=True) for words in sentences]
    expected = [plain(model, batch) for batch in batches]
    assert sum(len(one[-1]) for one in expected) > 0
    in_shapes = fixed.FixedForward(model, rows=4)
    in_shapes.entities_per_row, in_shapes.pairs_per_row = 64, 2048
    for forward in (eager.EagerForward(model), in_shapes):
        for found, wanted in zip(scored_by(forward, batches), expected, strict=True):
            assert_close(list(found), wanted)
    assert in_shapes.num_overflows == 0
    # The last batch has the shape of the second, and one sentence is too few rows to have a shape.
    assert [(sizes.rows, sizes.words) for sizes in in_shapes._runs] == [(4, 8), (4, 16)]


@pytest.mark.parametrize(
    "fields",
    [
        {"relation_types": [], "symmetric_relations": []},
        {"span_pooling": "mean"},
        {"relation_head": "mlp", "entity_type_features": True, "span_boundaries": True, "distance_embedding_size": 3},
        {"relation_context": "attention"},
        {"context_window": 2},
    ],
)
def test_fixed_shapes_of_other_models(fields):
    model = tiny.model(max_span_width=3, **fields)
    batch = tiny.processor()(tiny.SENTENCES, is_split_into_words=True)
    forward = fixed.FixedForward(model, rows=4)
    forward.entities_per_row, forward.pairs_per_row = 64, 2048
    (found,) = scored_by(forward, [batch])
    assert_close(list(found), plain(model, batch))
    assert len(forward._runs) == 1


@settings(max_examples=15)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=12), min_size=1, max_size=5), st.integers(1, 4))
def test_what_does_not_fit_is_run_as_it_is(sentences, room):
    """Whatever the room, nothing is left out; and there is more room afterwards."""
    model, processor = _MODEL, tiny.processor()
    batch = processor(sentences, is_split_into_words=True)
    forward = fixed.FixedForward(model, rows=5)
    forward.entities_per_row = forward.pairs_per_row = room
    expected = plain(model, batch)
    for found in scored_by(forward, [batch] * 2):
        assert_close(list(found), expected)
    fits = len(expected[0]) <= 5 * room and len(expected[-1]) <= 5 * room
    has_shape = len(sentences) * 2 >= 5 and any(sentences)
    assert (forward.num_overflows > 0) == (has_shape and not fits)


_MODEL = tiny.model(max_span_width=2)


def test_room_grows_once():
    model, processor = tiny.model(max_span_width=2), tiny.processor()
    batch = processor(tiny.SENTENCES, is_split_into_words=True)
    forward = fixed.FixedForward(model, rows=4)
    forward.entities_per_row = forward.pairs_per_row = 1
    num_entities, num_pairs = (len(plain(model, batch)[index]) for index in (0, -1))
    assert min(num_entities, num_pairs) > 4
    for _ in range(2):  # one after the other: a batch that is ahead was launched before there was more room
        scored_by(forward, [batch])
    assert forward.num_overflows == 1
    assert num_entities <= 4 * forward.entities_per_row < 2 * num_entities
    assert num_pairs <= 4 * forward.pairs_per_row < 2 * num_pairs


def test_where_hardly_anything_fits_all_is_run_as_it_is(monkeypatch):
    model, processor = tiny.model(max_span_width=2), tiny.processor()
    batch = processor(tiny.SENTENCES, is_split_into_words=True)
    expected = plain(model, batch)
    monkeypatch.setattr(fixed, "FREE_OVERFLOWS", 2)
    monkeypatch.setattr(fixed, "CANDIDATE_CHUNK_ELEMENTS", {"cpu": 32})  # room for one pair of these states
    forward = fixed.FixedForward(model, rows=4)
    for found in scored_by(forward, [batch] * 8):
        assert_close(list(found), expected)
    assert forward.num_overflows == 4  # three, and the one that was ahead
    assert forward.sizes_of(batch) is None


def test_frequent_shapes_are_prepared_and_others_run_as_they_are(monkeypatch):
    model, processor = tiny.model(), tiny.processor()
    batch = processor(tiny.SENTENCES, is_split_into_words=True)
    prepared = []

    def prepare(model, sizes):
        prepared.append(sizes)
        return fixed.run_in_shape(model, sizes)

    forward = fixed.FixedForward(model, 4, prepare, seen_before=2)
    with torch.inference_mode():
        started = [forward.start(batch) for _ in range(4)]
    assert [isinstance(one, fixed.StartedFixed) for one in started] == [False, False, True, True]
    assert len(prepared) == 1
    monkeypatch.setattr(fixed, "MOST_SHAPES", 1)
    with torch.inference_mode():
        assert not any(
            isinstance(forward.start(processor([WORDS] * 4, is_split_into_words=True)), fixed.StartedFixed)
            for _ in range(4)
        )


@pytest.mark.parametrize(("in_shapes", "fields"), [(False, {}), (True, {}), (False, tiny.ALL_CHOICES)])
def test_predict_runs_ahead(in_shapes, fields, monkeypatch):
    """As on a GPU: launched ahead, decoded in a thread; with windows, given entities and all scores."""
    model, processor = tiny.model(max_span_width=1, **fields), tiny.processor()
    texts = [*tiny.SENTENCES, "Ada Park joined Northwind Labs. Oslo is quiet.", "", [], WORDS * 4]
    texts += [{"tokens": tiny.SENTENCES[0], "entities": [{"word_start": 0, "word_end": 2, "type": "Place"}]}]
    texts[-1]["entities"] += [{"word_start": 6, "word_end": 7}]
    expected = predict(model, processor, texts, batch_size=3, return_all_scores=True)
    assert any("windows" in result for result in expected)
    launched = []
    monkeypatch.setattr(prediction, "RUNS_AHEAD_ON", ("cpu",))
    kind = (lambda model: fixed.FixedForward(model, 3)) if in_shapes else eager.EagerForward

    def forward_of(model):
        launched.append(kind(model))
        return launched[-1]

    monkeypatch.setattr(prediction, "EagerForward", forward_of)
    assert_close(predict(model, processor, texts, batch_size=3, return_all_scores=True), expected)
    found = predict_stream(model, processor, texts, batch_size=3, look_ahead=1, return_all_scores=True)
    assert_close(list(found), expected)
    assert len(launched) == 2


def test_a_fault_of_the_thread_that_decodes_is_raised(monkeypatch):
    model, processor = tiny.model(max_span_width=1), tiny.processor()
    monkeypatch.setattr(prediction, "RUNS_AHEAD_ON", ("cpu",))
    with torch.no_grad():
        model.pair_classifier.linear.bias.fill_(torch.nan)
    with pytest.raises(RuntimeError, match=r"NaN or infinity for .* pairs of entities"):
        predict(model, processor, tiny.SENTENCES, batch_size=2)
    with torch.no_grad():
        model.span_classifier.linear.bias.fill_(torch.nan)
    with pytest.raises(RuntimeError, match=r"NaN or infinity for .* spans"):
        predict(model, processor, tiny.SENTENCES, batch_size=2)
    batch = processor(tiny.SENTENCES, is_split_into_words=True)
    with pytest.raises(RuntimeError, match=r"NaN or infinity for .* spans"):
        scored_by(fixed.FixedForward(model, 4), [batch])


def test_the_next_batch_is_launched_before_one_is_waited_for():
    events = []

    class Recorder:
        def start(self, batch):
            events.append(f"start {batch}")
            return batch

        def finish(self, batch):
            events.append(f"finish {batch}")
            return batch

    assert list(eager.run_ahead(Recorder(), "abc")) == ["a", "b", "c"]
    assert events == ["start a", "start b", "finish a", "start c", "finish b", "finish c"]


def test_models_that_something_else_runs_are_left_to_it():
    model = tiny.model()
    assert eager.runs_ahead(model)
    assert not eager.runs_ahead(object())
    assert not eager.runs_ahead(torch.compile(model, backend="eager"))
    hook = model.register_forward_pre_hook(lambda *arguments: None)
    assert not eager.runs_ahead(model)
    hook.remove()
    model.compile(backend="eager")
    assert not eager.runs_ahead(model)


def test_graphs_need_a_gpu_and_a_model_of_ours():
    with pytest.raises(ValueError, match="cuda_graphs: expected a model on a CUDA device, got one on cpu"):
        predict(tiny.model(), tiny.processor(), ["Oslo"], cuda_graphs=True)
    with pytest.raises(ValueError, match="cuda_graphs: expected a plain SpertModel, got OptimizedModule"):
        predict_stream(torch.compile(tiny.model(), backend="eager"), tiny.processor(), ["Oslo"], cuda_graphs=True)


def test_spert_predict_takes_graphs_to_wherever_a_model_runs(saved_model, tmp_path):
    """In this process, in others and for standard output; where there is no GPU, it says so."""
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("Ada Park joined Northwind Labs.\n", encoding="utf-8")
    expected = "expected a model on a CUDA device, got one on cpu"
    assert expected in predict_files(saved_model, source, target, "--cuda-graphs", code=1)
    assert expected in run(
        "predict", "--model", saved_model, "--input", source, "--output", "-", "--cuda-graphs", code=1
    )
    assert expected in run("predict", "--model", saved_model, "--text", "Oslo", "--cuda-graphs", code=1)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("num_accelerators", "ranks", "is_cpu"), [(0, "000", True), (1, "000", False), (2, "010", False), (4, "012", False)]
)
def test_processes_share_accelerators(num_accelerators, ranks, is_cpu, monkeypatch):
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: num_accelerators > 0)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: num_accelerators)
    found = [workers._environment(index, 3) for index in range(3)]
    assert "".join(environment["LOCAL_RANK"] for environment in found) == ranks
    assert ["ACCELERATE_USE_CPU" in environment for environment in found] == [is_cpu] * 3


@pytest.mark.parametrize("model_type", tiny.ENCODERS)
def test_a_ready_mask_changes_nothing(model_type):
    model = tiny.model(model_type)
    batch = tiny.processor(model_type)(tiny.SENTENCES, is_split_into_words=True)
    mask = batch["attention_mask"]
    ready = encoder_mask(model.encoder, mask, mask)
    assert takes_ready_mask(model.encoder) == (model_type in TYPES_WITH_READY_MASKS) == (ready is not mask)
    assert encoder_mask(model.encoder, torch.ones_like(mask), mask) is None
    with torch.inference_mode():
        expected = model.encoder(batch["input_ids"], attention_mask=mask).last_hidden_state
        found = model.encoder(batch["input_ids"], attention_mask=ready).last_hidden_state
        alone = batch["input_ids"][mask.sum(1) == mask.shape[1]]
        whole = model.encoder(alone, attention_mask=None).last_hidden_state
    assert_close(found[mask > 0], expected[mask > 0])
    assert_close(whole, expected[mask.sum(1) == mask.shape[1]])


def test_a_ready_mask_saves_the_look_at_it_and_work_in_every_layer():
    """Kernels that are launched for the mask, and looks of the host at what is in it, counted on a CPU."""
    model = tiny.model()
    batch = tiny.processor()(tiny.SENTENCES, is_split_into_words=True)

    def counts(mask):
        with torch.profiler.profile() as profile, torch.inference_mode():
            model.encoder(batch["input_ids"], attention_mask=mask)
        called = {event.key: event.count for event in profile.key_averages()}
        return called.get("aten::item", 0) + called.get("aten::is_nonzero", 0), sum(called.values())

    mask = batch["attention_mask"]
    looks, operations = counts(mask)
    looks_of_ready, operations_of_ready = counts(ready_mask(mask, torch.float32))
    assert looks > 0 == looks_of_ready
    assert operations_of_ready < operations


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_captured_graphs_on_a_gpu():
    model, processor = tiny.model(max_span_width=2).cuda(), tiny.processor()
    texts = [*tiny.SENTENCES, WORDS] * 8
    expected = predict(tiny.model(max_span_width=2), processor, texts, batch_size=4)
    assert_close(predict(model, processor, texts, batch_size=4), expected)
    assert_close(predict(model, processor, texts, batch_size=4, cuda_graphs=True), expected)
    forward = captured_forward(model, 4)
    batch = processor(tiny.SENTENCES, is_split_into_words=True)
    wanted = plain(tiny.model(max_span_width=2), batch)
    for found in scored_by(forward, [batch] * 6):
        assert_close(list(found), wanted)
    assert len(forward._runs) == 1


@pytest.mark.parametrize("in_shapes", [False, True])
def test_nobody_waits_before_the_next_batch_is_launched(in_shapes, monkeypatch):
    """Up to the count nothing asks the device for a number; afterwards one `tolist` does."""
    model = tiny.model(max_span_width=2)
    batch = tiny.processor()(tiny.SENTENCES, is_split_into_words=True)
    forward = fixed.FixedForward(model, 4) if in_shapes else eager.EagerForward(model)
    if in_shapes:
        forward.entities_per_row, forward.pairs_per_row = 64, 2048
    asked = []
    tolist = torch.Tensor.tolist

    def count(tensor):
        asked.append(len(tensor))
        return tolist(tensor)

    def refuse(*args, **kwargs):
        raise AssertionError("a synchronisation with the host")

    with torch.inference_mode(), monkeypatch.context() as patched:
        hidden = model.encoder(batch["input_ids"], attention_mask=batch["attention_mask"])
        if in_shapes:
            inputs = fixed.pad_to(batch, forward.sizes_of(batch), 0, pin_memory=False)
            hidden = model.encoder(inputs["input_ids"], attention_mask=inputs["attention_mask"])
        patched.setattr(model.encoder, "forward", lambda **kwargs: hidden)  # the encoder itself may do as it likes
        patched.setattr(eager, "encoder_mask", lambda encoder, on_host, on_device: on_device)
        patched.setattr(torch.Tensor, "tolist", count)
        for name in ("item", "nonzero", "numpy", "__bool__", "__int__", "__float__"):
            patched.setattr(torch.Tensor, name, refuse)
        started = forward.start(batch)
        assert asked == []
        scored = forward.finish(started).wait()
    assert len(scored.pair_logits) > 0
    assert asked == [3]
