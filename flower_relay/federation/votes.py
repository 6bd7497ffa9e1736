"""The one way from an examiner's reply to its vote: read, check, bound."""

from __future__ import annotations

import math

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from ..mechanism.identity import key_of
from ..mechanism.state import State
from ..rules.votes import best_is_bound, bounded_utility, is_quorate
from ..wire.metrics import metrics_of, number_in
from ..wire.replies import Ballot, signed_vote
from ..wire.statements import Measured, Vote
from ..wire.votes import vote_on
from .run import Run

__all__ = ["are_heard", "vote_of"]

_OF_A_CEILING = (
    "Begin again with utility_bound set to the largest size that is possible, 100 where it is in "
    "percent."
)
_OF_A_BEST = (
    "0 was taken for its best value. Begin again, and report how far it is from its best value, as "
    "1 - R² of an R², with utility_rises = False."
)


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
    """Say where a metric is better than its best value: hops cannot be told apart there.

    What most nodes say refutes what their first reports were taken for. That is said once more,
    with its cure.
    """
    settings, bound = run.state.settings, run.state.bound
    key, rises = settings.utility_key, settings.utility_rises
    at_bound = best_is_bound(bound, rises)
    best = bound if at_bound else 0.0
    if not (value > best if rises else value < best):
        return
    limit = f"utility_bound = {bound:g}" if at_bound else "0"
    than = f"{'more' if rises else 'less'} than {limit}"
    run.notice(examiner, "clipped", f"its '{key}' is {value:g}, {than}, and counts as that")
    notices = run.record.notices
    if 2 * len(notices.of_kind("clipped")) > run.state.num_participants:
        cure = _OF_A_CEILING if at_bound else _OF_A_BEST
        notices.tell(
            f"'{key}'", "beyond", f"of most nodes it is {than}: the gate is open there. {cure}"
        )


def are_heard(state: State, committee: tuple[int, ...], heard: NDArray[np.bool_]) -> bool:
    """Whether examiners who were heard are a quorum on the hop of each lane of the round.

    Nobody counts on a hop of its own.
    """
    lanes = () if state.deposit is None else state.deposit.lanes
    weights = state.weights_of(committee)
    own = [np.isin(committee, terms.trainers) for terms in lanes]
    return all(is_quorate(heard, np.where(mine, 0.0, weights)) for mine in own)
