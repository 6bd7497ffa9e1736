"""TensorBoard: event files in a folder, without TensorFlow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..store import ModelStore
from .tracker import Tracker, module

__all__ = ["TensorBoardTracker"]


class TensorBoardTracker(Tracker):
    """Writes event files; `tensorboard --logdir FOLDER` shows them.

    Parameters
    ----------
    folder : pathlib.Path or str
        Where to. The champion, which TensorBoard has no place for, is put beside them.
    models : callable, optional
        Opens the store that the champion is in.
    """

    def __init__(
        self, folder: Path | str, *, models: Callable[[], ModelStore] | None = None
    ) -> None:
        super().__init__(models=models)
        self._summary = module("tensorboard.summary")
        self._folder = Path(folder)
        self._writer: Any = None

    def begin(self, config: Mapping[str, Any]) -> None:
        """Open a file; the settings, which TensorBoard's own writer has no place for, beside it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writer = self._summary.Writer(str(self._folder))
        (self._folder / "settings.json").write_text(json.dumps(dict(config), indent=1))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """A scalar a metric."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def keep(self, path: Path) -> None:
        """Copy the file beside the events."""
        shutil.copy(path, self._folder / path.name)

    def finish(self) -> None:
        """Close the file."""
        self._writer.close()
