"""The authors' recorded economy, played again on our rules and compared coin by coin.

A trace is a gzip'd JSON list, one object a round. Its *choices* (who trained, what each
training gained, which miners were drawn, how ties fell) are fed to the same fan-out
round as everything else; bids, matching, recognition, versions and balances must follow.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TraceError
from ..rules.coins import COIN
from .fan_out import FanOut, FanOutRound
from .settings import EconomySettings

__all__ = ["Difference", "Recorded", "ReplayReport", "read_trace", "replay"]

MOST_ERROR = 1e-6
"""Coins by which a balance or bid may differ: ours are integers, the trace's are floats."""

_FEWEST = 4
"""Participants without whom there is no owner, trainer and miner beside each other."""

_MOST = 1e15
"""No amount or performance number of a trace is as large; coins beyond it lose exactness."""

_WHOLE_LISTS = ("owners", "trainers", "miners", "version")
_NUMBER_LISTS = ("owner_perf", "mo_bids", "bids", "coins")
_KEYS = {"round", *_WHOLE_LISTS, *_NUMBER_LISTS, "pairs", "settled"}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first thing that does not follow."""

    round: int
    what: str
    participant: int | None
    expected: object
    got: object

    def __str__(self) -> str:
        """Round, participant, expected, got, in one line."""
        who = "" if self.participant is None else f", participant {self.participant}"
        return f"round {self.round}{who}: {self.what}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True, kw_only=True)
class ReplayReport:
    """How close our rules come to a trace.

    Attributes
    ----------
    rounds : int
        Rounds compared; up to and including the first that differs.
    max_error : float
        Largest absolute difference of any balance or bid (coins) or performance number.
    difference : Difference or None
        The first difference; None when everything follows.
    circulating : float
        Our sum of balances at the end.
    """

    rounds: int
    max_error: float
    difference: Difference | None
    circulating: float

    @property
    def equal(self) -> bool:
        """Whether everything discrete is equal and every amount within 1e-6."""
        return self.difference is None


class Recorded:
    """Choices read from a round of a trace."""

    def __init__(self, row: dict[str, Any]) -> None:
        self._row = row

    def trainers(self, active: NDArray[np.bool_], owners: NDArray[np.int64]) -> NDArray[np.int64]:
        """As recorded, which is in auction order."""
        return _whole(self._row["trainers"])

    def order(self, bids: NDArray[np.int64]) -> NDArray[np.int64]:
        """As recorded: the trainers come in order."""
        return np.arange(len(bids))

    def training(self, policy: NDArray[np.int8]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """As recorded, pair by pair; pairs that the trace does not have train nothing."""
        trained, gain = np.zeros(len(policy), dtype=np.bool_), np.zeros(len(policy))
        for position, pair in enumerate(self._row["pairs"][: len(policy)]):
            trained[position], gain[position] = pair[2], pair[3]
        return trained, gain

    def testers(self, free: NDArray[np.int64]) -> NDArray[np.int64]:
        """The testing block's miner; nobody in a trace colludes."""
        return _whole(self._row["miners"][2:3])

    def miners(self, free: NDArray[np.int64]) -> NDArray[np.int64]:
        """As recorded."""
        return _whole(self._row["miners"])


def read_trace(path: Path) -> list[dict[str, Any]]:
    """Read a trace and check its form.

    Raises
    ------
    TraceError
        When it is missing, not gzip, not JSON, or not a list of complete rounds.
    """
    try:
        rows = json.loads(gzip.decompress(path.read_bytes()))
    except OSError as problem:  # gzip's own errors are among them
        raise TraceError(f"{path}: cannot be read as gzip: {problem}") from problem
    except (EOFError, ValueError, RecursionError, zlib.error) as problem:
        raise TraceError(f"{path}: cannot be read as gzip'd JSON: {problem}") from problem
    if not isinstance(rows, list) or not rows:
        raise TraceError(f"{path}: expected a list with an object for each round.")
    size = len(rows[0]["coins"]) if _is_row(rows[0]) else _FEWEST
    if size < _FEWEST:
        raise TraceError(f"{path}: {size} participants; expected at least {_FEWEST}.")
    for number, row in enumerate(rows):
        fault = _fault(row, number, size)
        if fault is not None:
            raise TraceError(f"{path}: round {number}: {fault}.")
    return rows


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("coins"), list)


def _fault(row: Any, number: int, size: int) -> str | None:
    """What is wrong with a round's form, or None."""
    if not isinstance(row, dict):
        return f"expected an object, found {type(row).__name__}"
    if missing := sorted(_KEYS - row.keys()):
        return f"{', '.join(missing)} missing"
    if row["round"] != number:
        return f"expected round = {number}, found {row['round']!r}"
    for name in (*_WHOLE_LISTS, *_NUMBER_LISTS, "pairs", "settled"):
        if not isinstance(row[name], list):
            return f"{name}: expected a list, found {type(row[name]).__name__}"
    for name in _NUMBER_LISTS:
        if not all(_is_number(value) for value in row[name]):
            return f"{name}: expected finite numbers"
    return _size_fault(row, size) or _people_fault(row, size)


def _size_fault(row: dict[str, Any], size: int) -> str | None:
    expected = {
        "coins": size,
        "version": size,
        "owner_perf": len(row["owners"]),
        "mo_bids": len(row["owners"]),
        "bids": len(row["trainers"]),
        "miners": 4,
    }
    for name, length in expected.items():
        if len(row[name]) != length:
            return f"{name}: expected {length} entries, found {len(row[name])}"
    return None


def _people_fault(row: dict[str, Any], size: int) -> str | None:
    """Participants that do not exist, pairs and versions of another form."""
    if not all(_is_whole(value) and abs(value) < _MOST for value in row["version"]):
        return "version: expected whole numbers"
    for name, length in {"pairs": 4, "settled": 2}.items():
        for entry in row[name]:
            if not isinstance(entry, list) or len(entry) != length:
                return f"{name}: expected entries of {length}"
            if (fault := _unknown(name, entry[:2], size)) is not None:
                return fault
    if not all(pair[2] in (True, False) and _is_number(pair[3]) for pair in row["pairs"]):
        return "pairs: expected entries of owner, trainer, true or false, gain"
    for name in ("owners", "trainers", "miners"):
        if (fault := _unknown(name, row[name], size)) is not None:
            return fault
    return None


def _unknown(name: str, people: list[Any], size: int) -> str | None:
    for who in people:
        if not _is_whole(who) or not 0 <= who < size:
            return f"{name}: {who!r} is not one of the {size} participants"
    return None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < _MOST and not math.isnan(value)


def replay(path: Path) -> ReplayReport:
    """Play a trace's choices on our rules, in the authors' setting.

    Raises
    ------
    TraceError
        When the trace cannot be read.
    """
    rows = read_trace(path)
    size = len(rows[0]["coins"])
    settings = EconomySettings(participants=size, rounds=len(rows), least_recognised=0)
    economy = FanOut(settings, np.zeros(size, dtype=np.int8))
    max_error = 0.0
    for number, row in enumerate(rows):
        played = economy.play(Recorded(row))
        amounts = list(_amounts(row, played, economy))
        max_error = max([max_error, *(float(_error(pair).max(initial=0.0)) for pair in amounts)])
        difference = _first_difference(number, row, played, economy, amounts)
        if difference is not None:
            break
    circulating = sum(economy.balances().tolist()) / COIN
    return ReplayReport(
        rounds=number + 1, max_error=max_error, difference=difference, circulating=circulating
    )


_Amount = tuple[str, list[int], NDArray[np.float64], NDArray[np.float64]]
"""What it is, whose, as recorded, as ours."""


def _amounts(row: dict[str, Any], played: FanOutRound, economy: FanOut) -> Iterator[_Amount]:
    everybody = list(range(len(row["coins"])))
    yield from (
        _numbers("owner's performance", row["owners"], row["owner_perf"], played.owner_performance),
        _amount("owner's bid per slot", row["owners"], row["mo_bids"], played.owner_stakes),
        _amount("bid", row["trainers"], row["bids"], played.bids),
        _amount("balance", everybody, row["coins"], economy.balances()),
    )


def _amount(what: str, who: list[int], recorded: list[float], units: NDArray[np.int64]) -> _Amount:
    return _numbers(what, who, recorded, units / COIN)


def _numbers(
    what: str, who: list[int], recorded: list[float], ours: NDArray[np.float64]
) -> _Amount:
    return what, who, np.array(recorded, dtype=np.float64), ours


def _error(amount: _Amount) -> NDArray[np.float64]:
    _, _, recorded, ours = amount
    size = min(len(recorded), len(ours))  # where the lengths differ, that is reported first
    return np.abs(recorded[:size] - ours[:size])


def _first_difference(
    number: int,
    row: dict[str, Any],
    played: FanOutRound,
    economy: FanOut,
    amounts: Iterable[_Amount],
) -> Difference | None:
    """The first thing of a round that differs, in the order in which the round decides."""
    rises = np.flatnonzero(np.diff(played.bids) > MOST_ERROR * COIN)
    if len(rises):
        who, bid = (int(side[rises[0] + 1]) for side in (played.trainers, played.bids))
        before = int(played.bids[rises[0]])
        return Difference(
            round=number, what="auction order, highest bid first", participant=who,
            expected=f"a bid of at most {before / COIN}", got=bid / COIN,
        )  # fmt: skip
    sequences: list[tuple[str, list[Any], list[Any]]] = [
        ("owner, in matching order", row["owners"], played.owners.tolist()),
        ("matching", [pair[:2] for pair in row["pairs"]], played.pairs.tolist()),
        ("recognised [owner, trainer]", row["settled"], played.settled.tolist()),
        ("newest version held", row["version"], economy.population.held_version.tolist()),
    ]
    for what, expected, got in sequences:
        for place in range(max(len(expected), len(got))):
            pair = [side[place] if place < len(side) else None for side in (expected, got)]
            if pair[0] != pair[1]:
                return _difference(number, what, place, *pair)
    for what, whose, recorded, ours in amounts:
        wrong = np.flatnonzero(np.abs(recorded - ours) > MOST_ERROR)
        if len(wrong):
            place = int(wrong[0])
            return Difference(
                round=number, what=what, participant=whose[place],
                expected=float(recorded[place]), got=float(ours[place]),
            )  # fmt: skip
    return None


def _difference(number: int, what: str, place: int, expected: Any, got: Any) -> Difference:
    if what.startswith("newest"):
        participant: int | None = place
    else:
        known = got if expected is None else expected
        participant = known[1] if isinstance(known, list) else known
        what = f"{what}, place {place}"
    return Difference(round=number, what=what, participant=participant, expected=expected, got=got)


def _whole(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)
