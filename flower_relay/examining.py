"""Testing on the wire: the committee's utilities, fetched and put on the record.

What an examiner has said about a model before is not asked again; the base of a leg is
usually known from the round in which it was the candidate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from .blocks import Commitment, Testing
from .decisions import TestPlan, audit_terms, decide_retests, decide_tests, generator
from .publishing import StoredSteps
from .running import Running
from .signing import nonces_told, opened_nonces, vote_of, vote_terms

if TYPE_CHECKING:
    from .strategy import RelayStrategy

__all__ = ["examine", "retest"]

_MOST_BYTES_AT_ONCE = 64_000_000
"""Models beyond this wait for the ones before them to be examined: memory is bounded."""


@dataclass
class _Row:
    """What the committee said of a model so far, and the signatures that came with it."""

    utilities: NDArray[np.float64]
    signatures: list[str | None]


_Known = dict[str, _Row]


def examine(strategy: RelayStrategy, run: Running, commitment: Commitment) -> list[Message]:
    """Have the round's candidates tested and record the testing block.

    Committee and tests are drawn from the hash of the commitment block, the last one, and
    from the nonces that are opened now that it is on the record.

    Returns
    -------
    list of flwr.app.Message
        The committee's replies about the last model that is not planted.
    """
    state, deposit = run.state, run.state.deposit
    if deposit is None:
        return []
    nonces = opened_nonces(run, commitment)
    plan = decide_tests(state, run.chain.head, deposit, commitment, nonces)
    references, probes = _audits(run, commitment, plan)
    planted = _plant(run, plan)
    names = [*plan.models, *references, *probes, *([planted] if planted else [])]
    known = _known(run, plan.committee, names)
    replies = _fetch(strategy, run, plan.committee, known)
    run.record_block(
        Testing(
            round=state.round,
            committee=plan.committee,
            audited=plan.audited,
            planted=planted,
            models=tuple(known),
            utilities=_utilities(known),
            references=references,
            probes=probes,
            signatures=_signatures(known),
            nonces=nonces,
        )
    )
    asked = [name for name in plan.models if name in replies]
    return replies[asked[-1]] if asked else []


def retest(strategy: RelayStrategy, run: Running, tested: Testing) -> None:
    """Where a leg failed as a whole, have the same committee test all of it.

    The testing block is recorded again with the further models; without any, nothing is.
    """
    state, deposit, commitment = run.state, run.state.deposit, run.state.commitment
    if deposit is None or commitment is None:
        return
    more = decide_retests(state, deposit, commitment, tested.committee)
    known = _known(run, tested.committee, [name for name in more if name not in tested.models])
    if known:
        _fetch(strategy, run, tested.committee, known)
        run.record_block(
            replace(
                tested,
                models=(*tested.models, *known),
                utilities=(*tested.utilities, *_utilities(known)),
                signatures=_more_signatures(tested, known),
            )
        )


def _known(run: Running, committee: tuple[int, ...], names: list[str]) -> _Known:
    nobody: list[str | None] = [None] * len(committee)
    return {
        name: _Row(run.state.known_utilities(name)[list(committee)], nobody.copy())
        for name in names
    }


def _utilities(known: _Known) -> tuple[tuple[float | None, ...], ...]:
    return tuple(
        tuple(None if math.isnan(value) else value for value in row.utilities.tolist())
        for row in known.values()
    )


def _signatures(known: _Known) -> tuple[tuple[str | None, ...], ...]:
    """One row a model, or no rows where nobody signed."""
    rows = tuple(tuple(row.signatures) for row in known.values())
    return rows if any(signature is not None for row in rows for signature in row) else ()


def _more_signatures(tested: Testing, known: _Known) -> tuple[tuple[str | None, ...], ...]:
    """The rows of a test and of its continuation; those that were left out are made up for."""
    nobody = (None,) * len(tested.committee)
    before = tested.signatures or (nobody,) * len(tested.models)
    more = _signatures(known) or (nobody,) * len(known)
    return (*before, *more) if tested.signatures or _signatures(known) else ()


def _fetch(
    strategy: RelayStrategy, run: Running, committee: tuple[int, ...], known: _Known
) -> dict[str, list[Message]]:
    """Fill in what is not known yet, in batches; the replies about each model."""
    replies: dict[str, list[Message]] = {}
    batch: list[str] = []
    waiting = [name for name, row in known.items() if _asked(run, committee, row)]
    for name in waiting:
        batch.append(name)
        if name == waiting[-1] or run.record_bytes * len(batch) > _MOST_BYTES_AT_ONCE:
            for model, reply in _fetch_batch(strategy, run, committee, known, batch):
                replies.setdefault(model, []).append(reply)
            batch = []
    return replies


def _asked(run: Running, committee: tuple[int, ...], row: _Row) -> list[int]:
    """Columns of the examiners who have not yet said what they make of a model."""
    unknown = np.flatnonzero(np.isnan(row.utilities)).tolist()
    return [column for column in unknown if committee[column] in run.node_of]


def _fetch_batch(
    strategy: RelayStrategy,
    run: Running,
    committee: tuple[int, ...],
    known: _Known,
    batch: list[str],
) -> list[tuple[str, Message]]:
    messages: list[Message] = []
    tags: list[tuple[str, int]] = []
    for name in batch:
        asked = _asked(run, committee, known[name])
        run.addressees = tuple(run.node_of[committee[column]] for column in asked)
        run.extra_config = vote_terms(run)
        messages += strategy.configure_evaluate(
            run.state.round, run.model(name), run.evaluate_config, run.grid
        )
        tags += [(name, column) for column in asked]
    arrivals = run.courier.exchange(messages, tags, run.timeout)
    replies: list[tuple[str, Message]] = []
    for arrival in arrivals:
        if arrival.message is None or not isinstance(arrival.tag, tuple):
            continue
        name, column = arrival.tag
        replies.append((name, arrival.message))
        run.nonces |= nonces_told({committee[column]: arrival.message})
        vote = vote_of(run, committee[column], name, arrival.message)
        if vote is not None:
            known[name].utilities[column], known[name].signatures[column] = vote
    return replies


def _audits(
    run: Running, commitment: Commitment, plan: TestPlan
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """References and probes of the audited hops."""
    steps = StoredSteps(run.store, run.state.settings.trail)
    made = [steps.audit(terms) for terms in audit_terms(run.state, commitment, plan.audited)]
    return tuple(reference for reference, _ in made), tuple(probe for _, probe in made)


def _plant(run: Running, plan: TestPlan) -> str | None:
    """A base with its weights drowned in noise, that nobody honest can vouch for."""
    if not plan.plants or not plan.models:
        return None
    rng = generator(run.state.settings.seed, run.state.round, "planted")
    arrays = run.store.get(plan.models[0])
    noised = {
        name: array + rng.normal(0, 3 * array.std() + 1e-3, array.shape).astype(array.dtype)
        if np.issubdtype(array.dtype, np.floating)
        else array
        for name, array in sorted(arrays.items())  # safetensors loads in any order
    }
    return run.store.put(noised)
