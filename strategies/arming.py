"""What a rule that out-votes the hostile is told of an attack, so that it is at its best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["armed"]

_MOST_TRIMMED = 0.45
"""Share that the trimmed mean cuts off at either end, at most: something has to be left."""


def armed(strategy: str, cell: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What a robust rule has to be told of the attack to be at its best, unless a cell says so.

    MultiKrum how many of those who train may be hostile, and to keep the others; the trimmed
    mean to cut off at least as large a share.
    """
    share = float(cell["share"])
    if strategy == "fedtrimmedavg":
        return {"trim": max(float(config["trim"]), min(share, _MOST_TRIMMED))}
    if strategy == "multikrum":
        each = max(2, int(int(cell["nodes"]) * float(config["fraction-train"])))
        hostile = min(math.ceil(share * each), each - 1)
        return {"num-malicious-nodes": hostile, "num-nodes-to-select": each - hostile}
    return {}
