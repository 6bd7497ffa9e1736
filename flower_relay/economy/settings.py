"""The settings of an economy; the defaults are the paper's numerical simulation.

What the chain shares with a live relay is declared in `RelaySettings` and only taken
over here, so that a number has one meaning and one default.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigurationError
from ..options import CheckedSettings, at_least, between, key, number, optional, setting, whole
from ..rules.auction import SLOTS
from ..rules.rewards import LINEAGE_DECAY, MINT, TRAINER_SHARE
from ..settings import RelaySettings
from .policies import POLICIES, parse_mix

__all__ = ["EconomySettings"]

_MOST_COINS = 1000.0
"""Coins a setting may name: with the largest populations, balances still fit 64 bits."""

_MOST_MINT = 1e6
"""Coins for an improvement as large as the utility's bound."""

_FAN_OUT_ONLY = (
    "least_recognised", "slots", "fraction_train", "testers", "owner_budget", "deposit_fee",
    "hash_fee", "cases", "case_fee", "tested_fee", "settled_fee", "test_fee", "mint",
    "trainer_share", "lineage_decay",
)  # fmt: skip
_CHAIN_ONLY = (
    "lanes", "max_leg", "examiners", "examiner_noise", "tolerance", "audit", "planted",
    "deposit_unit",
)  # fmt: skip
_CONTRIBUTION_ONLY = ("mint", "trainer_share", "lineage_decay")

_OF_RELAY = {item.name: item for item in dataclasses.fields(RelaySettings)}


def _as_in_relay(name: str, default: Any = dataclasses.MISSING) -> Any:
    """A field that means what it means in `RelaySettings`."""
    item = _OF_RELAY[name]
    value = item.default if default is dataclasses.MISSING else default
    return field(default=value, metadata=item.metadata)


@dataclass(frozen=True, kw_only=True)
class EconomySettings(CheckedSettings):
    """The settings of one simulated economy; invalid ones never come into being."""

    # The federation.
    participants: int = setting(256, "participants; number 0 owns the genesis model", whole(4))
    rounds: int = setting(100, "rounds to play", whole(1))
    seed: int = setting(0, "seed of every random choice", whole(0))
    policies: str = setting(
        "honest",
        "who behaves how, by share, as in `honest=0.8,free-rider=0.2`; what is missing to 1 "
        "is honest (`flower-relay economy policies` lists them)",
        key,
    )
    topology: str = _as_in_relay("topology", "fan-out")
    rewards: str = _as_in_relay("rewards", "royalty")

    # The fan-out's round.
    recognised_share: float = _as_in_relay("recognised_share")
    least_recognised: int = setting(
        1,
        "models recognised whatever the share; with 0, the paper's floor(), nobody ever "
        "trains again after a round that recognises nobody",
        whole(0),
    )
    slots: int = setting(SLOTS, "trainers that one owner may serve", whole(1))
    fraction_train: float = _as_in_relay("fraction_train")
    testers: int = setting(
        1,
        "examiners whose majority ranks a round's candidates (fan-out); 1 is the paper's",
        whole(1),
    )

    # Imagined training.
    success: float = setting(0.9, "probability that training succeeds", between(0.0, 1.0))
    gain_mean: float = setting(1.0, "mean of what a success adds to the performance number", number)
    gain_sd: float = setting(1.0, "standard deviation of that gain", at_least(0.0))
    ceiling: float | None = setting(
        None,
        "performance number above which there is nothing left to learn; without one, models "
        "improve for ever, as in the paper (accuracy = sigmoid of the number)",
        optional(number),
    )

    # Coins.
    owner_budget: float = setting(
        0.001, "coins an owner bids for all its slots together", between(0.0, _MOST_COINS)
    )
    deposit_fee: float = setting(
        0.001, "coins to the deposit block's miner, per deposit", between(0.0, _MOST_COINS)
    )
    hash_fee: float = setting(
        0.001, "coins to the encryption block's miner, per trained model", between(0.0, _MOST_COINS)
    )
    cases: int = setting(100, "test cases in a testing block", whole(0, 10**6))
    case_fee: float = setting(
        0.001, "coins to the testing block's miner, per case", between(0.0, _MOST_COINS)
    )
    tested_fee: float = setting(
        0.001, "coins to the testing block's miner, per model", between(0.0, _MOST_COINS)
    )
    settled_fee: float = setting(
        0.001, "coins to the settlement block's miner, per model", between(0.0, _MOST_COINS)
    )
    test_fee: float = setting(
        0.001,
        "coins to the settlement block's miner, per model and case",
        between(0.0, _MOST_COINS),
    )
    mint: float = setting(
        MINT,
        "coins for an improvement as large as the utility's bound",
        between(0.0, _MOST_MINT),
    )
    trainer_share: float = setting(
        TRAINER_SHARE,
        "part of a credit that its trainer keeps; the rest goes to its lineage",
        between(0.0, 1.0),
    )
    lineage_decay: float = setting(
        LINEAGE_DECAY,
        "what each generation back receives of what the next received",
        between(0.0, 0.99),
    )

    # The chain.
    lanes: int = setting(1, "relays running in parallel (chain)", whole(1))
    max_leg: int = _as_in_relay("max_leg")
    examiners: int = _as_in_relay("examiners")
    examiner_noise: float = setting(
        0.03,
        "standard deviation of an examiner's utility around the common one: data differ (chain)",
        at_least(0.0),
    )
    tolerance: float = _as_in_relay("tolerance")
    audit: float = _as_in_relay("audit")
    planted: float = _as_in_relay("planted")
    deposit_unit: float = _as_in_relay("deposit_unit")

    # What is kept.
    full_history: int = setting(
        4096,
        "up to so many participants everybody's history is kept, above only quantiles",
        whole(0),
    )
    records: int = setting(
        250, "how many points of time are recorded where only quantiles are", whole(2)
    )

    def __post_init__(self) -> None:
        """Check every value, and that the mix of policies can be read."""
        super().__post_init__()
        self._check_policies()
        self._check_topology()
        if self.topology == "chain" and self.examiners == 0:
            raise ConfigurationError("examiners = 0: an untested chain has nothing to pay by.")

    def _check_policies(self) -> None:
        mix = parse_mix(self.policies)
        for name, share in mix.items():
            if share > 0 and round(share * self.participants) == 0:
                raise ConfigurationError(
                    f"policies = {self.policies!r}: {share:g} of {self.participants} "
                    f"participants is nobody to play {name}."
                )
        if self.topology == "chain" and mix.get("all-in", 0) > 0:
            raise ConfigurationError(
                "policies: in a chain deposits are set by rule, so that nobody can go all-in."
            )
        for name, share in mix.items():
            if self.topology == "fan-out" and share > 0 and POLICIES[name].chain_only:
                raise ConfigurationError(
                    f"policies = {self.policies!r}: a fan-out has no place for {name}; play "
                    "it with topology = 'chain'."
                )

    def _check_topology(self) -> None:
        """Refuse settings that would do nothing: a study of them would mislead."""
        useless: tuple[str, ...] = {"chain": _FAN_OUT_ONLY, "fan-out": _CHAIN_ONLY}[self.topology]
        if self.rewards == "royalty":
            useless = (*useless, *_CONTRIBUTION_ONLY)
        defaults = {item.name: item.default for item in dataclasses.fields(self)}
        for name in useless:
            if getattr(self, name) != defaults[name]:
                raise ConfigurationError(
                    f"{name.replace('_', '-')} = {getattr(self, name)!r} changes nothing with "
                    f"topology = {self.topology!r} and rewards = {self.rewards!r}; leave it out."
                )

    def of_relay(self) -> RelaySettings:
        """The settings of the relay that this economy imagines (chain)."""
        own = {item.name for item in dataclasses.fields(self)}
        shared = {name: getattr(self, name) for name in _OF_RELAY if name in own}
        return RelaySettings(**shared)
