"""A folder that keeps a run: its ledger, its models, its report, its champion.

    run = RunFolder.new("~/relay-runs")
    strategy = RelayStrategy(chain=run.chain, store=run.store, observers=run.observers)
    result = strategy.start(grid, arrays, num_rounds=100)
    run.save_champion(result)

Under `flwr run` a relative path would be below the folder that the SuperLink was started in,
which is seldom the app's; give a whole path, or one from `~`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from flwr.serverapp.strategy import Result
from rich.console import Console

from .federation.progress import ProgressDisplay
from .federation.record import RelayObserver
from .federation.run import to_arrays
from .files.durable import make_folder
from .ledger import OperatorKey, SqlChain, open_ledger
from .ledger.address import LEDGER_FILE
from .report.observer import ReportWriter
from .store import FolderStore, canonical_bytes
from .trackers import tracker_named

__all__ = ["RunFolder"]


class RunFolder:
    """What `RelayStrategy` needs to keep a run in a folder.

    Parameters
    ----------
    path : pathlib.Path
        The run's folder; the operator's key lies beside it, never in it.
    track : str
        One of `flower_relay.trackers.TRACKERS`, or empty for none.

    Attributes
    ----------
    observers : tuple of RelayObserver
        Progress on the console, `report.html` in the folder at the end, and the tracker.

    Examples
    --------
    >>> run = RunFolder.new("~/relay-runs")     # doctest: +SKIP
    >>> RelayStrategy(chain=run.chain, store=run.store)  # doctest: +SKIP
    """

    def __init__(self, path: Path, track: str = "") -> None:
        self.path = path.absolute()
        own = (ProgressDisplay(Console()), ReportWriter(self.path))
        others = (tracker_named(track, self.path, self.store),) if track else ()
        self.observers: tuple[RelayObserver, ...] = (*own, *others)

    @classmethod
    def new(cls, runs: str | Path, track: str = "") -> RunFolder:
        """A new folder below `runs`, named by the time; said on the console.

        Parameters
        ----------
        runs : str or pathlib.Path
            Where runs are kept; `~` is the user's home.
        track : str
            As above.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        made = cls(Path(runs).expanduser() / stamp, track)
        make_folder(made.path)
        print(f"This run's files go to {made.path}", flush=True)
        print(f"Watch it: flower-relay watch {made.path}", flush=True)
        return made

    def chain(self) -> SqlChain:
        """The run's ledger, open for writing, begun where there is none."""
        path, key_file = self.path / LEDGER_FILE, self.path.parent / "operator.key"
        # A new key could not go on with a ledger that is there.
        key = OperatorKey.load(key_file) if path.exists() else OperatorKey.load_or_create(key_file)
        return open_ledger(path, key=key)

    def store(self) -> FolderStore:
        """The run's models."""
        return FolderStore(self.path / "models")

    def save_champion(self, result: Result) -> Path:
        """Write a run's champion as `champion.safetensors`, the name that reports give it."""
        path = self.path / "champion.safetensors"
        path.write_bytes(canonical_bytes(to_arrays(result.arrays)))
        print(f"The champion's weights are in {path}", flush=True)
        return path
