"""The beginning of a run: its genesis block, or the last block of the run that is resumed.

Here the grid is wrapped, the first nodes answer, and everything is put together that a round's
steps work on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp import Grid

from ..ledger.chain import Chain
from ..settings import RelaySettings
from ..store import ModelStore
from ..transport.courier import Courier
from ..transport.proxies import MeteredGrid, PatientGrid
from .admit import first_contact, genesis_of, nonces_of, note_answers, wait_for_nodes
from .arguments import check_lanes, checked_run_id
from .greetings import Answer
from .heads import Heads
from .holdings import Forwarding
from .record import RelayObserver, RunRecord
from .resume import check_chain, rejoin, replay
from .run import Hooks, Run, to_arrays
from .scale import bound_of, check_utility

__all__ = ["Beginning"]

_LARGE = 16_000_000
"""Bytes of a model from which on replies are pulled one by one, to hold one at a time."""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What a run is begun, or gone on, with.

    Attributes
    ----------
    resume : bool
        Whether a chain that has blocks is gone on with.
    run_id : str or None
        The number of a run that begins; None draws one.
    """

    hooks: Hooks
    chain: Chain
    store: ModelStore
    record: RunRecord
    observers: tuple[RelayObserver, ...]
    resume: bool
    run_id: str | None
    timeout: float
    train_config: ConfigRecord | None
    evaluate_config: ConfigRecord | None

    def run(self, grid: Grid, initial_arrays: ArrayRecord) -> Run:
        """The run, at its first block or at its last."""
        check_chain(self.chain, self.resume)
        metered = MeteredGrid(PatientGrid(grid))
        courier = Courier(metered, one_by_one=initial_arrays.count_bytes() > _LARGE)
        begins = len(self.chain) == 0
        found = self._genesis(metered, courier, initial_arrays) if begins else []
        progress, heads = replay(self.chain, self.record)
        run = Run(
            hooks=self.hooks, grid=metered, courier=courier, chain=self.chain, store=self.store,
            progress=progress, record=self.record, observers=self.observers, timeout=self.timeout,
            train_config=_copied(self.train_config), evaluate_config=_copied(self.evaluate_config),
            order=tuple(initial_arrays), record_bytes=initial_arrays.count_bytes(), heads=heads,
            forwarding=Forwarding(store=self.store),
        )  # fmt: skip
        if begins:
            _seat(run, found)
        else:
            rejoin(run, self._settings, initial_arrays)
        return run

    @property
    def _settings(self) -> RelaySettings:
        return self.record.settings

    def _genesis(
        self, grid: MeteredGrid, courier: Courier, initial_arrays: ArrayRecord
    ) -> list[Answer]:
        """Greet the first nodes and put the genesis block on the record; what they answered."""
        settings, timeout = self._settings, self.timeout
        nodes = wait_for_nodes(grid, settings.min_available_nodes, timeout)
        check_lanes(settings, len(nodes))
        model = self.store.put(to_arrays(initial_arrays))
        heads = Heads(key=self.chain.key, run=checked_run_id(self.run_id))
        config = _copied(self.evaluate_config)
        found = first_contact(courier, nodes, initial_arrays, config, settings, timeout, heads, 0)
        if settings.examiners:
            check_utility(found, settings)
        bound = bound_of(found, settings)
        self.chain.append(genesis_of(settings, model, bound, found, heads))
        return found


def _seat(run: Run, found: Sequence[Answer]) -> None:
    """Have who answered be the participants of the genesis block, in its order."""
    run.node_of = {index: answer.node_id for index, answer in enumerate(found)}
    note_answers(run, found)
    run.nonces = nonces_of(found, run.node_of)


def _copied(config: ConfigRecord | None) -> ConfigRecord:
    """A config of the run's own: the caller's is not changed."""
    return ConfigRecord(dict(config or {}))
