"""Hostile behaviours, to test a federation against; never the default.

A behaviour is named in the run config, alone or joined by `+` (`label-flip+liar`), for a
share of the nodes. Here are the names, and who behaves so; what a behaviour does to training
is in `poisoning`, `backdoor` and `colluding`, what it does to examining in `lying` and
`auditing`, and who comes back under another name, or brings a crowd, in `sybils`. Nothing
here needs torch, so that the server can check names.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from flower_relay.errors import ConfigurationError

__all__ = [
    "BEHAVIOURS",
    "COLLUDING",
    "CROWD_FROM",
    "TRUTHFUL",
    "Behaviour",
    "before_training",
    "colleagues",
    "crowd_numbers",
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
    "scale:FACTOR": "boosts its honest update (100 times where no number is given)",
    "class-flip": "trains its own and its colleagues' cases of class 0 as class 1",
    "alie:Z": "returns base + mean − Z · σ of the colluders' honest updates (1.5)",
    "ipm:STRENGTH": "returns base − STRENGTH · mean of the colluders' honest updates (0.5)",
    "min-max": "goes against the mean as far as the colluders' updates differ among themselves",
    "liar": "examines with utilities turned round",
    "constant": "examines everything as equally good",
    "colluder": "examines what hostile colleagues trained as perfect, all else as worthless",
    "audit-liar": "examines hops honestly; adds .03 to colleagues' audits, takes it from others'",
    "sleeper:HOPS": "is honest for its first HOPS trainings (5 where no number is given)",
    "sybil": "comes back under another name after a hop of its own was rejected",
    "crowd:NAMES": "brings fresh names that only examine: a hundred models honestly, then lying",
    "error": "raises when asked to train",
    "hang:SECONDS": "sleeps that long when asked to train",
}

_RETURNED = {
    "sign-flip", "noise", "free-ride", "free-ride-noise", "copycat", "nan", "wrong-shape",
    "huge", "creeping", "backdoor", "scale", "alie", "ipm", "min-max",
}  # fmt: skip
COLLUDING = frozenset({"alie", "ipm", "min-max"})
"""Behaviours made of the colluders' own honest updates."""
_EXAMINED = {"liar", "constant", "colluder", "audit-liar"}
_EXCLUSIVE = {"what is returned": _RETURNED, "what an examiner says": _EXAMINED}
"""Of those that decide the same thing there is one at a time."""

_ASLEEP = 5
_AMOUNTS = {"scale": 100.0, "alie": 1.5, "ipm": 0.5}
"""Behaviours with a number above 0, and what it is where none is given."""

CROWD_FROM = 100_000
"""Numbers from here on are those of a crowd."""
TRUTHFUL = 100
"""Models that a crowd's names examine honestly before they lie."""


@dataclass(frozen=True)
class Behaviour:
    """The parts of a behaviour, for how long it hangs and is honest first, how much it sends.

    `amount` is the number of what is returned: a factor, a z or a strength; `names` are how
    many a crowd has.
    """

    parts: frozenset[str]
    hang: float = 0.0
    honest_hops: int = 0
    megabytes: int = 0
    amount: float = 0.0
    names: int = 0

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
    parts, numbers = set[str](), dict[str, Any]()
    for part in filter(None, text.split("+")):
        name = part.partition(":")[0]
        if part.startswith("hang:"):
            numbers["hang"] = _seconds(text, part)
        elif name in _NUMBERED:
            field, read = _NUMBERED[name]
            numbers[field] = read(text, part)
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
    return Behaviour(frozenset(parts), **numbers)


def _seconds(text: str, part: str) -> float:
    """How long to hang: finite, as a client that never ends keeps a simulation alive."""
    try:
        seconds = float(part.partition(":")[2])
        if not 0 <= seconds < math.inf:
            raise ValueError
        return seconds
    except ValueError:
        raise ConfigurationError(
            f"hostile = {text!r}: expected hang:SECONDS, with SECONDS a number from 0, finite."
        ) from None


def _amount(text: str, part: str) -> float:
    """How often an update is boosted, how many deviations, or how strongly."""
    name, colon, number = part.partition(":")
    try:
        amount = float(number) if colon else _AMOUNTS[name]
        if not 0 < amount < math.inf:
            raise ValueError
        return amount
    except ValueError:
        form = next(each for each in BEHAVIOURS if each.startswith(f"{name}:"))
        what = form.partition(":")[2]
        raise ConfigurationError(
            f"hostile = {text!r}: expected {form}, with {what} a number above 0, finite."
        ) from None


def _whole(text: str, part: str) -> int:
    """How many trainings a sleeper stays honest for, megabytes are sent, or names come."""
    name, _, number = part.partition(":")
    if not (number.isascii() and number.isdecimal()):
        form = next(each for each in BEHAVIOURS if each.startswith(f"{name}:"))
        raise ConfigurationError(
            f"hostile = {text!r}: expected {form}, with {form.partition(':')[2]} a whole number "
            "from 0."
        )
    return int(number)


def _hops(text: str, part: str) -> int:
    return _ASLEEP if part == "sleeper" else _whole(text, part)


_NUMBERED: dict[str, tuple[str, Callable[[str, str], float]]] = {
    "sleeper": ("honest_hops", _hops),
    "huge": ("megabytes", _whole),
    "crowd": ("names", _whole),
    **{name: ("amount", _amount) for name in _AMOUNTS},
}
"""Behaviours with a number: which field it goes to, and how it is read."""


def crowd_numbers(behaviour: Behaviour) -> range:
    """The numbers of a crowd's names."""
    return range(CROWD_FROM, CROWD_FROM + behaviour.names)


def colleagues(num_partitions: int, share: float, seed: int) -> list[int]:
    """Everybody hostile, in the order of their numbers."""
    return [n for n in range(num_partitions) if is_hostile(n, num_partitions, share, seed)]


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
