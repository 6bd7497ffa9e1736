"""Results of a comparison that never ran, for tests of the page: synthetic, every number drawn.

Nothing here says anything about relay learning.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

FLEETS = {"homogeneous": 1.0, "phones": 4.0, "hospitals": 2.0}

STRATEGIES = {
    # name: (final error, client-epochs until most is learned, trained at once, accuracy lost
    # per share of hostile participants)
    "relay": (0.036, 45.0, 1, 0.03),
    "relay-untested": (0.034, 40.0, 1, 2.0),
    "cyclic": (0.045, 60.0, 1, 2.2),
    "fedavg": (0.052, 110.0, 10, 1.2),
    "fedavgm": (0.041, 85.0, 10, 1.4),
    "fedadam": (0.047, 90.0, 10, 1.5),
    "multikrum": (0.060, 120.0, 10, 0.15),
}
PARTITIONS = {"dirichlet:0.3": 1.0, "dirichlet:0.1": 1.5}
ATTACKS = (("label-flip", 0.2), ("sign-flip", 0.2), ("sign-flip", 0.4), ("creeping+liar", 0.2))
NODES, BUDGET, RECORDS = 20, 400, 40


def write_sample(
    folder: Path,
    *,
    seeds: int = 3,
    attacks: tuple[tuple[str, float], ...] = ATTACKS,
    strategies: tuple[str, ...] = tuple(STRATEGIES),
    truth: bool = True,
    data: str = "digits",
) -> Path:
    """Write a results folder as a comparison would."""
    (folder / "cells").mkdir(parents=True)
    for strategy in strategies:
        for partition in PARTITIONS:
            for attack, share in (("", 0.0), *attacks):
                for seed in range(seeds):
                    asked = _asked(strategy, data, partition, attack, share, seed)
                    write_cell(folder, _cell(asked))
    _write(folder / "plan.json", _plan(strategies, data, attacks, seeds))
    _write(folder / "tuning.json", _tuning(strategies, data))
    if truth:
        (folder / "truth").mkdir()
        _write(folder / "truth" / "shapley.json", _shapley())
        _write(folder / "truth" / "twins.json", _twins())
    return folder


def write_cell(folder: Path, content: dict[str, Any]) -> None:
    """Write one cell under its key."""
    _write(folder / "cells" / f"{content['key']}.json", content)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _asked(
    strategy: str, data: str, partition: str, attack: str, share: float, seed: int
) -> dict[str, Any]:
    return {
        "strategy": strategy, "data": data, "partition": partition, "attack": attack,
        "share": share, "seed": seed, "nodes": NODES, "budget": BUDGET, "engine": "memory",
        "fleet": "homogeneous", "settings": {"learning-rate": 0.2},
    }  # fmt: skip


def _cell(asked: dict[str, Any]) -> dict[str, Any]:
    name = json.dumps(asked, sort_keys=True)
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    rng = np.random.default_rng(int(key, 16) % 2**32)
    records = _records(asked, rng)
    accuracy = float(np.mean([record["accuracy"] for record in records[-3:]]))
    relay = asked["strategy"].startswith("relay")
    hops = _hops(asked, rng) if relay else []
    return {
        "schema": 2, "key": key, "cell": asked, "records": records,
        "final": {
            "accuracy": accuracy, "own_worst": accuracy - 0.2 * rng.random(),
            "own_median": accuracy - 0.01, "nothing_learned": 0.1,
            "staleness": {"median": 2.0, "worst": 9.0},
        },
        "hops": hops,
        "participants": _participants(asked, rng) if relay else [],
        "timeline": _timeline(asked, rng) if asked["seed"] == 0 and not asked["attack"] else {},
        "wall_seconds": 1.0,
    }  # fmt: skip


def _records(asked: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    error, pace, width, fragile = STRATEGIES[asked["strategy"]]
    hard = PARTITIONS[asked["partition"]]
    ending = min(0.9, error * hard + fragile * asked["share"] * (0.4 + 0.3 * rng.random()))
    pace = pace * hard * rng.uniform(0.75, 1.3)
    records = []
    for epochs in np.linspace(0, BUDGET, RECORDS + 1).astype(int).tolist():
        wrong = ending + (0.9 - ending) * np.exp(-epochs / pace * 2) + rng.normal(0, 0.004)
        slow = {fleet: epochs / width * factor for fleet, factor in FLEETS.items()}
        records.append(
            {
                "epochs": epochs, "messages": 2 * epochs,
                "evaluations": 28 * epochs if asked["strategy"] == "relay" else 0,
                "bytes_down": 19_000 * epochs,
                "bytes_up": 19_000 * epochs, "bytes_test": 0, "seconds": slow,
                "accuracy": float(np.clip(1 - wrong, 0, 1)), "loss": float(wrong),
                "backdoor": None,
            }
        )  # fmt: skip
    return records


def _hops(asked: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    bad = int(NODES * asked["share"])
    base, hops = "genesis", []
    for index in range(120):
        trainer = int(rng.permutation(NODES)[0])
        hostile = trainer < bad
        tested = asked["strategy"] == "relay"
        odds = [0.1, 0.85, 0.05] if hostile and tested else [0.94, 0.02, 0.04]
        outcome = str(rng.choice(["accepted", "rejected", "voided"], p=odds))
        model = hashlib.sha256(f"{asked}{index}".encode()).hexdigest()
        hops.append(
            {
                "round": index // 4, "lane": 0, "position": index % 4,
                "trainer": f"partition:{trainer}", "base": base, "model": model,
                "outcome": outcome,
                "vote": float(rng.normal(-0.2 if hostile else 0.02, 0.02)), "hostile": hostile,
            }
        )  # fmt: skip
        base = model if outcome == "accepted" else base
    return hops


def _participants(asked: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    bad = int(NODES * asked["share"])
    return [
        {
            "name": f"partition:{index}", "hostile": index < bad, "coins": 1.0,
            "earned": float(rng.random() * (0.1 if index < bad else 1.0)), "accepted": 5,
            "rejected": 1, "voided": 0, "examined": 9, "own_accuracy": 0.9,
        }
        for index in range(NODES)
    ]  # fmt: skip


def _timeline(asked: dict[str, Any], rng: np.random.Generator) -> dict[str, list[dict[str, Any]]]:
    width = STRATEGIES[asked["strategy"]][2]
    return {fleet: _messages(width, factor, rng) for fleet, factor in FLEETS.items()}


def _messages(width: int, factor: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    clock, messages = 0.0, []
    for turn in range(160 // width):
        kind = "evaluate" if width == 1 and turn % 5 == 4 else "train"
        nodes = rng.permutation(NODES)[: width if kind == "train" else 11].tolist()
        took = (rng.uniform(0.7, 1.6, len(nodes)) * (factor if kind == "train" else 0.3)).tolist()
        for node, seconds in zip(nodes, took, strict=True):
            messages.append(
                {"node": node, "kind": kind, "start": clock, "end": clock + seconds, "round": turn}
            )
        clock += max(took)
    return messages


def _plan(
    strategies: tuple[str, ...], data: str, attacks: tuple[tuple[str, float], ...], seeds: int
) -> dict[str, Any]:
    return {
        "strategies": list(strategies), "data": [data], "partitions": list(PARTITIONS),
        "attacks": ["", *sorted({name for name, _ in attacks})], "shares": [0.2, 0.4],
        "seeds": list(range(seeds)), "nodes": NODES, "budget": BUDGET, "engine": "memory",
        "fleets": list(FLEETS), "fleet": "homogeneous", "settings": {}, "target": 0.95,
        "versions": {"flower-relay": "0.0 (synthetic)", "python": "3"},
    }  # fmt: skip


def _tuning(strategies: tuple[str, ...], data: str) -> dict[str, Any]:
    return {
        f"{strategy}|{data}|{partition}": {
            "learning-rate": 0.2,
            "tried": [{"settings": {"learning-rate": 0.1}, "seeds": [100], "score": 0.9}],
        }
        for strategy in strategies
        for partition in PARTITIONS
    }


def _shapley(federations: int = 12) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    found = []
    for seed in range(federations):
        true = rng.dirichlet(np.full(6, 3.0)) * 0.9
        noisy = {
            name: (true + rng.normal(0, spread, 6)).tolist()
            for name, spread in (
                ("replicate", 0.02), ("leave_one_out", 0.15), ("contribution", 0.05),
                ("royalty", 0.2),
            )
        }  # fmt: skip
        found.append(
            {"seed": seed, "sizes": [60] * 6, "noise": [0.0] * 6, "shapley": true.tolist(), **noisy}
        )
    return {"federations": found}


def _twins(pairs: int = 20) -> dict[str, Any]:
    rng = np.random.default_rng(8)
    drawn = rng.lognormal(0, 0.15, (pairs, 2)).tolist()
    return {
        "pairs": [{"seed": seed, "first": a, "last": b} for seed, (a, b) in enumerate(drawn)],
        "rule": "contribution",
    }
