"""Whom pay reaches by other constants: liars, sleepers and twins, in real relays.

    python -m experiments.truth.payouts --workers 2
    python -m experiments.truth.payouts "as it is" "all at once" --seeds 3

A way to pay is the part of what is due that a cycle divides, what points count a cycle later,
and for how many cycles pay is locked. All else is the library's own.
"""

from __future__ import annotations

import argparse
import functools
import logging
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module

import numpy as np

from experiments.truth.rewards import pair_of_twins, ratio_interval
from flower_relay.comparison.detection import reward_share
from flower_relay.rules.rewards import PAID_EACH_CYCLE, POINTS_KEPT, VESTING_DELAY
from strategies.contest import play_in_memory

WAYS: Mapping[str, tuple[float, float, int]] = {
    "as it is": (PAID_EACH_CYCLE, POINTS_KEPT, VESTING_DELAY),
    "all at once": (1.0, POINTS_KEPT, VESTING_DELAY),
    "three quarters kept": (PAID_EACH_CYCLE, 0.75, VESTING_DELAY),
    "locked for two cycles": (PAID_EACH_CYCLE, POINTS_KEPT, 2),
    "as before: all, three quarters, two": (1.0, 0.75, 2),
}
"""Name to what a cycle divides, what points count a cycle later, and cycles locked."""

ATTACKS = ("sleeper:6+sign-flip+liar", "audit-liar")
DATA = ("digits", "spambase")
_FIRST_TWINS = 3000


def main() -> None:
    """Play the ways that are asked for; print a row each."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ways", nargs="*", metavar="WAY", help=", ".join(WAYS))
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    if unknown := set(given.ways) - WAYS.keys():
        parser.error(f"{sorted(unknown)[0]!r} is not one of: {', '.join(WAYS)}.")
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    heads = [f"{attack}, {data}" for attack in ATTACKS for data in DATA]
    print("| " + " | ".join(["", *heads, "twins", "differing twins"]) + " |")
    with ProcessPoolExecutor(given.workers) as pool:
        for way in given.ways or WAYS:
            one = functools.partial(_share, way)
            cells = [(data, attack, seed) for attack in ATTACKS for data in DATA for seed in seeds]
            shares = np.array(list(pool.map(one, cells))).reshape(-1, given.seeds)
            figures = [f"{row.mean():.2f} ({row.max():.2f})" for row in shares]
            for differing in (False, True):
                twin = functools.partial(_pair, way, differing)
                pairs = list(pool.map(twin, range(_FIRST_TWINS, _FIRST_TWINS + given.pairs)))
                figures.append("{:.2f} ({:.2f} to {:.2f})".format(*ratio_interval(pairs)))
            print("| " + " | ".join([way, *figures]) + " |", flush=True)


def _share(way: str, cell: tuple[str, str, int]) -> float:
    """What the hostile fifth was paid, by its share of the heads."""
    _pay_by(*WAYS[way])
    data, attack, seed = cell
    played = play_in_memory(
        {
            "strategy": "relay", "data": data, "partition": "dirichlet:0.3", "attack": attack,
            "share": 0.2, "seed": seed, "nodes": 20, "budget": 300, "engine": "memory",
            "fleet": "homogeneous", "settings": {"learning-rate": 0.4},
        }
    )  # fmt: skip
    return reward_share(played.found)


def _pair(way: str, differing: bool, seed: int) -> dict[str, float]:
    """What first and last twins earn."""
    _pay_by(*WAYS[way])
    return pair_of_twins(seed, 20, differing=differing)


def _pay_by(part: float, kept: float, delay: int) -> None:
    """Have this process, which plays one relay, pay in another way."""
    for module, name, value in (
        ("rewards", "PAID_EACH_CYCLE", part),
        ("apply", "POINTS_KEPT", kept),
        ("apply", "VESTING_DELAY", delay),
    ):
        setattr(import_module(f"flower_relay.mechanism.{module}"), name, value)


if __name__ == "__main__":
    main()
