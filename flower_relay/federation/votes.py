"""The one way from an examiner's reply to its vote: read, check, bound."""

from __future__ import annotations

from flwr.app import Message

from ..mechanism.identity import key_of
from ..rules.votes import bounded_utility
from ..wire.replies import metrics_of, number_in, signed_vote
from .run import Run

__all__ = ["vote_of"]


def vote_of(
    run: Run, examiner: int, model: str, shown: str, reply: Message, place: int | None = None
) -> tuple[float, str | None] | None:
    """An examiner's utility of a model and the signature under it, or None if it gave none.

    Of an examiner who signs only what it signed counts.

    Parameters
    ----------
    shown : str
        Hash of what the examiner evaluated.
    place : int, optional
        The model's place in a reply about several.
    """
    name = run.state.who.names[examiner]
    if place is None and key_of(name) is None:
        settings = run.state.settings
        value = number_in(metrics_of(reply), settings.utility_key)
        if value is None:
            run.notice(examiner, "no vote", f"its reply holds no number '{settings.utility_key}'")
            return None
        _check_clipped(run, examiner, value)
        return bounded_utility(value, run.state.bound, settings.utility_rises), None
    return signed_vote(reply, name, run.genesis_hash, model, shown, place)


def _check_clipped(run: Run, examiner: int, value: float) -> None:
    """Say where a metric is better than its bound allows: hops cannot be told apart there."""
    settings, bound = run.state.settings, run.state.bound
    if not (value > bound if settings.utility_rises else value < 0):
        return
    limit = f"more than utility_bound = {bound:g}" if settings.utility_rises else "less than 0"
    reason = f"its '{settings.utility_key}' is {value:g}, {limit}, and counts as that"
    run.notice(examiner, "clipped", reason)
