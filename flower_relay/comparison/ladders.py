"""What is tuned for each strategy: its settings, each a ladder of values to climb."""

from __future__ import annotations

from dataclasses import dataclass

from .contests import plain

__all__ = ["LEARNING_RATES", "Ladder", "ladders_of"]


@dataclass(frozen=True)
class Ladder:
    """A setting's values in their order; `first` are tried at once, and the search starts there.

    The ends are the setting's own limits: they alone may be chosen although nothing beyond
    was tried.
    """

    values: tuple[float, ...]
    first: tuple[float, ...]

    def beyond(self, best: float, tried: set[float]) -> list[float]:
        """The next values on the ladder where the best is the lowest or highest that was tried."""
        place = self.values.index(best)
        found = []
        if place > 0 and not tried & set(self.values[:place]):
            found.append(self.values[place - 1])
        if place + 1 < len(self.values) and not tried & set(self.values[place + 1 :]):
            found.append(self.values[place + 1])
        return found

    def among(self, nodes: int) -> Ladder:
        """Of fractions of so many nodes those that train another number of them."""
        kept: dict[int, float] = {}
        for value in (*self.first, *self.values):
            kept.setdefault(max(_FEWEST, int(nodes * value)), value)
        values, first = (
            tuple(v for v in each if v in kept.values()) for each in (self.values, self.first)
        )
        return Ladder(values, first)

    def beside(self, best: float) -> list[float]:
        """A value and its neighbours."""
        place = self.values.index(best)
        return list(self.values[max(0, place - 1) : place + 2])


_FEWEST = 2
"""Clients that Flower's averaging strategies train at once, at least."""

LEARNING_RATES = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""The clients' learning rates that are tried at first: a factor of two apart."""

_RATES = Ladder(tuple(0.1 * 2.0**power for power in range(-8, 9)), LEARNING_RATES)
_FRACTION = Ladder((0.05, 0.1, 0.2, 0.35, 0.5, 1.0), (0.5, 0.2, 0.1))
_CROWDED = Ladder((0.35, 0.5, 1.0), (0.5, 1.0))
"""For rules that out-vote the hostile: with fewer at once there is nobody to out-vote them."""
_SERVER_RATE = Ladder((0.01, 0.03, 0.1, 0.3, 1.0, 1.5, 2.0, 3.0), (1.0, 0.3, 1.5))
_MOMENTUM = Ladder((0.0, 0.3, 0.5, 0.7, 0.9, 0.95, 0.98), (0.9, 0.7, 0.5))
_ADAM = Ladder((0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0), (0.1, 0.03, 0.01, 0.3))
_PULL = Ladder((0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0), (1e-2, 1e-3, 0.1))
_TRAIL = Ladder((0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0), (0.1, 0.05, 0.2))
_EVERY = Ladder((1, 2, 5, 10, 20, 50), (10, 5, 20))

_SERVER_SIDE: dict[str, dict[str, Ladder]] = {
    "relay-untested": {"trail": _TRAIL},
    "fedavg": {"fraction-train": _FRACTION},
    "fedprox": {"proximal-mu": _PULL, "fraction-train": _FRACTION},
    "fedavgm": {
        "server-learning-rate": _SERVER_RATE,
        "server-momentum": _MOMENTUM,
        "fraction-train": _FRACTION,
    },
    "fedadam": {"eta": _ADAM, "server-momentum": _MOMENTUM, "fraction-train": _FRACTION},
    "scaffold": {"server-learning-rate": _SERVER_RATE, "fraction-train": _FRACTION},
    "daisychain": {"average-every": _EVERY, "fraction-train": _FRACTION},
    "fedmedian": {"fraction-train": _CROWDED},
    "fedtrimmedavg": {"fraction-train": _CROWDED},
    "multikrum": {"fraction-train": _CROWDED},
}


def ladders_of(strategy: str) -> dict[str, Ladder]:
    """Every setting that is tuned for a strategy, by run-config key."""
    return {"learning-rate": _RATES, **_SERVER_SIDE.get(plain(strategy), {})}
