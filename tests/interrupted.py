"""Runs that die at a chosen instant, and what goes on from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from flwr.app import Context, Message

from flower_relay import InMemoryGrid, MemoryChain, MemoryStore, RelayStrategy
from flower_relay.mechanism.blocks import Block
from flower_relay.node.mod import make_relay_mod
from flower_relay.store import Arrays
from tests.linear import client, genesis_model
from tests.signers import OPERATOR


class Killed(BaseException):
    """The process dies here."""


class Fuse:
    """Counts the instants at which chain and store are touched, and dies at one of them."""

    def __init__(self) -> None:
        self.passed, self.dies_at = 0, -1

    def burn(self) -> None:
        self.passed += 1
        if self.passed - 1 == self.dies_at:
            raise Killed


RUN_ID = "90" * 32


class Disk:
    """A chain and a store that outlive the process, with an instant before and after each step."""

    def __init__(self) -> None:
        fuse = self.fuse = Fuse()

        class Chain(MemoryChain):
            def append(self, block: Block) -> str:
                fuse.burn()
                head = super().append(block)
                fuse.burn()
                return head

        class Store(MemoryStore):
            def put(self, arrays: Arrays) -> str:
                fuse.burn()
                name = super().put(arrays)
                fuse.burn()
                return name

            def keep_only(self, names: Iterable[str]) -> None:
                wanted = set(names)
                for name in sorted(set(self._models) - wanted):
                    fuse.burn()
                    del self._models[name]
                fuse.burn()

        self.chain, self.store = Chain(OPERATOR), Store()


class LateGrid(InMemoryGrid):
    """Its last node connects once the chain is long enough, in whatever process that is."""

    def __init__(self, disk: Disk, nodes: int, late: int, app: Any = client) -> None:
        # Flower draws other node ids each time.
        super().__init__(app, nodes, node_ids=range(100 + disk.fuse.passed, 900)[:nodes])
        self._chain, self._late = disk.chain, late

    def get_node_ids(self) -> list[int]:
        nodes = list(super().get_node_ids())
        return nodes if len(self._chain) >= self._late else nodes[:-1]


MOD = make_relay_mod(lasting_keys_only=True)
World = dict[str, Any]
WORLDS: dict[str, World] = {
    "chain": {"max_leg": 3, "planted": 0.5, "deposit_unit": 0.0},
    "voided": {
        "max_leg": 3,
        "planted": 0.5,
        "deposit_unit": 0.0,
        "seed": 3,
        "first_debt": 0.0,
        "tolerance": 0.05,
    },
    "debts": {"nodes": 4, "lanes": 2, "tolerance": 1.0},
    "late": {"max_leg": 2, "late": 7, "rounds": 3},
    "select": {"lanes": 2, "max_leg": 2, "deposit_unit": 0.0, "rounds": 3, "seed": 2},
    "average": {"lanes": 2, "max_leg": 2, "lanes_meet": "average", "rounds": 3},
    "adam": {"lanes": 2, "lanes_meet": "adam", "rounds": 3},
    "auto": {"lanes": "auto", "rounds": 3, "tolerance": 0.02},
    "wave": {
        "lanes": "wave",
        "nodes": 11,
        "rounds": 6,
        "turns": 5,
        "known": 4,
        "late": 23,
    },
    "fan-out": {"topology": "fan-out", "rewards": "royalty", "fraction_train": 0.5, "rounds": 3},
    "untested": {"examiners": 0},
    "budget": {"budget": 4, "max_leg": 3, "deposit_unit": 0.0},
    "mod": {"max_leg": 3, "planted": 0.5, "deposit_unit": 0.0, "rounds": 2, "mod": True},
    "fan-out, mod": {"topology": "fan-out", "fraction_train": 0.5, "rounds": 2, "mod": True},
}
"""Small federations that between them meet everything a round can hold."""


def play(disk: Disk, world: World, **change: Any) -> RelayStrategy:
    options = {"seed": 1, "examiners": 4} | world | change
    late, rounds, _ = options.pop("late", 0), options.pop("rounds", 4), options.pop("known", 0)
    nodes = options.pop("nodes", 9)
    app = with_mod if options.pop("mod", False) else turning(options.pop("turns", 0))
    strategy = RelayStrategy(
        chain=lambda: disk.chain, store=lambda: disk.store, resume=True, run_id=RUN_ID, **options
    )
    grid = LateGrid(disk, nodes, late, app)
    strategy.start(grid, genesis_model(), num_rounds=rounds, timeout=30)
    return strategy


def turning(round: int) -> Any:
    """The same client, of whom nobody is hostile before a round."""

    def app(message: Message, context: Context) -> Message:
        now = int(str(message.content.config_records["config"].get("server-round", 0)))
        if message.metadata.message_type != "train" or now >= round:
            return client(message, context)
        number = int(context.node_config["partition-id"])
        honest = {**context.node_config, "partition-id": number - number % 5}
        return client(message, replace(context, node_config=honest))

    return app


def known_instants(world: World) -> int:
    """Instants of rounds that are like those of another world."""
    disk = Disk()
    if world.get("known"):
        play(disk, world, rounds=world["known"])
    return disk.fuse.passed


def with_mod(message: Message, context: Context) -> Message:
    """The same client, to whom models are sent as differences."""
    return MOD(message, context, client)


def dies(disk: Disk, world: World, instant: int) -> None:
    disk.fuse.passed, disk.fuse.dies_at = 0, instant
    with pytest.raises(Killed):
        play(disk, world)
    disk.fuse.passed, disk.fuse.dies_at = 0, -1


CHAIN = WORLDS["chain"]


@cache
def undisturbed() -> Disk:
    """The disk of a run that nothing interrupted."""
    disk = Disk()
    play(disk, CHAIN)
    return disk


def interrupted(kind: type[Block], world: World = CHAIN) -> Disk:
    """A disk on which the last block is the second of a kind."""
    disk = Disk()
    play(disk, world)
    blocks = list(disk.chain)
    at = [index for index, block in enumerate(blocks) if isinstance(block, kind)][1]
    for instant in itertools.count():
        disk = Disk()
        dies(disk, world, instant)
        if len(disk.chain) == at + 1:
            return disk
    raise AssertionError


def resumed(disk: Disk, grid: InMemoryGrid, rounds: int = 4, **change: Any) -> RelayStrategy:
    options = {"seed": 1, "examiners": 4} | CHAIN | change
    strategy = RelayStrategy(
        chain=lambda: disk.chain, store=lambda: disk.store, resume=True, run_id=RUN_ID, **options
    )
    strategy.start(grid, genesis_model(), num_rounds=rounds, timeout=30)
    return strategy
