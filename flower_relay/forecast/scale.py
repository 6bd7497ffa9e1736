"""From an imagined run's notes to what was asked for: a longer run, a larger model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..rules.lanes import lanes_now
from .client import SMALL
from .played import FEDAVG, RELAY, Course, play
from .question import Question

__all__ = ["Forecast", "forecast"]

_CYCLES, _LEAST = 5, 60
"""Cycles that are played, and trainings at least; after that a run only goes on as before."""

_BEGINNING = 3 / 5
"""Part of what is played that is not typical: short legs, first hops, all seats taken."""

BASE_MB, RELAY_MODELS = 500, 12
"""Memory of a server app and what it adds in models, as measured (docs/fleet.md)."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What one strategy takes.

    Attributes
    ----------
    trainings, evaluations, messages : float
        In total.
    megabytes_a_node : float
        All messages, both ways; the mean.
    hours : float
        On the fleet's clock.
    ledger_mb, server_mb : float or None
        On disk, and in the server app's memory at its peak.
    """

    strategy: str
    trainings: float
    evaluations: float
    messages: float
    megabytes_a_node: float
    hours: float
    ledger_mb: float | None
    server_mb: float


def forecast(asked: Question) -> list[Forecast]:
    """What a run takes, under relay and under FedAvg."""
    found = play(asked, min(asked.hops, max(_LEAST, _CYCLES * asked.nodes)))
    return [_scaled(asked, name, notes) for name, notes in found.items()]


def _scaled(asked: Question, strategy: str, notes: Sequence[Course]) -> Forecast:
    last = notes[-1]
    total = {name: _at(notes, name, asked.hops) for name in vars(last) if name != "ledger"}
    models = asked.model_mb / (4 * SMALL)
    return Forecast(
        strategy=strategy,
        trainings=total["trainings"],
        evaluations=total["evaluations"],
        messages=total["messages"],
        megabytes_a_node=total["bytes"] * models / asked.nodes,
        hours=total["seconds"] / 3600,
        ledger_mb=last.ledger / last.trainings * asked.hops / 1e6 if strategy == RELAY else None,
        server_mb=BASE_MB + asked.model_mb * _models_held(asked, strategy),
    )


def _at(notes: Sequence[Course], name: str, trainings: int) -> float:
    """A figure at a number of trainings: on from the last note at the pace of the later part."""
    last = notes[-1]
    typical = next(each for each in notes if each.trainings >= _BEGINNING * last.trainings)
    if last.trainings == typical.trainings:
        return float(getattr(last, name)) * trainings / last.trainings
    pace = (getattr(last, name) - getattr(typical, name)) / (last.trainings - typical.trainings)
    return float(getattr(last, name) + pace * (trainings - last.trainings))


def _models_held(asked: Question, strategy: str) -> float:
    """Models in the server's memory at its peak; for FedAvg at least, for it keeps all answers."""
    if strategy == FEDAVG:
        return 6 + max(2, round(asked.fraction * asked.nodes))
    lanes = asked.settings.lanes
    return RELAY_MODELS * (lanes if isinstance(lanes, int) else lanes_now(asked.nodes, ()))
