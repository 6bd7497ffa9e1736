"""Files of one Ed25519 private key each: PEM without password, readable by the owner only."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from .durable import make_folder, write_new
from .regular import read_regular

__all__ = ["read_key", "write_new_key"]

_LONGEST = 2**16
"""Bytes of a key's file; a key has about a hundred."""


def read_key(path: Path) -> Ed25519PrivateKey | None:
    """The key in a file; None where the file holds something else.

    Raises
    ------
    OSError
        When the file cannot be read, or is no regular file.
    """
    data = read_regular(path, most=_LONGEST)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PrivateKey) else None


def write_new_key(path: Path) -> bool:
    """Put a new key in a new file; False where there is a file of that name.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    make_folder(path.parent)
    return write_new(path, pem)
