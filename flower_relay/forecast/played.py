"""An imagined run, played by the real strategies on a stated fleet's clock.

Nothing here is a formula of ours: committees, legs, audits and encodings are the mechanism's
own, and the clock is the one that comparisons use. The model is a small one. Its bandwidth is
made smaller by as much, so that times come out as with the large one.
"""

from __future__ import annotations

import logging
import random
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord
from flwr.serverapp.strategy import FedAvg

from ..comparison.devices import TRAIN_SECONDS, Device, draw_devices
from ..comparison.fleet import FleetGrid
from ..federation.record import RelayObserver, RoundRow, RunRecord
from ..federation.strategy import RelayStrategy
from ..ledger import OperatorKey, seal
from ..ledger.chain import Chain
from ..transport.in_memory import InMemoryGrid
from .client import SMALL, Counted, first_arrays, imagined_app
from .question import Question

__all__ = ["Course", "play"]

RELAY, FEDAVG = "relay", "FedAvg"


@dataclass(frozen=True, kw_only=True)
class Course:
    """How far an imagined run was, and what it had taken; bytes are of the small model.

    Attributes
    ----------
    trainings, evaluations, messages, bytes, ledger : int
        So far.
    seconds : float
        On the fleet's clock.
    """

    trainings: int = 0
    evaluations: int = 0
    messages: int = 0
    bytes: int = 0
    ledger: int = 0
    seconds: float = 0.0


@dataclass
class _Notes(RelayObserver):
    """Takes a note after every round."""

    grid: FleetGrid
    counted: Counted
    fleet: str
    notes: list[Course] = field(default_factory=list)

    def on_round(self, record: RunRecord, row: RoundRow) -> None:
        self.take()

    def take(self) -> None:
        grid = self.grid
        self.notes.append(
            Course(
                trainings=grid.trains, evaluations=self.counted.evaluations,
                messages=grid.messages, bytes=grid.bytes_down + grid.bytes_up,
                seconds=grid.seconds[self.fleet],
            )
        )  # fmt: skip


def play(asked: Question, trainings: int) -> dict[str, list[Course]]:
    """Play a relay and FedAvg for a number of trainings; notes round by round.

    The last note of the relay has the ledger's bytes.
    """
    logger = logging.getLogger("flwr")
    before, drawn = logger.level, random.getstate()
    random.seed(0)  # Flower's own strategies sample nodes with the global generator
    logger.setLevel(logging.ERROR)  # what strategies say of a run that nobody started
    try:
        with tempfile.TemporaryDirectory() as folder:
            return {
                RELAY: _relay(asked, trainings, Path(folder)),
                FEDAVG: _fedavg(asked, trainings),
            }
    finally:
        logger.setLevel(before)
        random.setstate(drawn)


def _relay(asked: Question, trainings: int, folder: Path) -> list[Course]:
    notes = _notes(asked)
    settings = replace(asked.settings, budget=trainings)
    strategy = RelayStrategy(settings, observers=[notes])
    strategy.start(notes.grid, first_arrays(), num_rounds=trainings, train_config=_terms(asked))
    key = OperatorKey.load_or_create(folder / "operator.key")
    notes.notes[-1] = replace(notes.notes[-1], ledger=_ledger_bytes(strategy.chain, key))
    return notes.notes


def _fedavg(asked: Question, trainings: int) -> list[Course]:
    notes = _notes(asked)
    each = max(2, round(asked.fraction * asked.nodes))

    def evaluated(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
        notes.take()
        return None

    FedAvg(
        fraction_train=asked.fraction, fraction_evaluate=0.0, min_available_nodes=asked.nodes
    ).start(
        notes.grid, first_arrays(), num_rounds=max(1, -(-trainings // each)),
        train_config=_terms(asked), evaluate_fn=evaluated,
    )  # fmt: skip
    return notes.notes[1:]


def _notes(asked: Question) -> _Notes:
    app, counted = imagined_app(asked.cases, mod=asked.mod)
    devices = [_scaled(device, asked) for device in draw_devices(asked.fleet, asked.nodes, 0)]
    grid = FleetGrid(InMemoryGrid(app, asked.nodes), {asked.fleet: devices}, asked.fleet)
    return _Notes(grid=grid, counted=counted, fleet=asked.fleet)


def _scaled(device: Device, asked: Question) -> Device:
    """A device as slow for the small model as it would be for the large one."""
    share = 4 * SMALL / (1e6 * asked.model_mb)
    pace = TRAIN_SECONDS / asked.case_seconds
    return replace(
        device, down=device.down * share, up=device.up * share, speed=device.speed * pace
    )


def _terms(asked: Question) -> ConfigRecord:
    return ConfigRecord({"local-epochs": asked.epochs})


def _ledger_bytes(chain: Chain, key: OperatorKey) -> int:
    """What the blocks take as a ledger keeps them."""
    return sum(
        len("".join(map(str, asdict(seal(index, "0" * 64, block, key)).values())))
        for index, block in enumerate(chain)
    )
