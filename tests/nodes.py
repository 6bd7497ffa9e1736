"""One node with the mod, asked by hand: its ClientApp, its context, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp

from flower_relay.node.mod import relay_mod
from flower_relay.store import canonical_bytes, model_name
from flower_relay.transport.adapter import identify_process, stamp
from tests.signers import Asking

RUN, BLOCK = "a1" * 32, "b2" * 32
CHAIN = Asking(RUN).grow()
TRAIN = CHAIN.told(3)
VOTE = CHAIN.told(3) | {"relay-metric": "eval_loss"}


def weights(value: float) -> dict[str, np.ndarray]:
    return {"w": np.full(3, value, np.float32), "steps": np.array(7)}


def name_of(value: float) -> str:
    return model_name(canonical_bytes(weights(value)))


def record(arrays: Mapping[str, np.ndarray]) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def tiny_app(mod: Any = relay_mod, *, result: ArrayRecord | None = None) -> ClientApp:
    """Training adds 1 to every weight; the loss is the first weight."""
    app = ClientApp(mods=[mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        arrays = {key: array.numpy() for key, array in message.content["arrays"].items()}
        trained = record(arrays | {"w": arrays["w"] + 1}) if result is None else result
        return Message(RecordDict({"arrays": trained}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        loss = float(message.content["arrays"]["w"].numpy()[0])
        metrics = MetricRecord({"eval_loss": loss, "num-examples": 5})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def a_node(run_config: Mapping[str, Any] | None = None, **node_config: Any) -> Context:
    given = {key.replace("_", "-"): value for key, value in node_config.items()}
    return Context(1, 1001, given, RecordDict(), dict(run_config or {}))


def ask(
    app: Any, node: Context, kind: str, config: Mapping[str, Any], arrays: Any = None
) -> Message:
    identify_process(1)
    content = RecordDict({"config": ConfigRecord(dict(config))})
    if arrays is not None:
        content["arrays"] = arrays if isinstance(arrays, ArrayRecord) else record(arrays)
    reply = app(stamp(Message(content, node.node_id, kind), "message-1"), node)
    assert isinstance(reply, Message)
    return reply


def said(reply: Message) -> dict[str, Any]:
    return dict(reply.content["relay"])
