"""Stated, simulated devices: how fast, how well connected, and when they are there.

The numbers are assumptions, chosen to be of the right order and to differ in kind; they are
no measurement of anybody's fleet. A comparison's seconds hold for them and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["FLEETS", "Device", "draw_devices"]

TRAIN_SECONDS, TEST_SECONDS = 1e-3, 3e-4
"""Seconds per case and epoch on a device of speed 1, to train on it and to evaluate it.

A millisecond is a small convolutional network on one core; a forward pass is about a third of
a training step (forward, and backward at twice that)."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """One participant's device.

    Attributes
    ----------
    speed : float
        Relative to the reference, which trains a case in a millisecond.
    down, up : float
        Bytes per second to and from it.
    latency : float
        Seconds that a message takes one way, whatever its size.
    period, on : float
        It is there for the first `on` seconds of every `period`.
    phase : float
        Seconds into its period at the start of the run.
    """

    speed: float = 1.0
    down: float = 12.5e6
    up: float = 12.5e6
    latency: float = 0.02
    period: float = math.inf
    on: float = math.inf
    phase: float = 0.0

    def there_from(self, moment: float) -> float:
        """The first moment from `moment` on at which the device is there."""
        if math.isinf(self.period):
            return moment
        into = (moment + self.phase) % self.period
        return moment if into < self.on else moment + self.period - into

    def seconds(self, kind: str, cases: float, epochs: float) -> float:
        """Seconds of computing for a message of a kind (`train` or `evaluate`)."""
        per_case = TRAIN_SECONDS * epochs if kind == "train" else TEST_SECONDS
        return per_case * cases / self.speed


def _homogeneous(rng: np.random.Generator) -> Device:
    """All alike: speed 1, 100 Mbit/s (12.5 MB/s) both ways, 20 ms, always there.

    A wired office: it shows what a strategy's own sequence of messages takes, with nothing
    to wait for but the messages.
    """
    return Device()


def _phones(rng: np.random.Generator) -> Device:
    """Phones: unlike each other, on slow links, coming and going.

    - speed: log-normal, median 0.5, σ 0.6, so that the fastest twentieth is some seven times
      as fast as the slowest: a few generations of handsets in use together;
    - down: log-normal, median 2.5 MB/s (20 Mbit/s), up: median 0.6 MB/s (5 Mbit/s), both σ 0.7:
      home and mobile links, which send a fourth of what they receive;
    - latency: log-normal, median 50 ms, σ 0.4: a mobile network;
    - availability: there for 30 to 60 minutes of every 40 to 80, each at a phase of its own,
      since a phone takes part while idle, charging and on Wi-Fi.
    """
    speed, down, up, latency = np.exp(rng.normal(0.0, [0.6, 0.7, 0.7, 0.4]))
    on = float(rng.uniform(1800, 3600))
    period = on * 4 / 3
    return Device(
        speed=0.5 * float(speed),
        down=2.5e6 * float(down),
        up=0.6e6 * float(up),
        latency=0.05 * float(latency),
        period=period,
        on=on,
        phase=float(rng.uniform(0, period)),
    )


def _hospitals(rng: np.random.Generator) -> Device:
    """Hospitals: fast, well connected, always there.

    - speed: uniform from 6 to 10, a workstation with a graphics card that is kept busy;
    - 62.5 MB/s (500 Mbit/s) both ways: a leased line;
    - latency 10 ms; no absence: a server in a cellar. How few they are is the plan's `nodes`.
    """
    return Device(speed=float(rng.uniform(6, 10)), down=62.5e6, up=62.5e6, latency=0.01)


FLEETS: dict[str, Callable[[np.random.Generator], Device]] = {
    "homogeneous": _homogeneous,
    "phones": _phones,
    "hospitals": _hospitals,
}


def draw_devices(fleet: str, count: int, seed: int) -> list[Device]:
    """The devices of a fleet; the same for every strategy of a seed."""
    rng = np.random.default_rng([seed, 80, list(FLEETS).index(fleet)])
    return [FLEETS[fleet](rng) for _ in range(count)]
