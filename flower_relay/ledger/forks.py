"""Proof that an operator contradicts itself: two ledgers of one run, two receipts, or two heads.

A fork is two different blocks after the same block, both signed by the operator. Two receipts
contradict each other where they name different blocks of one run, or different standings after
one round. For heads see `flower_relay.ledger.heads`, and for a head and a ledger
`flower_relay.ledger.shown`. Each can be written to a file, which proves it to anybody without any
ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..errors import LedgerError
from ..files.regular import read_regular
from ..legible import legible
from ..mechanism.blocks import Genesis
from ..mechanism.identity import is_hash
from ..mechanism.parsing import Misfit, reader_of
from .heads import Heads
from .keys import verify_signature
from .receipts import Receipt, attested_hashes, check_receipt
from .sealed import NOTHING_BEFORE, SealedBlock
from .seals import check_link, check_signature
from .shown import Shown

__all__ = [
    "Comparison",
    "Fork",
    "Proof",
    "Receipts",
    "compare",
    "contradiction",
    "proof_in",
    "write_proof",
]

_LONGEST = 2**26


@dataclass(frozen=True, kw_only=True)
class Fork:
    """Two blocks after one, each signed by the operator."""

    operator: str
    previous: str
    bodies: tuple[str, ...]
    signatures: tuple[str, ...]

    def proves(self) -> str | None:
        """What it proves; None where it proves nothing."""
        if not (len(self.bodies) == len(self.signatures) == 2 and is_hash(self.previous)):
            return None
        sides = [
            SealedBlock(index=0, previous=self.previous, body=body, hash="", producer="",
                        signature="").computed_hash()
            for body in self.bodies
        ]  # fmt: skip
        signed = all(
            verify_signature(self.operator, bytes.fromhex(side), signature)
            for side, signature in zip(sides, self.signatures, strict=True)
        )
        if not signed or sides[0] == sides[1]:
            return None
        if self.previous == NOTHING_BEFORE and not self._one_run():
            return None
        after = (
            "as the first block" if self.previous == NOTHING_BEFORE else f"after {self.previous}"
        )
        return f"operator {self.operator} signed two blocks {after}: {sides[0]} and {sides[1]}."

    def _one_run(self) -> bool:
        """Whether two first blocks are of one run: anybody may begin two runs."""
        try:
            found = [SealedBlock(index=0, previous=self.previous, body=body, hash="", producer="",
                                 signature="").block() for body in self.bodies]  # fmt: skip
        except LedgerError:
            return False
        runs = {block.run for block in found if isinstance(block, Genesis)}
        return len(runs) == 1 and all(isinstance(block, Genesis) for block in found)


@dataclass(frozen=True, kw_only=True)
class Receipts:
    """Two receipts that contradict each other."""

    receipts: tuple[Receipt, ...]

    def proves(self) -> str | None:
        """What it proves; None where it proves nothing."""
        return contradiction(*self.receipts) if len(self.receipts) == 2 else None


Proof = Fork | Receipts | Heads | Shown


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two ledgers are to each other.

    Attributes
    ----------
    common : int
        Blocks that both have, from the first on.
    lengths : tuple of int
        Blocks that were read of each; no more after the first that differs.
    forked : bool
        Whether both go on, in different ways.
    fork : Fork or None
        The proof of that, where one operator signed both.
    """

    common: int
    lengths: tuple[int, int]
    forked: bool = False
    fork: Fork | None = None


def compare(one: Iterable[SealedBlock], other: Iterable[SealedBlock]) -> Comparison:
    """Find where two ledgers part.

    Raises
    ------
    LedgerError
        When a block up to there is not of its chain, or not signed.
    """
    before: SealedBlock | None = None
    common = 0
    for left, right in zip_longest(one, other):
        for sealed in (left, right):
            if sealed is not None:
                check_link(sealed, before)
                check_signature(sealed)
        if left is None or right is None:
            lengths = (common + (left is not None), common + (right is not None))
            return Comparison(common=common, lengths=lengths)
        if left.hash != right.hash:
            fork = _fork(left, right)
            return Comparison(common=common, lengths=(common + 1,) * 2, forked=True, fork=fork)
        before, common = left, common + 1
    return Comparison(common=common, lengths=(common, common))


def _fork(left: SealedBlock, right: SealedBlock) -> Fork | None:
    fork = Fork(
        operator=left.producer, previous=left.previous, bodies=(left.body, right.body),
        signatures=(left.signature, right.signature),
    )  # fmt: skip
    return fork if fork.proves() else None


def contradiction(one: Receipt, other: Receipt) -> str | None:
    """How two receipts of one operator and run contradict each other; None where they do not."""
    if check_receipt(one) is not None or check_receipt(other) is not None:
        return None
    if (one.operator, one.run) != (other.operator, other.run):
        return None
    hashes = attested_hashes(other)
    for index, hash in attested_hashes(one).items():
        if hashes.get(index, hash) != hash:
            return (
                f"operator {one.operator} signed that block {index} of run {one.run} is {hash}, "
                f"and that it is {hashes[index]}."
            )
    rounds = (one.round, other.round)
    if rounds[0] == rounds[1] and (one.block, one.root) != (other.block, other.root):
        return f"operator {one.operator} signed two outcomes of round {one.round} of {one.run}."
    if (one.block == other.block) and one.round != other.round:
        return f"operator {one.operator} signed that block {one.block} settles rounds {rounds}."
    if one.block == other.block and one.size != other.size:
        sizes = (one.size, other.size)
        return f"operator {one.operator} signed that block {one.block} has {sizes} standings."
    return None


def write_proof(proof: Proof, path: Path) -> None:
    """Write a proof as JSON.

    Raises
    ------
    LedgerError
        When it cannot be written.
    """
    kind = type(proof).__name__.lower()
    try:
        path.write_text(json.dumps({"kind": kind, **asdict(proof)}, indent=2) + "\n", "utf-8")
    except OSError as problem:
        raise LedgerError(
            f"the proof cannot be written to {legible(str(path))}: {problem.strerror}. Nothing "
            "was changed; name another file with --out."
        ) from problem


def proof_in(path: Path) -> Proof:
    """Read a proof from JSON.

    Raises
    ------
    LedgerError
        When the file is missing or no proof.
    """
    try:
        values: Any = json.loads(read_regular(path, most=_LONGEST))
        kind = values.pop("kind")
        found: Proof = _READERS[kind](values)
    except OSError as problem:
        raise LedgerError(f"{path} cannot be read: {problem.strerror}.") from problem
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, Misfit) as problem:
        raise LedgerError(
            f"{path} should hold a proof as `flower-relay ledger compare` writes it, and does not."
        ) from problem
    return found


_READERS = {
    "fork": reader_of(Fork), "receipts": reader_of(Receipts), "heads": reader_of(Heads),
    "shown": reader_of(Shown),
}  # fmt: skip
