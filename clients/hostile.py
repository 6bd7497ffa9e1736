"""Hostile behaviours, to test a federation against; never the default.

A behaviour is named in the run config, alone or joined by `+` (`label-flip+liar`), for a
share of the nodes. Here are the names, and who behaves so; what a behaviour does to training
is in `poisoning` and `backdoor`, what it does to examining in `lying`, and who comes back
under another name in `sybils`. Nothing here needs torch, so that the server can check names.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from flower_relay.errors import ConfigurationError

__all__ = [
    "BEHAVIOURS",
    "Behaviour",
    "before_training",
    "is_hostile",
    "parse_behaviour",
]

BEHAVIOURS = {
    "label-flip": "trains on labels turned round (C − 1 − y)",
    "sign-flip": "returns base − 4 · (trained − base)",
    "noise": "returns the base plus Gaussian noise of 0.5",
    "free-ride": "returns the base unchanged",
    "free-ride-noise": "returns the base, slightly perturbed",
    "copycat": "returns a model that it was sent earlier, other than the base",
    "stale": "trains always on the base that it was sent first",
    "nan": "returns NaN",
    "wrong-shape": "returns arrays of other shapes",
    "huge:MEGABYTES": "returns so many megabytes of random numbers",
    "creeping": "harms by just under the tolerance at every hop",
    "backdoor": "trains copies with a trigger to be class 0; boosts the update while it passes",
    "liar": "examines with utilities turned round",
    "constant": "examines everything as equally good",
    "colluder": "examines what hostile colleagues trained as perfect, all else as worthless",
    "sleeper:HOPS": "is honest for its first HOPS trainings (5 where no number is given)",
    "sybil": "comes back under another name after a hop of its own was rejected",
    "error": "raises when asked to train",
    "hang:SECONDS": "sleeps that long when asked to train",
}

_RETURNED = {
    "sign-flip", "noise", "free-ride", "free-ride-noise", "copycat", "nan", "wrong-shape",
    "huge", "creeping", "backdoor",
}  # fmt: skip
_EXAMINED = {"liar", "constant", "colluder"}
_EXCLUSIVE = {"what is returned": _RETURNED, "what an examiner says": _EXAMINED}
"""Of those that decide the same thing there is one at a time."""

_ASLEEP = 5


@dataclass(frozen=True)
class Behaviour:
    """The parts of a behaviour, for how long it hangs and is honest first, how much it sends."""

    parts: frozenset[str]
    hang: float = 0.0
    honest_hops: int = 0
    megabytes: int = 0

    def __contains__(self, part: object) -> bool:
        return part in self.parts

    def after(self, trainings: int) -> Behaviour:
        """What it comes to once a node has trained so often: honesty while it sleeps."""
        if trainings >= self.honest_hops:
            return self
        return Behaviour(frozenset({"sleeper"}), honest_hops=self.honest_hops)


def parse_behaviour(text: str) -> Behaviour:
    """Parse the run config's `hostile`.

    Raises
    ------
    ConfigurationError
        On a part that does not exist, with the list of those that do; on parts that
        exclude each other.
    """
    parts, hang, honest_hops, megabytes = set[str](), 0.0, 0, 0
    for part in filter(None, text.split("+")):
        name, _, number = part.partition(":")
        if part.startswith("hang:"):
            hang = _seconds(text, number)
        elif name == "sleeper":
            honest_hops = _ASLEEP if part == name else _whole(text, number, "sleeper:HOPS")
            parts.add(name)
        elif name == "huge":
            megabytes = _whole(text, number, "huge:MEGABYTES")
            parts.add(name)
        elif part not in BEHAVIOURS:
            raise ConfigurationError(
                f"hostile = {text!r}: {part!r} is not one of {', '.join(BEHAVIOURS)} (joined by +)."
            )
        else:
            parts.add(part)
    for what, alike in _EXCLUSIVE.items():
        if len(both := sorted(parts & alike)) > 1:
            raise ConfigurationError(
                f"hostile = {text!r}: {' and '.join(both)} each decide {what}; keep one."
            )
    return Behaviour(frozenset(parts), hang, honest_hops, megabytes)


def _seconds(text: str, number: str) -> float:
    """How long to hang: finite, as a client that never ends keeps a simulation alive."""
    try:
        seconds = float(number)
        if not 0 <= seconds < math.inf:
            raise ValueError
        return seconds
    except ValueError:
        raise ConfigurationError(
            f"hostile = {text!r}: expected hang:SECONDS, with SECONDS a number from 0, finite."
        ) from None


def _whole(text: str, number: str, form: str) -> int:
    """How many trainings a sleeper stays honest for, or how many megabytes are sent."""
    if not (number.isascii() and number.isdecimal()):
        what = form.partition(":")[2]
        raise ConfigurationError(
            f"hostile = {text!r}: expected {form}, with {what} a whole number from 0."
        )
    return int(number)


def is_hostile(partition_id: int, num_partitions: int, share: float, seed: int) -> bool:
    """Whether this node is one of the round(share · n) that the seed makes hostile.

    A number from `num_partitions` on is another name of who holds the partition that remains
    modulo it, as Sybils take them.
    """
    drawn = np.random.default_rng([seed, 79]).permutation(num_partitions)
    return partition_id % num_partitions in drawn[: round(share * num_partitions)].tolist()


def before_training(behaviour: Behaviour) -> None:
    """Hang, or raise, where the behaviour says so."""
    if behaviour.hang:
        time.sleep(behaviour.hang)
    if "error" in behaviour:
        raise RuntimeError("this participant was told to raise.")
