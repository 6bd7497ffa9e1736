"""One run while it runs: grid, chain, store, progress and record, made anew by each start.

Writing is here in one place: `record_block` appends a block, then folds it, so that
nothing acts on a decision that is not on the record. A round's steps take a run; what a
subclass of the strategy may change they reach through its `Hooks`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from numpy.typing import NDArray

from ..errors import ConfigurationError
from ..ledger.chain import Chain
from ..mechanism.apply import Progress
from ..mechanism.blocks import Block, Settlement
from ..mechanism.identity import key_of, short_name
from ..mechanism.parsing import shown
from ..mechanism.state import State
from ..store import ModelStore
from ..transport.courier import Courier
from ..transport.proxies import MeteredGrid, PassingGrid
from ..wire.arrays import array_of, as_sent
from ..wire.replies import holds_told, nonces_told, seen_told
from ..wire.requests import Terms
from ..wire.statements import Moment
from .greetings import Greetings
from .heads import Heads
from .holdings import Forwarding
from .record import RelayObserver, RunRecord, participant_rows, settled_rows

__all__ = ["Hooks", "Run", "addressed", "to_arrays", "to_record"]


Configure = Callable[[int, ArrayRecord, ConfigRecord, Grid], Iterable[Message]]


class Hooks(Protocol):
    """The four steps of a run that a subclass of `RelayStrategy` may change."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One train message for each node of `grid`."""

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """A hop's candidate, out of its one reply, and its metrics."""

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One evaluate message for each node of `grid`."""

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """The committee's metrics in one record."""


class _AddressedGrid(PassingGrid):
    """The nodes that messages are for, and no others: what a hook is given for a grid."""

    def __init__(self, grid: Grid, nodes: Sequence[int]) -> None:
        super().__init__(grid)
        self._nodes = nodes

    def get_node_ids(self) -> Iterable[int]:
        """Ids of the nodes that messages are for."""
        return list(self._nodes)


def to_arrays(record: ArrayRecord) -> dict[str, NDArray[Any]]:
    """A Flower record as numpy arrays by name."""
    return {name: array_of(array) for name, array in record.items()}


def to_record(arrays: dict[str, NDArray[Any]]) -> ArrayRecord:
    """Numpy arrays as a Flower record."""
    return ArrayRecord({name: as_sent(array) for name, array in arrays.items()})


@dataclass(kw_only=True)
class Run:
    """Everything a run holds while it runs."""

    hooks: Hooks
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
    heads: Heads
    forwarding: Forwarding
    greetings: Greetings = field(default_factory=Greetings)
    cycle_began: int = 0
    harm_seen: list[bool] = field(default_factory=list)
    node_of: dict[int, int] = field(default_factory=dict)
    nonces: dict[int, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
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

    @property
    def moment(self) -> Moment:
        """When something is said now: in this run and round, by the chain's head."""
        return self.heads.moment(self.state.asking)

    def told(self, nodes: Sequence[int]) -> Terms:
        """What every message to nodes with the mod holds: which run this is, and its chain."""
        return self.heads.terms(self.state.asking, nodes)

    def hop_terms(self, node: int, parent: str) -> Terms:
        """What a train message holds for the mod; nothing in a run in which nobody has it."""
        if not self.anybody_has_mod:
            return {}
        asked: Terms = {"relay-parent": parent, "relay-up": self.state.settings.hop_encoding}
        return asked | self.told([node])

    def vote_terms(self, nodes: Sequence[int]) -> Terms:
        """What an evaluate message holds for the mod; nothing in a run in which nobody has it."""
        if not self.anybody_has_mod:
            return {}
        metric: Terms = {"relay-metric": self.state.settings.utility_key}
        return metric | self.told(nodes)

    def heard(self, participant: int, node: int, message: Message) -> None:
        """Note what a node with the mod told beside its answer."""
        self.forwarding.note({node: holds_told(message)})
        self.heads.note(node, seen_told(message))
        self.nonces |= nonces_told({participant: message})

    def record_block(self, block: Block) -> None:
        """Append, then fold."""
        self.chain.append(block)
        self.progress.fold(block)
        self.heads.add(block, shown=not self.progress.trainers_are_out)

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

    def free(self) -> NDArray[np.bool_]:
        """Which of those connected owe no answer; all, where nobody who trains would be left."""
        self.courier.collect()
        here, owing = self.present(), self.courier.owing
        free = here.copy()
        free[[index for index, node in self.node_of.items() if node in owing]] = False
        return free if (free & self.state.who.trains).any() else here

    def notice(self, participant: int, kind: str, reason: str) -> None:
        """Note a trouble with a participant; it is said once."""
        self.record.notices.tell(short_name(self.state.who.names[participant]), kind, reason)

    def tell_settled(
        self,
        settled: Settlement,
        hop_seconds: Mapping[int, float],
        seconds: float,
        reasons: Mapping[int, str],
    ) -> None:
        """Note the round just published, hop by hop, and tell who watches."""
        hops, row = settled_rows(self.progress, settled, hop_seconds, seconds, reasons)
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
        record = self.record
        record.messages = self.grid.messages
        record.bytes_sent, record.bytes_received = self.grid.bytes_sent, self.grid.bytes_received
        record.bytes_hops, record.bytes_tests = self.grid.bytes_hops, self.grid.bytes_tests
        record.seconds = time.monotonic() - self.began
        record.own_seconds = self.courier.own_seconds
        record.participants = participant_rows(self.state)


def addressed(
    run: Run,
    configure: Configure,
    model: str,
    terms: Terms,
    nodes: Sequence[int],
    number: int | None = None,
) -> list[Message]:
    """The messages that a hook makes, one for each of these nodes, in their order.

    Parameters
    ----------
    model : str
        Name of the stored model that they hold.
    terms : mapping
        What their config holds beside the user's own.
    number : int, optional
        The round that they are about; by default the one under way.

    Raises
    ------
    ConfigurationError
        When the hook made another number of messages, or for other nodes.
    """
    train = configure == run.hooks.configure_train
    config = ConfigRecord({**(run.train_config if train else run.evaluate_config), **terms})
    grid = _AddressedGrid(run.grid, nodes)
    number = run.state.round if number is None else number
    returned = configure(number, run.model(model), config, grid)
    made = list(returned) if isinstance(returned, Iterable) else []  # None is none
    name = "configure_train" if train else "configure_evaluate"
    if (odd := next((one for one in made if not isinstance(one, Message)), None)) is not None:
        raise ConfigurationError(
            f"{name} should make messages; it made {shown(odd)}. Give Message(content, node, "
            "kind) for each node of the grid that it is given."
        )
    found = {message.metadata.dst_node_id: message for message in made}
    if len(made) != len(nodes) or found.keys() != set(nodes):
        raise ConfigurationError(
            f"{name} should make one message for each node of the grid that it is given, "
            f"{sorted(nodes)}; it made {len(made)}, for {sorted(found)}. A relay asks nobody "
            "else, and leaves nobody out. Change what the messages hold, not whom they are for."
        )
    return [found[node] for node in nodes]
