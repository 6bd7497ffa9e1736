"""Attacks on a comparison of a user's own app: those that change only what is answered.

They stand around the ClientApp, which stays as it is. What changes the cases that are trained on
(turned labels) is not here, as an app loads its own. Neither is what needs the colluders' own
updates (ALIE, inner products, min-max), or tests while it trains (creeping, backdoors).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from clients.hostile import Behaviour, colleagues, parse_behaviour
from flower_relay.errors import ConfigurationError
from flower_relay.wire.metrics import number_in

__all__ = ["POSSIBLE", "Hostile", "parsed"]

POSSIBLE = ("sign-flip", "scale", "noise", "free-ride", "liar", "sleeper")
"""Parts of a behaviour that can be played around any ClientApp."""

_NOISE, _REVERSED = 0.5, -4.0
_RELAYS_OWN = "relay-"

App = Callable[[Message, Context], Message]
Weights = dict[str, NDArray[Any]]


def parsed(attack: str) -> Behaviour:
    """An attack on a user's app.

    Raises
    ------
    ConfigurationError
        When there is no such behaviour, or it needs more than the app's answers.
    """
    behaviour = parse_behaviour(attack)
    if others := sorted(behaviour.parts - set(POSSIBLE)) or ["hang"] * (behaviour.hang > 0):
        raise ConfigurationError(
            f"attack = {attack!r}: {others[0]} cannot be played on an app of your own; expected "
            f"{', '.join(POSSIBLE)}, joined by +. The others change the cases that are trained "
            "on, or need the updates of other participants."
        )
    return behaviour


class Hostile:
    """A ClientApp of which a share of the nodes misbehaves.

    Parameters
    ----------
    cell : mapping
        Attack, share, seed and number of nodes.
    metric : str
        The metric that examiners vote by.
    rises : bool
        Whether more of it is better; it is then taken to lie between 0 and 1.

    Notes
    -----
    A hostile node does without the relay's mod, if the app has it: it signs nothing.
    """

    def __init__(self, client: App, cell: Mapping[str, Any], metric: str, *, rises: bool) -> None:
        self._client, self._metric, self._rises = client, metric, rises
        self._behaviour = parsed(str(cell["attack"]))
        self._seed = int(cell["seed"])
        share = float(cell["share"]) if cell["attack"] else 0.0
        self.numbers = frozenset(colleagues(int(cell["nodes"]), share, self._seed))
        self._trainings: Counter[int] = Counter()
        self._first: dict[int, float] = {}

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer a message as the node that it is for does."""
        number = int(context.node_config["partition-id"])
        if number not in self.numbers:
            return self._client(message, context)
        message.content = _without_mod(message.content)
        behaviour = self._behaviour.after(self._trainings[number])
        if message.metadata.message_type.startswith("train"):
            return self._trained(behaviour, number, message, context)
        return self._examined(behaviour, number, message, context)

    def _trained(
        self, behaviour: Behaviour, number: int, message: Message, context: Context
    ) -> Message:
        bases = [_weights(r) for r in message.content.values() if isinstance(r, ArrayRecord)]
        reply = self._client(message, context)
        self._trainings[number] += 1
        if reply.has_error():
            return reply
        rng = np.random.default_rng([self._seed, number, self._trainings[number]])
        for key, record in list(reply.content.items()):
            if isinstance(record, ArrayRecord) and bases:
                told = _distorted(behaviour, bases[0], _weights(record), rng)
                reply.content[key] = ArrayRecord({name: Array(w) for name, w in told.items()})
        return reply

    def _examined(
        self, behaviour: Behaviour, number: int, message: Message, context: Context
    ) -> Message:
        reply = self._client(message, context)
        if reply.has_error() or "liar" not in behaviour:
            return reply
        for key, record in list(reply.content.items()):
            found = number_in(record, self._metric) if isinstance(record, MetricRecord) else None
            if found is not None:
                first = self._first.setdefault(number, found)
                lied = 1 - found if self._rises else 2 * first - found
                reply.content[key] = MetricRecord({**record, self._metric: lied})
        return reply


def _without_mod(content: RecordDict) -> RecordDict:
    """A message's content as a ClientApp without the relay's mod sees it."""
    return RecordDict(
        {
            key: ConfigRecord({k: v for k, v in r.items() if not k.startswith(_RELAYS_OWN)})
            if isinstance(r, ConfigRecord)
            else r
            for key, r in content.items()
        }
    )


def _weights(record: ArrayRecord) -> Weights:
    return {name: array.numpy().copy() for name, array in record.items()}


def _distorted(
    behaviour: Behaviour, base: Weights, trained: Weights, rng: np.random.Generator
) -> Weights:
    """What is handed on in the place of what training gave; whole numbers stay."""
    step = {"sign-flip": _REVERSED, "scale": behaviour.amount, "noise": 0.0, "free-ride": 0.0}
    asked = [part for part in step if part in behaviour]
    if not asked:
        return trained
    spread = _NOISE if "noise" in behaviour else 0.0
    return {
        name: _moved(base[name], w, step[asked[0]], spread, rng)
        if name in base and base[name].shape == w.shape and w.dtype.kind == "f"
        else w
        for name, w in trained.items()
    }


def _moved(
    base: NDArray[Any], trained: NDArray[Any], step: float, spread: float, rng: np.random.Generator
) -> NDArray[Any]:
    moved = base + step * (trained - base) + spread * rng.standard_normal(base.shape)
    return np.asarray(moved.astype(trained.dtype))
