"""What all trackers do: turn a run's rows into metrics by name, and log them by step."""

from __future__ import annotations

import importlib
import math
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from logging import WARNING
from pathlib import Path
from typing import Any

from flwr.common import log

from ..bundle import EXTRAS
from ..errors import ConfigurationError
from ..federation.record import HopRow, ParticipantRow, RelayObserver, RoundRow, RunRecord
from ..mechanism.identity import short_name
from ..report.outcome import fate
from ..rules.outcomes import Outcome
from ..store import ModelStore, canonical_bytes

__all__ = ["CHAMPION", "Tracker", "module"]

CHAMPION = "champion.safetensors"
"""The artifact's name."""

_LONGEST = 60
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_:-]+")


class Tracker(RelayObserver):
    """An observer that logs; a subclass says where to.

    Parameters
    ----------
    models : callable, optional
        Opens the store that the run's models are in (what `RelayStrategy(store=...)` is
        given); without it the champion is not logged.
    """

    def __init__(self, *, models: Callable[[], ModelStore] | None = None) -> None:
        self._models = models
        self._accepted = self._rejected = 0
        self._works = True

    # What a subclass writes.

    def begin(self, config: Mapping[str, Any]) -> None:
        """A run begins, or goes on, under these settings."""
        raise NotImplementedError

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log numbers under their names; steps never fall."""
        raise NotImplementedError

    def keep(self, path: Path) -> None:
        """Keep a file as the run's artifact."""
        raise NotImplementedError

    def finish(self) -> None:
        """The run is over."""
        raise NotImplementedError

    # What the run tells.

    def on_start(self, record: RunRecord) -> None:
        """Begin, under the run's settings."""
        self._works, self._accepted, self._rejected = True, 0, 0
        config = asdict(record.settings)
        self._try(self.begin, config | {"participants": len(record.participants)})

    def on_hop(self, record: RunRecord, hop: HopRow) -> None:
        """A hop is a step."""
        what = fate(hop)
        self._accepted += what == Outcome.ACCEPTED
        self._rejected += what == Outcome.REJECTED
        found = {
            "hops/accepted": float(self._accepted),
            "hops/rejected": float(self._rejected),
            "hop/vote": hop.vote,
            "hop/seconds": hop.seconds,
        }
        self._log(found, len(record.hops))

    def on_round(self, record: RunRecord, row: RoundRow) -> None:
        """Everybody's coins and rejections, and the champion's utility."""
        found: dict[str, float | None] = {"utility": row.utility, "round": float(row.round)}
        for name, person in _named(record.participants).items():
            for key in ("coins", "locked", "bond", "debt", "rejected"):
                found[f"{key}/{name}"] = float(getattr(person, key))
        self._log(found, len(record.hops))

    def on_end(self, record: RunRecord) -> None:
        """Log the champion and finish."""
        if self._models is not None and record.rounds:
            self._try(self._keep_champion, self._models, record.rounds[-1].champion)
        self._try(self.finish)

    def _keep_champion(self, models: Callable[[], ModelStore], name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / CHAMPION
            path.write_bytes(canonical_bytes(models().get(name)))
            self.keep(path)

    def _log(self, found: Mapping[str, float | None], step: int) -> None:
        known = {k: float(v) for k, v in found.items() if v is not None and math.isfinite(v)}
        self._try(self.log, known, step)

    def _try(self, action: Callable[..., None], *terms: Any) -> None:
        """Do it; a tracker that fails is named once, and the run goes on without it."""
        if not self._works:
            return
        try:
            action(*terms)
        except Exception as problem:
            self._works = False
            log(WARNING, "%s failed and is left out: %s", type(self).__name__, problem)


def module(name: str) -> Any:
    """A tracker's own library.

    Raises
    ------
    ConfigurationError
        When it is not installed; the extra that brings it is named.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        extra = EXTRAS[name.partition(".")[0]]
        raise ConfigurationError(
            f"this tracker needs {problem.name}, which is not installed. Nothing was run. "
            f"pip install 'flower-relay[{extra}]'"
        ) from problem


def _named(people: list[ParticipantRow]) -> dict[str, ParticipantRow]:
    """Participants by names that are safe in a path, each its own."""
    found: dict[str, ParticipantRow] = {}
    for person in people:
        name = _NOT_PLAIN.sub("_", short_name(person.name))[:_LONGEST] or "_"
        found[name if name not in found else f"{name}_{person.index}"] = person
    return found
