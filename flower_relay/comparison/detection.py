"""How well a relay told hostile hops from honest ones, and whom it paid."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..report.outcome import fate_of
from ..rules.outcomes import JUDGED, Outcome
from .contests import Contest
from .statistics import Interval, median

__all__ = ["detection_row", "figures_of_hops", "is_relay", "reward_share"]


def is_relay(found: Mapping[str, Any]) -> bool:
    """Whether a finished cell has hops to judge."""
    return bool(found["hops"])


def detection_row(contest: Contest, strategy: str) -> dict[str, Interval]:
    """The detection table's figures, over seeds."""
    by_seed = [figures_of_hops(found) for found in contest.cells[strategy].values()]
    row = {name: median([figures[name] for figures in by_seed]) for name in by_seed[0]}
    row["rewards to hostile, per head"] = median(contest.of(strategy, reward_share))
    return row


def figures_of_hops(found: Mapping[str, Any]) -> dict[str, float]:
    """Precision, recall and what honest participants lost; NaN for what there was none of."""
    fates = Counter((hop["hostile"], fate_of(hop["outcome"])) for hop in found["hops"])
    hostile = {what: fates[True, what] for what in JUDGED}
    honest = sum(count for (bad, _), count in fates.items() if not bad)
    rejected = hostile[Outcome.REJECTED] + fates[False, Outcome.REJECTED]
    any_hostile = any(person["hostile"] for person in found["participants"])
    return {
        "precision": _share(hostile[Outcome.REJECTED], rejected) if any_hostile else math.nan,
        "recall": _share(hostile[Outcome.REJECTED], sum(hostile.values())),
        "hostile hops": _share(len(found["hops"]) - honest, len(found["hops"])),
        "honest hops rejected": _share(fates[False, Outcome.REJECTED], honest),
        "honest hops voided": _share(fates[False, Outcome.VOIDED], honest),
    }


def reward_share(found: Mapping[str, Any]) -> float:
    """Rewards to hostile participants, as a multiple of their share of the heads.

    NaN where nobody is hostile, or nobody was paid.
    """
    people = found["participants"]
    hostile = [person for person in people if person["hostile"]]
    paid = sum(person["earned"] for person in people)
    if not hostile or paid == 0:
        return math.nan
    return float(sum(person["earned"] for person in hostile) / paid / (len(hostile) / len(people)))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
