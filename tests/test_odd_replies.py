"""Whatever one participant replies, the run goes on, and only the sender pays for it."""

from __future__ import annotations

import tempfile
import warnings
from ast import literal_eval
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.clientapp import ClientApp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.mechanism.blocks import Settlement
from flower_relay.node.mod import relay_mod

from .odd_replies import Change, changed, changes
from .signers import descending, fixed_keys, verify

NODES = 6
WORLDS: list[dict[str, Any]] = [
    {},
    {"mod": True},
    {"mod": True, "hop_encoding": "int8"},
    {"mod": True, "hop_encoding": "fp16", "lanes": 2},
    {"lanes": 2, "lanes_meet": "average"},
    {"lanes": 2, "lanes_meet": "adam"},
    {"topology": "fan-out"},
    {"mod": True, "topology": "fan-out"},
    {"examiners": 0},
]
WHEN = ("train", "evaluate", "both")


def node_of(number: int) -> int:
    """The id of the node with a number."""
    return 1001 + number


def odd_app(mod: bool, when: str, by: list[Change], odd: int, sent: Counter[str]) -> Any:
    """One node changes what it replies, after its mod has seen it."""
    inner: ClientApp = descending((relay_mod,) if mod else ())

    def app(message: Message, context: Context) -> Message:
        kind = message.metadata.message_type
        reply = inner(message, context)
        is_odd = int(context.node_config["partition-id"]) == odd
        if is_odd and when in (kind, "both") and reply.has_content():
            reply.content = changed(reply.content, by)
            sent["replies changed"] += 1
        return reply

    return app


@cache
def _first_trainer(world: str) -> int:
    strategy = _play(literal_eval(world), "", [], NODES, Counter())
    return strategy.running.node_of[strategy.record.hops[0].trainer] - node_of(0)


def odd_in(world: dict[str, Any]) -> int:
    """The number of the node whose replies are odd: who trains first, so that it counts."""
    return _first_trainer(repr(world))


def play(
    world: dict[str, Any], when: str, by: list[Change], sent: Counter[str] | None = None
) -> RelayStrategy:
    return _play(world, when, by, odd_in(world), Counter() if sent is None else sent)


def _play(
    world: dict[str, Any], when: str, by: list[Change], odd: int, sent: Counter[str]
) -> RelayStrategy:
    options = {"seed": 3, "examiners": 4, "max_leg": 2, "first_debt": 0.0} | world
    mod = options.pop("mod", False)
    with tempfile.TemporaryDirectory() as folder:
        keys = fixed_keys(Path(folder), NODES)
        app = odd_app(mod, when, by, odd, sent)
        grid = InMemoryGrid(app, NODES, run_config={"relay-keys-dir": str(keys)})
        strategy = RelayStrategy(observers=(), **options)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=5, timeout=20)
    return strategy


def charged(strategy: RelayStrategy) -> set[int]:
    """The nodes that forfeited a deposit or were put in debt for a hop that came to nothing."""
    blocks = [block for block in strategy.chain if isinstance(block, Settlement)]
    hops = [hop for block in blocks for lane in block.lanes for hop in lane.hops]
    judged = ("accepted", "rejected", "voided", "untested")
    nodes = strategy.running.node_of
    return {nodes[hop.trainer] for hop in hops if hop.outcome not in judged}


@pytest.mark.parametrize("world", WORLDS, ids=str)
@given(when=st.sampled_from(WHEN), by=changes)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_reply_ends_a_run_and_only_its_sender_is_charged(
    world: dict[str, Any], when: str, by: list[Change]
) -> None:
    strategy = play(world, when, by)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    assert charged(strategy) <= {node_of(odd_in(world))}
