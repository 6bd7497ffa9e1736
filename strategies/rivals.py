"""Two rivals that Flower does not ship, each as its paper has it, on Flower's own FedAvg.

SCAFFOLD corrects each client's drift by control variates, which travel beside the weights and
double what is sent. Daisy chaining (FedDC) hands whole models on from client to client, many
at once, and averages them now and then: the nearest relative of a relay among the published.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Message,
    MessageType,
    MetricRecord,
    RecordDict,
)
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

__all__ = ["CONTROL", "DaisyChain", "Scaffold"]

CONTROL = "control"
"""The record that control variates travel in, both ways."""

_Arrays = dict[str, "np.ndarray[Any, Any]"]


class Scaffold(FedAvg):
    """SCAFFOLD (Karimireddy et al. 2020), option II: control variates from the update itself.

    Parameters
    ----------
    server_learning_rate : float
        How much of the average update is taken.
    **options
        FedAvg's.

    Notes
    -----
    The ClientApp has to know of it: what comes in the record `control` is the server's variate
    (empty in the first round), what goes back there is the change of the client's own.
    Weights are averaged by cases, as by the other strategies; variates equally.
    """

    def __init__(self, *, server_learning_rate: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self._rate = server_learning_rate
        self._control: _Arrays = {}
        self._sent: _Arrays = {}
        self._everybody = 1

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """FedAvg's messages, with the server's control variate beside the weights."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self._sent, self._everybody = _arrays(arrays), len(list(grid.get_node_ids()))
        control = _record(self._control)
        for message in messages:
            message.content = RecordDict({**dict(message.content.items()), CONTROL: control})
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average the weights, and move the variate by the mean change over everybody."""
        received = list(replies)
        changes = [_arrays(r.content.pop(CONTROL)) for r in received if _has(r, CONTROL)]
        averaged, metrics = super().aggregate_train(server_round, received)
        if averaged is None:
            return None, metrics
        for change in changes:
            for name, moved in change.items():
                before = self._control.get(name, np.zeros_like(moved))
                self._control[name] = before + moved / self._everybody
        return _moved(self._sent, _arrays(averaged), self._rate), metrics


class DaisyChain(FedAvg):
    """FedDC's daisy chaining (Kamp et al. 2023): permute every round, average now and then.

    Parameters
    ----------
    average_every : int
        Rounds between two averages; what is published is the average in every round.
    **options
        FedAvg's; as many models are under way as clients train in a round.
    """

    def __init__(self, *, average_every: int = 10, **options: Any) -> None:
        super().__init__(**options)
        self._every = average_every
        self._models: list[ArrayRecord] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One model to each of the clients that are drawn, in an order drawn anew."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        start = self._models or [arrays]
        models = [start[place % len(start)] for place in range(len(messages))]
        random.shuffle(models)
        return [
            Message(
                RecordDict({self.arrayrecord_key: model, self.configrecord_key: config}),
                message.metadata.dst_node_id,
                MessageType.TRAIN,
            )
            for message, model in zip(messages, models, strict=True)
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Keep the models apart, but for every so many rounds; publish their average."""
        received = list(replies)
        trained = [r.content.array_records[self.arrayrecord_key] for r in received
                   if _has(r, self.arrayrecord_key)]  # fmt: skip
        averaged, metrics = super().aggregate_train(server_round, received)
        if averaged is not None:
            self._models = [averaged] if server_round % self._every == 0 else trained
        return averaged, metrics


def _has(reply: Message, record: str) -> bool:
    return not reply.has_error() and record in reply.content


def _arrays(record: Mapping[str, Any]) -> _Arrays:
    return {name: array.numpy() for name, array in record.items()}


def _record(arrays: _Arrays) -> ArrayRecord:
    return ArrayRecord({name: Array(values) for name, values in arrays.items()})


def _moved(base: _Arrays, averaged: _Arrays, rate: float) -> ArrayRecord:
    """The base moved towards the average; whole numbers are the average's."""
    return _record(
        {
            name: (base[name] + rate * (values - base[name])).astype(values.dtype)
            if np.issubdtype(values.dtype, np.floating)
            else values
            for name, values in averaged.items()
        }
    )
