"""The Ray Serve deployment: a replica by itself, and a service under more load than it takes, and without a replica."""

import asyncio
import importlib.util
import json
import socket
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from spert import SpertModel, SpertProcessor
from spert.prediction import predict
from tests import tiny
from tests.tolerance import assert_close

pytest.importorskip("ray.serve")

ROOT = Path(__file__).parent.parent
TEXTS = ["Ada Park joined Northwind Labs in Oslo. Nobody came.", "Oslo", "", "Maria met Tom in Quito, Ecuador."]


def example():
    spec = importlib.util.spec_from_file_location("ray_serve", ROOT / "examples" / "ray_serve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def expected(saved_model):
    model, processor = SpertModel.from_pretrained(saved_model).eval(), SpertProcessor.from_pretrained(saved_model)
    return json.loads(json.dumps(predict(model, processor, TEXTS)))


def http_request(method, body=b""):
    from starlette.requests import Request

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-length", str(len(body)).encode())]
    return Request({"type": "http", "method": method, "path": "/", "headers": headers, "query_string": b""}, receive)


@pytest.fixture(scope="module")
def replica(saved_model):
    """A replica outside of a cluster."""
    config = SimpleNamespace(max_ongoing_requests=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ray.serve.get_replica_context", lambda: SimpleNamespace(_deployment_config=config))
        yield example().Extractor.func_or_class(str(saved_model), max_requests=16, wait=0.05, timeout=60)


@pytest.fixture(scope="module")
def run():
    """Runs coroutines in one loop, as a replica does."""
    with asyncio.Runner() as runner:
        yield runner.run


def ask(run, replica, *bodies):
    """The status and the content that each of several requests gets which arrive at once."""

    async def all_at_once():
        requests = [
            http_request("POST", body if isinstance(body, bytes) else json.dumps(body).encode()) for body in bodies
        ]
        return await asyncio.gather(*(replica(request) for request in requests))

    return [(response.status_code, json.loads(response.body)) for response in run(all_at_once())]


def test_requests_that_arrive_together_get_their_own_answers(run, replica, expected):
    bodies = [{"inputs": text} for text in TEXTS]
    bodies += [{"inputs": TEXTS}, {"inputs": TEXTS[0], "parameters": {"sentences": False}}, {"inputs": []}]
    bodies += [{"inputs": tiny.SENTENCES[0], "parameters": {"is_split_into_words": True}}]
    bodies += [{"inputs": TEXTS[0], "parameters": {"sentences": [[0, 39]]}}]
    answers = ask(run, replica, *bodies)
    assert {status for status, _ in answers} == {200}
    contents = [content for _, content in answers]
    assert_close(contents[:4], expected)
    assert_close(contents[4], expected)
    assert contents[5]["sentences"] == [[0, 52]]
    assert contents[6] == []
    assert "sentences" not in contents[7]
    assert contents[8]["sentences"] == [[0, 39]]


def test_one_bad_request_spoils_no_other(run, replica, expected):
    answers = ask(
        run,
        replica,
        {"inputs": TEXTS[0]},
        {"inputs": ["Oslo", "-" * 900]},
        {"inputs": "Oslo", "parameters": {"relation_threshold": 2}},
        b"{",
        {"inputs": "Oslo", "parameters": {"threshold": 1}},
        b"x" * 4_000_001,
    )
    assert [status for status, _ in answers] == [200, 400, 400, 400, 400, 413]
    assert_close(answers[0][1], expected[0])
    for (_, content), message in zip(
        answers[1:], ("inputs[1]: ", "relation_threshold: expected", "expected JSON", "unknown name", "at most 4000000")
    ):
        assert message in content["error"]
    assert run(replica(http_request("GET"))).status_code == 200


def test_a_request_that_takes_too_long_is_told_so(run, replica, monkeypatch):
    monkeypatch.setattr(replica, "timeout", 0.01)
    ((status, content),) = ask(run, replica, {"inputs": "Oslo"})  # waits 0.05 seconds for others
    assert status == 504
    assert content["error"].startswith("expected an answer within 0.01 seconds")


@pytest.mark.slow
def test_overload_a_killed_replica_and_the_end(saved_model, expected, monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    import ray
    from ray import serve

    from benchmarks.serving import kill_a_replica, load, number_wrong
    from examples.ray_serve import RAY_SETTINGS, start

    for name, value in RAY_SETTINGS.items():
        monkeypatch.setenv(name, value)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    # "local": not the cluster of another test at the same time.
    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    try:
        start(str(saved_model), port=port, replicas=2, max_queued=4, max_requests=2, threads=1)
        number = 20
        crowd = asyncio.run(load(url, TEXTS * number, 64))
        assert crowd.statuses[503] > 0, "the queue has a bound"
        assert crowd.statuses[200] == number * len(TEXTS)
        assert number_wrong(crowd.answers, expected * number) == 0

        async def one_dies():
            working = asyncio.create_task(load(url, TEXTS * number, 8))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(kill_a_replica)
            return await working

        bereaved = asyncio.run(one_dies())
        assert bereaved.statuses[200] == number * len(TEXTS)
        assert number_wrong(bereaved.answers, expected * number) == 0
        with urllib.request.urlopen(url + "-/healthz") as response:
            assert response.status == 200

        async def until_the_end():
            working = asyncio.create_task(load(url, TEXTS, 4, attempts=1))
            await asyncio.sleep(0.05)
            await asyncio.to_thread(serve.delete, "spert")
            return await working

        assert set(asyncio.run(until_the_end()).statuses) <= {200, 404, 503}, "what was begun is answered"
    finally:
        serve.shutdown()
        ray.shutdown()
