"""Where stored results come from: commands, commits, what tuning chose and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .figures import NAMES, table, where
from .stored import Stored

__all__ = ["commands_of", "played_by", "tuning_table"]


def commands_of(results: Sequence[Stored]) -> str:
    """The commands, as a block of code."""
    return "\n".join(["```bash", *(c for stored in results for c in stored.commands), "```"])


def played_by(results: Sequence[Stored]) -> str:
    """Which commits played them, with how many cells and hours of one core."""
    rows = [
        [
            stored.name,
            ", ".join(NAMES[s] for s in NAMES if s in {row["strategy"] for row in rows}),
            f"{played['version']}, {str(played['commit'])[:10]}",
            f"{len(rows)}",
            f"{sum(row['core_seconds'] for row in rows) / 60:.0f}",
        ]
        for stored in results
        for index, played in enumerate(stored.played)
        if (rows := [row for row in stored.rows if row["played"] == index])
    ]
    return "Minutes are of the reported cells alone, on a core that others used too.\n\n" + table(
        ["results", "strategies", "version and commit", "cells", "minutes"], rows
    )


def tuning_table(results: Sequence[Stored]) -> str:
    """What was chosen for each strategy in each world."""
    rows = [
        [where(data, partition), NAMES[strategy], _spelled(entry["chosen"].items()),
         str(entry["runs"]), f"{entry['client-epochs']:,.0f}"]
        for stored in results
        for key, entry in stored.tuning.items()
        for strategy, data, partition in [key.split("|")]
    ]  # fmt: skip
    return table(["world", "strategy", "chosen", "runs", "client-epochs"], rows)


def _spelled(chosen: Iterable[tuple[str, object]]) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in chosen)
