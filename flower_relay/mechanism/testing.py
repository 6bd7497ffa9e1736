"""Which models are tested and by whom, drawn after the commitment.

One committee serves all lanes of a round, and tests all hops of their legs. For pay, a
random few hops are audited: a reference is tested that the hops of a cycle have about in
common, their lane's trail, and a probe, the trail with the hop's step added.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..rules.planted import plants_with
from ..rules.votes import FEW, draw_committee
from ..settings import RelaySettings
from .blocks import Commitment, Deposit, HopClaim, OpenedNonce
from .eligible import examiners_free, nonces_needed
from .randomness import generator, seed_from
from .rewards import audited_with
from .state import State

__all__ = [
    "AuditTerms",
    "TestPlan",
    "audit_terms",
    "candidates",
    "decide_tests",
    "leg_utilities",
]


@dataclass(frozen=True, kw_only=True)
class TestPlan:
    """The committee, the models it tests, the hops audited, and whether some are planted.

    References and probes of the audited hops come on top of `models`: it takes the weights to
    name them.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    committee: tuple[int, ...]
    models: tuple[str, ...]
    audited: tuple[str, ...]
    plants: bool


@dataclass(frozen=True, kw_only=True)
class AuditTerms:
    """What the reference (the lane's trail) and the probe of an audited hop are made of."""

    trail: str
    base: str
    model: str


def candidates(claims: tuple[HopClaim, ...]) -> list[HopClaim]:
    """The hops of a leg that have a model to test, in order."""
    return [claim for claim in claims if claim.fault is None]


def decide_tests(
    state: State,
    head: str,
    deposit: Deposit,
    commitment: Commitment,
    nonces: tuple[OpenedNonce, ...] = (),
) -> TestPlan:
    """Draw committee, audits and plants from the hash of the commitment block and the nonces.

    Parameters
    ----------
    head : str
        Hash of the commitment block. Without nonces from participants the operator
        could grind it; `verify` says so.
    nonces : tuple of OpenedNonce
        Those opened for that block, in the order of participants. With fewer than the draw needs
        there is no committee, and the round's hops stay untested.
    """
    settings = state.settings
    rng = generator(seed_from(head, [item.nonce for item in nonces]), deposit.round, "tests")
    here = examiners_free(state, deposit)
    size = _seats(state) if len(nonces) >= nonces_needed(state, deposit) else 0
    committee = draw_committee(here, size, rng, state.earned[here] == 0)
    models: list[str] = []
    audited: list[str] = []
    probability = audited_with(state, deposit)
    for claims in commitment.lanes:
        hops = candidates(claims)
        drawn = rng.random(len(hops)) < probability
        chosen = [hop.model for hop, of_it in zip(hops, drawn, strict=True) if of_it and hop.model]
        if not _audits(settings) or not len(committee):
            chosen = []
        audited += chosen
        models += [hops[0].base, *(hop.model or "" for hop in hops)] if hops else []
    plants = bool(rng.random() < _planted_with(state, deposit)) and bool(models)
    if len(state.lanes) > 1 and settings.topology == "chain":
        models += [lane.baton for lane in state.lanes]
    if plants:
        models.insert(0, state.lineage.genesis)  # what planted models are held against
    return TestPlan(
        committee=tuple(committee.tolist()),
        models=tuple(dict.fromkeys(models)) if len(committee) else (),
        audited=tuple(audited),
        plants=plants,
    )


def _seats(state: State) -> int:
    """Examiners of a round: all seats in a fan-out, and after a hop that went untested."""
    most = state.settings.examiners
    few = state.settings.topology == "chain" and not state.unheard and not state.cautious
    return min(most, FEW) if few else most


def _planted_with(state: State, deposit: Deposit) -> float:
    """The probability that a test has planted models. In a fan-out there are no cycles."""
    share = state.settings.planted
    return plants_with(share, deposit.cycle) if state.settings.topology == "chain" else share


def _audits(settings: RelaySettings) -> bool:
    """Whether pay goes by audits; in a fan-out every candidate is tested in any case."""
    return settings.topology == "chain" and settings.rewards == "contribution"


def audit_terms(state: State, commitment: Commitment, audited: Collection[str]) -> list[AuditTerms]:
    """One for each audited hop, in the order of the hops."""
    return [
        AuditTerms(
            trail=state.lanes[lane].trail,
            base=hop.base,
            model=hop.model,
        )
        for lane, claims in enumerate(commitment.lanes)
        for hop in candidates(claims)
        if hop.model is not None and hop.model in audited
    ]


def leg_utilities(
    state: State, committee: tuple[int, ...], leg: list[HopClaim], training: tuple[int, ...]
) -> NDArray[np.float64]:
    """Utilities of a leg's base and models by the committee, own hops' judges left out."""
    names = [leg[0].base, *(hop.model or "" for hop in leg)]
    rows = np.array([state.known_utilities(name)[list(committee)] for name in names])
    rows[:, [index in training for index in committee]] = np.nan
    return rows
