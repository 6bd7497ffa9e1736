"""What blocks hold that no rule decides: who was there, what came back, what was voted.

Such observations are taken as they are, so long as they are consistent with each other
and with the blocks before them. Everything here raises `Differs` or lets pass.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict

from ..errors import ConfigurationError
from ..mechanism.blocks import (
    Admission,
    Block,
    Commitment,
    Deposit,
    Genesis,
    HopClaim,
    LaneTerms,
    Publication,
    Testing,
)
from ..mechanism.identity import PREFIX_OF_KEY, is_hash, is_public_key, key_of
from ..mechanism.state import State
from ..rules.lanes import most_late
from ..rules.outcomes import Fault
from ..rules.roles import BOTH, MOST_TURNS_TAKEN, ROLES
from ..settings import RelaySettings
from .differences import Differs, first_difference

__all__ = [
    "check_admission",
    "check_commitment",
    "check_genesis",
    "check_present",
    "check_stride",
    "check_turns",
    "check_way",
    "check_votes",
    "models_named",
]

_FEW = 4


def check_genesis(block: Genesis) -> None:
    """An operator, a run, possible settings, distinct founders, bounded utilities."""
    if not is_public_key(block.operator):
        raise Differs("genesis.operator", "an operator's public key", block.operator)
    if not is_hash(block.run):
        raise Differs("genesis.run", "a run's number, 32 bytes in hex", block.run)
    try:
        settings = RelaySettings(**block.settings)
    except (TypeError, ConfigurationError) as problem:
        raise Differs("genesis.settings", "settings of a relay", problem) from problem
    difference = first_difference(asdict(settings), block.settings, "genesis.settings")
    if difference is not None:
        raise difference
    if not (math.isfinite(block.bound) and block.bound):
        raise Differs("genesis.bound", "a number other than 0", block.bound)
    if settings.utility_bound is not None and abs(block.bound) != settings.utility_bound:
        raise Differs("genesis.bound", f"{settings.utility_bound} in size", block.bound)
    _check_names("genesis.participants", block.participants, ())
    _check_roles("genesis.roles", block.roles, block.participants)
    if len(block.utilities) != len(block.participants):
        raise Differs(
            "genesis.utilities", f"{len(block.participants)} entries", len(block.utilities)
        )
    _check_utilities("genesis.utilities", block.utilities)


def check_admission(state: State, block: Admission) -> None:
    """Newcomers, before the next round, under names that nobody has."""
    if block.round != state.round + 1:
        raise Differs("admission.round", state.round + 1, block.round)
    few = len(block.participants) <= _FEW  # then looking through a list is the faster
    names = state.who.names if few else set(state.who.names)
    _check_names("admission.participants", block.participants, names)
    _check_roles("admission.roles", block.roles, block.participants)


def models_named(block: Block) -> Iterator[tuple[str, str]]:
    """The models that a block brings up, each with its place; a model is named by its hash.

    Raises
    ------
    Differs
        When something else stands there: of a model that nobody has, only its name is checked.
    """
    for path, name in _models_in(block):
        if not is_hash(name):
            raise Differs(path, "a model's hash", name)
        yield path, name


def _bases_in(block: Deposit) -> Iterator[tuple[str, str]]:
    for lane, terms in enumerate(block.lanes):
        yield f"deposit.lanes[{lane}].base", terms.base


def _models_in(block: Block) -> Iterator[tuple[str, str]]:
    match block:
        case Genesis():
            yield "genesis.model", block.model
        case Deposit():
            yield from _bases_in(block)
        case Commitment():
            for lane, claims in enumerate(block.lanes):
                for place, claim in enumerate(claims):
                    if claim.model is not None:
                        yield f"commitment.lanes[{lane}][{place}].model", claim.model
        case Testing():
            yield from _columns(block, "testing", ("planted", "shown", "references", "probes"))
        case Publication():
            yield from _columns(block, "publication", ("batons", "trails", "moments"))


def _columns(block: Block, kind: str, fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    for field in fields:
        for place, name in enumerate(getattr(block, field)):
            yield f"{kind}.{field}[{place}]", name


def check_present(state: State, block: Deposit) -> None:
    """Somebody is present; each exists and is named once, in order."""
    present = block.present
    if not present or present != tuple(sorted(set(present))):
        raise Differs("deposit.present", "participants in ascending order", list(present))
    if present[0] < 0 or present[-1] >= state.num_participants:
        raise Differs("deposit.present", f"indices below {state.num_participants}", list(present))


def check_commitment(state: State, deposit: Deposit, block: Commitment) -> None:
    """One claim for each trainer of the deposit, in order, each on the baton before it."""
    if block.round != deposit.round:
        raise Differs("commitment.round", deposit.round, block.round)
    if len(block.lanes) != len(deposit.lanes):
        raise Differs("commitment.lanes", f"{len(deposit.lanes)} entries", len(block.lanes))
    check_late(block)
    fresh: set[str] = set()
    named = {
        name
        for claims in block.lanes
        for claim in claims
        if claim.fault is None
        for name in claim.names
    }
    for lane, (terms, claims) in enumerate(zip(deposit.lanes, block.lanes, strict=True)):
        _check_leg(f"commitment.lanes[{lane}]", terms, claims)
        for place, claim in enumerate(claims):
            path = f"commitment.lanes[{lane}][{place}].model"
            check_stride(state, claim, f"commitment.lanes[{lane}][{place}].sent")
            check_turns(claim, f"commitment.lanes[{lane}][{place}].turns")
            check_way(state, claim, f"commitment.lanes[{lane}][{place}].way")
            if claim.fault is None and claim.model is not None:
                if state.is_copy(claim.model, claim.trainer) or claim.model in fresh:
                    raise Differs(path, "a model that is new", f"{claim.model}, seen before")
                sent = claim.sent
                if sent and (state.is_copy(sent, claim.trainer) or sent in fresh):
                    path = f"commitment.lanes[{lane}][{place}].sent"
                    raise Differs(path, "a model that is new", f"{claim.sent}, seen before")
                fresh.update((claim.model, claim.sent or claim.model))
            elif claim.fault == Fault.COPIED and claim.model not in state.seen | named:
                raise Differs(path, "a copy of a model seen before", claim.model)


def check_late(block: Commitment) -> None:
    """At most a third was late, or both of two; nobody in one lane, or where lanes have legs."""
    late = [
        f"commitment.lanes[{lane}][{place}].fault"
        for lane, claims in enumerate(block.lanes)
        for place, claim in enumerate(claims)
        if claim.fault == Fault.LATE
    ]
    hops, legs = sum(map(len, block.lanes)), any(len(claims) > 1 for claims in block.lanes)
    most = 0 if legs or len(block.lanes) == 1 else most_late(hops)
    if len(late) > most:
        raise Differs(late[most], f"at most {most} of {hops} hops late", Fault.LATE)


def check_stride(state: State, claim: HopClaim, path: str) -> None:
    """Who is in debt has only a part of its way taken, and nobody else."""
    shortens = claim.fault is None and state.stride(claim.trainer) < 1
    if shortens != (claim.sent is not None) or not is_hash(claim.sent or "0" * 64):
        raise Differs(path, "a model handed in, its hash" if shortens else "none", claim.sent)


def check_turns(claim: HopClaim, path: str) -> None:
    """Nobody sits out more cycles than a turn can take."""
    if not 0 <= claim.turns <= MOST_TURNS_TAKEN:
        raise Differs(path, f"a whole number from 0 to {MOST_TURNS_TAKEN}", claim.turns)


def check_way(state: State, claim: HopClaim, path: str) -> None:
    """A candidate moved no further than was possible, and what is oversized did."""
    way, measured = claim.way, claim.fault in (None, Fault.OVERSIZED)
    if measured != (way is not None):
        raise Differs(path, "how far the hop moved" if measured else "none", way)
    if way is None:
        return
    most = state.farthest
    if not (math.isfinite(way) and way >= 0) or (way > most) != (claim.fault == Fault.OVERSIZED):
        expected = f"more than {most:g}" if claim.fault else f"a number from 0 to {most:g}"
        raise Differs(path, expected, way)


def _check_leg(path: str, terms: LaneTerms, claims: Sequence[HopClaim]) -> None:
    trainers = tuple(claim.trainer for claim in claims)
    if (difference := first_difference(terms.trainers, trainers, f"{path}.trainer")) is not None:
        raise difference
    baton = terms.base
    for place, claim in enumerate(claims):
        if claim.base != baton:
            raise Differs(f"{path}[{place}].base", baton, claim.base)
        faulty = claim.fault not in (None, Fault.COPIED)  # of a copy there is a model
        if faulty != (claim.model is None):
            expected = "no model" if faulty else "a model"
            raise Differs(f"{path}[{place}].model", expected, claim.model)
        if claim.fault is None and claim.model is not None:
            baton = claim.model


def check_votes(state: State, block: Testing) -> None:
    """One bounded utility or none for each model and examiner; what was said before stays said."""
    if len(block.utilities) != len(block.models):
        raise Differs("testing.utilities", f"{len(block.models)} entries", len(block.utilities))
    columns = list(block.committee)
    if block.turns and (len(block.turns) != len(columns) or not any(block.turns)):
        raise Differs("testing.turns", f"{len(columns)} entries, or none", list(block.turns))
    if not all(0 <= turns <= MOST_TURNS_TAKEN for turns in block.turns):
        raise Differs("testing.turns", f"from 0 to {MOST_TURNS_TAKEN} each", list(block.turns))
    for place, (model, row) in enumerate(zip(block.models, block.utilities, strict=True)):
        path = f"testing.utilities[{place}]"
        if len(row) != len(columns):
            raise Differs(path, f"{len(columns)} entries", len(row))
        _check_utilities(path, row)
        if model not in state.utilities:
            continue
        known = state.known_utilities(model)[columns].tolist()
        for column, (before, now) in enumerate(zip(known, row, strict=True)):
            if before == before and before != now:  # NaN: has not said anything yet
                raise Differs(f"{path}[{column}]", f"{before}, as said before", now)


def _check_utilities(path: str, row: Sequence[float | None]) -> None:
    for place, value in enumerate(row):
        if value is not None and not 0.0 <= value <= 1.0:
            raise Differs(f"{path}[{place}]", "a utility from 0 to 1", value)


def _check_roles(path: str, roles: Sequence[str], names: Sequence[str]) -> None:
    """One for each, or none where all do both."""
    if roles and (len(roles) != len(names) or set(roles) == {BOTH} or not set(roles) <= set(ROLES)):
        expected = f"{len(names)} of {', '.join(ROLES)}, or none where all are {BOTH}"
        raise Differs(path, expected, list(roles))


def _check_names(path: str, names: Sequence[str], taken: Collection[str]) -> None:
    if not names:
        raise Differs(path, "at least one participant", "nobody")
    before: set[str] = set()
    for place, name in enumerate(names):
        if name in taken or name in before:
            raise Differs(f"{path}[{place}]", "a name that nobody has", name)
        if name.startswith(PREFIX_OF_KEY) and key_of(name) is None:
            expected = "a public key that only its holder can sign under"
            raise Differs(f"{path}[{place}]", expected, name)
        before.add(name)
