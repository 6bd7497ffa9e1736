"""What a participant is called: by its public key where it signs."""

from __future__ import annotations

import re

__all__ = ["is_hash", "key_of", "participant_name", "short_name"]


_NAME = "key:"


_32_BYTES = re.compile("[0-9a-f]{64}")
"""In lower-case hex only, so that whatever is on a ledger has one spelling."""


def participant_name(public: str) -> str:
    """What a participant who signs is called on the ledger."""
    return _NAME + public


def key_of(name: str) -> str | None:
    """The public key of a participant, or None for one who does not sign."""
    public = name.removeprefix(_NAME)
    return public if public != name and is_hash(public) else None


def short_name(name: str) -> str:
    """A participant's name where people read it: of a key the first eight digits."""
    public = key_of(name)
    return name if public is None else _NAME + public[:8]


def is_hash(text: object) -> bool:
    """Whether this is 32 bytes in lower-case hex: a hash, a public key, a nonce."""
    return isinstance(text, str) and _32_BYTES.fullmatch(text) is not None
