"""Roles, auction and deposits of a round: who trains on whose model, at what stake.

The chain gives everybody one turn a cycle, ordered by bid; the fan-out is the paper's
matching. Both come out as lanes, so that what follows treats them alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rules.auction import SLOTS, auction_order, match, owner_bids, trainer_bids, version_in
from ..rules.coins import COIN, EXAMINING_FEE, to_units
from ..rules.roles import draw_trainers, next_cycle, next_on_probation, turns_left
from ..rules.standing import deposit_due
from ..settings import RelaySettings
from .blocks import Deposit, LaneTerms
from .randomness import generator
from .state import Lane, State

__all__ = ["Turns", "decide_deposits", "decide_next_deposit", "hops_left"]

Turns = Callable[[NDArray[Any], np.random.Generator], NDArray[np.int64]]


def hops_left(settings: RelaySettings, hops: int) -> float:
    """Hops that the budget still allows after so many; infinity without one."""
    return math.inf if settings.budget is None else settings.budget - hops


def decide_next_deposit(
    state: State,
    present: Collection[int],
    hops: int,
    turns: Turns = auction_order,
    expected: str | None = None,
) -> Deposit | None:
    """The deposit block that follows, as the run's seed has it.

    Parameters
    ----------
    present : collection of int
        Who is connected.
    hops : int
        Hops of the run so far.
    turns, expected
        As `decide_deposits` has them.

    Returns
    -------
    Deposit or None
        None when the budget is used, or nobody who trains is there.
    """
    settings, number = state.settings, state.num_participants
    left = hops_left(settings, hops)
    if left <= 0:
        return None
    here = np.zeros(number, dtype=np.bool_)
    here[list(present)] = True
    if not _may_train(state, here, expected).any():
        return None
    rng = generator(settings.seed, state.round + 1, "deposits")
    most = int(min(left, number * SLOTS))
    return decide_deposits(state, here, rng, most_hops=most, turns=turns, expected=expected)


def decide_deposits(
    state: State,
    present: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    most_hops: int,
    at_most: NDArray[np.int64] | None = None,
    turns: Turns = auction_order,
    expected: str | None = None,
) -> Deposit:
    """Decide the deposit block of the next round.

    Parameters
    ----------
    state : State
        After the last round.
    present : boolean array of shape (participants,)
        Who is connected; at least one.
    rng : numpy.random.Generator
        Draws roles and breaks ties.
    most_hops : int
        Hops left in the budget; the round uses no more.
    at_most : integer array of shape (participants,), optional
        Units that each is willing to put at stake; all it has by default.
    turns : callable
        (bids, rng) to the order of turns in a chain; the auction's, unless an experiment
        wants another. `verify` knows the auction's only.
    expected : str, optional
        The model that lanes go on from if all hops of the round under way are accepted: who
        trains is not to wait for the verdicts.
    """
    purse = state.who.coins if at_most is None else np.minimum(state.who.coins, at_most)
    if state.settings.topology == "fan-out":
        return _fan_out(state, present, rng, most_hops, purse)
    return _chain(state, present, rng, most_hops, purse, turns, expected)


def _fan_out(
    state: State,
    present: NDArray[np.bool_],
    rng: np.random.Generator,
    most_hops: int,
    purse: NDArray[np.int64],
) -> Deposit:
    settings, who, round = state.settings, state.who, state.round + 1
    offers = _offers(state)
    here = np.array([owner for owner in offers if present[owner]], dtype=np.int64)
    # An owner that left does not matter: its model is in the store, and serves on.
    owners = here if len(here) else np.array(list(offers), dtype=np.int64)
    trainers = draw_trainers(present, here, settings.fraction_train, rng, who.trains)
    bids = trainer_bids(purse[trainers], who.version[trainers], round, COIN)
    order = auction_order(bids, rng)
    stakes = owner_bids(purse[owners], to_units(EXAMINING_FEE), SLOTS)
    stake_of = dict(zip(owners.tolist(), stakes.tolist(), strict=True))
    bid_of = dict(zip(trainers.tolist(), bids.tolist(), strict=True))
    pairs = match(owners, trainers[order], SLOTS)[:most_hops]
    lanes = tuple(
        LaneTerms(
            base=offers[owner],
            owner=owner,
            owner_deposit=stake_of[owner],
            trainers=(trainer,),
            deposits=(bid_of[trainer],),
        )
        for owner, trainer in pairs.tolist()
    )
    return _block(state, present, state.cycle, state.unit, lanes)


def _offers(state: State) -> dict[int, str]:
    """Each owner's best recognised model, owners in the order of the last ranking."""
    offers: dict[int, str] = {}
    for name in state.recognised:
        owner = state.lineage[name].trainer
        if owner is not None:
            offers.setdefault(owner, name)
    return offers


def _chain(
    state: State,
    present: NDArray[np.bool_],
    rng: np.random.Generator,
    most_hops: int,
    purse: NDArray[np.int64],
    turns: Turns,
    expected: str | None,
) -> Deposit:
    who, cycle, unit = state.who, state.cycle, state.unit
    had_turn, slot_free = who.had_turn, state.probation_left > 0
    trainers = _may_train(state, present, expected)
    may = turns_left(trainers, had_turn, who.waits_until, cycle)
    queue = _queue(state, cycle, may, turns, rng, purse, slot_free)
    if not queue:
        cycle = next_cycle(trainers, who.waits_until, cycle)
        unit = _income_unit(state)
        may = turns_left(trainers, np.zeros_like(had_turn), who.waits_until, cycle)
        queue = _queue(state, cycle, may, turns, rng, purse, slot_free=True)
    # Half of those whose votes can weigh anything stay free to examine.
    room = _room(state, int((present & (state.earned > 0)).sum()), most_hops)
    lanes = _legs(state, _lanes(state, expected), queue, unit, room, purse)
    return _block(state, present, cycle, unit, tuple(lanes))


def _may_train(state: State, present: NDArray[np.bool_], expected: str | None) -> NDArray[np.bool_]:
    """Who is here and trains; while others are judged, nobody of them.

    Nobody has a turn before its last hop is judged.
    """
    free = present.copy()
    if expected is not None and state.deposit is not None:
        free[[trainer for terms in state.deposit.lanes for trainer in terms.trainers]] = False
    return state.trainers(free)


def _lanes(state: State, expected: str | None) -> list[Lane]:
    """The lanes as they are; while others are judged, those that there will be."""
    if expected is None:
        return state.lanes
    return [Lane(expected, 1, state.lanes[0].trail)] * state.lanes_next


def _queue(
    state: State,
    cycle: int,
    may: NDArray[np.bool_],
    turns: Turns,
    rng: np.random.Generator,
    purse: NDArray[np.int64],
    slot_free: bool,
) -> list[int]:
    """Who still has a turn, highest bid first; at most one newcomer.

    Staleness is counted in cycles, and bids are of whole coins: whoever trained in the last
    cycle and can afford it bids the same, and the ties are shuffled. Counted in rounds, the
    order of a cycle is that of the one before it, and a baton that always goes the same way
    round forgets the same participants (one label each: final accuracy 0.964 instead of 0.971;
    docs/robustness.md).
    """
    who = state.who
    bids = trainer_bids(purse // COIN * COIN, who.version, version_in(cycle), COIN)
    queue: list[int] = []
    waiting = np.flatnonzero(may & who.newcomer & slot_free)
    trying = next_on_probation(waiting, who.rejected, who.last_try)
    for index in turns(bids, rng).tolist():
        if may[index] and (not who.newcomer[index] or index == trying):
            queue.append(index)
    return queue


def _income_unit(state: State) -> int:
    """The median income of those who trained in the cycle that ends; if that is nothing, as it was.

    Names that only examine, or only wait, would else pull everybody's deposits down to a fee.
    """
    who = state.who
    trained = who.had_turn & ~who.newcomer
    return int(np.median(who.income[trained])) or state.unit if trained.any() else state.unit


def _room(state: State, num_deciding: int, most_hops: int) -> int:
    """Hops this round may have: half of those who decide stay free to examine."""
    if state.settings.examiners == 0:
        return most_hops
    return min(most_hops, max(1, num_deciding // 2))


def _legs(
    state: State,
    coming: list[Lane],
    queue: list[int],
    unit: int,
    room: int,
    purse: NDArray[np.int64],
) -> list[LaneTerms]:
    """Give each lane its leg: the next in the queue, as long as stakes allow.

    Who is on probation trains alone and is tested at once. In a cautious run so does who cannot
    lock its deposit.
    """
    lanes: list[LaneTerms] = []
    for lane in coming:
        leg: list[int] = []
        while queue and room > 0 and len(leg) < lane.leg:
            alone = not _trusted(state, queue[0], unit, purse)
            if alone and leg:
                break
            leg.append(queue.pop(0))
            room -= 1
            if alone:
                break
        known = lane.baton in state.lineage  # what is expected is an average, and nobody's
        owner = state.lineage[lane.baton].trainer if known else None
        lanes.append(
            LaneTerms(
                base=lane.baton,
                owner=owner,
                owner_deposit=0,
                trainers=tuple(leg),
                deposits=tuple(_stake(state, index, unit, purse) for index in leg),
            )
        )
    return lanes


def _trusted(state: State, index: int, unit: int, purse: NDArray[np.int64]) -> bool:
    if state.who.newcomer[index]:
        return False
    return not state.cautious or bool(purse[index] >= deposit_due(state.debt(index), unit))


def _stake(state: State, index: int, unit: int, purse: NDArray[np.int64]) -> int:
    return min(int(purse[index]), deposit_due(state.debt(index), unit))


def _block(
    state: State,
    present: NDArray[np.bool_],
    cycle: int,
    unit: int,
    lanes: tuple[LaneTerms, ...],
) -> Deposit:
    return Deposit(
        round=state.round + 1,
        cycle=cycle,
        unit=unit,
        present=tuple(np.flatnonzero(present).tolist()),
        lanes=lanes,
    )
