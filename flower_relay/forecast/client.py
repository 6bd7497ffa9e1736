"""An imagined ClientApp: it learns a little at every training, and computes nothing to speak of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from ..mods import relay_mod

__all__ = ["SMALL", "Counted", "first_arrays", "imagined_app"]

SMALL = 16_384
"""Weights of the imagined model: enough for a message to be mostly weights."""

_RATE, _NOISE = 0.05, 0.002


@dataclass
class Counted:
    """How often a model was evaluated."""

    evaluations: int = 0


def first_arrays() -> ArrayRecord:
    """The model that a run begins with."""
    return ArrayRecord({"weights": Array(np.zeros(SMALL, np.float32))})


def imagined_app(cases: int, *, mod: bool) -> tuple[ClientApp, Counted]:
    """The ClientApp, and what it counts.

    Parameters
    ----------
    cases : int
        That each participant trains on; it examines on a fifth of as many.
    mod : bool
        Whether participants run `relay_mod`.
    """
    app, counted = ClientApp(mods=[relay_mod] if mod else []), Counted()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        """A step towards ones, not quite straight."""
        weights = _weights(message)
        rng = np.random.default_rng(int(1e6 * float(weights.sum())) % 2**32)
        made = weights + _RATE * (1 - weights) + _NOISE * rng.standard_normal(SMALL)
        return _reply(message, {"arrays": ArrayRecord({"weights": Array(made.astype(np.float32))})},
                      cases)  # fmt: skip

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        """How far it is from ones."""
        counted.evaluations += 1
        loss = float(np.mean((1 - _weights(message)) ** 2))
        return _reply(message, {}, max(1, cases // 5), eval_loss=loss)

    return app, counted


def _weights(message: Message) -> NDArray[np.float32]:
    arrays = message.content["arrays"]
    assert isinstance(arrays, ArrayRecord)
    return arrays["weights"].numpy()


def _reply(
    message: Message, content: dict[str, ArrayRecord], cases: int, **metrics: float
) -> Message:
    found = MetricRecord({**metrics, "num-examples": cases})
    return Message(RecordDict({**content, "metrics": found}), reply_to=message)
