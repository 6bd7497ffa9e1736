"""The errors of flower_relay: one tree, rooted at RelayError.

Every message says what was expected, what was found and, where a participant is
concerned, which one; what the user can do about it comes last.
"""

from __future__ import annotations

__all__ = [
    "ConfigurationError",
    "LedgerError",
    "NotEnoughParticipantsError",
    "RelayError",
    "StoreError",
    "TraceError",
]


class RelayError(Exception):
    """Base class of everything that flower_relay raises on purpose."""


class ConfigurationError(RelayError, ValueError):
    """A setting has an unknown name or an impossible value."""


class NotEnoughParticipantsError(RelayError):
    """Fewer nodes answered than the run needs."""


class LedgerError(RelayError):
    """A block does not follow from the blocks before it."""


class StoreError(RelayError):
    """A model is missing from the store, or its bytes do not match its name."""


class TraceError(RelayError, ValueError):
    """A recorded economy cannot be read, or does not have the form it should."""
