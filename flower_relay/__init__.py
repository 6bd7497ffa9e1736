"""flower_relay: relay learning for Flower.

A model is passed from owner to trainer like a baton, every hop is tested before it
counts, and everybody who helped is paid from a ledger that can be replayed.
"""

from __future__ import annotations

from .chain import Chain, MemoryChain
from .errors import (
    ConfigurationError,
    LedgerError,
    NotEnoughParticipantsError,
    RelayError,
    StoreError,
)
from .memory_grid import InMemoryGrid
from .metering import MeteredGrid
from .record import HopRow, ParticipantRow, RelayObserver, RoundRow, RunRecord
from .settings import RelaySettings
from .store import FolderStore, MemoryStore, ModelStore
from .strategy import RelayStrategy

__all__ = [
    "Chain",
    "ConfigurationError",
    "FolderStore",
    "HopRow",
    "InMemoryGrid",
    "LedgerError",
    "MemoryChain",
    "MemoryStore",
    "MeteredGrid",
    "ModelStore",
    "NotEnoughParticipantsError",
    "ParticipantRow",
    "RelayError",
    "RelayObserver",
    "RelaySettings",
    "RelayStrategy",
    "RoundRow",
    "RunRecord",
    "StoreError",
]
