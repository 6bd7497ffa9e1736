"""Every setting of a relay, documented and checked once.

`RelaySettings` is what the strategy, the rules, the genesis block and the README's
table read. Symbols in brackets are those of DeRelayL (IEEE TMC 2025).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ConfigurationError

__all__ = ["RelaySettings"]

_Check = tuple[Callable[[Any], bool], str]


def _setting(default: Any, about: str, check: _Check | None = None) -> Any:
    return field(default=default, metadata={"help": about, "check": check})


def _whole(low: int) -> _Check:
    return (lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= low), (
        f"a whole number, at least {low}"
    )


def _between(low: float, high: float) -> _Check:
    return (lambda v: _is_number(v) and low <= v <= high), f"a number from {low} to {high}"


def _at_least(low: float) -> _Check:
    return (lambda v: _is_number(v) and v >= low), f"a number, at least {low}"


def _one_of(*names: str) -> _Check:
    return (lambda v: v in names), "one of " + ", ".join(names)


def _optional(check: _Check) -> _Check:
    test, expected = check
    return (lambda v: v is None or test(v)), f"{expected}, or nothing"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_KEY: _Check = ((lambda v: isinstance(v, str) and v != ""), "a name that is not empty")


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    """The settings of one run; invalid ones never come into being.

    Raises
    ------
    ConfigurationError
        Naming the setting, what was given and what is possible.
    """

    # The relay.
    topology: str = _setting(
        "chain",
        "who trains on what: `chain` (a baton travels) or `fan-out` (the paper's rounds)",
        _one_of("chain", "fan-out"),
    )
    lanes: int = _setting(1, "relays running in parallel (chain)", _whole(1))
    lanes_meet: str = _setting(
        "select",
        "at a round's end, lanes below the top share restart from the best (`select`), "
        "or all from their average (`average`)",
        _one_of("select", "average"),
    )
    max_leg: int = _setting(4, "most hops between two tests (chain); 1 tests every hop", _whole(1))
    trail: float = _setting(
        0.8,
        "weight of the past in the moving average of batons that is published; 0 publishes "
        "the baton itself",
        _between(0.0, 0.999),
    )
    recognised_share: float = _setting(
        0.5, "top share of lanes or candidates that is recognised [s]", _between(0.0, 1.0)
    )
    slots: int = _setting(4, "trainers that one owner may serve (fan-out)", _whole(1))
    fraction_train: float = _setting(
        0.5, "share of the participants who own or train in a fan-out round", _between(0.05, 0.95)
    )
    budget: int | None = _setting(
        None,
        "stop after this many hops (client trainings), whatever the rounds",
        _optional(_whole(1)),
    )
    seed: int = _setting(0, "seed of every random choice of the relay", _whole(0))

    # Testing.
    examiners: int = _setting(
        15, "size of the committee that tests a leg; 0 tests nothing (a plain ring)", _whole(0)
    )
    tolerance: float = _setting(
        0.065,
        "how far the median vote may fall, as a fraction of the utility's bound; 0.065 is "
        "0.3 nats at ten classes",
        _between(0.0, 1.0),
    )
    audit: float = _setting(
        0.25, "probability that a hop inside a leg is measured and paid", _between(0.01, 1.0)
    )
    planted: float = _setting(
        0.05, "share of tests that are planted to find out constant voters", _between(0.0, 0.5)
    )

    # Standing.
    debt_allowance: float = _setting(
        0.2, "debt, in tolerances, that every hop is forgiven", _between(0.0, 1.0)
    )
    vouching_penalty: float = _setting(
        0.3, "share of its bond that vouching for a rejected hop costs", _between(0.0, 1.0)
    )
    condemning_penalty: float = _setting(
        0.15, "share of its bond that condemning an accepted hop costs", _between(0.0, 1.0)
    )
    condemning_margin: float = _setting(
        3.0, "how many tolerances below zero a vote condemns", _at_least(1.0)
    )
    agreeing_gain: float = _setting(
        0.02, "share of its bond that agreeing restores", _between(0.0, 1.0)
    )
    newcomer_bond: float = _setting(
        0.1, "bond of a newcomer after its first accepted hop", _between(0.0, 1.0)
    )

    # Coins.
    rewards: str = _setting(
        "contribution",
        "`contribution` (pay for measured improvement) or `royalty` (the paper's coin per "
        "ancestor)",
        _one_of("contribution", "royalty"),
    )
    mint: float = _setting(
        100.0, "coins for an improvement as large as the utility's bound", _at_least(0.0)
    )
    trainer_share: float = _setting(
        0.5,
        "part of a credit that its trainer keeps; the rest goes to its lineage",
        _between(0.0, 1.0),
    )
    lineage_decay: float = _setting(
        0.9, "what each generation back receives of what the next received", _between(0.0, 0.99)
    )
    examining_fee: float = _setting(0.001, "coins for one test", _at_least(0.0))
    deposit_unit: float = _setting(
        0.1, "deposit in coins until a median income per cycle is known", _at_least(0.0)
    )

    # What the messages hold, named as Flower names it.
    min_available_nodes: int = _setting(2, "nodes to wait for before the first message", _whole(1))
    utility_key: str = _setting("eval_loss", "metric of an evaluate reply that votes", _KEY)
    utility_rises: bool = _setting(
        False,
        "whether that metric is better when larger",
        ((lambda v: isinstance(v, bool)), "true or false"),
    )
    utility_bound: float | None = _setting(
        None,
        "largest value of that metric that counts; by default twice the genesis "
        "model's median loss (1 for a metric that rises)",
        _optional((lambda v: _is_number(v) and v > 0, "a positive number")),
    )
    weighted_by_key: str = _setting(
        "num-examples", "metric that weighs the averages in Flower's result", _KEY
    )
    arrayrecord_key: str = _setting("arrays", "key of the weights in a message", _KEY)
    configrecord_key: str = _setting("config", "key of the configuration in a message", _KEY)
    identity_key: str = _setting(
        "partition-id", "metric that tells who a node is, where it reports it", _KEY
    )
    straggler_factor: float = _setting(
        5.0,
        "wait for the slow half of a committee this many times as long as for the fast "
        "half (at least ten seconds, at most the timeout)",
        _at_least(1.0),
    )

    def __post_init__(self) -> None:
        """Check every value against what its field allows."""
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            check = item.metadata["check"]
            if check is not None and not check[0](value):
                raise ConfigurationError(f"{item.name} = {value!r}: expected {check[1]}.")
        if self.topology == "fan-out" and self.examiners == 0:
            raise ConfigurationError(
                "examiners = 0: a fan-out ranks its candidates by tests; use at least 1, "
                "or topology = 'chain'."
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> RelaySettings:
        """Build settings from names that may be written with hyphens.

        Parameters
        ----------
        values : Mapping[str, object]
            Setting names (`max-leg` and `max_leg` are the same) to values.

        Raises
        ------
        ConfigurationError
            On a name that does not exist, with the list of those that do.
        """
        known = {item.name for item in dataclasses.fields(cls)}
        options = {name.replace("-", "_"): value for name, value in values.items()}
        unknown = sorted(set(options) - known)
        if unknown:
            raise ConfigurationError(
                f"unknown setting {', '.join(unknown)}; there are: {', '.join(sorted(known))}."
            )
        return cls(**options)  # type: ignore[arg-type]

    @classmethod
    def table(cls) -> list[tuple[str, str, str]]:
        """Name, default and meaning of every setting, for the documentation."""
        return [
            (item.name.replace("_", "-"), repr(item.default), item.metadata["help"])
            for item in dataclasses.fields(cls)
        ]
