"""Runs without training: every block is decided as in a real run, the results are made up.

Trainers improve the model a little or harm it, fail, leave and copy; examiners see the
truth with some noise; now and then somebody joins. Models have names but no weights.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flower_relay import RelaySettings
from flower_relay.ledger.chain import block_hash
from flower_relay.ledger.keys import OperatorKey
from flower_relay.ledger.sealed import NOTHING_BEFORE, SealedBlock, seal
from flower_relay.mechanism.apply import Progress
from flower_relay.mechanism.blocks import (
    Admission,
    Block,
    Commitment,
    Deposit,
    Genesis,
    HopClaim,
    Testing,
)
from flower_relay.mechanism.deposit import decide_next_deposit, hops_left
from flower_relay.mechanism.publication import Meeting, decide_expected, decide_publication
from flower_relay.mechanism.settlement import decide_settlement
from flower_relay.mechanism.state import begin
from flower_relay.mechanism.testing import audit_terms, decide_tests
from flower_relay.rules.audits import AUDITED_PART
from flower_relay.rules.outcomes import Fault

_FAULTS = (
    None, Fault.TIMEOUT, Fault.ERROR, Fault.LEFT, Fault.NON_FINITE, Fault.MIS_SHAPED,
    Fault.UNCHANGED, Fault.COPIED,
)  # fmt: skip
_ODDS = (0.86, *[0.02] * 7)


KEY = OperatorKey(Ed25519PrivateKey.from_private_bytes(b"\2" * 32))
"""The operator's, of all imagined runs."""


def sealed(blocks: Iterable[Block], key: OperatorKey) -> Iterator[SealedBlock]:
    """The blocks as a ledger stores them."""
    previous = NOTHING_BEFORE
    for index, block in enumerate(blocks):
        found = seal(index, previous, block, key)
        previous = found.hash
        yield found


class ImaginedRun:
    """A federation whose trainers and examiners are drawn; iterate over it for its blocks.

    Parameters
    ----------
    settings : RelaySettings
        Of the run.
    participants : int
        Founders.
    rounds : int
        To play.
    seed : int
        Of everything that is made up.
    """

    def __init__(
        self, settings: RelaySettings, *, participants: int, rounds: int, seed: int = 0
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._rounds = rounds
        self._quality: dict[str, float] = {}
        self._numbers = itertools.count()
        self._met: dict[Meeting, str] = {}
        first = self._model(0.2)
        names = tuple(f"partition-id-{number}" for number in range(participants))
        self.genesis = Genesis(
            settings=asdict(settings),
            model=first,
            bound=settings.utility_bound or 4.6,
            participants=names,
            utilities=tuple(self._seen(first) for _ in names),
            operator=KEY.public,
            run=hashlib.sha256(f"run {seed}".encode()).hexdigest(),
        )
        self.progress = Progress(state=begin(self.genesis), last=self.genesis)
        self._head = block_hash(NOTHING_BEFORE, self.genesis)

    def __iter__(self) -> Iterator[Block]:
        yield self.genesis
        for _ in range(self._rounds):
            for block in self._round():
                self._head = block_hash(self._head, block)
                self.progress.fold(block)
                yield block

    def _round(self) -> Iterator[Block]:
        """One round; each block is folded before the next is decided."""
        progress, state, settings = self.progress, self.progress.state, self.progress.state.settings
        if progress.between_rounds:
            if settings.budget is not None and progress.hops >= settings.budget:
                return
            yield from self._deposit(None)
        deposit = state.deposit
        assert deposit is not None
        commitment = self._commitment(deposit)
        yield commitment
        committed, rounds = self._head, state.round
        more = rounds < self._rounds and hops_left(settings, progress.hops) > 0
        if state.goes_ahead and more:
            yield from self._deposit(decide_expected(state, self.expect))
        if settings.examiners:
            yield self._testing(deposit, commitment, committed)
        yield decide_settlement(state)
        yield decide_publication(state, self)

    def _deposit(self, expected: str | None) -> Iterator[Block]:
        progress, state = self.progress, self.progress.state
        if self._rng.random() < 0.01:
            name = f"partition-id-{state.num_participants}"
            yield Admission(round=state.round + 1, participants=(name,))
        present = self._rng.random(state.num_participants) < 0.95
        present[0] = True
        here = np.flatnonzero(present).tolist()
        deposit = decide_next_deposit(state, here, progress.hops, expected=expected)
        assert deposit is not None
        yield deposit

    def _commitment(self, deposit: Deposit) -> Commitment:
        lanes: list[tuple[HopClaim, ...]] = []
        for terms in deposit.lanes:
            base, claims = terms.base, []
            for trainer in terms.trainers:
                fault = self._rng.choice(np.array(_FAULTS, dtype=object), p=_ODDS)
                model = self._trained(base) if fault is None else None
                model = self.genesis.model if fault == Fault.COPIED else model
                shortened = fault is None and self.progress.state.stride(trainer) < 1
                sent = self._trained(base) if shortened else None
                claims.append(
                    HopClaim(
                        trainer=trainer,
                        base=base,
                        model=model,
                        fault=fault,
                        sent=sent,
                        way=None if fault else 1.0,
                    )
                )
                base = model if fault is None and model else base
            lanes.append(tuple(claims))
        return Commitment(round=deposit.round, lanes=tuple(lanes))

    def _testing(self, deposit: Deposit, commitment: Commitment, committed: str) -> Testing:
        state = self.progress.state
        plan = decide_tests(state, committed, deposit, commitment)
        planted = (self._model(-1.0), self._model(-1.0)) if plan.plants and plan.models else ()
        references, probes = [], []
        for each in audit_terms(state, commitment, plan.audited):
            quality = self._quality
            step = AUDITED_PART * (quality[each.model] - quality[each.base])
            references.append(each.trail)
            probes.append(self._model(quality[each.trail] + step))
        models = dict.fromkeys((*plan.models, *references, *probes, *planted))
        return Testing(
            round=deposit.round, committee=plan.committee, audited=plan.audited, planted=planted,
            models=tuple(models),
            utilities=tuple(self._row(name, plan.committee) for name in models),
            references=tuple(references),
            probes=tuple(probes),
        )  # fmt: skip

    def _row(self, model: str, committee: Sequence[int]) -> tuple[float | None, ...]:
        """What examiners said before stays said; a few say nothing."""
        known = self.progress.state.known_utilities(model)[list(committee)].tolist()
        fresh = [None if self._rng.random() < 0.03 else self._seen(model) for _ in committee]
        return tuple(new if old != old else old for old, new in zip(known, fresh, strict=True))

    def _seen(self, model: str) -> float:
        return float(np.clip(self._quality[model] + self._rng.normal(0, 0.02), 0.0, 1.0))

    def _trained(self, base: str) -> str:
        harm = self._rng.random() < 0.1
        step = self._rng.normal(-0.2, 0.1) if harm else self._rng.normal(0.002, 0.01)
        return self._model(float(np.clip(self._quality[base] + step, 0.0, 0.95)))

    def _model(self, quality: float) -> str:
        name = hashlib.sha256(f"model {next(self._numbers)}".encode()).hexdigest()
        self._quality[name] = quality
        return name

    # The averages of a publication, by name only.

    def extend(self, lane: int, trail: str, batons: Sequence[str], before: int) -> str:
        """A trail, as good as its last baton."""
        return self._model(self._quality[batons[-1]])

    def merge(self, batons: Sequence[str], weights: Sequence[float]) -> str:
        """An average, as good as its parts on average."""
        return self._model(float(np.mean([self._quality[name] for name in batons])))

    def meet(self, meeting: Meeting) -> tuple[str, tuple[str, ...]]:
        """As good as the parts on average; what the optimiser remembers has names, too."""
        return self.expect(meeting), (self._model(0.0), self._model(0.0))

    def expect(self, meeting: Meeting) -> str:
        """The same model of the same parts."""
        self._met = {meeting: self._met.get(meeting) or self.merge(meeting.hops, ())}
        return self._met[meeting]
