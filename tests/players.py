"""Made-up cells for tests of comparisons: nothing is trained, every number is known."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BEST = {
    "learning-rate": 0.4, "eta": 0.03, "server-learning-rate": 0.3, "server-momentum": 0.7,
    "fraction-train": 0.2, "trail": 0.1,
}  # fmt: skip
"""Settings at which a made-up strategy is fastest."""


def made_up(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A run whose accuracy rises the sooner, the nearer its settings are to the best."""
    settings = {"learning-rate": 0.2} | dict(cell["settings"])
    far = sum(abs(math.log2(settings[k] / best)) for k, best in BEST.items() if k in settings)
    relay = cell["strategy"].startswith("relay")
    steps = 10 if relay else 20
    hurt = 0.0 if relay or not cell["attack"] else 0.3
    records = []
    for step in range(41):
        epochs = step * cell["budget"] // 40
        rise = min(1.0, epochs / (steps * (1 + far)) / 2)
        records.append(record(epochs, 0.1 + (0.88 - hurt) * rise + 0.001 * (cell["seed"] % 3)))
    return finished(records, relay=relay, attacked=bool(cell["attack"]))


def fast_at_high_rates(cell: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with the best rate sixteen times as high."""
    settings = dict(cell["settings"])
    return made_up({**cell, "settings": {"learning-rate": settings["learning-rate"] / 16}})


def record(epochs: int, accuracy: float) -> dict[str, Any]:
    """What a record holds; a client-epoch moves 1,000 bytes and takes a second."""
    return {
        "epochs": epochs, "messages": epochs, "bytes_down": 600 * epochs, "bytes_up": 400 * epochs,
        "bytes_test": 0, "evaluations": 3 * epochs,
        "seconds": dict.fromkeys(("homogeneous", "phones", "hospitals"), epochs),
        "accuracy": accuracy, "loss": 1 - accuracy, "backdoor": None,
    }  # fmt: skip


def finished(
    records: list[dict[str, Any]], *, relay: bool = True, attacked: bool = False
) -> dict[str, Any]:
    """What a player returns: two hops by an honest trainer, two by one that may be hostile."""
    outcomes = [("a", "accepted"), ("a", "voided"), ("b", "rejected"), ("b", "accepted")]
    hops = [
        {"round": 1, "lane": 0, "position": 0, "trainer": who, "base": "", "model": None,
         "outcome": outcome, "vote": None, "hostile": attacked and who == "b"}
        for who, outcome in outcomes
    ]  # fmt: skip
    people = [
        {"name": "a", "hostile": False, "coins": 3.0, "earned": 3.0, "accepted": 1, "rejected": 0,
         "voided": 1, "examined": 0, "own_accuracy": 0.9},
        {"name": "b", "hostile": attacked, "coins": 1.0, "earned": 1.0, "accepted": 1,
         "rejected": 1, "voided": 0, "examined": 0, "own_accuracy": 0.8},
    ]  # fmt: skip
    return {
        "records": records,
        "final": {
            "accuracy": records[-1]["accuracy"], "own_worst": 0.8, "own_median": 0.85,
            "nothing_learned": 0.1,
            "staleness": {"median": 1.0, "worst": 2.0},
        },
        "hops": hops if relay else [],
        "participants": people,
        "timeline": {},
    }  # fmt: skip


def troubled(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Raises for seed 1, ends its process for seed 2."""
    if cell["seed"] == 1:
        raise ValueError("seed 1 is not to my taste")
    if cell["seed"] == 2:
        os._exit(9)
    return made_up(cell)


def deadly(cell: Mapping[str, Any]) -> dict[str, Any]:
    """For seed 1, notes its process and kills the one that started it."""
    if cell["seed"] == 1:
        Path(cell["settings"]["notes"]).write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return made_up(cell)


def noted(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Writes a line for each cell played, to the file that the settings name."""
    with Path(cell["settings"]["notes"]).open("a") as file:
        file.write(f"{cell['seed']}\n")
    return made_up(cell)
