"""What a run leaves behind for people: typed rows, and hooks to watch them arrive.

The record is for looking at; nothing here decides anything (the blocks do).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..mechanism.apply import Progress
from ..mechanism.blocks import Settlement
from ..mechanism.state import State
from ..rules.coins import to_coins
from ..rules.outcomes import Fault, Outcome
from ..settings import RelaySettings
from .notices import Notices

__all__ = [
    "HopRow",
    "ParticipantRow",
    "RelayObserver",
    "RoundRow",
    "RunRecord",
    "participant_rows",
    "settled_rows",
]


@dataclass(frozen=True, kw_only=True)
class HopRow:
    """One hop: who trained on what, and what became of it.

    `outcome` is a fault where there was no usable candidate. `reason` then says more; a run that
    is resumed does not know it.
    """

    round: int
    lane: int
    position: int
    trainer: int
    base: str
    model: str | None
    outcome: Outcome | Fault
    vote: float | None
    seconds: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RoundRow:
    """One round: totals so far, the champion's utility (0 worst, 1 best), pace."""

    round: int
    hops: int
    accepted: int
    rejected: int
    utility: float | None
    legs: tuple[int, ...]
    champion: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ParticipantRow:
    """One participant's standing and balance (coins, not billionths).

    `locked` is what it earned and has not been paid yet, and during a round its deposit.
    """

    index: int
    name: str
    coins: float
    locked: float
    bond: float
    debt: float
    accepted: int
    rejected: int
    examined: int


@dataclass(kw_only=True)
class RunRecord:
    """Everything a report shows about one relay run."""

    settings: RelaySettings
    num_rounds: int
    hops: list[HopRow] = field(default_factory=list)
    rounds: list[RoundRow] = field(default_factory=list)
    participants: list[ParticipantRow] = field(default_factory=list)
    notices: Notices = field(default_factory=Notices)
    messages: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    bytes_hops: int = 0
    bytes_tests: int = 0
    seconds: float = 0.0
    own_seconds: float = 0.0


class RelayObserver:
    """Hooks into a run; each does nothing unless overridden.

    Observers are told in this order: `on_start`; then, as each round is settled, `on_hop` for
    its hops and `on_round`; `on_end`. They are called from the run's own thread, between
    rounds: what takes long there holds the run up, and an error in one ends the run. A row is
    final when it is told. The record is the strategy's own, to read and not to change; a run
    that is resumed begins with the rows that its ledger has.

    `flower_relay.federation.progress.ProgressDisplay` shows progress; `flower_relay.trackers`
    has those for TensorBoard, MLflow, Weights & Biases and Trackio.

    Examples
    --------
    >>> class Losses(RelayObserver):
    ...     def on_hop(self, record, hop):
    ...         if hop.outcome != "accepted":
    ...             print(record.participants[hop.trainer].name, hop.outcome)
    >>> RelayStrategy(observers=[Losses()])  # doctest: +SKIP
    """

    def on_start(self, record: RunRecord) -> None:
        """The genesis block is written; `record.participants` is filled."""

    def on_hop(self, record: RunRecord, hop: HopRow) -> None:
        """A hop's outcome is settled."""

    def on_round(self, record: RunRecord, row: RoundRow) -> None:
        """A round is settled."""

    def on_end(self, record: RunRecord) -> None:
        """The run is over; the record is complete."""


def settled_rows(
    progress: Progress,
    settled: Settlement,
    hop_seconds: Mapping[int, float],
    seconds: float,
    reasons: Mapping[int, str],
) -> tuple[list[HopRow], RoundRow]:
    """Rows of the round just published, for people; NaN where a time is not known."""
    state = progress.state
    hops = [
        HopRow(
            round=settled.round, lane=lane, position=position, trainer=hop.trainer, base=hop.base,
            model=hop.model, outcome=hop.outcome, vote=hop.vote,
            seconds=hop_seconds.get(hop.trainer, math.nan), reason=reasons.get(hop.trainer, ""),
        )
        for lane, result in enumerate(settled.lanes)
        for position, hop in enumerate(result.hops)
    ]  # fmt: skip
    scores = [result.score for result in settled.lanes if result.score is not None]
    row = RoundRow(
        round=settled.round, hops=progress.hops, accepted=int(state.who.accepted.sum()),
        rejected=int(state.who.rejected.sum()), utility=max(scores, default=None),
        legs=tuple(lane.leg for lane in state.lanes), champion=state.champion, seconds=seconds,
    )  # fmt: skip
    return hops, row


def participant_rows(state: State) -> list[ParticipantRow]:
    """Everybody's standing and balance."""
    who = state.who
    columns = who.coins, who.locked, who.bond, who.debt, who.accepted, who.rejected, who.examined
    return [
        _participant_row(index, *row)
        for index, row in enumerate(
            zip(who.names, *(column.tolist() for column in columns), strict=True)
        )
    ]


# From one round to the next most standings stay as they are.
@functools.lru_cache(maxsize=1 << 14)
def _participant_row(
    index: int, name: str, coins: int, locked: int, bond: float, debt: float,
    accepted: int, rejected: int, examined: int,
) -> ParticipantRow:  # fmt: skip
    return ParticipantRow(
        index=index, name=name, coins=to_coins(coins), locked=to_coins(locked), bond=bond,
        debt=debt, accepted=accepted, rejected=rejected, examined=examined,
    )  # fmt: skip
