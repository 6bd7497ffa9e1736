"""What a participant is called: by its public key where it signs."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["PREFIX_OF_KEY", "is_hash", "is_public_key", "key_of", "participant_name", "short_name"]


PREFIX_OF_KEY = "key:"
"""What the names of those who sign begin with."""


_32_BYTES = re.compile("[0-9a-f]{64}")
"""In lower-case hex only, so that whatever is on a ledger has one spelling."""

_PRIME = 2**255 - 19
_EIGHTH = 0x5FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _PRIME - 1, _EIGHTH, _PRIME - _EIGHTH})
"""Second coordinates of the points of Ed25519 whose order is 8 or less. Under such a key one
signature is good for many statements, and anybody can make it."""


def participant_name(public: str) -> str:
    """What a participant who signs is called on the ledger."""
    return PREFIX_OF_KEY + public


def key_of(name: str) -> str | None:
    """The public key of a participant, or None for one who does not sign."""
    public = name.removeprefix(PREFIX_OF_KEY)
    return public if public != name and is_public_key(public) else None


def short_name(name: str) -> str:
    """A participant's name where people read it: of a key the first eight digits."""
    public = key_of(name)
    return name if public is None else PREFIX_OF_KEY + public[:8]


def is_hash(text: object) -> bool:
    """Whether this is 32 bytes in lower-case hex: a hash, a public key, a nonce."""
    return isinstance(text, str) and _32_BYTES.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def is_public_key(text: str) -> bool:
    """Whether this is an Ed25519 public key under which only its holder can sign.

    Keys of small order are refused, and so are coordinates that are spelled beyond the prime.
    """
    if not is_hash(text):
        return False
    second = int.from_bytes(bytes.fromhex(text), "little") % 2**255
    return second < _PRIME and second not in _SMALL_ORDER
