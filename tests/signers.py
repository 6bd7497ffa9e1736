"""A small federation whose participants sign, and an operator who seals what it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.ledger.chain import MemoryChain, block_hash
from flower_relay.ledger.keys import OperatorKey
from flower_relay.ledger.sealed import NOTHING_BEFORE, SealedBlock, seal
from flower_relay.ledger.verify import Verdict, verify_run
from flower_relay.mechanism.blocks import Block, Genesis
from flower_relay.mechanism.identity import participant_name
from flower_relay.node.keys import load_or_create
from flower_relay.node.mod import relay_mod
from flower_relay.wire.heads import joined
from flower_relay.wire.requests import head_terms
from flower_relay.wire.statements import Head, Moment, public_hex, signed_bytes

App = Callable[[Message, Context], Message]
OPERATOR = OperatorKey(Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
NODES = 7
INVENTED = "5e" * 32
OPTIONS: dict[str, Any] = {
    "seed": 3, "examiners": 4, "max_leg": 2, "deposit_unit": 0.0, "first_debt": 0.0,
}  # fmt: skip
"""Whole hops: what a shortened one is signed by is a test of its own."""


def same_run() -> dict[str, Any]:
    """What makes the genesis block of two runs the same, and so all that follows from it."""
    return {"run_id": "90" * 32, "chain": lambda: MemoryChain(OPERATOR)}


class Asking:
    """An operator's side of a chain that grows: what its messages hold for the mod."""

    def __init__(self, run: str = "a1" * 32, key: OperatorKey = OPERATOR) -> None:
        self.run, self.key = run, key
        self.heads, self.links = [NOTHING_BEFORE], list[str]()

    def grow(self, link: str = "77" * 32) -> Asking:
        self.links.append(link)
        self.heads.append(joined(self.heads[-1], link))
        return self

    def told(self, round: int = 1, height: int | None = None, seen: int = 0) -> dict[str, Any]:
        """The terms of a message that shows the first `height` blocks, and how they grew."""
        at = len(self.links) if height is None else height
        head = Head(operator=self.key.public, run=self.run, height=at, head=self.heads[at])
        signature = self.key.sign(signed_bytes(head))
        return dict(head_terms(head, signature, round, self.links[seen:at]))

    def moment(self, round: int = 1, height: int = -1) -> Moment:
        return Moment(operator=self.key.public, run=self.run, round=round, head=self.heads[height])


def weights(message: Message) -> np.ndarray:
    return message.content["arrays"]["w"].numpy()


def descending(mods: Sequence[Any] = (relay_mod,)) -> ClientApp:
    """Training goes a fifth of the way to 1; the loss is the squared distance from it."""
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        w = weights(message)
        trained = w + (1 - w) * (0.2 + 0.01 * int(context.node_config["partition-id"]))
        content = RecordDict({"arrays": ArrayRecord({"w": Array(trained)})})
        return Message(content, reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        loss = float(np.mean((1 - weights(message)) ** 2)) + number / 100
        metrics = MetricRecord({"eval_loss": loss, "num-examples": 5, "partition-id": number})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def fixed_keys(folder: Path, nodes: int) -> Path:
    """A folder with the same keys at every run, and so with the same names and turns."""
    folder.mkdir(exist_ok=True)
    for number in range(nodes):
        key = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"participant-{number}.key").write_bytes(pem)
    return folder


def play(app: App, keys: Path, *, rounds: int = 4, **options: Any) -> RelayStrategy:
    grid = InMemoryGrid(app, NODES, run_config={"relay-keys-dir": str(keys)})
    strategy = RelayStrategy(**OPTIONS | {"chain": lambda: MemoryChain(OPERATOR)} | options)
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=rounds, timeout=20)
    return strategy


def sealed(blocks: Iterable[Block]) -> list[SealedBlock]:
    """Blocks as they are stored; a chain in memory has a key of its own."""
    key = getattr(blocks, "key", OPERATOR)
    found: list[SealedBlock] = []
    previous = NOTHING_BEFORE
    for index, block in enumerate(blocks):
        found.append(seal(index, previous, block, key))
        previous = found[-1].hash
    return found


def verify(blocks: Iterable[Block]) -> Verdict:
    return verify_run(sealed(blocks))


def found_in(blocks: Iterable[Block]) -> tuple[int | None, str]:
    problem = verify(blocks).first_problem
    assert problem is not None
    return problem.block, problem.field


def first(kind: type[Block], blocks: Sequence[Block], number: int = 0) -> int:
    return [index for index, block in enumerate(blocks) if isinstance(block, kind)][number]


def genesis_of(blocks: Sequence[Block]) -> tuple[Genesis, str]:
    genesis = blocks[0]
    assert isinstance(genesis, Genesis)
    return genesis, block_hash(NOTHING_BEFORE, genesis)


def key_of(participant: int, ledger: Sequence[Block], keys: Path) -> Ed25519PrivateKey:
    """The participant's own key, which the operator does not have."""
    name = genesis_of(ledger)[0].participants[participant]
    held = [load_or_create(path) for path in keys.glob("*.key")]
    return next(key for key in held if participant_name(public_hex(key)) == name)


def moment_in(ledger: Sequence[Block], at: int) -> Moment:
    """When something in block `at` was said: by the head of the blocks before it."""
    genesis, _ = genesis_of(ledger)
    head = sealed(ledger[:at])[-1].hash
    round = getattr(ledger[at], "round", 0)
    return Moment(operator=genesis.operator, run=genesis.run, round=round, head=head)
