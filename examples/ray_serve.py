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
from typing import Any

import ray
from ray import serve
from ray.serve import metrics
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from spert.files import parse_json
from spert.handler import Limits, Request, read_request
from spert.prediction import Refused, predict, predict_stream

MAX_BODY = 4_000_000
"""Bytes of a request's body."""

RAY_SETTINGS = {
    "RAY_worker_niceness": "0",  # by default, all other processes of the machine go first
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}
"""Environment variables with which Ray spends less on a request. A cluster has them if it was started with them."""


@serve.deployment(
    health_check_period_s=5,
    health_check_timeout_s=30,
    graceful_shutdown_wait_loop_s=0.2,
    graceful_shutdown_timeout_s=30,
    logging_config={"enable_access_log": False},  # `spert_texts` counts
)
class Extractor:
    """A replica: a model, and the requests that wait for it.

    Args:
        model: a folder that every machine sees, or a repository on the Hub.
        batch_size: sentences that pass the encoder together: those of like length among the requests that were taken
            together. Default: 4 on a CPU, where little padding is the fastest, and 16 on a GPU.
        max_requests: requests that are taken together.
        wait: seconds that the first of them waits for others, at most.
        timeout: seconds that a request may take.
        threads: of torch. Default: as many as the replica's CPUs.
    """

    def __init__(
        self,
        model: str,
        batch_size: int | None = None,
        max_requests: int = 32,
        wait: float = 0.02,
        timeout: float = 30.0,
        threads: int | None = None,
    ):
        import torch

        from spert import SpertModel, SpertProcessor

        if threads is not None:
            torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.name = model
        self.model = SpertModel.from_pretrained(model).eval().to(device)
        self.processor = SpertProcessor.from_pretrained(model)
        self.batch_size = batch_size or (4 if device == "cpu" else 16)
        self.timeout = timeout
        self.limits = Limits.of_environment()
        # The model works in a thread of its own, so that the replica takes requests meanwhile.
        self.worker = ThreadPoolExecutor(max_workers=1)
        self.extract.set_max_batch_size(max_requests)
        self.extract.set_batch_wait_timeout_s(wait)
        self.texts = metrics.Counter("spert_texts", "Texts that were answered.", tag_keys=("outcome",))
        self.together = metrics.Histogram(
            "spert_requests_together", "Requests in a batch.", boundaries=[1, 2, 4, 8, 16, 32, 64]
        )
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
            found = await asyncio.wait_for(self.extract(request), self.timeout)
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

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.02)
    async def extract(self, requests: list[Request]) -> list[Any]:
        """The results of requests that arrived together: for each a list, or the error that refuses it."""
        self.together.observe(len(requests))
        return await asyncio.get_running_loop().run_in_executor(self.worker, self._extract, requests)

    def _extract(self, requests: Sequence[Request]) -> list[Any]:
        found: list[Any] = [None] * len(requests)
        groups: dict[str, list[int]] = {}  # requests with the same parameters go together
        for number, request in enumerate(requests):
            groups.setdefault(json.dumps(request.parameters, sort_keys=True), []).append(number)
        for numbers in groups.values():
            items = [item for number in numbers for item in _items(requests[number])]
            options = {
                name: value
                for name, value in requests[numbers[0]].parameters.items()
                if name != "is_split_into_words" and not isinstance(value, list)
            }
            try:
                results = predict_stream(self.model, self.processor, items, batch_size=self.batch_size, **options)
                for number in numbers:
                    found[number] = _results(requests[number], [next(results) for _ in requests[number].items])
            except ValueError as error:  # of the parameters
                for number in numbers:
                    found[number] = error
        return found


def _items(request: Request) -> list[Any]:
    """What `predict_stream` reads. The caller's own sentences of a text go with the text."""
    ranges = request.parameters.get("sentences")
    if not isinstance(ranges, list):
        return request.items
    return [{"text": item, "sentences": ranges} if isinstance(item, str) else item for item in request.items]


def _results(request: Request, results: list[Any]) -> Any:
    """The results of a request, or the error of the first text that cannot be read."""
    for index, result in enumerate(results):
        if isinstance(result, Refused):
            return ValueError(f"inputs[{index}]: {result.reason}" if request.is_list else result.reason)
    return results


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status_code=status)


def start(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    replicas: int = 1,
    cpus: float = 1,
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
    application = extractor.bind(model, max_requests=max_requests, timeout=timeout, **options)
    return serve.run(application, name="spert", route_prefix="/")


def main() -> None:
    """Serve until a signal says that it is enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder that every machine sees, or a repository on the Hub")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--replicas", type=int, default=1, help="copies of the model")
    parser.add_argument("--cpus", type=float, default=1, help="of each replica")
    parser.add_argument("--gpus", type=float, default=0, help="of each replica")
    parser.add_argument(
        "--batch_size", type=int, help="sentences that pass the encoder together; default: 4, on a GPU 16"
    )
    parser.add_argument("--max_requests", type=int, default=32, help="requests that a replica takes together")
    parser.add_argument("--wait", type=float, default=0.02, help="seconds that a request waits for others")
    parser.add_argument("--max_queued", type=int, default=128, help="requests that wait for a replica")
    parser.add_argument("--timeout", type=float, default=30, help="seconds that a request may take")
    parser.add_argument("--address", help="of a Ray cluster. Default: one is started on this machine")
    arguments = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    options = vars(arguments)
    os.environ.update(RAY_SETTINGS | dict(os.environ))
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
