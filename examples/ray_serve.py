"""Serve a model over HTTP with Ray Serve: requests that arrive together pass the encoder together.

    python examples/ray_serve.py --model outputs/demo --port 8000
    curl localhost:8000 -d '{"inputs": "Ada Park joined Northwind Labs.", "parameters": {"relation_threshold": 0.5}}'

Requests and answers are those of `handler.py`, which a Hugging Face Inference Endpoint runs. Status 400 says what is
wrong with a request, 413 that its body is too large, 503 that the queue is full and 504 that the time is over: after
503, and after a connection that breaks because a replica dies, send the request again. `GET /` and `GET /-/healthz`
answer with 200 while the model is well. SIGTERM and SIGINT end the service after the requests that it has begun. Needs
`pip install 'spert[serve]'`.
"""

import argparse
import asyncio
import json
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import serve
from ray.serve import metrics
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from spert.files import parse_json
from spert.handler import Limits, Request, read_request
from spert.prediction import Refused, predict
from spert.shared_batches import SharedBatches

MAX_BODY = 4_000_000
"""Bytes of a request's body."""

FAST_ROUTE = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",  # nothing here blocks the replica's loop
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}
"""Settings of Ray Serve with which a request passes fewer threads. A cluster has them if it was started with them."""


@dataclass
class Call:
    """A request that waits for its answer.

    Args:
        request: what was asked for.
        answer: gets the results, or the error that refuses the request.
        results: those that are there already, by the text's number.
    """

    request: Request
    answer: asyncio.Future[Any]
    results: dict[int, Any] = field(default_factory=dict)

    def add(self, number: int, result: Any) -> None:
        """Take the result of a text; the last one makes the answer."""
        self.results[number] = result
        if len(self.results) == len(self.request.items):
            self.end(_in_order(self.request, self.results))

    def end(self, answer: Any) -> None:
        """Answer, unless nobody waits any more."""
        if not self.answer.done():
            self.answer.set_result(answer)


@serve.deployment(
    health_check_period_s=5,
    health_check_timeout_s=30,
    graceful_shutdown_wait_loop_s=0.2,
    graceful_shutdown_timeout_s=30,
    logging_config={"enable_access_log": False},  # `spert_texts` counts
)
class Extractor:
    """A replica: a model, and the requests that wait for it.

    Requests that arrive together are sorted by length and cut into batches; each is answered when its last batch is
    done, and not when all are.

    Args:
        model: a folder that every machine sees, or a repository on the Hub.
        batch_size: sentences that pass the encoder together. On a CPU, small batches of like length are the fastest.
        max_requests: requests that are taken together.
        wait: seconds that the first of them waits for others, at most.
        timeout: seconds that a request may take.
        threads: batches that a CPU works on at a time, each with one thread of torch. An accelerator takes turns.
    """

    def __init__(
        self,
        model: str,
        batch_size: int = 8,
        max_requests: int = 32,
        wait: float = 0.005,
        timeout: float = 30.0,
        threads: int = 1,
    ):
        import torch

        from spert import SpertModel, SpertProcessor

        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu":
            torch.set_num_threads(1)
        self.name = model
        self.model = SpertModel.from_pretrained(model).eval().to(device)
        self.processor = SpertProcessor.from_pretrained(model)
        self.batch_size = batch_size
        self.timeout = timeout
        self.limits = Limits.of_environment()
        # The model works in threads of its own, so that the replica takes requests meanwhile.
        self.workers = ThreadPoolExecutor(max_workers=threads if device == "cpu" else 1)
        self.extract.set_max_batch_size(max_requests)
        self.extract.set_batch_wait_timeout_s(wait)
        self.texts = metrics.Counter("spert_texts", "Texts that were answered.", tag_keys=("outcome",))
        self.together = metrics.Histogram(
            "spert_requests_together", "Requests in a batch.", boundaries=[1, 2, 4, 8, 16, 32, 64]
        )
        self.running: set[asyncio.Task[Any]] = set()
        predict(self.model, self.processor, ["Warm up."])

    async def __call__(self, http: HttpRequest) -> Response:
        """Answer a request."""
        if http.method == "GET":
            return JSONResponse({"status": "ok", "model": self.name})
        try:
            if int(http.headers.get("content-length") or 0) > MAX_BODY:
                return _refused(413, f"expected a body of at most {MAX_BODY} bytes.")
            body = await http.body()
            if len(body) > MAX_BODY:
                return _refused(413, f"expected a body of at most {MAX_BODY} bytes.")
            request = read_request(parse_json(body), self.limits)
            found = await asyncio.wait_for(self._answer(request), self.timeout) if request.items else []
            if isinstance(found, ValueError):
                raise found
        except TimeoutError:
            self.texts.inc(tags={"outcome": "timeout"})
            return _refused(504, f"expected an answer within {self.timeout:g} seconds. Send less, or try again.")
        except ValueError as error:
            self.texts.inc(tags={"outcome": "refused"})
            return _refused(400, str(error))
        if found:
            self.texts.inc(len(found), tags={"outcome": "found"})
        content = json.dumps(found if request.is_list else found[0], ensure_ascii=False, separators=(",", ":"))
        return Response(content.encode(), media_type="application/json")

    def _answer(self, request: Request) -> asyncio.Future[Any]:
        """What becomes the answer, which is there before the other requests of the batch have theirs."""
        call = Call(request, asyncio.get_running_loop().create_future())
        task = asyncio.ensure_future(self.extract(call))
        self.running.add(task)  # a task that nobody keeps may vanish
        task.add_done_callback(self.running.discard)
        task.add_done_callback(lambda task: _fail(task, call))
        return call.answer

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def extract(self, calls: list[Call]) -> list[None]:
        """Answer requests that arrived together."""
        self.together.observe(len(calls))
        loop = asyncio.get_running_loop()
        groups: dict[str, list[Call]] = {}  # requests with the same parameters go together
        for call in calls:
            groups.setdefault(json.dumps(call.request.parameters, sort_keys=True), []).append(call)

        async def run(batches: SharedBatches, batch: Any, places: Sequence[tuple[Call, int]]) -> None:
            for number, result in await loop.run_in_executor(self.workers, batches.run, batch):
                call, index = places[number]
                call.add(index, result)

        runs = []
        for group in groups.values():
            places = [(call, index) for call in group for index in range(len(call.request.items))]
            try:
                batches = await loop.run_in_executor(self.workers, self._batches, group)
            except ValueError as error:  # of the parameters
                for call in group:
                    call.end(error)
                continue
            for number, result in batches.whole:
                call, index = places[number]
                call.add(index, result)
            runs += [asyncio.ensure_future(run(batches, batch, places)) for batch in batches.batches]
        await asyncio.gather(*runs)
        return [None] * len(calls)

    def _batches(self, group: Sequence[Call]) -> SharedBatches:
        options = {
            name: value
            for name, value in group[0].request.parameters.items()
            if name != "is_split_into_words" and not isinstance(value, list)
        }
        items = [item for call in group for item in _items(call.request)]
        return SharedBatches(self.model, self.processor, items, self.batch_size, **options)


def _items(request: Request) -> list[Any]:
    """What a model reads. The caller's own sentences of a text go with the text."""
    ranges = request.parameters.get("sentences")
    if not isinstance(ranges, list):
        return request.items
    return [{"text": item, "sentences": ranges} if isinstance(item, str) else item for item in request.items]


def _in_order(request: Request, results: dict[int, Any]) -> Any:
    """The results of a request, or the error of the first text that cannot be read."""
    for index, result in sorted(results.items()):
        if isinstance(result, Refused):
            return ValueError(f"inputs[{index}]: {result.reason}" if request.is_list else result.reason)
    return [results[index] for index in range(len(results))]


def _fail(task: asyncio.Task[Any], call: Call) -> None:
    """A fault of ours is status 500 for those whose answers are not there yet."""
    if not task.cancelled() and task.exception() is not None and not call.answer.done():
        call.answer.set_exception(task.exception())


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status_code=status)


def start(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    replicas: int = 1,
    cpus: int = 1,
    gpus: float = 0,
    max_queued: int = 128,
    max_requests: int = 32,
    timeout: float = 30.0,
    **options: Any,
) -> DeploymentHandle:
    """Start the service on the Ray cluster that this process is connected to.

    Args:
        model, options: see `Extractor`.
        host, port: where it listens.
        replicas: copies of the model.
        cpus, gpus: of each replica.
        max_queued: requests that wait for a replica; the next ones get status 503.
        max_requests: requests that a replica takes together. It holds twice as many, so that the next are ready.
        timeout: seconds that a request may take in a replica, or in all half as long again.
    """
    serve.start(http_options={"host": host, "port": port, "request_timeout_s": 1.5 * timeout})
    extractor = Extractor.options(
        num_replicas=replicas,
        max_ongoing_requests=2 * max_requests,
        max_queued_requests=max_queued,
        ray_actor_options={"num_cpus": cpus, "num_gpus": gpus},
    )
    options = {"threads": cpus} | options
    application = extractor.bind(model, max_requests=max_requests, timeout=timeout, **options)
    return serve.run(application, name="spert", route_prefix="/")


def main() -> None:
    """Serve until a signal says that it is enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder that every machine sees, or a repository on the Hub")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--replicas", type=int, default=1, help="copies of the model")
    parser.add_argument("--cpus", type=int, default=1, help="of each replica: batches that it works on at a time")
    parser.add_argument("--gpus", type=float, default=0, help="of each replica")
    parser.add_argument("--batch_size", type=int, default=8, help="sentences that pass the encoder together")
    parser.add_argument("--max_requests", type=int, default=32, help="requests that a replica takes together")
    parser.add_argument("--wait", type=float, default=0.005, help="seconds that a request waits for others")
    parser.add_argument("--max_queued", type=int, default=128, help="requests that wait for a replica")
    parser.add_argument("--timeout", type=float, default=30, help="seconds that a request may take")
    parser.add_argument("--address", help="of a Ray cluster. Default: one is started on this machine")
    arguments = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    options = vars(arguments)
    os.environ.update(FAST_ROUTE | dict(os.environ))
    ray.init(address=options.pop("address"), log_to_driver=False)
    try:
        start(options.pop("model"), **options)
        print(f"Serving {arguments.model} at http://{arguments.host}:{arguments.port}", flush=True)
        stopped.wait()
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
