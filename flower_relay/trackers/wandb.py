"""Weights & Biases, online or offline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..store import ModelStore
from .tracker import Tracker, module

__all__ = ["WandbTracker"]


class WandbTracker(Tracker):
    """Logs to Weights & Biases.

    Parameters
    ----------
    project : str
        The project there.
    name : str, optional
        The run's.
    mode : str, optional
        `offline` writes files that `wandb sync` sends later; else as `WANDB_MODE` says.
    folder : pathlib.Path, optional
        Where its files go; else as `WANDB_DIR` says.
    models : callable, optional
        Opens the store that the champion is in.
    """

    def __init__(
        self,
        project: str = "flower-relay",
        *,
        name: str | None = None,
        mode: str | None = None,
        folder: Path | None = None,
        models: Callable[[], ModelStore] | None = None,
    ) -> None:
        super().__init__(models=models)
        self._wandb = module("wandb")
        self._project, self._name, self._mode, self._folder = project, name, mode, folder
        self._run: Any = None

    def begin(self, config: Mapping[str, Any]) -> None:
        """Begin a run of the project."""
        self._run = self._wandb.init(
            project=self._project, name=self._name, mode=self._mode, dir=self._folder,
            config=dict(config), reinit="create_new",
        )  # fmt: skip

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """One row a hop; a round's numbers go into the row of its last hop."""
        self._run.log(dict(metrics), step=step)

    def keep(self, path: Path) -> None:
        """An artifact of the kind `model`."""
        artifact = self._wandb.Artifact("champion", type="model")
        artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def finish(self) -> None:
        """Write what is left."""
        self._run.finish()
