"""The experiments' ClientApp: the line-up's, with its mod, which notes when it got how far.

Where the run config names a folder `stamps`, every process leaves a JSON file there, named by
the message that it was started for; `experiments/speed/phases.py` adds them up.
"""

from __future__ import annotations

import time

_LOADING = time.time()

import json  # noqa: E402
import os  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict  # noqa: E402
from flwr.clientapp import ClientApp  # noqa: E402

from clients.client_app import evaluate, train  # noqa: E402
from flower_relay.node.mod import make_relay_mod  # noqa: E402

_LOADED = time.time()


def stamped(
    message: Message, context: Context, call_next: Callable[[Message, Context], Message]
) -> Message:
    """Answer, and note when what was done."""
    folder = str(context.run_config.get("stamps", ""))
    if not folder:
        return call_next(message, context)
    asked, kind = message.metadata.message_id, message.metadata.message_type
    stamps = {"process": _process_started(), "loading": _LOADING, "loaded": _LOADED}
    stamps["called"] = time.time()
    if kind != "query":
        import torch  # noqa: F401

    stamps["libraries"] = time.time()
    reply = call_next(message, context)
    stamps["answered"] = time.time()
    (Path(folder) / f"{asked}.json").write_text(json.dumps({"kind": kind, **stamps}))
    return reply


def _process_started() -> float:
    """When this process was started, as the system counts (hundredths of a second)."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    ago = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - ago


client = ClientApp(mods=[stamped, make_relay_mod(lasting_keys_only=True)])


@client.query()
def echo(message: Message, context: Context) -> Message:
    """Answer at once."""
    return Message(RecordDict(), reply_to=message)


@client.query("ready")
def ready(message: Message, context: Context) -> Message:
    """Answer at once, in a process that could train."""
    return Message(RecordDict(), reply_to=message)


@client.train()
def train_or_touch(message: Message, context: Context) -> Message:
    """The line-up's training, or where memory is measured the least change that is one."""
    if context.run_config["what"] == "hop":
        return train(message, context)
    import numpy as np

    arrays = message.content["arrays"]
    weights = arrays["w"].numpy()
    weights[0] += np.random.default_rng(context.node_id % 2**32).random()
    metrics = MetricRecord({"num-examples": 1})
    content = RecordDict({"arrays": ArrayRecord({"w": Array(weights)}), "metrics": metrics})
    return Message(content, reply_to=message)


@client.evaluate()
def evaluate_or_nod(message: Message, context: Context) -> Message:
    """The line-up's evaluation, or where memory is measured always the same."""
    if context.run_config["what"] == "hop":
        return evaluate(message, context)
    metrics = MetricRecord({"eval_loss": 1.0, "num-examples": 1})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
