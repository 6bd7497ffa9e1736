"""The tables at the end of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .outcome import RunOutcome

__all__ = ["participants_table", "print_outcome", "summary", "summary_table"]


def summary(outcome: RunOutcome) -> dict[str, Any]:
    """The run in a handful of numbers."""
    own = sorted(outcome.participant_accuracy.values())
    hops = [] if outcome.record is None else outcome.record.hops
    return {
        "test accuracy at the end": outcome.test_accuracy,
        "test accuracy, last three of forty records": outcome.final_accuracy,
        "own data, worst": own[0] if own else None,
        "own data, median": float(np.median(own)) if own else None,
        "own data, best": own[-1] if own else None,
        "client-epochs": outcome.curve[-1][0] if outcome.curve else 0,
        "hops accepted": sum(hop.outcome == "accepted" for hop in hops) if hops else None,
        "hops voided": sum(hop.outcome == "voided" for hop in hops) if hops else None,
        "hops rejected or failed": sum(hop.outcome not in ("accepted", "voided") for hop in hops)
        if hops
        else None,
        "messages": outcome.messages,
        "megabytes sent": outcome.bytes_sent / 1e6,
        "megabytes received": outcome.bytes_received / 1e6,
        "seconds": outcome.seconds,
    }


def summary_table(outcome: RunOutcome) -> Table:
    """The summary as a table."""
    table = Table(title=outcome.title, title_justify="left")
    table.add_column("what")
    table.add_column("value", justify="right")
    for name, value in summary(outcome).items():
        if value is not None:
            digits = 1 if name == "seconds" or "mega" in name else 4
            table.add_row(name, f"{value:.{digits}f}" if isinstance(value, float) else str(value))
    return table


def participants_table(outcome: RunOutcome) -> Table:
    """Everybody's hops, coins and standing, and how well the champion serves them."""
    table = Table(title="Participants", title_justify="left")
    for name in (
        "participant", "coins", "accepted", "rejected", "examined", "bond", "debt", "own data",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name == "participant" else "right")
    rows = outcome.record.participants if outcome.record else []
    for row in rows:
        own = outcome.participant_accuracy.get(row.name)
        table.add_row(
            row.name + (" (hostile)" if row.name in outcome.hostile else ""),
            f"{row.coins:.3f}",
            str(row.accepted),
            str(row.rejected),
            str(row.examined),
            f"{row.bond:.2f}",
            f"{row.debt:.2f}",
            "–" if own is None else f"{own:.3f}",
        )
    return table


def print_outcome(outcome: RunOutcome, console: Console) -> None:
    """Print both tables (the second only for a relay)."""
    if outcome.record is not None:
        console.print(participants_table(outcome))
    console.print(summary_table(outcome))
