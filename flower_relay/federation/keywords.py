"""The settings of a relay as keyword arguments: what an editor completes and checks.

Written by scripts/reference.py from `RelaySettings`. Change that, then run it.
"""

from typing import TypedDict

__all__ = ["RelayKeywords"]


class RelayKeywords(TypedDict, total=False):
    """`RelaySettings` by name, as `RelayStrategy(lanes=2)` takes them."""

    topology: str
    """Who trains on what: `chain` (a baton travels) or `fan-out` (the paper's rounds); by default
    'chain'."""

    lanes: int | str
    """Relays running in parallel (chain). `auto`: up to five of one hop, fewer where hops are
    rejected; they meet by `adam`, unless `lanes_meet` is `momentum`. `wave`: the same, and while
    hardly a hop is rejected, the next round trains while the last one is judged; by default 1."""

    lanes_meet: str
    """At a round's end, lanes below the top share restart from the best (`select`), or all from
    their average (`average`), or from where an optimiser steps by it (`momentum`, `adam`; then
    legs have one hop); by default 'select'."""

    max_leg: int
    """Most hops of a leg (chain); at its end all of them are tested; by default 4."""

    trail: float
    """About this share of the accepted batons, the latest ones, is averaged and published; 0
    publishes the baton itself, 1 the average of all; by default 0.1."""

    recognised_share: float
    """Top share of lanes or candidates that is recognised; by default 0.5."""

    fraction_train: float
    """Share of the participants who own or train in a fan-out round; by default 0.5."""

    budget: int | None
    """Stop after this many hops (client trainings), whatever the rounds; by default None."""

    seed: int
    """Seed of every random choice of the relay; by default 0."""

    examiners: int
    """The most that test a leg. In a chain five do once the run has risen, while examiners agree.
    0 tests nothing (a plain ring); by default 15."""

    tolerance: float
    """How far a committee's vote on a hop may fall, as a fraction of the utility's bound. Where
    hops usually cost something, that is added; by default 0.11."""

    audit: float
    """Probability that a hop is audited, and so earns; more where a cycle has few hops, and all
    in a cautious run; by default 0.25."""

    nonces: int
    """Random numbers of signing participants that each draw of committee and tests needs; one
    more is asked for theirs, so that one may be silent. 0 leaves the draw to the operator; by
    default 3."""

    test_encoding: str
    """What examiners are shown of a candidate: the `exact` weights, or a likeness, which is the
    leg's base plus the change rounded to `int8` or `fp16`. An examiner with the mod that holds
    the base is sent only the change; by default 'int8'."""

    hop_encoding: str
    """How trainers with the mod hand on what they trained: `exact`, or as their base plus the
    change rounded to `fp16` or `int8`. What was rounded off is added to their next hop; by
    default 'exact'."""

    planted: float
    """Share of tests after the first cycle in which planted models find out constant voters and
    liars. In the first cycle they are in every test; 0 plants none; by default 0.2."""

    first_debt: float
    """Debt that everybody begins with: it shortens first hops, by half at 1. A founder's is
    waived once examiners agree and a model has risen by half a tolerance; by default 1.0."""

    rewards: str
    """`contribution` (pay for measured improvement) or `royalty` (the paper's coin per ancestor);
    by default 'contribution'."""

    deposit_unit: float
    """Deposit in coins until a median income per cycle is known; by default 0.1."""

    min_available_nodes: int
    """Nodes to wait for before the first message; by default 2."""

    utility_key: str
    """Metric of an evaluate reply that votes; by default 'eval_loss'."""

    utility_rises: bool
    """Whether that metric is better when larger, as an accuracy is, and the negative of a loss;
    by default False."""

    utility_bound: float | None
    """Largest size of that metric that counts. By default twice the genesis model's median loss;
    of a metric that is worst at 0 it is 1, or 100 if that median is beyond 1; by default None."""

    weighted_by_key: str
    """Metric that weighs the averages in Flower's result; by default 'num-examples'."""

    arrayrecord_key: str
    """Key of the weights in a message; by default 'arrays'."""

    configrecord_key: str
    """Key of the configuration in a message; by default 'config'."""

    identity_key: str
    """Metric that tells who a node is, where it reports it; by default 'partition-id'."""
