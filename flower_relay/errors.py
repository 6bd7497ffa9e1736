"""The errors of flower_relay: one tree, rooted at RelayError.

Every message says what was expected, what was found and, where a participant is
concerned, which one; what the user can do about it comes last.
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "ContradictionError",
    "KeyFileError",
    "LedgerDamagedError",
    "LedgerError",
    "LedgerInUseError",
    "LedgerStorageError",
    "LedgerVersionError",
    "ModelDamagedError",
    "ModelMissingError",
    "NotEnoughParticipantsError",
    "RefusedError",
    "RelayError",
    "RunFailedError",
    "StorageFullError",
    "StoreError",
    "TraceError",
]


class RelayError(Exception):
    """Base class of everything that flower_relay raises on purpose."""


class ConfigurationError(RelayError, ValueError):
    """A setting has an unknown name or an impossible value."""


class NotEnoughParticipantsError(RelayError):
    """Fewer nodes answered than the run needs."""


class RunFailedError(RelayError):
    """A run is over, or cannot go on, and no hop of it counted."""


class KeyFileError(RelayError):
    """A private key cannot be read or made, or is not the one that a ledger began with."""


class LedgerError(RelayError):
    """A block does not follow from the blocks before it, or a ledger cannot be used."""


class LedgerDamagedError(LedgerError):
    """What a ledger's storage holds is not what was put there."""


class LedgerInUseError(LedgerError):
    """Another process is writing to this run."""


class LedgerStorageError(LedgerError):
    """A ledger's storage is full, locked, closed to us or out of reach; blocks are safe."""


class LedgerVersionError(LedgerError):
    """A ledger was written by another version of this library, and cannot be gone on with."""


class RefusedError(RelayError):
    """A participant is asked to train on, judge, sign or reveal what it must not."""


class ContradictionError(RefusedError):
    """A node was asked to sign what contradicts something that it signed or was shown before."""


class StoreError(RelayError):
    """A model cannot be kept or given back."""


class ModelDamagedError(StoreError):
    """A model's bytes do not match its name."""


class ModelMissingError(StoreError):
    """A model is not in the store."""


class StorageFullError(StoreError):
    """There is no room for a model."""


class TraceError(RelayError, ValueError):
    """A recorded economy cannot be read, or does not have the form it should."""
