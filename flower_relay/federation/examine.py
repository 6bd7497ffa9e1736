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
from typing import Any, TypeVar

import numpy as np
from flwr.app import Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from ..mechanism.averages import StoredSteps
from ..mechanism.blocks import Commitment, Testing
from ..mechanism.identity import key_of
from ..mechanism.randomness import generator
from ..mechanism.testing import TestPlan, audit_terms, decide_tests
from ..rules.lanes import leaves_late
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

_PART = 1 << 18
"""Numbers that noise is added to at a time."""


@dataclass
class _Row:
    """What the committee said of a model so far, the signatures with it, and what it is shown."""

    shown: str
    utilities: NDArray[np.float64]
    ballots: list[Ballot | None]


_Turns = dict[int, int]
"""By column: the further turns that an examiner used up by how long it took."""

_Known = dict[str, _Row]

_Replies = dict[str, list[tuple[Message, int | None]]]
"""By model: replies, and its place among the models that a reply is about."""


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
        bases[name] = bases.get(plan.models[0], plan.models[0])
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
    turns: _Turns = dict.fromkeys(range(len(plan.committee)), 0)
    replies = _fetch(run, plan.committee, known, turns)
    took = tuple(turns.values()) if any(turns.values()) else ()
    run.record_block(replace(_with_votes(testing, known), turns=took))
    asked = [name for name in plan.models if name in replies]
    return [_about(*reply) for reply in replies[asked[-1]]] if asked else []


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


def _fetch(run: Run, committee: tuple[int, ...], known: _Known, turns: _Turns) -> _Replies:
    """Fill in what is not known yet, in batches; the replies about each model."""
    replies: _Replies = {}
    batch: list[str] = []
    waiting = [name for name, row in known.items() if _asked(run, committee, row)]
    for name in waiting:
        batch.append(name)
        if name == waiting[-1] or run.record_bytes * len(batch) > _MOST_BYTES_AT_ONCE:
            visits = _visits(run, committee, known, batch)
            if again := _visit(run, known, committee, visits, replies, turns):
                _visit(run, known, committee, again, replies, turns)
            batch = []
    return replies


def _asked(run: Run, committee: tuple[int, ...], row: _Row) -> list[int]:
    """Columns of the examiners who have not yet said what they make of a model, and are free."""
    unknown, owing = np.flatnonzero(np.isnan(row.utilities)).tolist(), run.courier.owing
    nodes = [(column, run.node_of.get(committee[column])) for column in unknown]
    return [column for column, node in nodes if node is not None and node not in owing]


def _visits(run: Run, committee: tuple[int, ...], known: _Known, batch: list[str]) -> list[_Visit]:
    """Who is asked about what: all at once with the mod, else one model a message."""
    names = {
        column: [name for name in batch if column in _asked(run, committee, known[name])]
        for column in range(len(committee))
    }
    visits: list[_Visit] = []
    for column, examiner in enumerate(committee):
        if not names[column]:
            continue
        node = run.node_of[examiner]
        if run.forwarding.reaches(node) or key_of(run.state.who.names[examiner]) is not None:
            ordered = tuple(sorted(names[column], key=lambda name: known[name].shown))
            visits.append(_Visit(column, examiner, node, ordered, together=True))
        else:
            visits += [
                _Visit(column, examiner, node, (one,), together=False) for one in names[column]
            ]
    return sorted(visits, key=lambda visit: visit.names)


def _visit(
    run: Run,
    known: _Known,
    committee: tuple[int, ...],
    visits: list[_Visit],
    replies: _Replies,
    turns: _Turns,
) -> list[_Visit]:
    """Make visits and note what was said; those to be made again, with whole models."""
    messages: list[Message] = []
    for names, alike in groupby(visits, key=lambda visit: visit.names):
        group = list(alike)
        nodes = [visit.node for visit in group]
        shown, terms = known[names[0]].shown, run.vote_terms(nodes)
        made = addressed(run, run.hooks.configure_evaluate, shown, terms, nodes)
        messages += [_packed(run, known, *pair) for pair in zip(made, group, strict=True)]
    run.forwarding.rest()
    again: list[_Visit] = []

    def enough(arrivals: list[Arrival]) -> bool:
        return are_heard(run.state, committee, _heard(known, committee, visits, arrivals))

    several = len(run.state.lanes) > 1 and leaves_late(run.state.verdicts)
    arrivals = run.courier.exchange(
        messages, visits, run.timeout, "test", hurries=False, enough=enough if several else None
    )
    for arrival in arrivals:
        visit, reply = arrival.tag, arrival.message
        assert isinstance(visit, _Visit)
        turns[visit.column] = max(turns[visit.column], arrival.turns)
        if reply is None:
            run.notice(visit.examiner, f"{arrival.fault} as an examiner", arrival.reason)
            continue
        if is_missing(reply):
            again += [visit] if run.forwarding.forget(visit.node) else []
            continue
        if (refused := refusal_told(reply)) is not None:
            run.notice(visit.examiner, "refused as an examiner", refused)
            continue
        run.heard(visit.examiner, visit.node, reply)
        if (failed := failure_told(reply)) is not None:
            run.notice(visit.examiner, "error as an examiner", failed)
        for place, name in enumerate(visit.names):
            where = place if visit.together else None
            replies.setdefault(name, []).append((reply, where))
            row = known[name]
            vote = vote_of(run, visit.examiner, name, row.shown, reply, where)
            if vote is not None:
                row.utilities[visit.column], row.ballots[visit.column] = vote
    return again


def _heard(
    known: _Known, committee: tuple[int, ...], visits: list[_Visit], arrivals: list[Arrival]
) -> NDArray[np.bool_]:
    """Which examiners have answered all that they are asked now, or had said it before."""
    asked = Counter(visit.column for visit in visits)
    for arrival in arrivals:
        if arrival.message is not None and isinstance(arrival.tag, _Visit):
            asked[arrival.tag.column] -= 1
    names = {name for visit in visits for name in visit.names}
    rows = np.array([known[name].utilities for name in names])
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
    steps = StoredSteps(run.store, run.state.settings.trail)
    made = [steps.audit(terms) for terms in audit_terms(run.state, commitment, plan.audited)]
    return tuple(reference for reference, _ in made), tuple(probe for _, probe in made)


def _plants(run: Run, plan: TestPlan) -> tuple[str, ...]:
    """A base drowned in noise, and in the opposite noise: nobody honest can vouch for both.

    Where numbers cannot be added to, there is only one.
    """
    if not plan.plants or not plan.models:
        return ()
    arrays = dict(sorted(run.store.get(plan.models[0]).items()))  # safetensors loads in any order
    weights = [name for name, array in arrays.items() if array.dtype.kind in "fc" and array.size]
    made = []
    for sign in (1.0, -1.0):  # the same noise is drawn again: one model at a time is in memory
        rng = generator(run.state.settings.seed, run.state.round, "planted")
        # Counters and tables stay as they are, unless there is nothing else: a booster's bytes.
        noised = {name: _drowned(arrays[name], rng, sign) for name in weights} or {
            name: _redrawn(array, rng) for name, array in arrays.items()
        }
        made.append(run.store.put(arrays | noised))
    return tuple(dict.fromkeys(made))


def _drowned(array: NDArray[Any], rng: np.random.Generator, sign: float) -> NDArray[Any]:
    """An array with noise three times its own spread; what is infinite stays so."""
    if array.dtype.kind == "c":
        parts = np.stack([array.real, array.imag], axis=-1)
        return np.ascontiguousarray(_drowned(parts, rng, sign)).view(array.dtype)[..., 0]
    finite = array if np.isfinite(array).all() else array[np.isfinite(array)]
    with np.errstate(over="ignore"):
        spread = 3 * finite.std() if finite.size else 0.0
        if not np.isfinite(spread):  # squares of large numbers
            spread = np.abs(finite.astype(np.float64)).max()
        drowned = np.array(array, order="C")
        flat = drowned.reshape(-1)
        for start in range(0, flat.size, _PART):  # noise is drawn in doubles: part by part
            part = flat[start : start + _PART]
            noise = sign * rng.normal(0, spread + 1e-3, part.shape)
            noised = part + noise.astype(array.dtype)
            flat[start : start + _PART] = np.where(np.isfinite(noised), noised, part)
    return drowned


def _redrawn(array: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Whole numbers drawn anew: none stays what it was, and all are between those there were."""
    if not array.size:
        return array
    if array.dtype.kind == "b":
        return ~array
    least, most = int(array.min()), int(array.max())
    if least == most:
        return np.full_like(array, most - 1 if most > 0 else 1)
    drawn = rng.integers(least, most, array.shape, array.dtype.type, endpoint=True)
    other = np.where(array == least, most, least).astype(array.dtype)
    return np.where(drawn == array, other, drawn)
