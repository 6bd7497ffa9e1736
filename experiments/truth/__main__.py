"""Hold rewards against the truth: Shapley values, and twins at fixed places.

    python -m experiments.truth --out runs/comparison
    python -m experiments.truth --only hostile
    python -m experiments.truth --only hostile --behaviour audit-liar --seeds 3
    python -m experiments.truth --only twins --set max-leg=1 --set audit=1.0

Writes `truth/shapley.json` and `truth/twins.json` under `--out`, as the report reads them.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from experiments.truth.rewards import (
    correlations,
    federation_truth,
    hostile_share,
    pair_of_twins,
    ratio_interval,
)
from flower_relay.files.durable import make_folder, write_whole

_BEHAVIOURS = (
    "free-ride-noise", "copycat", "label-flip+liar", "liar", "audit-liar",
    "free-ride-noise+audit-liar",
)  # fmt: skip

_RULE = "a cycle's rise, by what each audited hop's step adds to its lane's trail"


def main() -> None:
    """Run what is asked for, print it, and write it down."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/comparison"))
    parser.add_argument("--only", choices=["shapley", "twins", "differing-twins", "hostile"])
    parser.add_argument("--seeds", type=int, help="30 federations and 20 pairs by default")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--behaviour", action="append", help="a hostile one; repeatable")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    options = dict(_setting(text) for text in given.set)
    folder = given.out / "truth"
    make_folder(folder)
    if given.only in (None, "shapley"):
        one = functools.partial(federation_truth, cycles=given.cycles, **options)
        rows = _each(one, _seeds(given, 30), given.workers)
        found = correlations(rows)
        for name, value in found.items():
            print(f"{name:<14} {value:6.3f}   ({value / found['replicate']:.2f} of the replicate)")
        _write(folder / "shapley.json", {"federations": rows})
    for name, differing in (("twins", False), ("differing-twins", True)):
        if given.only in (None, name):
            pair = functools.partial(
                pair_of_twins, cycles=given.cycles, differing=differing, **options
            )
            pairs = _each(pair, _seeds(given, 20), given.workers)
            ratio, low, high = ratio_interval(pairs)
            print(f"{name}: first / last {ratio:.3f}, 95 % interval {low:.3f} to {high:.3f}")
            _write(folder / f"{name}.json", {"pairs": pairs, "rule": _RULE})
    if given.only == "hostile":
        behaviours = given.behaviour or _BEHAVIOURS
        _hostile(behaviours, _seeds(given, 10), given.workers, options)


def _hostile(
    behaviours: Sequence[str], seeds: range, workers: int, options: dict[str, Any]
) -> None:
    """Ten cycles each: most of the coins are paid by then."""
    for behaviour in behaviours:
        one = functools.partial(hostile_share, behaviour=behaviour, cycles=10, **options)
        shares = sorted(row["share"] for row in _each(one, seeds, workers))
        print(
            f"20 % {behaviour:<26} of all contribution: median {statistics.median(shares):.3f}, "
            f"mean {statistics.mean(shares):.3f}, most {shares[-1]:.3f}"
        )


def _seeds(given: argparse.Namespace, usual: int) -> range:
    return range(given.first_seed, given.first_seed + (given.seeds or usual))


def _setting(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        return key.replace("-", "_"), json.loads(value)
    except json.JSONDecodeError:
        return key.replace("-", "_"), value


def _each(
    play: Callable[[int], dict[str, Any]], seeds: range, workers: int
) -> list[dict[str, Any]]:
    """One result a seed, with progress."""
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(workers) as pool:
        for row in pool.map(play, seeds):
            rows.append(row)
            print(f"\r{len(rows)} of {len(seeds)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return rows


def _write(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=1).encode())
    print(f"written: {path}")


if __name__ == "__main__":
    main()
