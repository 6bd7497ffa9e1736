"""An observer that leaves a run's page behind."""

from __future__ import annotations

from pathlib import Path

from ..federation.record import RelayObserver, RunRecord
from .run_page import write_run_page
from .run_view import Phase, RunView

__all__ = ["ReportWriter"]


class ReportWriter(RelayObserver):
    """Writes `report.html` when a run is over, and says where it is.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_end(self, record: RunRecord) -> None:
        """Write the page."""
        self._folder.mkdir(parents=True, exist_ok=True)
        phase = Phase(state="over", seconds=record.seconds)
        path = write_run_page(
            self._folder, [RunView(title=self._folder.name, record=record, phase=phase)]
        )
        print(f"The run's report is {path}", flush=True)
