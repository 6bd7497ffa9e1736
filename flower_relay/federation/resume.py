"""Resuming: how far a chain's blocks have come, and whether a run may go on from there.

Everything that a run knows is on its chain, so that going on is folding the blocks and
taking up the round after the last of them. What cannot be taken up is refused here,
before anything is written: other settings, missing models, strangers.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import fields
from logging import INFO

from flwr.app import ArrayRecord
from flwr.common import log

from ..errors import (
    ConfigurationError,
    KeyFileError,
    LedgerError,
    LedgerVersionError,
    NotEnoughParticipantsError,
    StoreError,
)
from ..ledger.chain import Chain
from ..mechanism.apply import Progress
from ..mechanism.averages import models_needed
from ..mechanism.blocks import Genesis, Publication
from ..mechanism.state import State, begin
from ..rules.candidates import unlike
from ..settings import RelaySettings
from ..store import ModelStore
from .admit import first_contact, nonces_of, note_answers, recognised, wait_for_nodes
from .heads import Heads
from .publish import collect
from .record import RunRecord, settled_rows
from .run import Run, to_arrays

__all__ = [
    "MAY_CHANGE",
    "check_chain",
    "check_models",
    "check_names",
    "check_settings",
    "rejoin",
    "replay",
]

MAY_CHANGE = frozenset(
    {
        "min_available_nodes",
        "weighted_by_key",
        "arrayrecord_key",
        "configrecord_key",
    }
)
"""Settings by which nothing on the ledger was decided; all others are terms of the run."""


def check_chain(chain: Chain, resume: bool) -> None:
    """Refuse to go on with a run that nobody asked to resume.

    Raises
    ------
    ConfigurationError
        When the chain has blocks and `resume` is false.
    """
    if len(chain) and not resume:
        raise ConfigurationError(
            f"a new run needs an empty chain; this one holds {len(chain)} blocks of another run, "
            "and nothing was added to them. Pass resume=True to go on with that run, or give "
            "the new one a chain of its own."
        )


def replay(chain: Chain, record: RunRecord) -> tuple[Progress, Heads]:
    """Fold all blocks of a chain; how far the run is, and the chain's heads.

    Parameters
    ----------
    record : RunRecord
        Receives the rows of the settled rounds. Blocks hold no times: those are NaN.

    Raises
    ------
    LedgerError
        When a block cannot follow from those before it.
    LedgerVersionError
        When the run began under settings of another release.
    """
    blocks = iter(chain)
    genesis = next(blocks)
    if not isinstance(genesis, Genesis):
        raise LedgerError(
            f"the first block should be a genesis block and is a "
            f"{type(genesis).__name__.lower()}: this is not the ledger of a run from its "
            "beginning. Nothing was changed; restore the whole ledger and resume again."
        )
    _check_release(genesis)
    if genesis.operator != chain.key.public:
        raise KeyFileError(
            f"the run was begun with operator's key {genesis.operator[:16]}…, and its ledger was "
            f"opened with {chain.key.public[:16]}…. Nothing was added. Resume with the key file "
            "that the run began with."
        )
    progress = Progress(state=begin(genesis), last=genesis)
    heads = Heads(key=chain.key, run=genesis.run)
    heads.add(genesis)
    for block in blocks:
        settled = progress.state.settlement
        progress.fold(block)
        heads.add(block, shown=not progress.trainers_are_out)
        if isinstance(block, Publication) and settled is not None:
            hops, row = settled_rows(progress, settled, {}, math.nan, {})
            record.hops += hops
            record.rounds.append(row)
    return progress, heads


def _check_release(genesis: Genesis) -> None:
    """Refuse a run whose settings are not those that there are: its rules were others, too."""
    known, found = {field.name for field in fields(RelaySettings)}, set(genesis.settings)
    if known != found:
        raise LedgerVersionError(
            "the genesis block was written by another release of this library: it lacks "
            f"{', '.join(sorted(known - found)) or 'nothing'}, and holds "
            f"{', '.join(sorted(found - known)) or 'nothing'} that is not known here. The ledger "
            "was not touched. Resume with the release that began the run, or begin a new run."
        )


def rejoin(run: Run, settings: RelaySettings, initial: ArrayRecord) -> None:
    """Check that a run can go on, and tell which node is which participant now.

    Raises
    ------
    ConfigurationError, StoreError
        When settings contradict the run's, models are missing or names cannot be told.
    NotEnoughParticipantsError
        When too few nodes connect, or nobody among them is a participant.
    """
    check_settings(settings, run.state.settings)
    check_models(run.store, run.progress, initial)
    nodes = wait_for_nodes(run.grid, settings.min_available_nodes, run.timeout)
    check_names(run.state, nodes, settings.identity_key)
    champion, names = run.model(run.state.champion), run.state.who.names
    found = first_contact(
        *(run.courier, nodes, champion, run.evaluate_config, settings, run.timeout),
        *(run.heads, run.state.asking),
    )
    run.node_of = recognised(found, names, ())
    run.nonces = nonces_of(found, run.node_of)
    note_answers(run, found)
    if not run.node_of:
        raise NotEnoughParticipantsError(
            f"none of the {len(nodes)} nodes connected is a participant of the run, whose "
            f"participants are {', '.join(names)}; the nodes answer as "
            f"{', '.join(answer.name for answer in found)}. The ledger was not touched. Connect "
            "the nodes that the run began with, and resume again."
        )
    if run.progress.between_rounds:
        collect(run)  # a crash may have left candidates that no block names
    log(
        INFO,
        "Going on after block %d, round %d, with %d of %d participants.",
        *(len(run.chain), run.state.round, len(run.node_of), len(names)),
    )


def check_settings(now: RelaySettings, genesis: RelaySettings) -> None:
    """Refuse settings that contradict those the run began with.

    Raises
    ------
    ConfigurationError
        Naming each, its value in the genesis block, and its value now.
    """
    names = [field.name for field in fields(RelaySettings) if field.name not in MAY_CHANGE]
    differing = [name for name in names if getattr(now, name) != getattr(genesis, name)]
    if differing:
        lines = ", ".join(
            f"{name} = {getattr(genesis, name)!r} in the genesis block and "
            f"{getattr(now, name)!r} now"
            for name in differing
        )
        raise ConfigurationError(
            f"a run goes on under the settings it began with: {lines}. The ledger was not "
            "touched. Resume with the values of the genesis block (the number of rounds is no "
            "setting and may grow), or begin a new run."
        )


def check_models(store: ModelStore, progress: Progress, initial: ArrayRecord) -> None:
    """Read every model that the run goes on from, before anything is sent.

    Raises
    ------
    StoreError
        When one is missing or damaged.
    ConfigurationError
        When the initial arrays have not the names, shapes and types of the run's model.
    """
    for name, role in models_needed(progress).items():
        try:
            store.get(name)
        except StoreError as problem:
            raise type(problem)(
                f"the run cannot go on from round {progress.state.round} without {role}: "
                f"{problem} The ledger is whole and was not touched. Put the model back (any "
                "copy will do: its name is the hash of its bytes) and resume again."
            ) from problem
    champion = store.get(progress.state.champion)
    if (difference := unlike(to_arrays(initial), champion)) is not None:
        raise ConfigurationError(
            "initial_arrays should be shaped like the model of the run, and are not: "
            f"{difference}. Their values do not matter when a run is "
            "resumed, their names, shapes and types do. The ledger was not touched."
        )


def check_names(state: State, connected: Collection[int], identity_key: str) -> None:
    """Refuse to go on without participants who own something and cannot be told again.

    Who reported no identity is known by Flower's node id, which a restart changes (except
    where SuperNodes authenticate). Without this, what it owns would be lost to it.

    Raises
    ------
    ConfigurationError
        Naming them.
    """
    ids = {f"node-{node}" for node in connected}
    who = state.who
    owns = (who.coins > 0) | (who.locked > 0) | (who.accepted > 0) | (who.examined > 0)
    lost = [
        name
        for name, something in zip(who.names, owns.tolist(), strict=True)
        if name.startswith("node-") and name not in ids and something
    ]
    if lost:
        raise ConfigurationError(
            f"{len(lost)} of {len(who.names)} participants are known by nothing but Flower's "
            f"node ids, and no node has these ids now: {', '.join(lost)}. Going on would take "
            "from them what they own. The ledger was not touched. Reconnect them under the "
            "same ids (SuperNodes that authenticate keep theirs); a run that is to survive a "
            f"restart needs a ClientApp that reports '{identity_key}' when it evaluates "
            "(identity_key names another metric)."
        )
