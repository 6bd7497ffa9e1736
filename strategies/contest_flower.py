"""One cell of a comparison, played through Flower itself: SuperLink, Ray, bundle and all.

Slower by far than in memory, and real: for spot checks that both engines find the same. What
a run's folder does not hold (the simulated fleets' clocks, traffic record by record) is None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clients.evaluation import without_learning
from flower_relay import HopRow, ParticipantRow
from flower_relay.comparison.devices import FLEETS
from flower_relay.errors import RelayError
from flower_relay.ledger import read_sealed
from flower_relay.transport.superlink import PrivateSuperLink, run_app
from strategies.findings import final_of, hops_of, participants_of

__all__ = ["play_through_flower", "run_through_flower"]

ROOT = Path(__file__).resolve().parents[1]
_NAME = "cell"


def play_through_flower(cell: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Play a cell on a SuperLink of its own; what a comparison keeps of it."""
    with TemporaryDirectory(prefix="relay-cell-") as runs:
        folder = run_through_flower(int(cell["nodes"]), config, Path(runs))
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return _found(result, folder)


def run_through_flower(nodes: int, config: Mapping[str, Any], runs: Path) -> Path:
    """Run one config through Flower; the run's folder.

    Raises
    ------
    RelayError
        When the run did not end well.
    """
    given = {**config, "runs-dir": str(runs), "run-name": _NAME}
    words = " ".join(f"{key}={json.dumps(value)}" for key, value in given.items())
    with PrivateSuperLink(ROOT) as link:
        problem = run_app(link, nodes, words, quiet=True)
        if problem is not None:
            lines = link.log.read_text(errors="replace").splitlines()
            raise RelayError(f"through Flower: {problem}. {' '.join(lines[-3:])}")
    return runs / _NAME


def _found(result: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    own, hostile = result["participant_accuracy"], frozenset(result["hostile"])
    hops = [HopRow(**hop) for hop in result["hops"]]
    people = [ParticipantRow(**person) for person in result["participants"]]
    ledger = folder / "ledger.db"
    blocks = (sealed.block() for sealed in read_sealed(ledger)) if ledger.exists() else ()
    records = [_record(epochs, accuracy) for epochs, accuracy in result["curve"]]
    summary = result["summary"]
    records[-1] |= {
        "messages": summary["messages"],
        "bytes_down": round(summary["megabytes sent"] * 1e6),
        "bytes_up": round(summary["megabytes received"] * 1e6),
    }
    return {
        "records": records,
        "final": final_of(records, own, hostile)
        | {"staleness": None}
        | without_learning(result["config"]),
        "hops": hops_of(hops, people, hostile),
        "participants": participants_of(hops, people, blocks, own, hostile),
        "timeline": {},
    }


def _record(epochs: int, accuracy: float) -> dict[str, Any]:
    unknown = (
        "messages",
        "bytes_down",
        "bytes_up",
        "bytes_test",
        "loss",
        "backdoor",
        "evaluations",
    )
    return {
        "epochs": epochs,
        **dict.fromkeys(unknown),
        "seconds": dict.fromkeys(FLEETS),
        "accuracy": accuracy,
    }
