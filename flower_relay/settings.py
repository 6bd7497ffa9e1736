"""Every setting of a relay, documented and checked once.

`RelaySettings` is what the strategy, the rules, the genesis block and the README's
table read. Symbols in brackets are those of DeRelayL (IEEE TMC 2025).
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ConfigurationError
from .options import (
    CheckedSettings,
    between,
    either,
    key,
    one_of,
    optional,
    positive,
    setting,
    truth,
    whole,
)

__all__ = ["AUTO", "ENCODINGS", "OPTIMISERS", "WAVE", "RelaySettings"]

ENCODINGS = ("exact", "fp16", "int8")
"""How a model's difference to another is spelled on its way: every bit, or rounded."""

OPTIMISERS = ("momentum", "adam")
"""By what lanes may step where they meet (`rules.optimisers`)."""

AUTO = "auto"
"""How many lanes there are is left to what the run shows (`rules.lanes`)."""

WAVE = "wave"
"""The same, and a round trains while the one before it is judged."""

_MOST_LANES = 10_000
"""Each takes room in memory and in every block, before anybody has trained."""


@dataclass(frozen=True, kw_only=True)
class RelaySettings(CheckedSettings):
    """The settings of one run; invalid ones never come into being.

    Raises
    ------
    ConfigurationError
        Naming the setting, what was given and what is possible.
    """

    # The relay.
    topology: str = setting(
        "chain",
        "who trains on what: `chain` (a baton travels) or `fan-out` (the paper's rounds)",
        one_of("chain", "fan-out"),
    )
    lanes: int | str = setting(
        1,
        "relays running in parallel (chain). `auto`: up to five of one hop, fewer where hops are "
        "rejected; they meet by `adam`, unless `lanes_meet` is `momentum`. `wave`: the same, and "
        "while hardly a hop is rejected, the next round trains while the last one is judged",
        either(whole(1), one_of(AUTO, WAVE)),
    )
    lanes_meet: str = setting(
        "select",
        "at a round's end, lanes below the top share restart from the best (`select`), or all "
        "from their average (`average`), or from where an optimiser steps by it (`momentum`, "
        "`adam`; then legs have one hop)",
        one_of("select", "average", *OPTIMISERS),
    )
    max_leg: int = setting(
        4, "most hops of a leg (chain); at its end all of them are tested", whole(1)
    )
    trail: float = setting(
        0.1,
        "about this share of the accepted batons, the latest ones, is averaged and published; 0 "
        "publishes the baton itself, 1 the average of all",
        between(0.0, 1.0),
    )
    recognised_share: float = setting(
        0.5, "top share of lanes or candidates that is recognised", between(0.0, 1.0)
    )
    fraction_train: float = setting(
        0.5, "share of the participants who own or train in a fan-out round", between(0.05, 0.95)
    )
    budget: int | None = setting(
        None,
        "stop after this many hops (client trainings), whatever the rounds",
        optional(whole(1)),
    )
    seed: int = setting(0, "seed of every random choice of the relay", whole(0))

    # Testing.
    examiners: int = setting(
        15,
        "the most that test a leg. In a chain five do once the run has risen, while examiners "
        "agree. 0 tests nothing (a plain ring)",
        whole(0),
    )
    tolerance: float = setting(
        0.11,
        "how far a committee's vote on a hop may fall, as a fraction of the utility's bound. Where "
        "hops usually cost something, that is added",
        between(0.001, 1.0),
    )
    audit: float = setting(
        0.25,
        "probability that a hop is audited, and so earns; more where a cycle has few hops, and all "
        "in a cautious run",
        between(0.01, 1.0),
    )
    nonces: int = setting(
        3,
        "random numbers of signing participants that each draw of committee and tests needs; one "
        "more is asked for theirs, so that one may be silent. 0 leaves the draw to the operator",
        whole(0),
    )
    test_encoding: str = setting(
        "int8",
        "what examiners are shown of a candidate: the `exact` weights, or a likeness, which is the "
        "leg's base plus the change rounded to `int8` or `fp16`. An examiner with the mod that "
        "holds the base is sent only the change",
        one_of(*ENCODINGS),
    )
    hop_encoding: str = setting(
        "exact",
        "how trainers with the mod hand on what they trained: `exact`, or as their base plus "
        "the change rounded to `fp16` or `int8`. What was rounded off is added to their next hop",
        one_of(*ENCODINGS),
    )
    planted: float = setting(
        0.2,
        "share of tests after the first cycle in which planted models find out constant voters and "
        "liars. In the first cycle they are in every test; 0 plants none",
        between(0.0, 0.5),
    )

    # Standing.
    first_debt: float = setting(
        1.0,
        "debt that everybody begins with: it shortens first hops, by half at 1. A founder's is "
        "waived once examiners agree and a model has risen by half a tolerance",
        between(0.0, 10.0),
    )

    # Coins.
    rewards: str = setting(
        "contribution",
        "`contribution` (pay for measured improvement) or `royalty` (the paper's coin per "
        "ancestor)",
        one_of("contribution", "royalty"),
    )
    deposit_unit: float = setting(
        0.1, "deposit in coins until a median income per cycle is known", between(0.0, 1e6)
    )

    # What the messages hold, named as Flower names it.
    min_available_nodes: int = setting(2, "nodes to wait for before the first message", whole(1))
    utility_key: str = setting("eval_loss", "metric of an evaluate reply that votes", key)
    utility_rises: bool = setting(
        False,
        "whether that metric is better when larger, as an accuracy is, and the negative of a loss",
        truth,
    )
    utility_bound: float | None = setting(
        None,
        "largest size of that metric that counts. By default twice the genesis model's median "
        "loss; of a metric that is worst at 0 it is 1, or 100 if that median is beyond 1",
        optional(positive),
    )
    weighted_by_key: str = setting(
        "num-examples", "metric that weighs the averages in Flower's result", key
    )
    arrayrecord_key: str = setting("arrays", "key of the weights in a message", key)
    configrecord_key: str = setting("config", "key of the configuration in a message", key)
    identity_key: str = setting(
        "partition-id", "metric that tells who a node is, where it reports it", key
    )

    @property
    def optimiser(self) -> str | None:
        """By what lanes step where they meet; None where they do not step."""
        if self.topology != "chain":
            return None
        if self.lanes_meet in OPTIMISERS:
            return self.lanes_meet
        return "adam" if self.lanes_vary else None

    @property
    def lanes_vary(self) -> bool:
        """Whether the number of lanes is left to what the run shows."""
        return self.lanes in (AUTO, WAVE)

    @property
    def waves(self) -> bool:
        """Whether a round may train while the one before it is judged."""
        return self.lanes == WAVE and self.topology == "chain" and self.examiners > 0

    @property
    def books_debts(self) -> bool:
        """Whether debts shorten hops: in a chain, with a committee that measures them."""
        return self.topology == "chain" and self.examiners > 0

    @property
    def debt_at_first(self) -> float:
        """The debt of who comes in."""
        return self.first_debt if self.books_debts else 0.0

    def __post_init__(self) -> None:
        """Check every value, and those that only make sense together."""
        super().__post_init__()
        if self.lanes_vary and self.lanes_meet == "average":
            raise ConfigurationError(
                f"lanes = {self.lanes!r} with lanes_meet = 'average': lanes whose number changes "
                "step by an optimiser; leave lanes_meet out, or name a number of lanes."
            )
        if isinstance(self.lanes, int) and self.lanes > _MOST_LANES:
            raise ConfigurationError(f"lanes = {self.lanes}: expected at most {_MOST_LANES}.")
        if self.topology == "fan-out" and self.examiners == 0:
            raise ConfigurationError(
                "examiners = 0: a fan-out ranks its candidates by tests; use at least 1, "
                "or topology = 'chain'."
            )
