"""The one way from what was measured of a model to the statement that a vote is."""

from __future__ import annotations

from .statements import Measured, Moment, Vote

__all__ = ["vote_on"]


def vote_on(at: Moment, model: str, shown: str, metric: str, said: Measured) -> Vote:
    """The vote that says what was measured of a model, by what was shown of it."""
    return Vote(
        at=at, model=model, shown=shown, metric=metric,
        value=said.value, error=said.error, cases=said.cases,
    )  # fmt: skip
