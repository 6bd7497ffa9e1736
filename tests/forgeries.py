"""A small run on disk, and ways to tamper with it: every byte flipped, and cleverer forgeries.

`python -m experiments.faults.tamper` tries them all; tests try some.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from flower_relay import FolderStore, InMemoryGrid, RelayStrategy
from flower_relay.ledger import OperatorKey, SealedBlock, open_ledger, read_sealed
from flower_relay.ledger.receipts import Receipt, make_receipt
from flower_relay.ledger.verify import Verdict, verify_run
from flower_relay.mechanism.apply import Progress
from flower_relay.mechanism.blocks import Block, Genesis, Settlement, Testing
from flower_relay.mechanism.publication import decide_publication
from flower_relay.mechanism.settlement import decide_settlement
from flower_relay.mechanism.state import begin
from tests.imagined import sealed
from tests.linear import client, genesis_model

COLUMNS = ("previous", "body", "hash", "producer", "signature")
Seen = Counter[str]


def small_run(folder: Path, *, nodes: int = 6, rounds: int = 3, seed: int = 1) -> OperatorKey:
    """Play a small run into a run's folder; the operator's key, which is beside it."""
    folder.mkdir(parents=True)
    key = OperatorKey.load_or_create(folder.parent / "operator.key")
    with open_ledger(folder / "ledger.db", key=key) as chain:
        strategy = RelayStrategy(
            observers=(),
            chain=lambda: chain,
            store=lambda: FolderStore(folder / "models"),
            seed=seed,
            max_leg=2,
            examiners=3,
            planted=0.2,
            deposit_unit=0.0,
        )
        strategy.start(InMemoryGrid(client, nodes), genesis_model(), num_rounds=rounds)
    return key


def verified(folder: Path, **options: str | Receipt | None) -> Verdict:
    """The verdict on a run's folder."""
    return verify_run(read_sealed(folder), models=folder / "models", **options)  # type: ignore[arg-type]


def flip_stored(folder: Path, *, every: int = 1, seed: int = 0) -> Seen:
    """Flip one bit in every byte of every stored column in turn."""
    rng, seen = random.Random(seed), Seen()
    with closing(_unlocked(folder)) as database:
        for index, column, data in _stored(database):
            for place in range(rng.randrange(every), len(data), every):
                flipped = bytearray(data)
                flipped[place] ^= 1 << rng.randrange(8)
                _store(database, index, column, bytes(flipped))
                _count(seen, verified(folder), index)
            _store(database, index, column, data)
        assert verified(folder).ok  # all is as it was
    return seen


def flip_indices(folder: Path) -> Seen:
    """Give every block every index that one flipped bit makes of its own."""
    seen = Seen()
    with closing(_unlocked(folder)) as database:
        for (index,) in database.execute('SELECT "index" FROM blocks ORDER BY 1').fetchall():
            for bit in range(63):
                moved = index ^ (1 << bit)
                try:
                    database.execute('UPDATE blocks SET "index" = ? WHERE "index" = ?',
                                     (moved, index))  # fmt: skip
                except sqlite3.IntegrityError:
                    seen["found"] += 1  # the database itself holds one block of an index
                    continue
                _count(seen, verified(folder), index)
                database.execute('UPDATE blocks SET "index" = ? WHERE "index" = ?',
                                 (index, moved))  # fmt: skip
    return seen


def flip_models(folder: Path, *, seed: int = 0) -> Seen:
    """Flip one bit of every model file, cut it short, and take it away."""
    rng, seen = random.Random(seed), Seen()
    for path in sorted((folder / "models").glob("*.safetensors")):
        data = path.read_bytes()
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        for changed in (bytes(flipped), data[:-1], None):
            path.write_bytes(changed) if changed is not None else path.unlink()
            problem = verified(folder).first_problem
            named = problem is not None and path.stem in problem.field
            seen["named" if named else "found" if problem else "unseen"] += 1
        path.write_bytes(data)
    return seen


def _unlocked(folder: Path) -> sqlite3.Connection:
    """The database without what keeps blocks from being changed: a forger has the file."""
    database = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")
    triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        database.execute(f"DROP TRIGGER {name}")
    return database


def _stored(database: sqlite3.Connection) -> Iterator[tuple[int, str, bytes]]:
    for (index,) in database.execute('SELECT "index" FROM blocks ORDER BY 1').fetchall():
        for column in COLUMNS:
            query = f'SELECT CAST({column} AS BLOB) FROM blocks WHERE "index" = ?'
            yield index, column, database.execute(query, (index,)).fetchone()[0]


def _store(database: sqlite3.Connection, index: int, column: str, data: bytes) -> None:
    change = f'UPDATE blocks SET {column} = CAST(? AS TEXT) WHERE "index" = ?'
    database.execute(change, (data, index))


def _count(seen: Seen, verdict: Verdict, index: int) -> None:
    problem = verdict.first_problem
    named = problem is not None and problem.block == index
    seen["named" if named else "found" if problem else "unseen"] += 1


# Forgeries by somebody who recomputes whatever can be.


def pay_more(blocks: Sequence[Block]) -> list[Block]:
    """A payment raised, and nothing else."""
    forged = list(blocks)
    index = next(i for i, b in enumerate(forged) if isinstance(b, Settlement) and b.payments)
    settled = forged[index]
    assert isinstance(settled, Settlement)
    first, *rest = settled.payments
    forged[index] = replace(settled, payments=(replace(first, units=first.units + 1), *rest))
    return forged


def vote_more(blocks: Sequence[Block]) -> list[Block]:
    """Votes of the last round raised, and whatever follows from them decided anew by the rules."""
    # The last round that tested anything beside a base.
    index = [i for i, b in enumerate(blocks) if isinstance(b, Testing) and len(b.models) > 1][-1]
    genesis, tested = blocks[0], blocks[index]
    assert isinstance(genesis, Genesis)
    assert isinstance(tested, Testing)
    progress = Progress(state=begin(genesis), last=genesis)
    for block in blocks[1:index]:
        progress.fold(block)
    forged = list(blocks[:index])
    rows = [
        tuple(1.0 for _ in row) if name not in progress.state.utilities else row
        for name, row in zip(tested.models, tested.utilities, strict=True)
    ]
    decide: tuple[Callable[[], Block], ...] = (
        lambda: replace(tested, utilities=tuple(rows)),
        lambda: decide_settlement(progress.state),
        lambda: decide_publication(progress.state, _NamesOnly()),
    )
    for make in decide:
        forged.append(make())
        progress.fold(forged[-1])
    return forged


class _NamesOnly:
    """Averages by name: nobody can make them again whose parents are gone."""

    def extend(self, lane: int, trail: str, batons: Sequence[str], before: int) -> str:
        """A name."""
        return sha256("".join([trail, *batons]).encode()).hexdigest()

    def merge(self, batons: Sequence[str], weights: Sequence[float]) -> str:
        """A name."""
        return sha256("".join(batons).encode()).hexdigest()


def forgeries(
    ledger: Sequence[SealedBlock], own: OperatorKey, other: OperatorKey
) -> dict[str, bool]:
    """Each forgery, and whether it is found (or, where it must be, said for what it is)."""
    blocks = [stored.block() for stored in ledger]
    genesis = blocks[0]
    assert isinstance(genesis, Genesis)
    receipt = make_receipt(ledger, genesis.participants[0], own)
    rewritten = {key: list(sealed(vote_more(blocks), key)) for key in (own, other)}
    paid = {key: list(sealed(pay_more(blocks), key)) for key in (own, other)}
    resigned = list(sealed(blocks, other))
    return {
        "reward raised, own key: the replay": _names_payment(verify_run(paid[own])),
        "reward raised, other key: the genesis block": not verify_run(paid[other]).ok,
        "reward raised, other key: the pinned key": not verify_run(
            paid[other], trust=own.public
        ).ok,
        "votes raised and all decided anew, other key: the genesis block": not verify_run(
            rewritten[other]
        ).ok,
        "the same: the pinned key": not verify_run(rewritten[other], trust=own.public).ok,
        "the same: an earlier receipt": not verify_run(rewritten[other], receipt=receipt).ok,
        "the same: an earlier head": not verify_run(rewritten[other], head=ledger[-1].hash).ok,
        "the same, own key: an earlier receipt": not verify_run(rewritten[own], receipt=receipt).ok,
        "the same, own key: an earlier head": not verify_run(
            rewritten[own], head=ledger[-1].hash
        ).ok,
        "only signed again: the pinned key": not verify_run(resigned, trust=own.public).ok,
        "the same, said to be that by a receipt": "only signed again"
        in verify_run(resigned, receipt=receipt).note,
    }


def _names_payment(verdict: Verdict) -> bool:
    problem = verdict.first_problem
    return problem is not None and problem.field == "settlement.payments[0].units"
