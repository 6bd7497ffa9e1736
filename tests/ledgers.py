"""Small ledgers for tests, and ways to change them behind the library's back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, event

from flower_relay.ledger import OperatorKey, open_ledger
from flower_relay.mechanism.blocks import Admission, Block, Genesis

KEY = OperatorKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER_KEY = OperatorKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))

GENESIS = Genesis(
    settings={"seed": 0}, model="m0", bound=4.5, participants=("ä", "b"), utilities=(0.5, None),
    operator=KEY.public, run="3c" * 32,
)  # fmt: skip


def joins(number: int) -> Block:
    return Admission(round=number, participants=(f"p{number}",))


def few(length: int) -> list[Block]:
    return [GENESIS, *(joins(number) for number in range(1, length))]


def write(path: Path, blocks: list[Block]) -> None:
    with open_ledger(path, key=KEY) as chain:
        for block in blocks:
            chain.append(block)


def by_hand(path: Path, *statements: str) -> None:
    """Change a ledger's file behind the library's back."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


UNLOCKED = ("DROP TRIGGER blocks_no_update", "DROP TRIGGER blocks_no_delete")


@contextmanager
def on_connect(*pragmas: str) -> Iterator[list[Any]]:
    """Run pragmas on every connection that is made; their answers."""
    answers: list[Any] = []

    def ask(connection: Any, _: object) -> None:
        for pragma in pragmas:
            answers.append(connection.execute(pragma).fetchone()[0])

    event.listen(Engine, "connect", ask)
    try:
        yield answers
    finally:
        event.remove(Engine, "connect", ask)
