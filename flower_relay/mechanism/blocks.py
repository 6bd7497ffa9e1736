"""The blocks of a run: what each phase puts on the record.

A run is a sequence of these; everything the mechanism decided can be recomputed from
them. They hold no clock times, no Flower node ids and no weights. Participants are
indices in the order of admission; amounts are integer units of 10⁻⁹ coins; models are
named by their hash; None stands for "no vote" where a number may be missing.

Beside the paper's five kinds there are two: an admission (somebody joined a running
federation) and a publication (the averages that a settlement gives rise to).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, get_args

from ..errors import LedgerError, LedgerVersionError
from ..rules.coins import PaymentRule
from ..rules.outcomes import Fault, Outcome
from .parsing import UNSAID, Misfit, Reader, reader_of, shown, unsaid

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
    "NonceHash",
    "OpenedNonce",
    "Payment",
    "Publication",
    "RULES",
    "Settlement",
    "Standing",
    "Testing",
    "body",
    "check_rules",
    "parse",
]


RULES = 9
"""The number of the rules by which blocks are made and judged; another number is other rules."""


@dataclass(frozen=True, kw_only=True)
class Genesis:
    """Every setting, the first model, its bound, and the founders with bond 1.

    `operator` is the public key that signs the blocks, `run` a number that the run drew for
    itself: what participants sign names both. `roles` are what each is willing to do
    (`rules.roles.ROLES`); none where all do both.
    """

    settings: dict[str, Any]
    model: str
    bound: float
    participants: tuple[str, ...]
    utilities: tuple[float | None, ...]
    roles: tuple[str, ...] = ()
    operator: str = ""
    run: str = ""
    rules: int = RULES


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Participants who joined after genesis: no weight yet, one probation slot a cycle."""

    round: int
    participants: tuple[str, ...]
    roles: tuple[str, ...] = ()


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

    `fault` is None for a candidate that may be tested. `way` is how far what was handed in is
    from its base, for a candidate and for what is oversized. Of a trainer in debt only a part of
    the way is taken; `sent` is then the model that it handed in.
    `signature` is that of a trainer who signs, for what it handed in. `turns` are the further
    ones that it used up by taking so long, and sits out.
    """

    trainer: int
    base: str
    model: str | None
    fault: Fault | None
    sent: str | None = None
    signature: str | None = None
    way: float | None = None
    turns: int = 0

    @property
    def handed_in(self) -> str | None:
        """The model that the trainer handed in."""
        return self.sent or self.model

    @property
    def names(self) -> tuple[str, ...]:
        """The models there are of this hop, as handed on and as handed in."""
        return tuple(name for name in (self.model, self.sent) if name is not None)


@dataclass(frozen=True, kw_only=True)
class NonceHash:
    """The hash of a nonce that a participant keeps to itself until the block is there."""

    participant: int
    hash: str


@dataclass(frozen=True, kw_only=True)
class OpenedNonce:
    """A nonce, opened by its participant's signature for one commitment block only."""

    participant: int
    nonce: str
    signature: str


@dataclass(frozen=True, kw_only=True)
class Commitment:
    """The hash of every candidate, before anyone knows the tests. One tuple a lane.

    Committee and tests follow from this block's hash and the nonces behind `nonce_hashes`.
    """

    round: int
    lanes: tuple[tuple[HopClaim, ...], ...]
    nonce_hashes: tuple[NonceHash, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Testing:
    """Who examined what: one row of utilities per model, one column per examiner.

    `audited` names hops by their models. Tested for them are `references`, their lane's trail,
    and `probes`, the same with the hop's step added (`rules.averaging.transplant`); both in the
    order of the hops. `planted` are the genesis model with noise and with the opposite noise, or
    one model where numbers cannot be added to. The genesis model itself is then the first tested.

    `signatures` has the same shape, None where the examiner does not sign or had said so
    before, and no rows where nobody signed. `values`, `errors` and `cases` are what was signed:
    the metric as it was reported (None: no finite number), its standard error, and how many
    cases it is over; no rows where nobody said any. `nonces` are those opened in time.
    `shown` are the hashes of what the examiners evaluated, one a model; none where that were
    the models themselves. `turns` are the cycles that each examiner rests for how long it took;
    none where nobody does.
    """

    round: int
    committee: tuple[int, ...]
    audited: tuple[str, ...]
    planted: tuple[str, ...]
    models: tuple[str, ...]
    utilities: tuple[tuple[float | None, ...], ...]
    references: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    signatures: tuple[tuple[str | None, ...], ...] = ()
    values: tuple[tuple[float | None, ...], ...] = ()
    errors: tuple[tuple[float | None, ...], ...] = ()
    cases: tuple[tuple[int | None, ...], ...] = ()
    nonces: tuple[OpenedNonce, ...] = ()
    shown: tuple[str, ...] = ()
    turns: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HopResult:
    """What became of a hop.

    `vote` is what the committee says of it (in a fan-out the median), `score` the same votes
    without a unit, `gain` its measured rise. Where it was audited, `step` is what it adds to its
    reference, and `audit_score` the same without a unit.
    """

    trainer: int
    base: str
    model: str | None
    outcome: Outcome | Fault
    vote: float | None
    gain: float | None
    step: float | None = None
    score: float | None = None
    audit_score: float | None = None


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

    `refund` unlocks, `forfeit` burns what was locked; `compensation`, `royalty` and `examining`
    mint. `contribution` mints what stays locked, until `vesting` unlocks it.
    """

    participant: int
    units: int
    rule: PaymentRule


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A participant's bond, its two debts and its next possible cycle after the round."""

    participant: int
    bond: float
    vote_debt: float
    audit_debt: float
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
    """The batons the next round starts from, and the trails that people may use.

    `moments` name what the lanes' optimiser remembers, where there is one that has stepped.
    """

    round: int
    batons: tuple[str, ...]
    merged_from: tuple[str, ...]
    trails: tuple[str, ...]
    champion: str
    moments: tuple[str, ...] = field(default=(), metadata=UNSAID)


Block = Genesis | Admission | Deposit | Commitment | Testing | Settlement | Publication


def body(block: Block) -> dict[str, Any]:
    """A block as plain dictionaries, lists and numbers, its kind included."""
    return {"kind": type(block).__name__.lower(), **_plain(block)}


_PLAIN = frozenset({bool, int, float, str, type(None)})


def _plain(value: Any) -> Any:
    """As `dataclasses.asdict`, several times as fast: verifying spells every block again."""
    if type(value) is tuple:
        return tuple([each if type(each) in _PLAIN else _plain(each) for each in value])
    if (names := getattr(type(value), "__dataclass_fields__", None)) is not None:
        plain = {name: _plain(getattr(value, name)) for name in names}
        for name in _UNSAID.get(type(value), ()):
            if not plain[name]:
                del plain[name]
        return plain
    return value.value if isinstance(value, StrEnum) else value


def parse(body: Mapping[str, Any]) -> Block:
    """The block that `body` was made of; lists, as JSON has them, stand for tuples.

    A whole number in place of a float stays one, so that the block spells as it did.

    Raises
    ------
    LedgerError
        When the kind is unknown, or a field is missing, unknown or of another type; it is
        named by its path.
    LedgerVersionError
        When it is the genesis block of a run by other rules.
    """
    fields = dict(body)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise LedgerError(f"kind: expected one of {', '.join(_KINDS)}, found {shown(kind)}.")
    check_rules(body)
    try:
        block: Block = _KINDS[kind](fields)
    except Misfit as misfit:
        where = kind + "".join(reversed(misfit.path))
        raise LedgerError(f"{where}: expected {misfit.expected}, found {misfit.found}.") from None
    return block


def check_rules(body: Mapping[str, Any]) -> None:
    """A genesis block says by which rules its run was made, before anything else of it is read.

    Raises
    ------
    LedgerVersionError
        When they are not the rules that this release knows.
    """
    if body.get("kind") == "genesis" and (rules := body.get("rules", 0)) != RULES:
        raise LedgerVersionError(
            f"genesis.rules: this release knows the rules of number {RULES}, and the run was made "
            f"by those of number {shown(rules)}. The ledger was not judged or changed; use the "
            "release that made it."
        )


_UNSAID: dict[type, frozenset[str]] = {kind: unsaid(kind) for kind in get_args(Block)}
"""Fields of each kind that are not spelled where they are empty."""

_KINDS: dict[str, Reader] = {kind.__name__.lower(): reader_of(kind) for kind in get_args(Block)}
