"""What the page of a run shows, as plain JSON: all of it, or what came since.

The page is drawn in the browser from this alone, so that a finished run's `report.html` and
the live page are the same. Whatever a node may have said (names, outcomes) is text here and
stays text there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..federation.record import HopRow, ParticipantRow, RunRecord
from ..legible import legible
from ..mechanism.identity import short_name
from ..rules.outcomes import Fault, Outcome
from .outcome import fate

__all__ = ["Phase", "RunView", "changes", "reason_of"]

_MOST = 5000
"""Hops that a page is given at first: the newest. It counts the others."""

_REASONS = {
    Outcome.REJECTED: "the committee saw the model get worse",
    Outcome.VOIDED: "undone by another hop of its leg",
    Outcome.UNTESTED: "no examiner answered",
    Fault.TIMEOUT: "no answer before the deadline",
    Fault.ERROR: "the client's own code failed",
    Fault.LEFT: "the client lost its connection, or was far too slow",
    Fault.LATE: "the others of the round were back long before",
    Fault.NON_FINITE: "the model held numbers that are not finite",
    Fault.MIS_SHAPED: "the model had other shapes than its base",
    Fault.UNCHANGED: "the model was its base, unchanged",
    Fault.OVERSIZED: "the model moved far more than those of accepted hops",
    Fault.UNSIGNED: "the model was not signed by its trainer",
    Fault.COPIED: "the model was a copy of another",
}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """How far a run is on the clock.

    Attributes
    ----------
    state : str
        `waiting` (no block yet), `running` or `over`.
    seconds, left, quiet : float or None
        It took so far; it may take; since its last block. None where that is not known.
    problem : str
        Why it cannot be read; empty where it can.
    """

    state: str = "waiting"
    seconds: float | None = None
    left: float | None = None
    quiet: float | None = None
    problem: str = ""


@dataclass(kw_only=True)
class RunView:
    """One run as a page shows it.

    Attributes
    ----------
    record : RunRecord or None
        None before its first block.
    tests : list of (hops, accuracy)
        The server's own evaluations of the champion.
    hostile : frozenset of str
        Participants that were set to misbehave, where that is known.
    """

    title: str
    record: RunRecord | None = None
    tests: list[tuple[int, float]] = field(default_factory=list)
    phase: Phase = field(default_factory=Phase)
    hostile: frozenset[str] = frozenset()


def changes(view: RunView, hops: int = 0, rounds: int = 0) -> dict[str, Any]:
    """What a page needs that has the first `hops` hops and `rounds` rounds already.

    Returns
    -------
    dict
        Of JSON. `first` is the number of the first hop in `hops`; `participants` and `tests`
        are always whole.
    """
    record = view.record
    told: dict[str, Any] = {
        "title": view.title,
        "phase": {key: _number(value) for key, value in vars(view.phase).items()},
        "tests": [[at, _number(value)] for at, value in view.tests],
    }
    if record is None:
        return told | {"participants": [], "hops": [], "first": 0, "rounds": [], "from": 0}
    first = max(hops, len(record.hops) - _MOST)
    parents = _parents(record.hops, record.settings.topology)
    return told | {
        "facts": _facts(record),
        "participants": [_person(row, view.hostile) for row in record.participants],
        "first": first,
        "hops": [_hop(record.hops[at], parents[at]) for at in range(first, len(record.hops))],
        "from": rounds,
        "rounds": [[row.round, row.hops, _number(row.utility)] for row in record.rounds[rounds:]],
    }


def reason_of(hop: HopRow) -> str:
    """Why a hop did not count; empty where it did."""
    if hop.outcome == Outcome.ACCEPTED:
        return ""
    known = _REASONS.get(hop.outcome, "")
    return ": ".join(part for part in (known, legible(hop.reason)) if part)


def _lanes(record: RunRecord) -> int:
    """Lanes at once; where their number changes, the most so far."""
    lanes = record.settings.lanes
    return (
        lanes if isinstance(lanes, int) else 1 + max((hop.lane for hop in record.hops), default=0)
    )


def _facts(record: RunRecord) -> dict[str, Any]:
    settings = record.settings
    return {
        "topology": settings.topology,
        "lanes": _lanes(record),
        "examiners": settings.examiners,
        "rewards": settings.rewards,
        "budget": settings.budget,
        "limit": record.num_rounds or None,
        "messages": record.messages or None,
        "megabytes": round((record.bytes_sent + record.bytes_received) / 1e6, 1) or None,
        "champion": record.rounds[-1].champion if record.rounds else "",
    }


def _person(row: ParticipantRow, hostile: frozenset[str]) -> dict[str, Any]:
    shown: Mapping[str, Any] = vars(row)
    return {
        "name": legible(short_name(row.name)),
        "hostile": row.name in hostile,
        **{key: _number(value) for key, value in shown.items() if key not in ("index", "name")},
    }


def _hop(hop: HopRow, parent: int | None) -> list[Any]:
    """One row: trainer, fate, parent, round, lane, vote, outcome, reason."""
    return [
        hop.trainer, fate(hop), parent, hop.round, hop.lane, _number(hop.vote),
        legible(hop.outcome), reason_of(hop),
    ]  # fmt: skip


def _parents(hops: Sequence[HopRow], topology: str) -> list[int | None]:
    """For each hop the hop that made its base, or its lane's last where that is an average."""
    maker: dict[str, int] = {}
    last: dict[int, int] = {}
    genesis = hops[0].base if hops else ""
    found: list[int | None] = []
    for index, hop in enumerate(hops):
        lane = 0 if topology == "fan-out" else hop.lane
        found.append(None if hop.base == genesis else maker.get(hop.base, last.get(lane)))
        if hop.outcome == Outcome.ACCEPTED:
            last[lane] = index
        if hop.model is not None:
            maker.setdefault(hop.model, index)
    return found


def _number(value: Any) -> Any:
    """Four digits after the point are enough to draw; JSON has no NaN."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
