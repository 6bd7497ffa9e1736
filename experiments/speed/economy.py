"""How the economy scales: time a participant-round, peak memory, early rounds against late.

    python -m experiments.speed.economy            256 x 5000, and 1e4, 1e5, 1e6 x 1000
    python -m experiments.speed.economy 100000x50  other sizes, participants x rounds

Each size runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

from flower_relay.economy import EconomySettings, simulate

SIZES = ("256x5000", "10000x1000", "100000x1000", "1000000x1000")


def measure(size: str) -> None:
    """Run one size and print its figures, tab-separated."""
    participants, rounds = (int(part) for part in size.split("x"))
    stamps = [time.perf_counter()]
    result = simulate(
        EconomySettings(participants=participants, rounds=rounds),
        on_round=lambda _: stamps.append(time.perf_counter()),
    )
    seconds, part = stamps[-1] - stamps[0], max(1, rounds // 5)
    early, late = stamps[part] - stamps[0], stamps[-1] - stamps[-1 - part]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    per_step = seconds / (participants * rounds)
    print(seconds, per_step, early / part, late / part, peak, result.gini[-1], sep="\t")


def main() -> None:
    """Measure every size and print the table."""
    table = Table(
        "participants x rounds", "time", "per participant-round", "a round, first fifth",
        "a round, last fifth", "peak memory", "Gini at the end", title="The paper's economy",
    )  # fmt: skip
    console = Console(width=120)
    for size in sys.argv[1:] or SIZES:
        with console.status(f"{size} ..."):
            run = subprocess.run(
                [sys.executable, "-m", __spec__.name, "--measure", size],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        figures = [float(value) for value in run.stdout.split("\t")]
        seconds, per_step, early, late, peak, gini = figures
        table.add_row(
            size.replace("x", " x "), f"{seconds:.1f} s", f"{per_step * 1e9:.0f} ns",
            f"{early * 1e3:.2f} ms", f"{late * 1e3:.2f} ms", f"{peak / 1e6:.0f} MB", f"{gini:.3f}",
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    else:
        main()
