"""Requests a second and latencies of `examples/ray_serve.py`, beside the same sentences in batches through Python.

    python -m benchmarks.serving --model outputs/conll04-42 --data_dir data/conll04

Each client sends one text at a time and waits for its answer. At the end the service is asked for more than it can
take (503 is tried again), and loses a replica while it works: every text is answered in the end, and answered right.
"""

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
import psutil
import torch

from benchmarks.measuring import machine, print_table
from benchmarks.models import sentences_of
from spert.prediction import predict

TRIED_AGAIN = (500, 502, 503, 504)
"""Status codes after which a client tries again: the queue is full, or a replica is gone."""

PORT = 8123

PARTS = {"ServeReplica": "replicas", "ProxyActor": "HTTP proxy"}
"""What the processes of Ray are called that a request passes."""


@dataclass
class Load:
    """What clients saw.

    Args:
        seconds: from the first request to the last answer.
        latencies: seconds of each answer, without attempts that were refused.
        statuses: how often each status came; `lost` is a connection that broke.
        answers: what was found in each text.
        used: milliseconds of processors, by process.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[Any] = field(default_factory=Counter)
    answers: dict[int, Any] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


async def load(url: str, texts: list[str], clients: int, attempts: int = 200) -> Load:
    """Send each text once, from so many clients at a time, and again where the service says so."""
    seen = Load()
    waiting = iter(enumerate([json.dumps({"inputs": text}).encode() for text in texts]))
    bodies: dict[int, bytes] = {}  # read when the clock has stopped: a client shares the processors with the service
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:

        async def client() -> None:
            for number, body in waiting:
                for attempt in range(attempts):
                    begin = time.perf_counter()
                    try:
                        async with session.post(url, data=body) as response:
                            seen.statuses[response.status] += 1
                            if response.status == 200:
                                bodies[number] = await response.read()
                                seen.latencies.append(time.perf_counter() - begin)
                                break
                            assert response.status in TRIED_AGAIN, await response.text()
                    except aiohttp.ClientError:
                        seen.statuses["lost"] += 1
                    await asyncio.sleep(min(0.5, 0.02 * 2 ** min(attempt, 5)))

        before, begin = processor_milliseconds(), time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        seen.seconds = time.perf_counter() - begin
        seen.used = processor_milliseconds() - before
    seen.answers = {number: json.loads(body) for number, body in bodies.items()}
    return seen


def processor_milliseconds() -> Counter[str]:
    """Milliseconds that processors have spent on this process and on those of Ray that it started, by what they are."""
    spent: Counter[str] = Counter()
    here = psutil.Process()
    for process in (here, *here.children(recursive=True)):
        try:
            title = " ".join(process.cmdline()[:1])
            name = next((name for part, name in PARTS.items() if part in title), "rest of Ray")
            spent["clients" if process == here else name] += round(1000 * sum(process.cpu_times()[:2]))
        except psutil.NoSuchProcess:
            continue
    return spent


def kill_a_replica() -> None:
    """End one replica of the service, without any warning."""
    import ray

    named = ray.util.list_named_actors(all_namespaces=True)
    replica = next(actor for actor in named if actor["name"].startswith("SERVE_REPLICA"))
    ray.kill(ray.get_actor(replica["name"], namespace=replica["namespace"]), no_restart=False)


def number_wrong(answers: dict[int, Any], expected: list[dict[str, Any]]) -> int:
    """How many texts have no answer, or another one than Python gives."""

    def found(result: dict[str, Any]) -> Any:
        entities = [(entity["type"], entity["start"], entity["end"]) for entity in result["entities"]]
        return entities, [(relation["type"], relation["head"], relation["tail"]) for relation in result["relations"]]

    return sum(
        number not in answers or found(answers[number]) != found(result) for number, result in enumerate(expected)
    )


def _named(clients: int) -> str:
    return f"{clients} client" + ("s" if clients > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a trained model's folder")
    parser.add_argument("--dataset", default="conll04")
    parser.add_argument("--data_dir")
    parser.add_argument("--split", default="test")
    parser.add_argument("--sentences", type=int, help="take this many; default: all")
    parser.add_argument("--words", type=int, help="made sentences of this length in place of a corpus")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of torch, in each replica; default: the cores divided by replicas")
    parser.add_argument("--max_requests", type=int, default=32, help="requests that a replica takes together")
    parser.add_argument("--batch_size", type=int, default=4, help="sentences that pass the encoder together there")
    parser.add_argument("--wait", type=float, default=0.02, help="seconds that a request waits for others")
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

    import ray
    from ray import serve

    from examples.ray_serve import RAY_SETTINGS, start
    from spert import SpertModel, SpertProcessor

    name, sentences = sentences_of(arguments)
    texts = [" ".join(words) for words in sentences]
    model = SpertModel.from_pretrained(arguments.model).eval()
    processor = SpertProcessor.from_pretrained(arguments.model)
    expected = predict(model, processor, texts, batch_size=16)

    in_python_used: Counter[str] = Counter()

    def in_python() -> float:
        before, begin = time.process_time_ns(), time.perf_counter()
        predict(model, processor, texts, batch_size=16)
        rate = len(texts) / (time.perf_counter() - begin)
        in_python_used["here"] += (time.process_time_ns() - before) // 1_000_000
        return rate

    cores = os.cpu_count() or 1
    threads = arguments.threads or max(1, cores // arguments.replicas)
    os.environ.update(RAY_SETTINGS | dict(os.environ))
    ray.init(num_cpus=arguments.replicas + 2, include_dashboard=False, log_to_driver=False)
    url = f"http://127.0.0.1:{PORT}/"
    options = {"replicas": arguments.replicas, "threads": threads, "max_requests": arguments.max_requests}
    options |= {"batch_size": arguments.batch_size, "wait": arguments.wait}
    try:
        start(arguments.model, port=PORT, max_queued=4 * arguments.max_requests, **options)
        asyncio.run(load(url, texts[:64], 8))
        in_python()
        in_python_used.clear()
        rounds: dict[int, list[Load]] = {clients: [] for clients in arguments.clients}
        rates: list[float] = []
        for _ in range(arguments.rounds):  # in turns: a slow moment of the machine hits all of them
            rates.append(in_python())
            for clients in arguments.clients:
                rounds[clients].append(asyncio.run(load(url, texts, clients)))
        rows = [["predict, batches of 16", f"{np.median(rates):.0f}", "", "", "", "1.00"]]
        for clients, loads in rounds.items():
            latencies = np.percentile([1000 * one for seen in loads for one in seen.latencies], [50, 95, 99])
            ratio = np.median([seen.rate / rate for seen, rate in zip(loads, rates)])
            rate = f"{np.median([seen.rate for seen in loads]):.0f}"
            rows.append([_named(clients), rate, *(f"{value:.0f} ms" for value in latencies), f"{ratio:.2f}"])
        print_table(
            f"{os.path.basename(arguments.model.rstrip('/'))}, {name}: {len(texts)} texts; threads of torch: "
            f"{torch.get_num_threads()} for predict, {arguments.replicas} x {threads} in replicas",
            ["", "texts a second", "median", "95 %", "99 %", "÷ batches"],
            rows,
        )
        texts_sent = arguments.rounds * len(texts)
        parts = [*PARTS.values(), "clients", "rest of Ray"]
        columns = [[f"{in_python_used['here'] / texts_sent:.1f}", *("" for _ in parts)]]
        for loads in rounds.values():
            used = sum((seen.used for seen in loads), Counter())
            columns.append(["", *(f"{used[part] / texts_sent:.1f}" for part in parts)])
        titles = ["", "predict", *map(_named, rounds)]
        by_part = [list(row) for row in zip(["predict", *parts], *columns)]
        print_table("Processor ms a text", titles, by_part)

        async def overloaded_and_bereaved() -> tuple[Load, Load]:
            crowd = await load(url, texts, 16 * arguments.max_requests)
            working = asyncio.create_task(load(url, texts, 32))
            await asyncio.sleep(0.5)
            await asyncio.to_thread(kill_a_replica)
            return crowd, await working

        crowd, bereaved = asyncio.run(overloaded_and_bereaved())
        rows = []
        for title, seen in (("more clients than the queue takes", crowd), ("a replica killed", bereaved)):
            statuses = ", ".join(f"{status}: {count}" for status, count in sorted(seen.statuses.items(), key=str))
            rows.append([title, statuses, str(number_wrong(seen.answers, expected))])
        print_table("What must not go wrong", ["", "answers", "lost or wrong"], rows)
        print(f"{machine()}; median of {arguments.rounds} rounds")
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
