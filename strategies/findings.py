"""What a comparison keeps of a finished run: its end, its hops, its participants."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flower_relay import HopRow, ParticipantRow
from flower_relay.comparison.figures import last_of_forty
from flower_relay.mechanism.blocks import Block, Settlement
from flower_relay.report.outcome import fate
from flower_relay.rules.coins import PaymentRule, to_coins
from flower_relay.rules.outcomes import Outcome

__all__ = ["final_of", "hops_of", "participants_of"]

_SHOWN = 12
"""Characters of a model's hash that are kept: enough to tell a run's models apart."""

_REWARDS = frozenset({PaymentRule.VESTING, PaymentRule.ROYALTY, PaymentRule.EXAMINING})
"""Payments that are rewards, once they can be spent; refunds and compensations give back."""


def final_of(
    records: Sequence[Mapping[str, Any]], own: Mapping[str, float], hostile: frozenset[str]
) -> dict[str, Any]:
    """Accuracy at the end, on the common test and on the honest participants' own cases."""
    honest = [v for name, v in own.items() if name not in hostile and math.isfinite(v)]
    return {
        "accuracy": last_of_forty(
            [record["epochs"] for record in records], [record["accuracy"] for record in records]
        ),
        "own_worst": min(honest, default=None),
        "own_median": float(np.median(honest)) if honest else None,
    }


def hops_of(
    hops: Iterable[HopRow], people: Sequence[ParticipantRow], hostile: frozenset[str]
) -> list[dict[str, Any]]:
    """Every hop; who trained it, by name."""
    return [
        {
            "round": hop.round,
            "lane": hop.lane,
            "position": hop.position,
            "trainer": people[hop.trainer].name,
            "base": hop.base[:_SHOWN],
            "model": hop.model[:_SHOWN] if hop.model else None,
            "outcome": hop.outcome,
            "vote": hop.vote,
            "hostile": people[hop.trainer].name in hostile,
        }
        for hop in hops
    ]


def participants_of(
    hops: Iterable[HopRow],
    people: Sequence[ParticipantRow],
    blocks: Iterable[Block],
    own: Mapping[str, float],
    hostile: frozenset[str],
) -> list[dict[str, Any]]:
    """Everybody; coins and hops are None for a strategy that has none."""
    if not people:
        nothing = dict.fromkeys(("coins", "earned", "accepted", "rejected", "voided", "examined"))
        return [
            {"name": n, "hostile": n in hostile, **nothing, "own_accuracy": accuracy}
            for n, accuracy in own.items()
        ]
    earned = _earned(blocks)
    voided = Counter(hop.trainer for hop in hops if fate(hop) == Outcome.VOIDED)
    return [
        {
            "name": row.name,
            "hostile": row.name in hostile,
            "coins": row.coins,
            "earned": to_coins(earned[row.index]),
            "accepted": row.accepted,
            "rejected": row.rejected,
            "voided": voided[row.index],
            "examined": row.examined,
            "own_accuracy": own.get(row.name),
        }
        for row in people
    ]


def _earned(blocks: Iterable[Block]) -> Counter[int]:
    """What each participant was paid in rewards, in units."""
    earned: Counter[int] = Counter()
    for block in blocks:
        for payment in block.payments if isinstance(block, Settlement) else ():
            if payment.rule in _REWARDS:
                earned[payment.participant] += payment.units
    return earned
