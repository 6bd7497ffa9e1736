"""One run while it runs: grid, chain, store, progress and record, made anew by each start.

Writing is here in one place: `record_block` appends a block, then folds it, so that
nothing acts on a decision that is not on the record.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord
from numpy.typing import NDArray

from .blocks import Admission, Block, Commitment, Genesis, Publication, Settlement
from .chain import Chain
from .courier import Courier
from .forwarding import Forwarding
from .metering import MeteredGrid
from .record import HopRow, ParticipantRow, RelayObserver, RoundRow, RunRecord
from .rules.coins import to_coins
from .state import State, apply
from .statements import key_of
from .store import ModelStore

if TYPE_CHECKING:
    from .legs import Legs

__all__ = ["Progress", "Running", "settled_rows", "to_arrays", "to_record"]


def to_arrays(record: ArrayRecord) -> dict[str, NDArray[Any]]:
    """A Flower record as numpy arrays by name."""
    return {name: array.numpy() for name, array in record.items()}


def to_record(arrays: dict[str, NDArray[Any]]) -> ArrayRecord:
    """Numpy arrays as a Flower record."""
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


@dataclass(kw_only=True)
class Progress:
    """How far a run is: what its blocks add up to, the last of them, and the hops so far.

    It is a fold over the blocks and nothing else, so that a run that is resumed goes on
    as if it had never stopped.
    """

    state: State
    last: Block
    hops: int = 0

    @property
    def between_rounds(self) -> bool:
        """Whether no round is open: the next block is an admission or a deposit."""
        return isinstance(self.last, Genesis | Admission | Publication)

    @property
    def round_published(self) -> int:
        """The round whose champion is the one to use now; 0 for the genesis model."""
        return self.state.round if self.between_rounds else self.state.round - 1

    def fold(self, block: Block) -> None:
        """Go one block further."""
        apply(self.state, block)
        self.last = block
        if isinstance(block, Commitment):
            self.hops += sum(len(claims) for claims in block.lanes)


def settled_rows(
    progress: Progress, settled: Settlement, hop_seconds: Mapping[int, float], seconds: float
) -> tuple[list[HopRow], RoundRow]:
    """Rows of the round just published, for people; NaN where a time is not known."""
    state = progress.state
    hops = [
        HopRow(
            round=state.round, lane=lane, position=position, trainer=hop.trainer, base=hop.base,
            model=hop.model, outcome=hop.outcome, vote=hop.vote,
            seconds=hop_seconds.get(hop.trainer, math.nan),
        )
        for lane, result in enumerate(settled.lanes)
        for position, hop in enumerate(result.hops)
    ]  # fmt: skip
    scores = [result.score for result in settled.lanes if result.score is not None]
    row = RoundRow(
        round=state.round, hops=progress.hops, accepted=int(state.who.accepted.sum()),
        rejected=int(state.who.rejected.sum()), utility=max(scores, default=None),
        legs=tuple(lane.leg for lane in state.lanes), champion=state.champion, seconds=seconds,
    )  # fmt: skip
    return hops, row


@dataclass(kw_only=True)
class Running:
    """Everything a run holds while it runs."""

    grid: MeteredGrid
    courier: Courier
    chain: Chain
    store: ModelStore
    progress: Progress
    record: RunRecord
    observers: tuple[RelayObserver, ...]
    timeout: float
    train_config: ConfigRecord
    evaluate_config: ConfigRecord
    order: tuple[str, ...]
    record_bytes: int
    genesis_hash: str
    forwarding: Forwarding
    node_of: dict[int, int] = field(default_factory=dict)
    nonces: dict[int, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    addressees: tuple[int, ...] = ()
    extra_config: dict[str, int | float | str | bool] = field(default_factory=dict)
    ahead: Legs | None = None
    _on_the_way: WeakValueDictionary[str, ArrayRecord] = field(default_factory=WeakValueDictionary)

    @property
    def state(self) -> State:
        """What the blocks so far add up to."""
        return self.progress.state

    @property
    def last(self) -> Block:
        """The last block on the record: the round goes on from there."""
        return self.progress.last

    @property
    def anybody_signs(self) -> bool:
        """Whether a participant is known by its key."""
        return any(key_of(name) is not None for name in self.state.who.names)

    @property
    def anybody_has_mod(self) -> bool:
        """Whether the config of messages is to hold what the mod wants to know."""
        return self.forwarding.anybody or self.anybody_signs

    def supposing(self, state: State, last: Block) -> Running:
        """The same run, were it that far."""
        return replace(self, progress=replace(self.progress, state=state, last=last), ahead=None)

    def record_block(self, block: Block) -> None:
        """Append, then fold."""
        self.chain.append(block)
        self.progress.fold(block)

    def model(self, name: str) -> ArrayRecord:
        """A stored model as Flower sends it, in the order of the initial arrays.

        While one message with it is on its way, every other message shares its bytes.
        """
        record = self._on_the_way.get(name)
        if record is None:
            arrays = self.store.get(name)
            record = to_record({key: arrays.pop(key) for key in self.order})
            self._on_the_way[name] = record
        return record

    def present(self) -> NDArray[np.bool_]:
        """Which participants are connected now."""
        here = np.zeros(self.state.num_participants, dtype=np.bool_)
        connected = set(self.grid.get_node_ids())
        here[[index for index, node in self.node_of.items() if node in connected]] = True
        return here

    def tell_settled(
        self, settled: Settlement, hop_seconds: Mapping[int, float], seconds: float
    ) -> None:
        """Note the round just published, hop by hop, and tell who watches."""
        hops, row = settled_rows(self.progress, settled, hop_seconds, seconds)
        for hop in hops:
            self.record.hops.append(hop)
            for observer in self.observers:
                observer.on_hop(self.record, hop)
        self._refresh()
        self.record.rounds.append(row)
        for observer in self.observers:
            observer.on_round(self.record, row)

    def tell_start(self) -> None:
        """Tell who watches that the run begins, or goes on."""
        self._refresh()
        for observer in self.observers:
            observer.on_start(self.record)

    def tell_end(self) -> None:
        """Tell who watches that the run is over."""
        self._refresh()
        for observer in self.observers:
            observer.on_end(self.record)

    def _refresh(self) -> None:
        record, who = self.record, self.state.who
        record.messages = self.grid.messages
        record.bytes_sent, record.bytes_received = self.grid.bytes_sent, self.grid.bytes_received
        record.bytes_hops, record.bytes_tests = self.grid.bytes_hops, self.grid.bytes_tests
        record.seconds = time.monotonic() - self.began
        record.own_seconds = self.courier.own_seconds
        record.participants = [
            ParticipantRow(
                index=index,
                name=name,
                coins=to_coins(int(who.coins[index])),
                locked=to_coins(int(who.locked[index])),
                bond=float(who.bond[index]),
                debt=float(who.debt[index]),
                accepted=int(who.accepted[index]),
                rejected=int(who.rejected[index]),
                examined=int(who.examined[index]),
            )
            for index, name in enumerate(who.names)
        ]
