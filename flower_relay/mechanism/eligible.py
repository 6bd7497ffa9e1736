"""Who may be drawn in a round: to examine, and to bring a nonce to the draw of who examines.

The draw of committee and tests has to be nobody's choice. Each participant who signs, and whose
vote can weigh anything, has a place in the round's row: a hash of the run, the round and its name.
The first of them bring a nonce each. Who is missing changes nobody else's place, and one who is
missing leaves enough. With fewer nonces than that there is no draw: the operator could otherwise
leave out all but one that it knew before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from .blocks import Deposit
from .identity import key_of
from .state import State

__all__ = ["decide_nonces", "eligible", "examiners_free", "nonce_bringers", "nonces_needed"]


def eligible(state: State, deposit: Deposit) -> NDArray[np.int64]:
    """Who is here to examine and does not train this round; else, in a tiny federation, all.

    Who only trains, by its own policy, is never among them; who rests, only if nobody else is.
    """
    training = {index for terms in deposit.lanes for index in terms.trainers}
    willing = [index for index in deposit.present if state.who.examines[index]]
    free = [index for index in willing if index not in training]
    fresh = [index for index in free if state.who.rests_until[index] <= deposit.cycle]
    return np.array(fresh or free or willing, dtype=np.int64)


def examiners_free(state: State, deposit: Deposit) -> NDArray[np.int64]:
    """Who may be drawn to examine a round.

    Where the next round trains already, nobody who does. Those who trained in this one are then
    among them where there are too few others, and judge the hops of others.
    """
    if state.ahead is None:
        return eligible(state, deposit)
    away = {index for terms in state.ahead.lanes for index in terms.trainers}
    training = {index for terms in deposit.lanes for index in terms.trainers}
    here = [n for n in deposit.present if state.who.examines[n] and n not in away]
    fresh = [n for n in here if state.who.rests_until[n] <= deposit.cycle] or here
    apart = [n for n in fresh if n not in training]
    found = apart if len(apart) >= state.settings.examiners else fresh
    return np.array(found, dtype=np.int64) if found else eligible(state, deposit)


def nonce_bringers(state: State, deposit: Deposit) -> tuple[int, ...]:
    """Who bring a nonce to a round's draw, in ascending order: one more than are needed.

    The seed is not the trainers' choice, and newcomers whose votes weigh nothing are not among
    them: the operator could make as many as it likes.
    """
    settings, earned = state.settings, state.earned
    if not settings.examiners or not settings.nonces:
        return ()
    names = state.who.names
    row = [n for n in eligible(state, deposit).tolist() if earned[n] > 0 and key_of(names[n])]
    row.sort(key=lambda index: _place(state.run, deposit.round, names[index]))
    return tuple(sorted(row[: settings.nonces + 1]))


def _place(run: str, round: int, name: str) -> bytes:
    """Somebody's place in a round's row: whoever draws the run's number knows no names yet."""
    return hashlib.sha256(f"{run} {round} {name}".encode()).digest()


def nonces_needed(state: State, deposit: Deposit) -> int:
    """How many nonces a draw needs: all but one of those that are brought, and two if there are."""
    brought = len(nonce_bringers(state, deposit))
    return min(state.settings.nonces, max(brought - 1, min(2, brought)))


def decide_nonces(state: State, deposit: Deposit, told: Collection[int]) -> tuple[int, ...]:
    """Whose nonces the seed will depend on: of who bring one, those who told its hash."""
    return tuple(index for index in nonce_bringers(state, deposit) if index in told)
