"""What a comparison keeps of a finished run: its end, its hops, its participants."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flower_relay import RelayStrategy, RunRecord
from flower_relay.blocks import Settlement
from flower_relay.chain import Chain
from flower_relay.comparison.figures import last_of_forty
from flower_relay.participant_keys import name_of_partition
from flower_relay.report.outcome import fate
from flower_relay.rules.coins import to_coins

__all__ = ["earned_on", "final_of", "hops_of", "participants_of"]

_SHOWN = 12
"""Characters of a model's hash that are kept: enough to tell a run's models apart."""

_REWARDS = frozenset({"contribution", "royalty", "examining"})
"""Payments that are rewards; refunds and compensations give back what was one's own."""


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


def hops_of(record: RunRecord, hostile: frozenset[str]) -> list[dict[str, Any]]:
    """Every hop; who trained it, by name."""
    names = [row.name for row in record.participants]
    return [
        {
            "round": hop.round,
            "lane": hop.lane,
            "position": hop.position,
            "trainer": names[hop.trainer],
            "base": hop.base[:_SHOWN],
            "model": hop.model[:_SHOWN] if hop.model else None,
            "outcome": hop.outcome,
            "vote": hop.vote,
            "hostile": names[hop.trainer] in hostile,
        }
        for hop in record.hops
    ]


def participants_of(
    relay: RelayStrategy | None, own: Mapping[str, float], hostile: frozenset[str], nodes: int
) -> list[dict[str, Any]]:
    """Everybody; coins and hops are None where a strategy has none."""
    if relay is None:
        nothing = dict.fromkeys(("coins", "earned", "accepted", "rejected", "voided", "examined"))
        names = [name_of_partition(number, None) for number in range(nodes)]
        return [
            {"name": n, "hostile": n in hostile, **nothing, "own_accuracy": own.get(n)}
            for n in names
        ]
    earned = earned_on(relay.chain)
    voided = Counter(hop.trainer for hop in relay.record.hops if fate(hop) == "voided")
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
        for row in relay.record.participants
    ]


def earned_on(chain: Chain) -> Counter[int]:
    """What each participant was paid in rewards, in units."""
    earned: Counter[int] = Counter()
    for block in chain:
        for payment in block.payments if isinstance(block, Settlement) else ():
            if payment.rule in _REWARDS:
                earned[payment.participant] += payment.units
    return earned
