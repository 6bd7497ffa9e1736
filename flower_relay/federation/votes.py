"""The one way from an examiner's reply to its vote: read, check, bound."""

from __future__ import annotations

import math

from flwr.app import Message

from ..mechanism.identity import key_of
from ..rules.votes import bounded_utility
from ..wire.metrics import metrics_of, number_in
from ..wire.replies import Ballot, signed_vote
from ..wire.statements import Measured, Vote
from ..wire.votes import vote_on
from .run import Run

__all__ = ["vote_of"]


def vote_of(
    run: Run, examiner: int, model: str, shown: str, reply: Message, place: int | None = None
) -> tuple[float, Ballot] | None:
    """An examiner's utility of a model and what it signed, or None if it gave none.

    Of an examiner who signs only what it signed counts.

    Parameters
    ----------
    shown : str
        Hash of what the examiner evaluated.
    place : int, optional
        The model's place in a reply about several.
    """
    name, settings = run.state.who.names[examiner], run.state.settings
    if place is None and key_of(name) is None:
        value = number_in(metrics_of(reply), settings.utility_key)
        if value is None:
            run.notice(examiner, "no vote", f"its reply holds no number '{settings.utility_key}'")
            return None
        ballot = Ballot(measured=Measured(value=value))
    else:
        metric, at = settings.utility_key, run.moment

        def vote(said: Measured) -> Vote:
            return vote_on(at, model, shown, metric, said)

        signed = signed_vote(reply, name, vote, place)
        if isinstance(signed, str):
            run.notice(examiner, "no vote", signed)
            return None
        ballot, value = signed, signed.measured.value
        value = math.nan if value is None else value
    _check_clipped(run, examiner, value)
    return bounded_utility(value, run.state.bound, settings.utility_rises), ballot


def _check_clipped(run: Run, examiner: int, value: float) -> None:
    """Say where a metric is better than its bound allows: hops cannot be told apart there."""
    settings, bound = run.state.settings, run.state.bound
    if not (value > bound if settings.utility_rises else value < 0):
        return
    limit = f"more than utility_bound = {bound:g}" if settings.utility_rises else "less than 0"
    reason = f"its '{settings.utility_key}' is {value:g}, {limit}, and counts as that"
    run.notice(examiner, "clipped", reason)
