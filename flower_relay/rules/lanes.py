"""How many lanes run at once, where that is left to what the run shows."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "MOST_LANES",
    "TELLING",
    "VERDICTS_KEPT",
    "is_calm",
    "lanes_now",
    "leaves_late",
    "most_late",
]

MOST_LANES = 5
"""Ten take as long to a target where it was tried, and a fifth to a half more client-epochs."""

_LOST = 2.0
"""Parts of the lanes that go for each part of the hops that is rejected."""

_KNOWN, _SOME = 20, 0.1
"""The part of the latest hops that may have been rejected in a calm run; there count as many as
twenty at least."""

TELLING = 3
"""Hops of a round at least, for two thirds of them to tell how long the rest are waited for."""

VERDICTS_KEPT = 40
"""Hops by which it is known how many are rejected: about two cycles of twenty."""


def lanes_now(deciding: int, verdicts: Sequence[bool], most: int = MOST_LANES) -> int:
    """Half of those whose votes count, at most five, and fewer where hops are rejected.

    Each part of the latest hops that was rejected takes twice that part of the lanes away. Where
    half are rejected one lane is left, in which every hop is judged before the next one begins.
    When fewer are rejected again, lanes come back.

    Parameters
    ----------
    deciding : int
        Participants whose votes count.
    verdicts : sequence of bool
        Whether each of the latest hops was accepted; the last `VERDICTS_KEPT` count.
    most : int
        Lanes at most; another number in experiments only.
    """
    latest = verdicts[-VERDICTS_KEPT:]
    rejected = latest.count(False) / len(latest) if latest else 0.0
    return max(1, round(min(most, deciding // 2) * (1 - _LOST * rejected)))


def is_calm(verdicts: Sequence[bool]) -> bool:
    """Whether few hops are rejected: a tenth of the latest forty, or two of fewer than twenty.

    A calm run of several lanes goes on without who is late, and a wave trains a round before the
    one before it is judged. Else everybody is waited for, and every hop is judged first. With two
    in five hostile a run that always left out the late ended at chance in its worst seed (of
    those who happened to be quick too many lied), and so did one that always went ahead.

    Parameters
    ----------
    verdicts : sequence of bool
        As `lanes_now` has them.
    """
    latest = verdicts[-VERDICTS_KEPT:]
    return latest.count(False) <= _SOME * max(len(latest), _KNOWN)


def leaves_late(lanes: int, verdicts: Sequence[bool]) -> bool:
    """Whether a round goes on without who is late: of several lanes, in a calm run."""
    return lanes > 1 and is_calm(verdicts)


def most_late(hops: int) -> int:
    """How many hops of a round of several lanes may be late, at most.

    Those that are not among the first two thirds. Of fewer than three hops all, as it is other
    rounds that tell how long they are waited for.
    """
    return hops if hops < TELLING else hops // 3
