"""MLflow: where `MLFLOW_TRACKING_URI` or the argument says, else a database in this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..store import ModelStore
from .tracker import Tracker, module

__all__ = ["MLflowTracker"]


class MLflowTracker(Tracker):
    """Logs to MLflow (`mlflow-skinny` is enough).

    Parameters
    ----------
    experiment : str
        Made where there is none yet.
    name : str, optional
        The run's; MLflow makes one up otherwise.
    uri : str, optional
        A server's address, `sqlite:///FILE` or a folder; else MLflow's own settings.
    models : callable, optional
        Opens the store that the champion is in.
    """

    def __init__(
        self,
        experiment: str = "flower-relay",
        *,
        name: str | None = None,
        uri: str | None = None,
        models: Callable[[], ModelStore] | None = None,
    ) -> None:
        super().__init__(models=models)
        self._client: Any = module("mlflow").MlflowClient(tracking_uri=uri)
        self._metric = module("mlflow.entities").Metric
        self._parameter = module("mlflow.entities").Param
        self._experiment, self._name = experiment, name
        self._run = ""

    def begin(self, config: Mapping[str, Any]) -> None:
        """Begin a run of the experiment, with the settings as its parameters."""
        found = self._client.get_experiment_by_name(self._experiment)
        number = found.experiment_id if found else self._client.create_experiment(self._experiment)
        self._run = self._client.create_run(number, run_name=self._name).info.run_id
        given = [self._parameter(key, str(value)) for key, value in config.items()]
        self._client.log_batch(self._run, params=given)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """All in one request."""
        found = [self._metric(name, value, 0, step) for name, value in metrics.items()]
        for first in range(0, len(found), 1000):  # more than MLflow takes at once
            self._client.log_batch(self._run, metrics=found[first : first + 1000])

    def keep(self, path: Path) -> None:
        """An artifact of the run."""
        self._client.log_artifact(self._run, str(path))

    def finish(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._run)
