"""A Flower App that times a hop, a bare message and a plain training step in one run.

With `what="memory"` it relays a large model over four lanes instead and reports the peak
memory of the process that runs the server app. Results go to the JSON file `out`.
"""

from __future__ import annotations

import json
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from clients.client_app import evaluate, train
from clients.evaluation import initial_arrays
from flower_relay import FolderStore, RelayStrategy
from flower_relay.courier import Courier

client = ClientApp()
server = ServerApp()


@client.query()
def echo(message: Message, context: Context) -> Message:
    """Answer at once."""
    return Message(RecordDict(), reply_to=message)


@client.train()
def train_or_touch(message: Message, context: Context) -> Message:
    """The line-up's training, or for the memory bench the least change that is one."""
    if context.run_config["what"] == "hop":
        return train(message, context)
    arrays = message.content["arrays"]
    weights = arrays["w"].numpy()
    weights[0] += np.random.default_rng(context.node_id % 2**32).random()
    metrics = MetricRecord({"num-examples": 1})
    content = RecordDict({"arrays": ArrayRecord({"w": Array(weights)}), "metrics": metrics})
    return Message(content, reply_to=message)


@client.evaluate()
def evaluate_or_nod(message: Message, context: Context) -> Message:
    """The line-up's evaluation, or for the memory bench always the same."""
    if context.run_config["what"] == "hop":
        return evaluate(message, context)
    metrics = MetricRecord({"eval_loss": 1.0, "num-examples": 1})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Measure what the run config asks for."""
    measure = measure_hop if context.run_config["what"] == "hop" else measure_memory
    Path(str(context.run_config["out"])).write_text(json.dumps(measure(grid, context), indent=1))


def measure_hop(grid: Grid, context: Context) -> dict[str, float]:
    """Time bare messages, hops without tests, and training called directly."""
    node = sorted(grid.get_node_ids())[0]
    courier = Courier(grid, 5.0)
    messages = int(context.run_config["messages"])
    bare = [_quick(courier, node) for _ in range(messages)][messages // 10 :]
    flowers = [_flowers_own(grid, node) for _ in range(3 * messages // 10)]
    averaging = _fedavg(grid, context)
    hops = int(context.run_config["hops"])
    strategy = RelayStrategy(examiners=0, max_leg=1, trail=0.0)
    strategy.start(grid, initial_arrays(context.run_config), num_rounds=hops, timeout=60)
    taken = [row.seconds for row in strategy.record.rounds]
    return {
        "hop, median s": statistics.median(taken),
        "hop, 95th percentile s": float(np.quantile(taken, 0.95)),
        "bare message polled quickly, median s": statistics.median(bare),
        "bare message through send_and_receive, median s": statistics.median(flowers),
        **averaging,
        "plain PyTorch training step, median s": statistics.median(_plain(context)),
        "the relay's own share of a hop, mean s": strategy.record.own_seconds / hops,
        "hops": hops,
    }


def _quick(courier: Courier, node: int) -> float:
    began = time.monotonic()
    courier.exchange([Message(RecordDict(), node, "query", ttl=60)], ["bare"], 60)
    return time.monotonic() - began


def _flowers_own(grid: Grid, node: int) -> float:
    began = time.monotonic()
    list(grid.send_and_receive([Message(RecordDict(), node, "query", ttl=60)], timeout=60))
    return time.monotonic() - began


def _fedavg(grid: Grid, context: Context) -> dict[str, float]:
    """Flower's own FedAvg, everybody training in every round."""
    rounds = int(context.run_config["fedavg-rounds"])
    if not rounds:
        return {}
    began = time.monotonic()
    strategy = FedAvg(fraction_evaluate=0.0)
    strategy.start(grid, initial_arrays(context.run_config), num_rounds=rounds, timeout=300)
    return {"Flower's FedAvg, s a round": (time.monotonic() - began) / rounds}


def _plain(context: Context) -> list[float]:
    """The same training, called directly, on each of the twenty participants in turn."""
    arrays = initial_arrays(context.run_config)
    seconds: list[float] = []
    for number in range(40):
        node = {"partition-id": number % 20, "num-partitions": 20}
        own = Context(1, 1, node, RecordDict(), context.run_config)
        message = Message(RecordDict({"arrays": arrays}), 1, "train")
        began = time.monotonic()
        train(message, own)
        seconds.append(time.monotonic() - began)
    return seconds[20:]


def measure_memory(grid: Grid, context: Context) -> dict[str, Any]:
    """Relay a large model over four lanes; the process's peak memory."""
    size = int(context.run_config["megabytes"]) * 1_000_000 // 4
    before = _peak()
    weights = np.random.default_rng(0).random(size, dtype=np.float32)
    folder = Path(str(context.run_config["out"])).with_suffix("")
    strategy = RelayStrategy(
        lanes=4, max_leg=2, examiners=3, utility_bound=2.0, store=lambda: FolderStore(folder)
    )
    arrays = ArrayRecord({"w": Array(weights)})
    del weights
    four = sorted(grid.get_node_ids())[:4]
    content = RecordDict({"arrays": arrays})
    list(grid.send_and_receive([Message(content, n, "train", ttl=300) for n in four], timeout=300))
    flowers_own = _peak()
    strategy.start(grid, arrays, num_rounds=5, timeout=300)
    model = size * 4
    return {
        "model, MB": model / 1e6,
        "peak before, MB": before / 1e6,
        "peak, MB": _peak() / 1e6,
        "peak of four plain train messages, in models": (flowers_own - before) / model,
        "peak above start, in models": (_peak() - before) / model,
        "hops": len(strategy.record.hops),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
