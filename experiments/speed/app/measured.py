"""A Flower App that times a hop, a bare message and a plain training step in one run.

With `what="memory"` it relays a large model over four lanes instead and reports the peak
memory of the process that runs the server app. Results go to the JSON file `out`.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from clients.client_app import train
from clients.evaluation import initial_arrays
from experiments.speed.app.watch import Watch, WatchedChain
from flower_relay import FolderStore, MeteredGrid, RelayStrategy
from flower_relay.transport.courier import Courier

server = ServerApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Measure what the run config asks for."""
    measure = measure_hop if context.run_config["what"] == "hop" else measure_memory
    Path(str(context.run_config["out"])).write_text(json.dumps(measure(grid, context), indent=1))


def measure_hop(grid: Grid, context: Context) -> dict[str, Any]:
    """Time bare messages, hops without tests, FedAvg's rounds, and training called directly."""
    config = context.run_config
    clocked = ClockedGrid(grid)
    messages, hops = int(config["messages"]), int(config["hops"])
    courier = Courier(clocked)
    bare = _bare(courier, grid, "query", messages)
    _bare(courier, grid, "query.ready", messages)
    flowers = [_flowers_own(grid, node) for node in _turns(grid, max(1, 3 * messages // 10))]
    strategy = RelayStrategy(examiners=0, max_leg=1, trail=0.0, observers=())
    strategy.start(clocked, initial_arrays(config), num_rounds=hops, timeout=120)
    taken = [row.seconds for row in strategy.record.rounds]
    return {
        "messages": clocked.clock,
        "table": {
            "hop, median s": statistics.median(taken),
            "hop, 95th percentile s": float(np.quantile(taken, 0.95)),
            "bare message polled quickly, median s": statistics.median(bare),
            "bare message through send_and_receive, median s": statistics.median(flowers),
            **_fedavg(grid, context),
            "plain PyTorch training step, median s": statistics.median(_plain(context)),
            "the relay's own share of a hop, mean s": strategy.record.own_seconds / hops,
            "hops": hops,
        },
    }


class ClockedGrid(MeteredGrid):
    """A Grid that notes when each message was pushed and its reply pulled."""

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid)
        self.clock: dict[str, dict[str, Any]] = {}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push, and note when that began and ended."""
        outgoing = list(messages)
        began = time.time()
        ids = list(super().push_messages(outgoing))
        for message_id, message in zip(ids, outgoing, strict=True):
            kind = message.metadata.message_type
            self.clock[message_id] = {"kind": kind, "push": began, "pushed": time.time()}
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pull, and note of what came when that began and ended."""
        began = time.time()
        replies = list(super().pull_messages(message_ids))
        for reply in replies:
            note = self.clock[reply.metadata.reply_to_message_id]
            note |= {"pull": began, "pulled": time.time()}
        return replies


def _turns(grid: Grid, count: int) -> list[int]:
    """Nodes in turn, shuffled anew in every cycle, as trainers are."""
    nodes, rng = sorted(grid.get_node_ids()), np.random.default_rng(0)
    cycles = [rng.permutation(len(nodes)) for _ in range(count // len(nodes) + 1)]
    return [nodes[place] for place in np.concatenate(cycles)[:count]]


def _bare(courier: Courier, grid: Grid, kind: str, count: int) -> list[float]:
    """Seconds of messages without content, one after the other, as the courier has them."""
    return [
        courier.exchange([Message(RecordDict(), node, kind, ttl=120)], [kind], 120)[0].seconds
        for node in _turns(grid, count)
    ]


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
    """Relay a large model over `lanes` lanes: peak memory of the process, and when it was that."""
    config = context.run_config
    lanes, rounds = int(config["lanes"]), int(config["rounds"])
    size = int(config["megabytes"]) * 1_000_000 // 4
    arrays = ArrayRecord({"w": Array(np.random.default_rng(0).random(size, dtype=np.float32))})
    folder = Path(str(config["out"])).with_suffix("")
    with Watch(size * 4) as watch:
        message = plain_messages(grid, arrays, sorted(grid.get_node_ids())[:lanes], watch)
        plain = watch.highest()
        strategy = RelayStrategy(
            lanes=lanes, max_leg=2, examiners=3, utility_bound=2.0, observers=(),
            chain=lambda: WatchedChain(watch), store=lambda: FolderStore(folder),
        )  # fmt: skip
        strategy.start(grid, arrays, num_rounds=rounds, timeout=300)
    hops, tests = len(strategy.record.hops), strategy.record.messages
    return {
        "model, MB": size * 4 / 1e6,
        "peak before, MB": watch.before / 1e6,
        f"peak of {lanes} plain train messages, in models": plain,
        "peak above start, in models": watch.highest(),
        f"a plain train message, s (of {lanes} at once)": message,
        f"a hop, s (of {lanes} at once)": watch.seconds("legs") / hops,
        "a hop with all that is tested, s": strategy.record.seconds / hops,
        "a message of the run, s": strategy.record.seconds / tests,
        "hops": hops,
        "messages": tests,
        **watch.table(),
    }


def plain_messages(grid: Grid, arrays: ArrayRecord, nodes: list[int], watch: Watch) -> float:
    """Have each of these nodes train once, all at once; seconds that one took of it."""
    _flowers_own(grid, nodes[0])  # starts what answers
    watch.phase = "plain messages"
    content = RecordDict({"arrays": arrays})
    messages = [Message(content, node, "train", ttl=300) for node in nodes]
    began = time.monotonic()
    list(grid.send_and_receive(messages, timeout=300))
    watch.phase = "first contact"
    return (time.monotonic() - began) / len(nodes)
