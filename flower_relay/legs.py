"""The legs of a round: every lane's baton travels, all lanes at once.

One loop serves all lanes: whichever trainer answers first, its lane's next trainer is
sent the baton at once. A trainer that fails is noted and passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flwr.app import RecordDict

from .adapter import let_go_of_arrays
from .blocks import Deposit, HopClaim, LaneTerms
from .courier import Arrival
from .decisions import generator
from .rules.testing import fault_of
from .running import Running, to_arrays

if TYPE_CHECKING:
    from .strategy import RelayStrategy

__all__ = ["relay"]


@dataclass
class _Leg:
    """A lane's leg while it runs: who is still to go, and what has been claimed."""

    terms: LaneTerms
    baton: str
    seeds: list[int]
    claims: list[HopClaim] = field(default_factory=list)

    @property
    def trainer(self) -> int:
        return self.terms.trainers[len(self.claims)]

    @property
    def done(self) -> bool:
        return len(self.claims) == len(self.terms.trainers)


Claims = tuple[tuple[HopClaim, ...], ...]


def relay(
    strategy: RelayStrategy, run: Running, deposit: Deposit
) -> tuple[Claims, dict[int, float], list[RecordDict]]:
    """Run every lane's leg to its end.

    Returns
    -------
    (claims, seconds, replies)
        One tuple of claims a lane; each trainer's time; the contents of usable replies
        with the weights taken out.
    """
    rng = generator(run.state.settings.seed, deposit.round, "training")
    legs = [
        _Leg(terms, terms.base, rng.integers(2**31, size=len(terms.trainers)).tolist())
        for terms in deposit.lanes
    ]
    seconds: dict[int, float] = {}
    contents: list[RecordDict] = []
    for lane, leg in enumerate(legs):
        _send(strategy, run, lane, leg)
    while run.courier.waiting:
        arrivals = run.courier.next_arrivals()
        while arrivals:  # taken out one by one, so that each reply can be let go of
            arrival = arrivals.pop(0)
            lane = int(str(arrival.tag))
            leg = legs[lane]
            seconds[leg.trainer] = arrival.seconds
            leg.claims.append(_claim(strategy, run, legs, leg, arrival))
            if arrival.message is not None:
                contents.append(arrival.message.content)
            leg.baton = _baton(leg)
            del arrival
            _send(strategy, run, lane, leg)
    return tuple(tuple(leg.claims) for leg in legs), seconds, contents


def _baton(leg: _Leg) -> str:
    last = leg.claims[-1]
    return last.model if last.fault is None and last.model is not None else leg.baton


def _send(strategy: RelayStrategy, run: Running, lane: int, leg: _Leg) -> None:
    """Hand the baton to the leg's next trainer, if there is one."""
    # After a restart, who had its turn in this round may not have come back.
    while not leg.done and leg.trainer not in run.node_of:
        gone = HopClaim(trainer=leg.trainer, base=leg.baton, model=None, fault="left")
        leg.claims.append(gone)
    if leg.done:
        return
    run.addressees = (run.node_of[leg.trainer],)
    run.extra_config = {"hop-seed": leg.seeds[len(leg.claims)]}
    messages = strategy.configure_train(
        run.state.round, run.model(leg.baton), run.train_config, run.grid
    )
    run.courier.push(messages, [lane] * len(messages), run.timeout)


def _claim(
    strategy: RelayStrategy, run: Running, legs: list[_Leg], leg: _Leg, arrival: Arrival
) -> HopClaim:
    """What a reply amounts to: a stored candidate, or the reason there is none."""
    name, fault = None, arrival.fault
    if arrival.message is not None:
        weights, _ = strategy.aggregate_train(run.state.round, [arrival.message])
        if weights is None:
            fault = "mis-shaped"
            let_go_of_arrays(arrival.message.content)
        else:
            candidate = to_arrays(weights)
            del weights
            let_go_of_arrays(arrival.message.content)
            fault = fault_of(candidate, run.store.get(leg.baton))
            if fault is None:
                name = run.store.put(candidate)
                this_round = {claim.model for other in legs for claim in other.claims}
                fault = "copied" if name in run.state.seen | this_round else None
    return HopClaim(trainer=leg.trainer, base=leg.baton, model=name, fault=fault)
