"""Where a message's time went, from what server, nodes and ClientApps noted on one machine.

The server app notes when it pushed and pulled, each SuperNode's log (with `FLWR_LOG_LEVEL=DEBUG`
it has times) when it received, sent and started a process, and the ClientApp of `app/` when it
got how far. The phases are what lies between one note and the next, so they add up.
"""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

__all__ = ["PHASES", "noted", "phases_of"]

FLOWER, OURS, USERS = "Flower", "ours", "the app's"

PHASES = (
    ("server pushes the message and its objects", FLOWER, "pushed"),
    ("until the node looks for work (every 3 s)", FLOWER, "received"),
    ("node downloads it", FLOWER, "have"),
    ("until the SuperExec looks for work, starts a process", FLOWER, "process"),
    ("Python and Flower's own imports", FLOWER, "started"),
    ("the process fetches the message and the app", FLOWER, "input"),
    ("it unpacks and checks the app bundle", FLOWER, "installed"),
    ("until the app is imported", FLOWER, "loading"),
    ("the app's imports: flower_relay, clients", OURS, "loaded"),
    ("the ClientApp is called", FLOWER, "called"),
    ("PyTorch's import", USERS, "libraries"),
    ("the mod, data, training", USERS, "answered"),
    ("the reply goes to the node, which looks every 0.5 s", FLOWER, "sending"),
    ("node uploads it", FLOWER, "sent"),
    ("until the server app looks for replies", OURS, "pull"),
    ("server pulls the reply and its objects", FLOWER, "pulled"),
)
"""What, whose, and the note at its end; the first begins at `push`."""

_LINES = {
    "Received successfully": "have",
    "Start `flwr-clientapp` process": "started",
    "Start FAB installation": "input",
    "Start `ClientApp` Loading": "installed",
    "Sending: ": "sending",
    "Sent successfully": "sent",
}
_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3})\S*\s*:\s+(.*)")
_RECEIVING = re.compile(r"Receiving: .* \(ID: (\w+)\)")


def noted(
    clock: Mapping[str, dict[str, float]], logs: Iterable[Path], stamps: Path
) -> dict[str, dict[str, float]]:
    """All notes by message, of those messages whose way is known from one end to the other."""
    notes = {message: dict(found) for message, found in clock.items()}
    for log in logs:
        for message, key, moment in _of_log(log):
            if message in notes:
                notes[message].setdefault(key, moment)
    for message, found in notes.items():
        if (file := stamps / f"{message}.json").exists():
            found.update({k: v for k, v in json.loads(file.read_text()).items() if k != "kind"})
    needed = {"push", *(end for _, _, end in PHASES)}
    return {message: found for message, found in notes.items() if needed <= found.keys()}


def _of_log(log: Path) -> Iterable[tuple[str, str, float]]:
    """(message, note, moment) from a SuperNode's log; it has one message at a time."""
    message = ""
    for line in log.read_text(errors="replace").splitlines():
        if (found := _LINE.search(line)) is None:
            continue
        day, thousandths, text = found.groups()
        moment = time.mktime(time.strptime(day, "%Y-%m-%d %H:%M:%S")) + int(thousandths) / 1000
        if (received := _RECEIVING.search(text)) is not None:
            message = received.group(1)
            yield message, "received", moment
        for start, key in _LINES.items():
            if start in text:
                yield message, key, moment


def phases_of(notes: Iterable[Mapping[str, float]]) -> list[float]:
    """Mean seconds of every phase, in the order of `PHASES`; they add up to the mean message."""
    rows: list[list[float]] = []
    for note in notes:
        moments = [note["push"]]
        for _, _, end in PHASES:
            # The server may look while the node still uploads: no phase is less than nothing.
            latest = min(note[end], note["pull"]) if end == "sent" else note[end]
            moments.append(max(moments[-1], latest))
        rows.append([b - a for a, b in pairwise(moments)])
    return [statistics.mean(column) for column in zip(*rows, strict=True)]
