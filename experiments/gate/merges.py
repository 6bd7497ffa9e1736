"""How hops are merged that arrive one by one: the rules that `experiments.gate.arrivals` plays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from experiments.gate.worlds import Weights
from flower_relay.rules.averaging import evened
from flower_relay.rules.optimisers import step

__all__ = ["MERGES", "Hop", "State", "merged"]

RECENT = 10
"""Steps among which the median length is taken."""


@dataclass(eq=False)
class Hop:
    """A hop that arrived: whose, in which of how many lanes, from where to where."""

    who: int
    lane: int
    lanes: int
    base: Weights
    end: Weights
    judged: bool = False


@dataclass(frozen=True)
class State:
    """What hops are folded into, one by one, in the order in which they came."""

    model: Weights
    merged: int = 0
    meetings: int = 0
    moments: tuple[Any, ...] = ()
    waiting: tuple[Weights, ...] = ()
    gave: dict[int, Weights] = field(default_factory=dict)
    lengths: tuple[float, ...] = ()


def _step(state: State, hop: Hop, way: Weights) -> State:
    return replace(state, model=state.model + way / np.float32(hop.lanes))


def _last(state: State, hop: Hop, way: Weights) -> State:
    """The model is the mean of what each lane last gave (Gholami and Seferoglu's Multi-Walk)."""
    gives = hop.base + way
    change = gives - state.gave.get(hop.lane, hop.base)
    model = state.model + change / np.float32(hop.lanes)
    return replace(state, model=model, gave={**state.gave, hop.lane: gives})


def _buffer(state: State, hop: Hop, way: Weights) -> State:
    """The library's Adam, once as many steps as there are lanes have come."""
    waiting = (*state.waiting, way)
    if len(waiting) < hop.lanes:
        return replace(state, waiting=waiting)
    base, meetings = {"w": state.model}, state.meetings + 1
    models = evened(base, [{"w": state.model + each} for each in waiting])
    mean = {"w": np.mean([each["w"] for each in models], axis=0, dtype=np.float32)}
    met, moments = step("adam", base, mean, state.moments, meetings)
    return replace(state, model=met["w"], moments=moments, meetings=meetings, waiting=())


def _adam(state: State, hop: Hop, way: Weights, momentum: float = 0.0) -> State:
    """The same Adam at each arrival: 1 / R of its rate, and what it forgets in R arrivals.

    By default it has no momentum: a step that comes late is one already (Mitliagkas et al. 2016).
    """
    part, gone = 1 / hop.lanes, way.astype(np.float64)
    first, second = momentum**part, 0.99**part
    m, v = state.moments or (np.zeros_like(gone),) * 2
    m, v = first * m + (1 - first) * gone, second * v + (1 - second) * gone**2
    rounds = 1 + (state.merged + 1) * part
    rate = 0.1 * part * np.sqrt(1 - 0.99**rounds) / (1 - momentum**rounds)
    model = (state.model + rate * m / (np.sqrt(v) + 1e-3)).astype(np.float32)
    return replace(state, model=model, moments=(m, v))


MERGES = {
    "step": _step,
    "last": _last,
    "buffer": _buffer,
    "adam": _adam,
    "momentum": partial(_adam, momentum=0.9),
}


def merged(rule: str, state: State, hop: Hop) -> State:
    """A state with a hop in it, whose step is no longer than the median of the latest ten."""
    way = hop.end - hop.base
    length = float(np.linalg.norm(way))
    lengths = (*state.lengths, length)[-RECENT:]
    most = float(np.median(lengths))
    shorter = way * np.float32(most / length) if length > most else way
    after = MERGES[rule](state, hop, shorter)
    return replace(after, merged=state.merged + 1, lengths=lengths)
