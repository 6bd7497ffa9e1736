"""The report of a run: tables, a page, two pictures, and the same as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..federation.record import RunRecord
from .figures import learning_curve, lineage_picture
from .outcome import RunOutcome
from .run_page import write_run_page
from .run_view import Phase, RunView
from .tables import participants_table, print_outcome, summary, summary_table

__all__ = [
    "RunOutcome",
    "learning_curve",
    "lineage_picture",
    "participants_table",
    "print_outcome",
    "summary",
    "summary_table",
    "write_report",
]


def write_report(folder: Path, outcome: RunOutcome) -> list[Path]:
    """Write `result.json`, `learning_curve.png` and, for a relay, its page and its lineage.

    These are `report.html`, `lineage.png` and `hops.json`.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    outcome : RunOutcome
        What to report.

    Returns
    -------
    list of Path
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = outcome.record
    written = [folder / "result.json", folder / "learning_curve.png"]
    _write_json(written[0], _content(outcome))
    learning_curve(outcome, written[1])
    if record is not None:
        written += [folder / "lineage.png", folder / "hops.json"]
        lineage_picture(record, written[2], outcome.hostile)
        _write_json(written[3], [asdict(row) for row in record.hops])
        written.append(write_run_page(folder, [_view(folder, record, outcome)]))
    return written


def _view(folder: Path, record: RunRecord, outcome: RunOutcome) -> RunView:
    return RunView(
        title=outcome.title or folder.name,
        record=record,
        tests=list(outcome.curve),
        phase=Phase(state="over", seconds=outcome.seconds),
        hostile=outcome.hostile,
    )


def _content(outcome: RunOutcome) -> dict[str, Any]:
    record = outcome.record
    return {
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


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(_finite(content), indent=1, allow_nan=False), encoding="utf-8")


def _finite(value: Any) -> Any:
    """Null where there is no number: JSON has no NaN, and nodes may report one."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
