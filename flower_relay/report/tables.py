"""The tables at the end of a run, fit for 100 columns and for a log file."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..mechanism.identity import short_name
from ..rules.outcomes import Outcome
from .outcome import RunOutcome, fate

__all__ = ["participants_table", "print_outcome", "summary", "summary_table"]


def summary(outcome: RunOutcome) -> dict[str, Any]:
    """The run in a handful of numbers.

    Parameters
    ----------
    outcome : RunOutcome
        The run.

    Returns
    -------
    dict of name to number or None
        In the order of the table; None for what the run does not have.
    """
    # A node may report anything as its accuracy; what is no number ranks nowhere.
    own = sorted(v for v in outcome.participant_accuracy.values() if math.isfinite(v))
    return {
        "test accuracy at the end": outcome.test_accuracy,
        "test accuracy, last three of forty records": outcome.final_accuracy,
        "own data, worst": own[0] if own else None,
        "own data, median": float(np.median(own)) if own else None,
        "own data, best": own[-1] if own else None,
        "client-epochs": outcome.curve[-1][0] if outcome.curve else 0,
        **_fates(outcome),
        "messages": outcome.messages,
        "megabytes sent": outcome.bytes_sent / 1e6,
        "megabytes received": outcome.bytes_received / 1e6,
        "seconds": outcome.seconds,
    }


def _fates(outcome: RunOutcome) -> dict[str, int | None]:
    record = outcome.record
    counts = Counter(fate(hop) for hop in record.hops) if record else Counter[Outcome]()
    names = {
        "hops accepted": Outcome.ACCEPTED,
        "hops rejected or failed": Outcome.REJECTED,
        "hops voided": Outcome.VOIDED,
        "hops untested or left": Outcome.UNTESTED,
    }
    return {name: counts[key] if record else None for name, key in names.items()}


def summary_table(outcome: RunOutcome) -> Table:
    """The summary as a table; what the run does not have is left out."""
    table = Table(title=Text(outcome.title), title_justify="left")
    table.add_column("what")
    table.add_column("value", justify="right", no_wrap=True)
    for name, value in summary(outcome).items():
        if value is not None:
            table.add_row(name, _shown(name, value))
    return table


def _shown(name: str, value: float) -> str:
    if not isinstance(value, float):
        return f"{value:,}"
    return f"{value:,.1f}" if name == "seconds" or "mega" in name else f"{value:.4f}"


def participants_table(outcome: RunOutcome) -> Table:
    """Everybody's hops, coins and standing, and how well the champion serves them.

    Parameters
    ----------
    outcome : RunOutcome
        Without a record of a relay the table has no rows.
    """
    table = Table(title="Participants", title_justify="left", pad_edge=False, collapse_padding=True)
    table.add_column("participant", overflow="fold")
    for name in ("coins", "locked", "bond", "debt", "accepted", "rejected", "examined", "own data"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in outcome.record.participants if outcome.record else []:
        own = outcome.participant_accuracy.get(row.name, math.nan)
        hostile = row.name in outcome.hostile
        table.add_row(
            # A name comes from a node: as Text it is shown, never read as markup.
            Text(short_name(row.name) + (" (hostile)" if hostile else "")),
            f"{row.coins:,.2f}",
            f"{row.locked:,.2f}",
            f"{row.bond:.2f}",
            f"{row.debt:.2f}",
            str(row.accepted),
            str(row.rejected),
            str(row.examined),
            f"{own:.3f}" if math.isfinite(own) else "-",
            style="red" if hostile else None,
        )
    return table


def print_outcome(outcome: RunOutcome, console: Console) -> None:
    """Print both tables (the participants' only for a relay), the summary last."""
    if outcome.record is not None:
        console.print(participants_table(outcome))
    console.print(summary_table(outcome))
