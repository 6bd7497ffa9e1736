"""The rules once more: what each block must be, given the blocks before it.

The replay folds the same state and calls the same deciding functions as the live run.
`expected` takes what is an observation from the block itself and decides the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple
from functools import partial
from math import isclose
from typing import TypeVar, assert_never

from ..errors import ModelMissingError
from ..mechanism.apply import Progress
from ..mechanism.averages import StoredAverages, audited
from ..mechanism.blocks import (
    Admission,
    Block,
    Commitment,
    Deposit,
    Genesis,
    HopClaim,
    Publication,
    Settlement,
    Testing,
)
from ..mechanism.deposit import decide_next_deposit, hops_left
from ..mechanism.publication import Meeting, decide_expected, decide_publication
from ..mechanism.settlement import decide_settlement
from ..mechanism.state import begin
from ..mechanism.testing import AuditTerms, audit_terms, decide_tests
from ..rules.candidates import way_moved
from ..rules.coins import PaymentRule
from ..store import ModelStore
from .attestation import ParticipantsWord
from .differences import Differs, first_difference
from .observations import (
    check_admission,
    check_commitment,
    check_genesis,
    check_present,
    check_votes,
    models_named,
)

__all__ = ["Replay"]

_Made = TypeVar("_Made")

_SAME_WAY = 1e-4
"""A way is stated to six digits, and the last bits of a sum differ between machines."""

_MINTS = {PaymentRule.REFUND: 0, PaymentRule.VESTING: 0, PaymentRule.FORFEIT: -1}
"""What a unit adds to all coins there are, where it is not 1."""

_LOCKS = {PaymentRule.CONTRIBUTION: 1, PaymentRule.VESTING: -1}
"""What it adds to pay that is not vested, where it is not 0."""


class Replay:
    """A run decided again, block by block.

    Parameters
    ----------
    genesis : Genesis
        The first block.
    stored : ModelStore, optional
        Models at hand, from which published averages are made again.
    intact : frozenset of str
        Their names.

    Attributes
    ----------
    progress : Progress
        The fold of the blocks so far.
    averages_checked, averages_stated : int
        Averages that were made again, and those whose parents are gone.
    word : ParticipantsWord
        What participants signed themselves.
    """

    def __init__(
        self,
        genesis: Genesis,
        *,
        stored: ModelStore | None = None,
        intact: frozenset[str] = frozenset(),
    ) -> None:
        check_genesis(genesis)
        self.word = ParticipantsWord(genesis)
        self.word.check_genesis(genesis)
        self.progress = Progress(state=begin(genesis), last=genesis)
        self.averages_checked = self.averages_stated = 0
        self.named = {name for _, name in models_named(genesis)}
        settings = self.progress.state.settings
        self._averages = None if stored is None else StoredAverages(stored, settings)
        self._intact = intact
        self._stored = stored
        self._asked_by = self._committed = ""
        self.met: dict[Meeting, str] = {}
        self._unvested = 0
        self._total = 0

    def expected(self, block: Block) -> Block:
        """What the next block must be.

        Raises
        ------
        Differs
            When its kind cannot follow, or what was observed is inconsistent.
        """
        kind, due = type(block), self.progress.due
        if kind not in due:
            names = " or ".join(option.__name__.lower() for option in due)
            raise Differs("kind", names, kind.__name__.lower())
        match block:
            case Genesis():
                raise AssertionError("never due")
            case Admission():
                check_admission(self.progress.state, block)
                return block
            case Deposit():
                return self._deposit(block)
            case Commitment():
                return self._commitment(block)
            case Testing():
                return self._testing(block)
            case Settlement():
                return decide_settlement(self.progress.state)
            case Publication():
                return decide_publication(self.progress.state, _Stated(self, block))
        assert_never(block)

    def follow(self, block: Block, hash: str) -> None:
        """Fold a block that is as expected, and check that coins are conserved."""
        self.progress.fold(block)
        if not self.progress.trainers_are_out:
            self._asked_by = hash
        if isinstance(block, Commitment):
            self._committed = hash
        self.named.update(name for _, name in models_named(block))
        self._conserve(block)

    def average(
        self, models: Sequence[str], make: Callable[[StoredAverages], _Made], stated: _Made
    ) -> _Made:
        """The average of these models if all are at hand, else the one that is stated.

        A run that goes on may let go of them meanwhile. Counts either case.
        """
        if self._averages is not None and self._intact.issuperset(models):
            with suppress(ModelMissingError):
                made = make(self._averages)
                self.averages_checked += 1
                return made
        self.averages_stated += 1
        return stated

    def _deposit(self, block: Deposit) -> Deposit:
        state = self.progress.state
        check_present(state, block)
        base = decide_expected(state, partial(self._expected, block)) if state.open else None
        expected = decide_next_deposit(state, block.present, self.progress.hops, expected=base)
        if expected is None and hops_left(state.settings, self.progress.hops) > 0:
            raise Differs("deposit.present", "somebody who trains", list(block.present))
        if expected is None:
            used = f"no more, the budget of {state.settings.budget} being used"
            raise Differs("kind", used, "deposit")
        return expected

    def _expected(self, block: Deposit, meeting: Meeting) -> str:
        """What a round that goes ahead trains on, as stated or as it should be."""
        stated = block.lanes[0].base if block.lanes else "a step"
        made = self.average(meeting.parts, lambda made: made.expect(meeting), stated)
        self.met = {meeting: made}
        return made

    def _commitment(self, block: Commitment) -> Commitment:
        deposit = self.progress.state.deposit
        assert deposit is not None
        check_commitment(self.progress.state, deposit, block)
        self.word.check_commitment(self.progress.state, deposit, block, self._asked_by)
        for lane, claims in enumerate(block.lanes):
            for place, claim in enumerate(claims):
                self._check_way(claim, f"commitment.lanes[{lane}][{place}].way")
        return block

    def _check_way(self, claim: HopClaim, path: str) -> None:
        """How far a whole hop moved, where both of its models are at hand."""
        parts, stored = (claim.base, claim.model), self._stored
        whole = claim.fault is None and claim.sent is None and claim.model is not None
        if stored is None or not whole or not self._intact.issuperset(parts):
            return
        with suppress(ModelMissingError):
            base, model = (stored.get(part or "") for part in parts)
            way = way_moved(model, base)
            if claim.way is not None and not isclose(way, claim.way, rel_tol=_SAME_WAY):
                raise Differs(path, way, claim.way)

    def _testing(self, block: Testing) -> Testing:
        state, expected = self.progress.state, self._drawn(block)
        drawn = {"committee": expected.committee, "models": expected.models}
        found = {"committee": block.committee, "models": block.models}
        # Who voted on what, before the votes; compared at once, because it is seldom wrong.
        if drawn != found and (difference := first_difference(drawn, found, "testing")):
            raise difference
        check_votes(state, block)
        self.word.check_testing(state, block, self._asked_by)
        return expected

    def _drawn(self, block: Testing) -> Testing:
        """The plan as drawn from the hash of the commitment block."""
        state = self.progress.state
        deposit, commitment = state.deposit, state.commitment
        assert deposit is not None and commitment is not None
        self.word.check_openings(state, commitment, self._asked_by, block.nonces)
        plan = decide_tests(state, self._committed, deposit, commitment, block.nonces)
        plants = plan.plants and bool(plan.models)
        self._check_planted(block, commitment, plants)
        audits = self._audits(block, audit_terms(state, commitment, plan.audited))
        references, probes = (tuple(pair[side] for pair in audits) for side in (0, 1))
        return Testing(
            round=state.round,
            committee=plan.committee,
            audited=plan.audited,
            planted=block.planted,
            models=tuple(dict.fromkeys((*plan.models, *references, *probes, *block.planted))),
            utilities=block.utilities,
            references=references,
            probes=probes,
            signatures=block.signatures,
            values=block.values,
            errors=block.errors,
            cases=block.cases,
            nonces=block.nonces,
            shown=block.shown,
            turns=block.turns,
        )

    def _check_planted(self, block: Testing, commitment: Commitment, plants: bool) -> None:
        """One or two models that are nothing else, where the draw says that some are planted."""
        planted = block.planted
        few = len(planted) <= 2 and len(set(planted)) == len(planted)
        if plants != bool(planted) or not few:
            raise Differs("testing.planted", "one or two" if plants else "none", list(planted))
        handed_in = {
            name for claims in commitment.lanes for claim in claims for name in claim.names
        }
        others = self.named | handed_in | {*block.references, *block.probes}
        if made := sorted(others.intersection(planted)):
            raise Differs("testing.planted", "models that nobody made", made[0])

    def _audits(self, block: Testing, terms: list[AuditTerms]) -> list[tuple[str, str]]:
        """References as they must be, and probes as stated; made again where their parts are."""
        for name, stated in (("references", block.references), ("probes", block.probes)):
            if len(stated) != len(terms):
                raise Differs(f"testing.{name}", f"{len(terms)} entries", len(stated))
        pairs = zip(terms, block.probes, strict=True)
        return [self._audit(made_of, probe) for made_of, probe in pairs]

    def _audit(self, made_of: AuditTerms, stated: str) -> tuple[str, str]:
        if self._stored is not None and self._intact.issuperset(astuple(made_of)):
            with suppress(ModelMissingError):
                return audited(self._stored, made_of)
        return made_of.trail, stated

    def _conserve(self, block: Block) -> None:
        """What a block mints and burns is the change of balances and of what is locked."""
        who = self.progress.state.who
        total = int(who.coins.sum()) + int(who.locked.sum())
        named = 0
        if isinstance(block, Settlement):
            for payment in block.payments:
                sign = _MINTS.get(payment.rule, 1)
                named += sign * payment.units
                sign = _LOCKS.get(payment.rule, 0)
                self._unvested += sign * payment.units
            if int(who.locked.sum()) != self._unvested:
                expected = f"none after a settlement, and {self._unvested} units not vested"
                raise Differs("locked deposits", expected, int(who.locked.sum()))
        if total - self._total != named:
            raise Differs("coins", f"a change by {named} units", total - self._total)
        if (who.coins < 0).any():
            raise Differs("balances", "none below 0", who.coins.tolist())
        self._total = total


class _Stated:
    """The averages that a publication states; made again where all of their parents are there."""

    def __init__(self, replay: Replay, block: Publication) -> None:
        self._replay, self._block = replay, block

    def extend(self, lane: int, trail: str, batons: Sequence[str], before: int) -> str:
        """The trail that the block states for a lane, or as it should be."""
        settled = self._replay.progress.state.settlement
        sources = () if settled is None else settled.restart_from
        trails = self._block.trails
        place = sources.index(lane) if lane in sources and len(sources) == len(trails) else 0
        stated = trails[place] if place < len(trails) else "a trail"
        return self._replay.average(
            [trail, *batons], lambda made: made.extend(lane, trail, batons, before), stated
        )

    def merge(self, batons: Sequence[str], weights: Sequence[float]) -> str:
        """The baton that the block states for all lanes, or as it should be."""
        stated = self._block.batons[0] if self._block.batons else "an average"
        return self._replay.average(batons, lambda made: made.merge(batons, weights), stated)

    def meet(self, meeting: Meeting) -> tuple[str, tuple[str, ...]]:
        """The baton and the optimiser's memory that the block states, or as they should be."""
        block = self._block
        baton = block.batons[0] if block.batons else "a step"
        # Where nothing was rejected, it is what the next round trains on already.
        stated = (self._replay.met.get(meeting, baton), block.moments)
        return self._replay.average(meeting.parts, lambda made: made.meet(meeting), stated)
