"""How good a model of a user's app is, by what the app itself reports: one number, high is good.

The app's own test on the server counts where it has one; else what its participants measure on
their own cases. Where nothing like an accuracy is reported, it is the part of the first model's
loss that is gone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from flower_relay.errors import ConfigurationError
from flower_relay.wire.metrics import metrics_of, number_in, number_of
from strategies.user_app import Beginning

__all__ = ["UserTests"]

_GOOD = ("acc", "f1", "auc", "r2", "precision", "recall", "score")
"""Parts of names of metrics that are the better the higher they are."""


class UserTests:
    """Tests models of one app.

    Parameters
    ----------
    grid : flwr.serverapp.Grid
        The app's participants, for looking only.
    metric : str
        The metric to judge by; empty for one that is found by its name.

    Attributes
    ----------
    measured : str
        What is measured, in words.
    """

    def __init__(self, grid: Grid, beginning: Beginning, metric: str) -> None:
        self._grid, self._beginning, self._asked = grid, beginning, metric
        self._nodes = sorted(grid.get_node_ids())
        self._first: float | None = None
        central, own = self._central(beginning.arrays), self._said(beginning.arrays)
        self._names = sorted({name for metrics in own.values() for name in metrics})
        self._is_central = self._chosen(central) is not None
        name = self._chosen(central) or self._chosen(self._names)
        if name is None:
            raise ConfigurationError(
                f"metric = {metric!r}: expected a metric that the app's evaluation reports as a "
                f"number: {', '.join(sorted({*central, *self._names})) or 'it reports none'}."
            )
        self._name = name
        if self._is_loss:
            self._first = self._value(beginning.arrays)
        self.measured = self._described()

    def of(self, arrays: ArrayRecord) -> float:
        """A model's quality: the metric, or the part of the first loss that is gone."""
        value = self._value(arrays)
        if self._first is None:
            return value if math.isfinite(value) else 0.0
        gone = 1 - value / self._first if self._first > 0 else 0.0
        return max(0.0, gone) if math.isfinite(gone) else 0.0

    def by_participant(self, arrays: ArrayRecord) -> dict[str, float]:
        """The metric on each participant's own cases, by node id; nothing where it has none."""
        if self._name not in self._names or self._is_loss:
            return {}
        found = {str(node): number_in(m, self._name) for node, m in self._said(arrays).items()}
        return {node: value for node, value in found.items() if value is not None}

    def votes(self) -> dict[str, Any]:
        """The metric that examiners vote by, as a relay's settings name it."""
        if "eval_loss" in self._names:
            return {}
        losses = [name for name in self._names if "loss" in name.lower()]
        if losses:
            return {"utility-key": losses[0], "utility-rises": False}
        name = self._name if self._name in self._names else self._chosen(self._names)
        return {} if name is None else {"utility-key": name, "utility-rises": True}

    @property
    def voted_by(self) -> tuple[str, bool]:
        """That metric's name, and whether more of it is better."""
        votes = self.votes()
        return str(votes.get("utility-key", "eval_loss")), bool(votes.get("utility-rises", False))

    def content(self, arrays: ArrayRecord, config: ConfigRecord) -> RecordDict:
        """A message's content under the names that the app's own strategy uses."""
        keys = self._beginning.keys
        arrays_key = keys.get("arrayrecord_key", "arrays")
        config_key = keys.get("configrecord_key", "config")
        return RecordDict(
            {arrays_key: arrays, config_key: ConfigRecord({**config, "server-round": 1})}
        )

    @property
    def _is_loss(self) -> bool:
        return "loss" in self._name.lower()

    def _described(self) -> str:
        where = "on the app's own server" if self._is_central else "on participants' own cases"
        if self._first is not None:
            return f"the part of the first model's {self._name} that is gone, {where}"
        return f"{self._name} {where}"

    def _chosen(self, names: Iterable[str]) -> str | None:
        """The metric that is asked for, or that is an accuracy by its name, or else a loss."""
        names = list(names)
        if self._asked:
            return self._asked if self._asked in names else None
        found = [n for part in (*_GOOD, "loss") for n in names if part in n.lower()]
        return found[0] if found else None

    def _value(self, arrays: ArrayRecord) -> float:
        if self._is_central:
            return self._central(arrays).get(self._name, math.nan)
        said = self._said(arrays)
        weights = {node: number_in(m, self._weighted_by) or 1.0 for node, m in said.items()}
        values = {node: number_in(m, self._name) for node, m in said.items()}
        known = {node: value for node, value in values.items() if value is not None}
        total = sum(weights[node] for node in known)
        return sum(weights[n] * v for n, v in known.items()) / total if total else math.nan

    @property
    def _weighted_by(self) -> str:
        return self._beginning.keys.get("weighted_by_key", "num-examples")

    def _central(self, arrays: ArrayRecord) -> dict[str, float]:
        """What the app's own test on the server finds; nothing where it has none."""
        test = self._beginning.evaluate_fn
        found: Mapping[str, object] = dict((test and test(0, arrays)) or {})
        numbers = {name: number_of(value) for name, value in found.items()}
        return {name: value for name, value in numbers.items() if value is not None}

    def _said(self, arrays: ArrayRecord) -> dict[int, dict[str, Any]]:
        """What each participant reports of a model, its numbers only."""
        content = self.content(arrays, self._beginning.evaluate_config)
        messages = [Message(content, node, "evaluate") for node in self._nodes]
        found: dict[int, dict[str, Any]] = {}
        for reply in self._grid.send_and_receive(messages):
            if reply.has_error():
                raise ConfigurationError(
                    f"the app's ClientApp raised when it was asked to evaluate: "
                    f"{reply.error.reason}. A relay's participants test each other's models: "
                    "give the ClientApp an @app.evaluate() that does so."
                )
            metrics = metrics_of(reply)
            numbers = {name: number_in(metrics, name) for name in metrics}
            found[reply.metadata.src_node_id] = {
                name: value for name, value in numbers.items() if value is not None
            }
        return found
