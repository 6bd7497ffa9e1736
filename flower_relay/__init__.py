"""flower_relay: relay learning for Flower.

A model is passed from owner to trainer like a baton, every hop is tested before it
counts, and everybody who helped is paid from a ledger that can be replayed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .aliases import install

if TYPE_CHECKING:
    from .errors import (
        ConfigurationError,
        LedgerError,
        NotEnoughParticipantsError,
        RelayError,
        RunFailedError,
        StoreError,
    )
    from .federation.record import HopRow, ParticipantRow, RelayObserver, RoundRow, RunRecord
    from .federation.strategy import RelayStrategy
    from .ledger.chain import Chain, MemoryChain
    from .settings import RelaySettings
    from .store import FolderStore, MemoryStore, ModelStore
    from .transport.in_memory import InMemoryGrid
    from .transport.proxies import MeteredGrid

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
    "RunFailedError",
    "RunRecord",
    "StoreError",
    "__version__",
]

__version__ = "0.1.0"
"""As in pyproject.toml; under Flower a project has no metadata to ask for it."""

install()

_HOMES = {
    "ledger.chain": ("Chain", "MemoryChain"),
    "errors": (
        "ConfigurationError",
        "LedgerError",
        "NotEnoughParticipantsError",
        "RelayError",
        "RunFailedError",
        "StoreError",
    ),
    "transport.in_memory": ("InMemoryGrid",),
    "transport.proxies": ("MeteredGrid",),
    "federation.record": ("HopRow", "ParticipantRow", "RelayObserver", "RoundRow", "RunRecord"),
    "settings": ("RelaySettings",),
    "store": ("FolderStore", "MemoryStore", "ModelStore"),
    "federation.strategy": ("RelayStrategy",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
"""Which module each name is fetched from, when it is first asked for: a ClientApp's process
is started for every message, and needs the mod and none of this."""


if not TYPE_CHECKING:  # else any name would pass for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
