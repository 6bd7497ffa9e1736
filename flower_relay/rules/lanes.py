"""How many lanes run at once, where that is left to what the run shows."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "MOST_LANES",
    "TELLING",
    "VERDICTS_KEPT",
    "goes_ahead",
    "lanes_now",
    "leaves_late",
    "most_late",
]

MOST_LANES = 5
"""Ten take as long to a target where it was tried, and a fifth to a half more client-epochs."""

_LOST = 2.0
"""Parts of the lanes that go for each part of the hops that is rejected."""

_KNOWN, _HARDLY = 20, 0.05
"""Hops that have to be judged before a round goes ahead, and the part of the latest that may have
been rejected then."""

_SOME = 0.1
"""The part of the latest hops that may have been rejected where who is late is left out."""

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


def goes_ahead(verdicts: Sequence[bool]) -> bool:
    """Whether a round may train before the hops of the last one are judged.

    It is trained on a model that holds hops that nobody has judged. So it is done only where
    hardly any is rejected: at most a twentieth of the latest hops, and twenty of them judged.
    Where two in five flip signs, a run that always went ahead ended at chance in its worst seed.

    Parameters
    ----------
    verdicts : sequence of bool
        As `lanes_now` has them.
    """
    latest = verdicts[-VERDICTS_KEPT:]
    return len(latest) >= _KNOWN and latest.count(False) <= _HARDLY * len(latest)


def leaves_late(lanes: int, verdicts: Sequence[bool]) -> bool:
    """Whether a round of several lanes goes on without who is late: where few hops are rejected.

    At most a tenth of the latest forty, and two while there are fewer than twenty. Else all are
    waited for. With two in five hostile a run that always left out the late ended at chance in its
    worst seed: of those who happened to be quick too many lied.

    Parameters
    ----------
    lanes : int
        Lanes of the round.
    verdicts : sequence of bool
        As `lanes_now` has them.
    """
    latest = verdicts[-VERDICTS_KEPT:]
    return lanes > 1 and latest.count(False) <= _SOME * max(len(latest), _KNOWN)


def most_late(hops: int) -> int:
    """How many hops of a round of several lanes may be late, at most.

    Those that are not among the first two thirds. Of fewer than three hops all, as it is other
    rounds that tell how long they are waited for.
    """
    return hops if hops < TELLING else hops // 3
