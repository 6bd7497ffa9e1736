"""One run while it runs: grid, chain, store, state and record, made anew by each start.

Writing is here in one place: `record_block` appends a block, then folds it, so that
nothing acts on a decision that is not on the record.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord
from numpy.typing import NDArray

from .blocks import Block
from .chain import Chain
from .courier import Courier
from .metering import MeteredGrid
from .record import HopRow, ParticipantRow, RelayObserver, RoundRow, RunRecord
from .rules.coins import to_coins
from .state import State, apply
from .store import ModelStore

__all__ = ["Running", "to_arrays", "to_record"]


def to_arrays(record: ArrayRecord) -> dict[str, NDArray[Any]]:
    """A Flower record as numpy arrays by name."""
    return {name: array.numpy() for name, array in record.items()}


def to_record(arrays: dict[str, NDArray[Any]]) -> ArrayRecord:
    """Numpy arrays as a Flower record."""
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


@dataclass(kw_only=True)
class Running:
    """Everything a run holds while it runs."""

    grid: MeteredGrid
    courier: Courier
    chain: Chain
    store: ModelStore
    state: State
    record: RunRecord
    observers: tuple[RelayObserver, ...]
    timeout: float
    train_config: ConfigRecord
    evaluate_config: ConfigRecord
    order: tuple[str, ...]
    record_bytes: int
    node_of: dict[int, int] = field(default_factory=dict)
    hops: int = 0
    began: float = field(default_factory=time.monotonic)
    addressees: tuple[int, ...] = ()
    extra_config: dict[str, int] = field(default_factory=dict)
    _on_the_way: WeakValueDictionary[str, ArrayRecord] = field(default_factory=WeakValueDictionary)

    def record_block(self, block: Block) -> str:
        """Append, then apply; the block's hash."""
        head = self.chain.append(block)
        apply(self.state, block)
        return head

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

    def tell_hop(self, row: HopRow) -> None:
        """Note a settled hop and tell who watches."""
        self.record.hops.append(row)
        for observer in self.observers:
            observer.on_hop(self.record, row)

    def tell_round(self, row: RoundRow) -> None:
        """Note a settled round and tell who watches."""
        self._refresh()
        self.record.rounds.append(row)
        for observer in self.observers:
            observer.on_round(self.record, row)

    def tell_start(self) -> None:
        """Tell who watches that the run begins."""
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
