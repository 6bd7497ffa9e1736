"""Testing on the wire: the committee's utilities, fetched and put on the record.

What an examiner has said about a model before is not asked again; the base of a leg is
usually known from the round in which it was the candidate. An examiner with the mod is asked
about all models in one visit, planted ones among them, in the order of their hashes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import TypeVar

import numpy as np
from flwr.app import Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from ..mechanism.averages import audited
from ..mechanism.blocks import Commitment, Testing
from ..mechanism.identity import key_of
from ..mechanism.randomness import generator
from ..mechanism.testing import TestPlan, audit_terms, decide_tests
from ..rules.lanes import leaves_late
from ..rules.planted import drowned, spreads_of
from ..transport.courier import Arrival
from ..wire.replies import Ballot, failure_told, is_missing, refusal_told
from ..wire.statements import Measured
from .holdings import packed
from .nonces import opened_nonces
from .quantised import bases_of, likeness
from .run import Run, addressed
from .votes import are_heard, vote_of

__all__ = ["examine"]

_MOST_BYTES_AT_ONCE = 64_000_000
"""Models beyond this wait for the ones before them to be examined: memory is bounded."""


@dataclass
class _Row:
    """What the committee said of a model so far, the signatures with it, and what it is shown."""

    shown: str
    utilities: NDArray[np.float64]
    ballots: list[Ballot | None]


_Known = dict[str, _Row]


@dataclass(frozen=True)
class _Visit:
    """One message to an examiner, and the models that it is asked about."""

    column: int
    examiner: int
    node: int
    names: tuple[str, ...]
    together: bool


def examine(
    run: Run, commitment: Commitment, meanwhile: Callable[[], None] = lambda: None
) -> list[Message]:
    """Have the round's candidates tested and record the testing block.

    Committee and tests are drawn from the hash of the commitment block, and from the nonces that
    are opened now that it is on the record.

    Parameters
    ----------
    meanwhile : callable
        What is done while the nonces are opened.

    Returns
    -------
    list of flwr.app.Message
        The committee's replies about the last model that is not planted.
    """
    state, deposit = run.state, run.state.deposit
    if deposit is None:
        return []
    nonces = opened_nonces(run, deposit, commitment, meanwhile)
    plan = decide_tests(state, run.heads.committed, deposit, commitment, nonces)
    references, probes = _audits(run, commitment, plan)
    planted = _plants(run, plan)
    names = [*plan.models, *references, *probes, *planted]
    bases = bases_of(deposit, commitment)
    audits = zip(audit_terms(state, commitment, plan.audited), references, probes, strict=True)
    for terms, reference, probe in audits:
        bases[reference] = bases[probe] = bases[terms.model]
    for name in planted:
        bases[name] = state.lineage.genesis
    known = _known(run, plan.committee, names, bases)
    testing = Testing(
        round=state.round,
        committee=plan.committee,
        audited=plan.audited,
        planted=planted,
        models=tuple(known),
        utilities=(),
        references=references,
        probes=probes,
        nonces=nonces,
        shown=_shown(known),
    )
    hearing = _Hearing(run, plan.committee, known)
    hearing.hear()
    run.record_block(replace(_with_votes(testing, known), turns=hearing.took))
    asked = [name for name in plan.models if name in hearing.replies]
    return [_about(*reply) for reply in hearing.replies[asked[-1]]] if asked else []


def _known(run: Run, committee: tuple[int, ...], names: list[str], bases: dict[str, str]) -> _Known:
    nobody: list[Ballot | None] = [None] * len(committee)
    near = lru_cache(maxsize=1)(run.store.get)  # several models in a row are near the same
    return {
        name: _Row(
            shown=likeness(run, name, bases.get(name, name), near),
            utilities=run.state.known_utilities(name)[list(committee)],
            ballots=nobody.copy(),
        )
        for name in names
    }


def _utilities(known: _Known) -> tuple[tuple[float | None, ...], ...]:
    return tuple(
        tuple(None if math.isnan(value) else value for value in row.utilities.tolist())
        for row in known.values()
    )


def _with_votes(testing: Testing, known: _Known) -> Testing:
    """What examiners said, and what they signed: no rows in a field where nobody signed any."""
    rows = [
        [ballot if ballot and ballot.signature else _NO_BALLOT for ballot in row.ballots]
        for row in known.values()
    ]
    return replace(
        testing,
        utilities=_utilities(known),
        signatures=_rows(rows, lambda ballot: ballot.signature),
        values=_rows(rows, lambda ballot: ballot.measured.value),
        errors=_rows(rows, lambda ballot: ballot.measured.error),
        cases=_rows(rows, lambda ballot: ballot.measured.cases),
    )


_Part = TypeVar("_Part")


def _rows(
    rows: list[list[Ballot]], part: Callable[[Ballot], _Part | None]
) -> tuple[tuple[_Part | None, ...], ...]:
    found = tuple(tuple(part(ballot) for ballot in row) for row in rows)
    return found if any(one is not None for row in found for one in row) else ()


_NO_BALLOT = Ballot(measured=Measured(value=None))


def _shown(known: _Known) -> tuple[str, ...]:
    """One name a model, or none where all were shown as they are."""
    names = tuple(row.shown for row in known.values())
    return () if names == tuple(known) else names


class _Hearing:
    """A committee that is asked what it has not said yet about the models of a test.

    Attributes
    ----------
    replies : dict of str to list of (Message, int or None)
        By model: replies, and its place among the models that a reply is about.
    """

    def __init__(self, run: Run, committee: tuple[int, ...], known: _Known) -> None:
        self._run, self._committee, self._known = run, committee, known
        self._turns = [0] * len(committee)
        self.replies: dict[str, list[tuple[Message, int | None]]] = {}

    @property
    def took(self) -> tuple[int, ...]:
        """The further turns that each examiner used up by how long it took; empty: nobody any."""
        return tuple(self._turns) if any(self._turns) else ()

    def hear(self) -> None:
        """Fill in what is not known yet, in batches."""
        batch: list[str] = []
        waiting = [name for name, row in self._known.items() if self._asked(row)]
        for name in waiting:
            batch.append(name)
            if name == waiting[-1] or self._run.record_bytes * len(batch) > _MOST_BYTES_AT_ONCE:
                if again := self._make(self._visits(batch)):
                    self._make(again)
                batch = []

    def _asked(self, row: _Row) -> list[int]:
        """Columns of the examiners who are free and have not said yet what a model is to them."""
        node_of, owing = self._run.node_of, self._run.courier.owing
        unknown = np.flatnonzero(np.isnan(row.utilities)).tolist()
        nodes = [(column, node_of.get(self._committee[column])) for column in unknown]
        return [column for column, node in nodes if node is not None and node not in owing]

    def _visits(self, batch: list[str]) -> list[_Visit]:
        """Who is asked about what: all at once with the mod, else one model a message."""
        run = self._run
        visits: list[_Visit] = []
        asked = {name: self._asked(self._known[name]) for name in batch}
        for column, examiner in enumerate(self._committee):
            names = [name for name in batch if column in asked[name]]
            if not names:
                continue
            node = run.node_of[examiner]
            if run.forwarding.reaches(node) or key_of(run.state.who.names[examiner]) is not None:
                ordered = tuple(sorted(names, key=lambda name: self._known[name].shown))
                visits.append(_Visit(column, examiner, node, ordered, together=True))
            else:
                visits += [_Visit(column, examiner, node, (one,), together=False) for one in names]
        return sorted(visits, key=lambda visit: visit.names)

    def _make(self, visits: list[_Visit]) -> list[_Visit]:
        """Make visits and note what was said; those to be made again, with whole models."""
        run = self._run

        def enough(arrivals: list[Arrival]) -> bool:
            return are_heard(run.state, self._committee, self._heard(visits, arrivals))

        arrivals = run.courier.exchange(
            self._messages(visits), visits, run.timeout, "test", hurries=False,
            enough=enough if leaves_late(len(run.state.lanes), run.state.verdicts) else None,
        )  # fmt: skip
        missing = [visit for visit, arrival in self._tagged(arrivals) if self._note(visit, arrival)]
        return [visit for visit in missing if run.forwarding.forget(visit.node)]

    def _messages(self, visits: list[_Visit]) -> list[Message]:
        run = self._run
        messages: list[Message] = []
        for names, alike in groupby(visits, key=lambda visit: visit.names):
            group = list(alike)
            nodes = [visit.node for visit in group]
            shown, terms = self._known[names[0]].shown, run.vote_terms(nodes)
            made = addressed(run, run.hooks.configure_evaluate, shown, terms, nodes)
            pairs = zip(made, group, strict=True)
            messages += [_packed(run, self._known, *pair) for pair in pairs]
        run.forwarding.rest()
        return messages

    @staticmethod
    def _tagged(arrivals: list[Arrival]) -> list[tuple[_Visit, Arrival]]:
        return [(each.tag, each) for each in arrivals if isinstance(each.tag, _Visit)]

    def _note(self, visit: _Visit, arrival: Arrival) -> bool:
        """Note what was said at a visit; whether its node lacks what the models are made from."""
        run, examiner, reply = self._run, visit.examiner, arrival.message
        self._turns[visit.column] = max(self._turns[visit.column], arrival.turns)
        if reply is None:
            run.notice(examiner, f"{arrival.fault} as an examiner", arrival.reason)
            return False
        if is_missing(reply):
            return True
        if (refused := refusal_told(reply)) is not None:
            run.notice(examiner, "refused as an examiner", refused)
            return False
        run.heard(examiner, visit.node, reply)
        if (failed := failure_told(reply)) is not None:
            run.notice(examiner, "error as an examiner", failed)
        for place, name in enumerate(visit.names):
            where = place if visit.together else None
            self.replies.setdefault(name, []).append((reply, where))
            row = self._known[name]
            if (vote := vote_of(run, examiner, name, row.shown, reply, where)) is not None:
                row.utilities[visit.column], row.ballots[visit.column] = vote
        return False

    def _heard(self, visits: list[_Visit], arrivals: list[Arrival]) -> NDArray[np.bool_]:
        """Which examiners have answered all that they are asked now, or had said it before."""
        asked = Counter(visit.column for visit in visits)
        asked.subtract(visit.column for visit, each in self._tagged(arrivals) if each.message)
        names = {name for visit in visits for name in visit.names}
        rows = np.array([self._known[name].utilities for name in names])
        heard: NDArray[np.bool_] = ~np.isnan(rows).any(axis=0)
        for column, left in asked.items():
            heard[column] = not left
        return heard


def _packed(run: Run, known: _Known, message: Message, visit: _Visit) -> Message:
    """The message of a visit, as small as what its node holds allows."""
    if not visit.together:
        return message
    settings = run.state.settings
    shown = [known[name].shown for name in visit.names]
    parcel = run.forwarding.parcel(visit.node, shown)
    keys = settings.arrayrecord_key, settings.configrecord_key
    return packed(message, parcel, *keys, models=visit.names, shown=shown)


def _about(reply: Message, place: int | None) -> Message:
    """A reply about one model, made of one about several."""
    if place is not None:
        metrics = reply.content.get(f"metrics-{place}", MetricRecord())
        reply.content = RecordDict({"metrics": metrics})
    return reply


def _audits(
    run: Run, commitment: Commitment, plan: TestPlan
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """References and probes of the audited hops."""
    wanted = audit_terms(run.state, commitment, plan.audited)
    made = [audited(run.store, terms) for terms in wanted]
    return tuple(reference for reference, _ in made), tuple(probe for _, probe in made)


def _plants(run: Run, plan: TestPlan) -> tuple[str, ...]:
    """The genesis model drowned in noise, and in the opposite noise.

    Where numbers cannot be added to, there is only one.
    """
    state = run.state
    if not plan.plants or not plan.models or state.deposit is None:
        return ()
    genesis = run.store.get(state.lineage.genesis)
    spreads = spreads_of(genesis, run.store.get(state.deposit.lanes[0].base))
    made = []
    for sign in (1.0, -1.0):  # the same noise is drawn again: one model at a time is in memory
        rng = generator(state.settings.seed, state.round, "planted")
        made.append(run.store.put(drowned(genesis, spreads, rng, sign)))
    return tuple(dict.fromkeys(made))
