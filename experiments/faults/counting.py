"""What became of runs that were killed: their ledgers before and after, counted.

`kill.py` and `kill_flower.py` kill and resume; what they judge a run by is here.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flower_relay.ledger import OperatorKey, SealedBlock, open_ledger, read_sealed
from flower_relay.ledger.verify import verify_run
from flower_relay.mechanism.blocks import Commitment

__all__ = ["Count", "Ledger"]


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What a run's folder holds: the blocks, and how many hops they commit to."""

    blocks: list[SealedBlock]

    @classmethod
    def of(cls, folder: Path) -> Ledger:
        """Of a folder in which a process may have died at any instant."""
        path = folder / "ledger.db"
        if not path.exists():
            return cls(blocks=[])
        with open_ledger(path, key=OperatorKey.load(folder.parent / "operator.key")) as chain:
            return cls(blocks=list(chain.sealed_blocks()))

    @property
    def head(self) -> str:
        """Hash of the last block."""
        return self.blocks[-1].hash if self.blocks else ""

    @property
    def ends_in(self) -> str:
        """Kind of the last block."""
        return type(self.blocks[-1].block()).__name__.lower() if self.blocks else "nothing"

    @property
    def hops(self) -> int:
        """Hops that were committed."""
        found = [sealed.block() for sealed in self.blocks]
        commitments = [block for block in found if isinstance(block, Commitment)]
        return sum(len(claims) for block in commitments for claims in block.lanes)


@dataclass(kw_only=True)
class Count:
    """What became of the killed runs."""

    kills: int = 0
    resumed: int = 0
    verified: int = 0
    only_the_leg: int = 0
    same: int = 0
    died_after: Counter[str] = field(default_factory=Counter)

    def died(self, died: Ledger) -> None:
        """A run was killed."""
        self.kills += 1
        self.died_after[died.ends_in] += 1

    def judge(self, folder: Path, died: Ledger, whole: Ledger, trained: int) -> None:
        """A killed run was resumed, with so many trainings: compare it with the whole run."""
        now = Ledger.of(folder)
        verdict = verify_run(read_sealed(folder / "ledger.db"), models=folder / "models")
        if not verdict.ok:
            print(f"  {folder.name}: {verdict.first_problem}", file=sys.stderr)
        kept = now.blocks[: len(died.blocks)] == died.blocks
        self.resumed += 1
        self.verified += verdict.ok
        self.only_the_leg += kept and trained == whole.hops - died.hops
        self.same += now.head == whole.head

    def tell(self, where: str) -> bool:
        """Print the counts; whether all is well."""
        print(f"{where}: killed {self.kills} times, the last block on the record being")
        for kind, number in self.died_after.most_common():
            print(f"  {kind:<52} {number:>4}")
        rows = {
            "resumed to the end": self.resumed,
            "verified": self.verified,
            "lost no block, and trained only what was not committed": self.only_the_leg,
            "ended with the ledger of the uninterrupted run": self.same,
        }
        for name, number in rows.items():
            print(f"{name:<54} {number:>4} of {self.kills}")
        return set(rows.values()) == {self.kills}
