"""What may become of a hop: the words for it, in blocks, in records and on pages.

A member equals its text, and blocks spell it as such.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["JUDGED", "Fault", "Outcome"]


class Outcome(StrEnum):
    """What became of a hop that brought a candidate, or was undone."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """The committee saw the model get worse."""
    VOIDED = "voided"
    """Undone because an earlier hop of the same leg was rejected."""
    UNTESTED = "untested"
    """Too few examiners answered."""


class Fault(StrEnum):
    """Why a turn brought no usable candidate."""

    TIMEOUT = "timeout"
    ERROR = "error"
    """The ClientApp raised."""
    LEFT = "left"
    """The node went away, its process crashed, or its memory refused."""
    LATE = "late"
    """The others of its round were back, and had waited as long again. It costs nothing."""
    MIS_SHAPED = "mis-shaped"
    NON_FINITE = "non-finite"
    UNCHANGED = "unchanged"
    OVERSIZED = "oversized"
    """It moved the model far more than accepted hops did of late."""
    UNSIGNED = "unsigned"
    COPIED = "copied"
    """Somebody handed the same model in before."""


JUDGED = (Outcome.ACCEPTED, Outcome.REJECTED)
"""Outcomes of a hop on which a committee gave its own verdict."""
