"""The report of a run: a table, two pictures, and the same as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from .figures import learning_curve, lineage_picture
from .outcome import RunOutcome
from .tables import print_outcome, summary

__all__ = ["RunOutcome", "print_outcome", "summary", "write_report"]


def write_report(folder: Path, outcome: RunOutcome) -> list[Path]:
    """Write `result.json`, `learning_curve.png` and, for a relay, `lineage.png`.

    Returns
    -------
    list of Path
        What was written.
    """
    written = [folder / "result.json", folder / "learning_curve.png"]
    record = outcome.record
    content = {
        "strategy": outcome.strategy,
        "title": outcome.title,
        "config": dict(outcome.config),
        "summary": summary(outcome),
        "curve": outcome.curve,
        "participant_accuracy": dict(outcome.participant_accuracy),
        "hostile": sorted(outcome.hostile),
        "participants": [] if record is None else [asdict(p) for p in record.participants],
        "rounds": [] if record is None else [asdict(row) for row in record.rounds],
        "hops": [] if record is None else [asdict(row) for row in record.hops],
        "own_seconds": None if record is None else record.own_seconds,
    }
    written[0].write_text(json.dumps(content, indent=1), encoding="utf-8")
    learning_curve(outcome, written[1])
    if record is not None:
        written.append(folder / "lineage.png")
        lineage_picture(record, written[2], outcome.hostile)
    return written
