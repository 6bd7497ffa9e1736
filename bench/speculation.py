"""What speculation saves: the same relay with and without it, on the clocks of simulated fleets.

    python bench/speculation.py                       # digits, 20 devices, 3 fleets, seeds 0-2
    python bench/speculation.py --hostile label-flip+liar --share 0.2

Seconds are those of `flower_relay.comparison.devices`, whose numbers are assumptions. "Same" are
runs that ended with the ledger of the run without speculation, to the same head hash.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from clients.client_app import app  # noqa: E402
from clients.evaluation import initial_arrays  # noqa: E402
from flower_relay import InMemoryGrid, RelayStrategy  # noqa: E402
from flower_relay.comparison.devices import FLEETS, draw_devices  # noqa: E402
from flower_relay.comparison.fleet import FleetGrid  # noqa: E402
from flower_relay.rules.coins import to_coins  # noqa: E402
from strategies.lineup import build_strategy  # noqa: E402
from strategies.settings import parse  # noqa: E402

_NODES = 20


@dataclass(frozen=True, kw_only=True)
class Played:
    """One run: the strategy after it, and what its fleet's clock shows."""

    strategy: RelayStrategy
    seconds: float

    @property
    def accepted(self) -> int:
        """Hops that were accepted."""
        return int(self.strategy.running.state.who.accepted.sum())

    @property
    def compensated(self) -> float:
        """Coins paid to those whose work somebody else undid."""
        return to_coins(self.strategy.running.state.minted["compensation"])


def play(config: dict[str, Any], fleet: str) -> Played:
    """A run of digits over an `InMemoryGrid`, its nodes on one simulated fleet."""
    run = parse(config)
    inner = InMemoryGrid(app, _NODES, run_config=run.config)
    grid = FleetGrid(inner, {fleet: draw_devices(fleet, _NODES, int(config["seed"]))}, fleet)
    strategy = build_strategy(run, [], None)
    assert isinstance(strategy, RelayStrategy)
    strategy.start(grid, initial_arrays(run.config), num_rounds=run.rounds, timeout=600)
    return Played(strategy=strategy, seconds=grid.seconds[fleet])


def main() -> None:
    """Play each fleet and seed with and without speculation, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hops", type=int, default=100, help="budget of each run")
    parser.add_argument("--partition", default="dirichlet:0.3")
    parser.add_argument("--hostile", default="")
    parser.add_argument("--share", type=float, default=0.0)
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    defaults = tomllib.loads(text)["tool"]["flwr"]["app"]["config"]
    config = defaults | {
        "rounds": 10 * options.hops, "budget": options.hops, "partition": options.partition,
        "hostile": options.hostile, "hostile-share": options.share,
    }  # fmt: skip
    names = ("fleet", "s/accepted hop", "with", "saved", "ahead", "rolled back", "coins", "same")
    print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    for fleet in FLEETS:
        pairs = [
            tuple(play(config | {"seed": seed, "speculate": on}, fleet) for on in (False, True))
            for seed in range(options.seeds)
        ]
        print(f"| {fleet} | {' | '.join(_row(pairs))} |", flush=True)


def _row(pairs: list[tuple[Played, ...]]) -> list[str]:
    without, ahead = (
        [each.seconds / each.accepted for each in runs] for runs in zip(*pairs, strict=True)
    )
    saved = median(1 - b / a for a, b in zip(without, ahead, strict=True))
    records = [on.strategy.record for _, on in pairs]
    same = sum(off.strategy.chain.head == on.strategy.chain.head for off, on in pairs)
    return [
        f"{median(without):.3f}",
        f"{median(ahead):.3f}",
        f"{saved:.0%}",
        " ".join(str(record.hops_ahead) for record in records),
        " ".join(str(record.hops_rolled_back) for record in records),
        " ".join(f"{on.compensated:.3f}" for _, on in pairs),
        f"{same} of {len(pairs)}",
    ]


if __name__ == "__main__":
    main()
