"""The blocks of a run: what each phase puts on the record.

A run is a sequence of these; everything the mechanism decided can be recomputed from
them. They hold no clock times, no Flower node ids and no weights. Participants are
indices in the order of admission; amounts are integer units of 10⁻⁹ coins; models are
named by their hash; None stands for "no vote" where a number may be missing.

Beside the paper's five kinds there are two: an admission (somebody joined a running
federation) and a publication (the averages that a settlement gives rise to).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = [
    "Admission",
    "Block",
    "Commitment",
    "Deposit",
    "Genesis",
    "HopClaim",
    "HopResult",
    "LaneResult",
    "LaneTerms",
    "Payment",
    "Publication",
    "Settlement",
    "Standing",
    "Testing",
]


@dataclass(frozen=True, kw_only=True)
class Genesis:
    """Every setting, the first model, its bound, and the founders with bond 1."""

    settings: dict[str, Any]
    model: str
    bound: float
    participants: tuple[str, ...]
    utilities: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Participants who joined after genesis: bond 0, one probation slot a cycle."""

    round: int
    participants: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LaneTerms:
    """One lane's match: an owner's base, and the trainers in the order of their turns."""

    base: str
    owner: int | None
    owner_deposit: int
    trainers: tuple[int, ...]
    deposits: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Deposit:
    """Roles, matches and locked deposits of a round."""

    round: int
    cycle: int
    unit: int
    present: tuple[int, ...]
    lanes: tuple[LaneTerms, ...]


@dataclass(frozen=True, kw_only=True)
class HopClaim:
    """One hop as observed: the candidate's hash, or why there is none.

    `fault` is None for a candidate that may be tested, else `timeout`, `error`, `left`,
    `non-finite`, `mis-shaped`, `unchanged` or `copied`.
    """

    trainer: int
    base: str
    model: str | None
    fault: str | None


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """The hash of every candidate, before anyone knows the tests. One tuple a lane."""

    round: int
    lanes: tuple[tuple[HopClaim, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Testing:
    """Who examined what: one row of utilities per model, one column per examiner."""

    round: int
    committee: tuple[int, ...]
    audited: tuple[str, ...]
    planted: str | None
    models: tuple[str, ...]
    utilities: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, kw_only=True)
class HopResult:
    """What became of a hop; `vote` is its marginal median, `gain` its measured rise."""

    trainer: int
    base: str
    model: str | None
    outcome: str
    vote: float | None
    gain: float | None


@dataclass(frozen=True, kw_only=True)
class LaneResult:
    """A lane after the round: its hops, its baton, its next leg, its median utility."""

    hops: tuple[HopResult, ...]
    baton: str
    leg: int
    score: float | None
    passed: bool | None


@dataclass(frozen=True, kw_only=True)
class Payment:
    """Units moved for one participant under a named rule.

    `refund` unlocks, `forfeit` burns what was locked; `compensation`, `contribution`,
    `royalty` and `examining` mint.
    """

    participant: int
    units: int
    rule: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A participant's bond, debt and next possible cycle after the round."""

    participant: int
    bond: float
    debt: float
    waits_until: int
    examined: int = 0


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """Verdicts, payments and new standings of a round.

    `standings_root` is the Merkle root over everybody's (participant, balance, locked, bond)
    after the round: what a receipt proves one line of.
    """

    round: int
    lanes: tuple[LaneResult, ...]
    recognised: tuple[str, ...]
    restart_from: tuple[int, ...]
    payments: tuple[Payment, ...]
    standings: tuple[Standing, ...]
    standings_root: str


@dataclass(frozen=True, kw_only=True)
class Publication:
    """The batons the next round starts from, and the trails that people may use."""

    round: int
    batons: tuple[str, ...]
    merged_from: tuple[str, ...]
    trails: tuple[str, ...]
    champion: str


Block = Genesis | Admission | Deposit | Commitment | Testing | Settlement | Publication


def body(block: Block) -> dict[str, Any]:
    """A block as plain dictionaries, lists and numbers, its kind included."""
    return {"kind": type(block).__name__.lower(), **asdict(block)}
