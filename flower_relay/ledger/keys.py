"""The operator's key: who assembled a ledger, and the signatures that say so.

An Ed25519 private key in a PEM file that its owner alone may read. It stays out of the
runs' folders, which people pass on; the ledger holds the public key only.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..errors import KeyFileError
from ..files.keys import read_key, write_new_key
from ..files.regular import seen_by_others
from ..mechanism.identity import is_public_key

__all__ = ["OperatorKey", "verify_signature"]


class OperatorKey:
    """An Ed25519 key that signs blocks and receipts.

    Parameters
    ----------
    private : Ed25519PrivateKey
        Of the `cryptography` library.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw().hex()

    @classmethod
    def create(cls, path: Path) -> OperatorKey:
        """A new key, in a new file of mode 0600.

        Raises
        ------
        KeyFileError
            When there is a file of that name, or it cannot be written.
        """
        if not _write_new_key(path):
            raise KeyFileError(
                f"{path} is there already. It was not touched: a ledger whose key is lost cannot "
                "be continued. Load that key, or name another file."
            )
        return cls.load(path)

    @classmethod
    def load_or_create(cls, path: Path) -> OperatorKey:
        """The key in a file, made if there is none; processes at once get the same one.

        Raises
        ------
        KeyFileError
            When the file cannot be read or written, or holds something else.
        """
        if not path.exists():
            _write_new_key(path)
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> OperatorKey:
        """The key in a file that nobody else may read, as ssh wants its keys.

        Raises
        ------
        KeyFileError
            When the file cannot be read, holds something else, or others may read it.
        """
        try:
            private, mode = read_key(path), seen_by_others(path)
        except OSError as problem:
            raise _unusable(path, problem) from problem
        if private is None:
            raise KeyFileError(
                f"{path} should hold an operator's key, an Ed25519 private key as PEM without "
                "password, and holds something else. It was not changed, and no ledger was. "
                "Restore it from a backup, or name another file."
            )
        if mode is not None:
            raise KeyFileError(
                f"{path} holds an operator's key, and others may read or write it (its mode is "
                f"{mode}): whoever copied it can sign blocks in your name. It was not used. If "
                f"nobody did, `chmod 600 {path}` and try again; else begin new runs with a new key."
            )
        return cls(private)

    def sign(self, data: bytes) -> str:
        """The signature over `data`, in hex."""
        return self._private.sign(data).hex()

    def __repr__(self) -> str:
        return f"OperatorKey(public={self.public!r})"


def verify_signature(public: str, data: bytes, signature: str) -> bool:
    """Whether `signature` (hex) over `data` is by the owner of `public` (hex)."""
    if not is_public_key(public):
        return False
    try:
        _public_key(public).verify(bytes.fromhex(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=4096)
def _public_key(public: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))


def _write_new_key(path: Path) -> bool:
    try:
        return write_new_key(path)
    except OSError as problem:
        raise _unusable(path, problem) from problem


def _unusable(path: Path, problem: OSError) -> KeyFileError:
    return KeyFileError(
        f"the operator's key should be in {path}, but: {problem.strerror}. No ledger was touched. "
        "Name a file that is there, or that this process may make."
    )
