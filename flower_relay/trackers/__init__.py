"""Runs in the tools that people already look at: TensorBoard, MLflow, Weights & Biases, Trackio.

    RelayStrategy(observers=[MLflowTracker()])

A hop is a step. Logged are each hop's vote and how many were accepted and rejected so far;
after each round the champion's utility and everybody's coins, locked pay, bond and rejected
hops; at the end the champion's weights, where the tracker is told which store they are in
(`models=`). A tracker that fails is named in the log and left out; the run goes on.

Each needs an extra of this package: `pip install 'flower-relay[mlflow]'`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigurationError
from ..store import ModelStore
from .mlflow import MLflowTracker
from .tensorboard import TensorBoardTracker
from .tracker import Tracker
from .trackio import TrackioTracker
from .wandb import WandbTracker

__all__ = [
    "TRACKERS",
    "MLflowTracker",
    "TensorBoardTracker",
    "Tracker",
    "TrackioTracker",
    "WandbTracker",
    "tracker_named",
]

TRACKERS = ("tensorboard", "mlflow", "wandb", "trackio")
"""Names for a run config."""


def tracker_named(
    name: str, folder: Path, models: Callable[[], ModelStore] | None = None
) -> Tracker:
    """The tracker that a run config names, for a run that is kept in a folder.

    Parameters
    ----------
    name : str
        One of `TRACKERS`.
    folder : pathlib.Path
        The run's; its name is the run's name, and TensorBoard's files go there.
    models : callable, optional
        Opens the store that the champion is in.

    Raises
    ------
    ConfigurationError
        When there is no such tracker, or what it needs is not installed.
    """
    if name == "tensorboard":
        return TensorBoardTracker(folder / "tensorboard", models=models)
    if name == "mlflow":
        return MLflowTracker(name=folder.name, models=models)
    if name == "wandb":
        return WandbTracker(name=folder.name, models=models)
    if name == "trackio":
        return TrackioTracker(name=folder.name, models=models)
    raise ConfigurationError(f"track = {name!r}: expected one of {', '.join(TRACKERS)}.")
