"""Trackio: a local database, shown by `trackio show`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..store import ModelStore
from .tracker import Tracker, module

__all__ = ["TrackioTracker"]


class TrackioTracker(Tracker):
    """Logs to Trackio, in the folder that `TRACKIO_DIR` names.

    Parameters
    ----------
    project : str
        The project there.
    name : str, optional
        The run's.
    models : callable, optional
        Opens the store that the champion is in.
    """

    def __init__(
        self,
        project: str = "flower-relay",
        *,
        name: str | None = None,
        models: Callable[[], ModelStore] | None = None,
    ) -> None:
        super().__init__(models=models)
        self._trackio = module("trackio")
        self._project, self._name = project, name
        self._run: Any = None

    def begin(self, config: Mapping[str, Any]) -> None:
        """Begin a run of the project."""
        self._run = self._trackio.init(
            project=self._project, name=self._name, config=dict(config), embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """One row a hop, and one a round."""
        self._run.log(dict(metrics), step=step)

    def keep(self, path: Path) -> None:
        """An artifact of the kind `model`."""
        self._run.log_artifact(str(path), name="champion", type="model")

    def finish(self) -> None:
        """Write what is left."""
        self._run.finish()
